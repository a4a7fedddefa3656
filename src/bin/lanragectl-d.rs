//! The daemon: arguments and configuration.

use std::process::ExitCode;

use clap::Parser;
use lanragectl::config::{self, DaemonArgs, Environment};
use lanragectl::{daemon, service};

fn main() -> ExitCode {
    let args = DaemonArgs::parse();
    service::main(
        || config::load(&args, &Environment::process()),
        |config| match args.check_config {
            true => {
                let memory = config::admitted_memory(&config);
                Err(config::effective_toml(&config) + &memory)
            }
            false => Ok(daemon::run(args.clone(), config)),
        },
    )
}
