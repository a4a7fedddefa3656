//! What the programs are told: flags, environment, TOML file, defaults, in this order of precedence.
//!
//! [`load`] resolves the daemon's [`DaemonConfig`], [`load_server`] the control server's [`ServerConfig`], [`load_cli`]
//! the command line client's [`CliConfig`]. All take the [`Environment`] as an argument and change nothing: not the
//! process, not the file system. Values are checked once, here; who takes a table of the configuration can rely on its
//! ranges.

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
pub(crate) use memory::{admitted_memory, admitted_server_memory};
pub(crate) use remote::{OnKeyChange, Remote};
pub(crate) use secret::Secret;
pub(crate) use server::{
    ADDRESS_SHARE, Auth, Http, ORIGINS_WITHOUT_HOST, ServerConfig, ServerLimits, Ws,
    effective_server_toml, load_server, server_needs_restart,
};
pub(crate) use tables::{Access, Addresses, Cleanup, DEFAULT_GROUP, Limits, Store};

use std::path::{Path, PathBuf};

/// The resolved configuration of `lanragectl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliConfig {
    /// The daemon's socket, or the name of its pipe.
    pub(crate) socket: PathBuf,
    /// The file that was read; none where there is no file at the default path.
    pub(crate) config_file: Option<PathBuf>,
}

/// Resolves the configuration of `lanragectl`.
///
/// The file may be the daemon's own, since `LANRAGE_CONFIG` speaks to all programs: only `socket` is read, the daemon's
/// other keys are left for the daemon to check.
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

/// Whether a socket is in the directory under the temporary one that stands in for a runtime directory: another user
/// might have made it first.
pub(crate) fn is_makeshift(socket: &Path, env: &Environment) -> bool {
    socket.parent() == Some(&paths::makeshift_directory(env))
}

#[cfg(test)]
mod tests;
