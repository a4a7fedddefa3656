//! Configuration of `lanragectl-d`.

use super::file::Place;
use super::reader::Table;
use super::setting::{DISCOVERY_FILE, SOCKET};
use super::{
    Access, Addresses, Cleanup, ConfigError, DaemonArgs, Environment, Limits, Remote, ServerLimits,
    Store, paths, remote, resolve, server,
};
use crate::server_url::ServerUrl;
use serde::Serialize;
use std::path::PathBuf;

/// Resolved configuration of `lanragectl-d`. Paths are absolute and UTF-8.
///
/// It serializes to a valid file: fields of flags without a key are omitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DaemonConfig {
    /// Socket to serve, or the name of the pipe.
    pub(crate) socket: PathBuf,
    /// Directory of the database and its backups.
    pub(crate) state_dir: PathBuf,
    /// File that announces parties to this machine's other daemons.
    pub(crate) discovery_file: PathBuf,
    /// URL of the control server; `None` is local mode.
    pub(crate) server: Option<ServerUrl>,
    /// Expiry of peers and relays.
    pub(crate) cleanup: Cleanup,
    /// Persistence of the state.
    pub(crate) store: Store,
    /// Virtual network.
    pub(crate) addresses: Addresses,
    /// Roles of the users.
    pub(crate) access: Access,
    /// Limits of the clients.
    pub(crate) limits: Limits,
    /// Connection to the control server.
    pub(crate) remote: Remote,
    /// True if the daemon serves the whole machine.
    #[serde(skip)]
    pub(crate) system: bool,
    /// File that was read; `None` if there is no file at the default path.
    #[serde(skip)]
    pub(crate) config_file: Option<PathBuf>,
}

/// Asks a table for all keys of the file, to learn their names.
pub(super) fn keys(table: &mut Table<'_>) {
    read(table, &DaemonArgs::default(), &Environment::new(|_| None)).ok();
}

/// Reads every key of the file, and only then refuses a bad flag or variable that overrides one.
fn read(
    table: &mut Table<'_>,
    args: &DaemonArgs,
    env: &Environment,
) -> Result<DaemonConfig, ConfigError> {
    let limits = table.table("limits", |table| {
        let limits = Limits::read(table);
        table.disregard(ServerLimits::read);
        limits
    });
    let paths = ["socket", "state_dir", "discovery_file"].map(|key| table.path(key));
    let [socket, state_dir, discovery_file] = paths;
    let server = table.secret("server", remote::parse_server);
    let cleanup = table.table("cleanup", Cleanup::read);
    let store = table.table("store", Store::read);
    let addresses =
        table.table("addresses", |table| Addresses::read(table, limits.peers_per_party));
    let access = table.table("access", Access::read);
    let remote = table.table("remote", Remote::read);

    let socket = SOCKET
        .given(args.socket.as_deref(), env)?
        .or(socket)
        .unwrap_or_else(|| paths::socket(args.system, env));
    let state_dir = resolve::state_dir(args.state_dir.as_deref(), state_dir, args.system, env)?;
    let discovery_file = DISCOVERY_FILE
        .given(args.discovery_file.as_deref(), env)?
        .or(discovery_file)
        .unwrap_or_else(|| state_dir.join("discovery.json"));
    let server = remote::given_server(args.server.as_deref(), env)?.or(server);
    let proxy = remote::given_proxy(args.proxy.as_deref(), env)?.unwrap_or(remote.proxy);
    Ok(DaemonConfig {
        socket,
        state_dir,
        discovery_file,
        server,
        cleanup,
        store,
        addresses,
        access,
        limits,
        remote: Remote { proxy, ..remote },
        system: args.system,
        config_file: None,
    })
}

/// Resolves the configuration of the daemon: flag before variable, variable before file, file
/// before default. A reload calls it again.
pub(crate) fn load(args: &DaemonArgs, env: &Environment) -> Result<DaemonConfig, ConfigError> {
    let place = Place::of("lanragectl-d", args.config.as_deref(), args.system, env)?;
    let (config_file, config) = place.read(|table| {
        let config = read(table, args, env);
        // One file may serve the control server, too.
        table.disregard(server::keys);
        config
    })?;
    Ok(DaemonConfig { config_file, ..config? })
}

/// Returns the changed keys that need a restart; all others may change while the daemon runs.
pub(crate) fn needs_restart(old: &DaemonConfig, new: &DaemonConfig) -> Vec<&'static str> {
    resolve::changed([
        ("socket", old.socket != new.socket),
        ("state_dir", old.state_dir != new.state_dir),
        ("discovery_file", old.discovery_file != new.discovery_file),
        ("server", old.server != new.server),
        ("addresses.subnet", old.addresses != new.addresses),
        ("remote.transport", old.remote.transport != new.remote.transport),
        ("remote.ca_file", old.remote.ca_file != new.remote.ca_file),
        ("remote.proxy", old.remote.proxy != new.remote.proxy),
    ])
}

/// Returns the effective configuration as a file that gives the same configuration.
pub(crate) fn effective_toml(config: &DaemonConfig) -> String {
    resolve::effective_toml(config, config.config_file.as_deref())
}

#[cfg(test)]
mod tests;
