//! The control server: arguments and configuration.

use std::process::ExitCode;

use clap::Parser;
use lanragectl::config::{self, Environment, ServerArgs};
use lanragectl::{server, service};

fn main() -> ExitCode {
    let args = ServerArgs::parse();
    service::main(
        || config::load_server(&args, &Environment::process()),
        |config| match args.check_config {
            true => {
                let memory = config::admitted_server_memory(&config);
                Err(config::effective_server_toml(&config) + &memory)
            }
            false => Ok(server::run(args.clone(), config)),
        },
    )
}
