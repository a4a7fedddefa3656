//! Configuration of the programs, by precedence: flags, environment, TOML file, defaults.
//!
//! [`load`] resolves the daemon's [`DaemonConfig`], [`load_server`] the control server's
//! [`ServerConfig`], [`load_cli`] the command line client's [`CliConfig`]. All take the
//! [`Environment`] as an argument and change neither the process nor the file system. Values are
//! checked once, here; users of a table can rely on its ranges.

mod args;
mod daemon;
mod descriptors;
mod duration;
mod environment;
mod error;
mod file;
mod keys;
mod memory;
mod paths;
mod reader;
mod remote;
mod resolve;
mod secret;
mod server;
mod setting;
mod tables;

pub(crate) use args::{CliArgs, DaemonArgs, ServerArgs};
pub(crate) use daemon::{DaemonConfig, effective_toml, load, needs_restart};
pub(crate) use descriptors::{closing_connections, fit_daemon, fit_server};
pub(crate) use environment::Environment;
pub(crate) use error::{ConfigError, Mistake};
pub(crate) use memory::{admitted, admitted_by_server};
pub(crate) use remote::{OnKeyChange, Remote};
pub(crate) use secret::Secret;
pub(crate) use server::{
    ADDRESS_SHARE, Auth, Http, ORIGINS_WITHOUT_HOST, ServerConfig, ServerLimits, Ws,
    effective_server_toml, load_server, server_needs_restart,
};
pub(crate) use tables::{Access, Addresses, Cleanup, DEFAULT_GROUP, Limits, Store};

use std::path::{Path, PathBuf};

/// Resolved configuration of `lanragectl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliConfig {
    /// Socket of the daemon, or the name of its pipe.
    pub(crate) socket: PathBuf,
    /// File that was read; `None` if there is no file at the default path.
    pub(crate) config_file: Option<PathBuf>,
}

/// Resolves the configuration of `lanragectl`.
///
/// The file may be the daemon's, since `LANRAGE_CONFIG` applies to all programs. Only `socket` is
/// read; the daemon checks its other keys.
pub(crate) fn load_cli(args: &CliArgs, env: &Environment) -> Result<CliConfig, ConfigError> {
    let place = file::Place::of("lanragectl", args.config.as_deref(), args.system, env)?;
    let (config_file, socket) = place.read(|table| {
        let socket = table.path("socket");
        table.ignore(daemon::keys);
        table.disregard(server::keys);
        socket
    })?;
    Ok(CliConfig {
        socket: setting::SOCKET
            .given(args.socket.as_deref(), env)?
            .or(socket)
            .unwrap_or_else(|| paths::socket(args.system, env)),
        config_file,
    })
}

/// True if a socket is in the directory under the temporary one that replaces a runtime directory.
/// Another user might have created it first.
pub(crate) fn is_makeshift(socket: &Path, env: &Environment) -> bool {
    socket.parent() == Some(&paths::makeshift_directory(env))
}

#[cfg(test)]
mod tests;
