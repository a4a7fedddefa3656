//! The control server: arguments and configuration.

use std::process::ExitCode;

use clap::Parser;
use lanragectl::config::{self, Environment, ServerArgs};
use lanragectl::server;
use lanragectl::service::{self, Task};

fn main() -> ExitCode {
    let args = ServerArgs::parse();
    service::main(
        || config::load_server(&args, &Environment::process()),
        |config| match args.check_config {
            true => Task::Check(server::check(&config).map(|()| {
                config::effective_server_toml(&config) + &config::admitted_server_memory(&config)
            })),
            false => Task::Run(server::run(args.clone(), config)),
        },
    )
}
