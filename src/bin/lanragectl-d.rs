//! The daemon: arguments and configuration.

use std::process::ExitCode;

use clap::Parser;
use lanragectl::config::{self, DaemonArgs, Environment};
use lanragectl::daemon;
use lanragectl::service::{self, Task};

fn main() -> ExitCode {
    let args = DaemonArgs::parse();
    service::main(
        || config::load(&args, &Environment::process()),
        |config| match args.check_config {
            true => Task::Check(
                daemon::check(&config)
                    .map(|()| config::effective_toml(&config) + &config::admitted_memory(&config)),
            ),
            false => Task::Run(daemon::run(args.clone(), config)),
        },
    )
}
