//! The daemon: arguments, logging, exit code.

use std::process::ExitCode;

use clap::Parser;
use lanragectl::config::{self, DaemonArgs, Environment};
use lanragectl::{daemon, logging};

/// The configuration can't be used.
const BAD_CONFIG: u8 = 2;
/// As of a Rust program that panics.
const PANICKED: i32 = 101;

fn main() -> ExitCode {
    let args = DaemonArgs::parse();
    logging::init();
    let config = match config::load(&args, &Environment::process()) {
        Ok(config) => config,
        Err(error) => {
            error.to_string().lines().for_each(|line| log::error!("{line}"));
            return ExitCode::from(BAD_CONFIG);
        }
    };
    if args.check_config {
        #[expect(clippy::print_stdout, reason = "it is what was asked for")]
        {
            print!("{}", config::effective_toml(&config));
        }
        return ExitCode::SUCCESS;
    }
    // A half-dead daemon is worse than a dead one, which the service manager starts anew.
    std::panic::set_hook(Box::new(|panic| {
        log::error!("{panic}");
        std::process::exit(PANICKED);
    }));
    let system = actix::System::new();
    let ended = system.block_on(daemon::run(args, config));
    // Dropped, the actors that are left would run once more, outside of any runtime, and panic.
    std::mem::forget(system);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
