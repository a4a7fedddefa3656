//! The control server: arguments and configuration.

use std::process::ExitCode;

use lanragectl::config::{self, ConfigError, Environment, ServerArgs, ServerConfig};
use lanragectl::os::Signals;
use lanragectl::server;
use lanragectl::service::{self, Program};

struct Server;

impl Program for Server {
    type Args = ServerArgs;
    type Config = ServerConfig;

    fn load(args: &ServerArgs, env: &Environment) -> Result<ServerConfig, ConfigError> {
        config::load_server(args, env)
    }

    fn is_check(args: &ServerArgs) -> bool {
        args.check_config
    }

    fn check(config: &ServerConfig) -> anyhow::Result<String> {
        server::check(config)?;
        Ok(config::effective_server_toml(config) + &config::admitted_server_memory(config))
    }

    async fn run(args: ServerArgs, config: ServerConfig, signals: Signals) -> anyhow::Result<()> {
        server::run(args, config, signals).await
    }
}

fn main() -> ExitCode {
    service::main::<Server>()
}
