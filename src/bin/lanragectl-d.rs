//! The daemon: arguments and configuration.

use std::process::ExitCode;

use lanragectl::config::{self, ConfigError, DaemonArgs, DaemonConfig, Environment};
use lanragectl::daemon;
use lanragectl::os::Signals;
use lanragectl::service::{self, Program};

struct Daemon;

impl Program for Daemon {
    type Args = DaemonArgs;
    type Config = DaemonConfig;

    fn load(args: &DaemonArgs, env: &Environment) -> Result<DaemonConfig, ConfigError> {
        config::load(args, env)
    }

    fn is_check(args: &DaemonArgs) -> bool {
        args.check_config
    }

    fn check(config: &DaemonConfig) -> anyhow::Result<String> {
        daemon::check(config)?;
        Ok(config::effective_toml(config) + &config::admitted_memory(config))
    }

    async fn run(args: DaemonArgs, config: DaemonConfig, signals: Signals) -> anyhow::Result<()> {
        daemon::run(args, config, signals).await
    }
}

fn main() -> ExitCode {
    service::main::<Daemon>()
}
