//! Entry points of the programs: the public interface of this crate.

use std::process::ExitCode;

use crate::config::{self, ConfigError, DaemonArgs, DaemonConfig, Environment};
use crate::config::{ServerArgs, ServerConfig};
use crate::os::Signals;
use crate::service::{self, Program};
use crate::{cli, daemon, http, server};

/// Runs `lanragectl`.
pub fn lanragectl() -> ExitCode {
    cli::main()
}

/// Runs `lanragectl-d`.
pub fn lanragectl_d() -> ExitCode {
    service::main::<Daemon>()
}

/// Runs `lanragectl-server`.
pub fn lanragectl_server() -> ExitCode {
    service::main::<Server>()
}

/// Returns the OpenAPI document of the control server's HTTP interface.
pub fn openapi() -> String {
    http::openapi::document()
}

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
        Ok(config::effective_toml(config) + &config::admitted(config))
    }

    async fn run(args: DaemonArgs, config: DaemonConfig, signals: Signals) -> anyhow::Result<()> {
        daemon::run(args, config, signals).await
    }
}

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
        Ok(config::effective_server_toml(config)
            + &config::admitted_by_server(config, http::workers()))
    }

    async fn run(args: ServerArgs, config: ServerConfig, signals: Signals) -> anyhow::Result<()> {
        server::run(args, config, signals).await
    }
}
