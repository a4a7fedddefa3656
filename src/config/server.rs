//! Configuration of `lanragectl-server`.

mod key_file;
mod network;
mod tables;

pub(crate) use network::ORIGINS_WITHOUT_HOST;
pub(super) use network::parse_listen;
pub(crate) use tables::{ADDRESS_SHARE, Auth, Http, ServerLimits, Ws};

use super::file::Place;
use super::reader::Table;
use super::setting::SERVER_SOCKET;
use super::{
    Access, Addresses, Cleanup, ConfigError, Environment, ServerArgs, Store, daemon, paths, resolve,
};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

const LISTEN_VARIABLE: &str = "LANRAGE_LISTEN";
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8667);

/// Resolved configuration of `lanragectl-server`. Paths are absolute and UTF-8.
///
/// It serializes to a valid file without the secrets: fields of flags without a key are omitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ServerConfig {
    /// Address and port to serve. Beyond loopback it needs TLS, a proxy, or [`Http::insecure`].
    pub(crate) listen: SocketAddr,
    /// Administrators' socket, or the name of its pipe.
    pub(crate) socket: PathBuf,
    /// Directory of the database and its backups.
    pub(crate) state_dir: PathBuf,
    /// Settings of HTTP.
    pub(crate) http: Http,
    /// Authentication of clients and relays.
    pub(crate) auth: Auth,
    /// Expiry of peers and relays.
    pub(crate) cleanup: Cleanup,
    /// Persistence of the state.
    pub(crate) store: Store,
    /// Virtual network.
    pub(crate) addresses: Addresses,
    /// Roles on the administrators' socket.
    pub(crate) access: Access,
    /// Limits of the clients.
    pub(crate) limits: ServerLimits,
    /// Limits of WebSockets.
    pub(crate) ws: Ws,
    /// True for the machine's server.
    #[serde(skip)]
    pub(crate) system: bool,
    /// File that was read; `None` if there is no file at the default path.
    #[serde(skip)]
    pub(crate) config_file: Option<PathBuf>,
}

/// Asks a table for all keys of the file, to learn their names.
pub(super) fn keys(table: &mut Table<'_>) {
    read(table, &ServerArgs::default(), &Environment::new(|_| None)).ok();
}

/// Reads every key of the file, and only then refuses a bad flag or variable that overrides one.
fn read(
    table: &mut Table<'_>,
    args: &ServerArgs,
    env: &Environment,
) -> Result<ServerConfig, ConfigError> {
    let limits = table.table("limits", ServerLimits::read);
    let listen =
        table.value("listen", LISTEN, |value| parse_listen(value.as_str().unwrap_or_default()));
    let [socket, state_dir] = ["socket", "state_dir"].map(|key| table.path(key));
    let http = table.table("http", Http::read);
    let auth = table.table("auth", Auth::read);
    let cleanup = table.table("cleanup", Cleanup::read);
    let store = table.table("store", Store::read);
    let addresses =
        table.table("addresses", |table| Addresses::read(table, limits.shared.peers_per_party));
    let access = table.table("access", Access::read);
    let ws = table.table("ws", |table| Ws::read(table, &limits));

    let given = args.listen.map_or_else(|| listen_variable(env), |flag| Ok(Some(flag)))?;
    let listen = given.unwrap_or(listen);
    let state_dir = resolve::state_dir(args.state_dir.as_deref(), state_dir, args.system, env)?;
    let socket = SERVER_SOCKET
        .given(args.socket.as_deref(), env)?
        .or(socket)
        .unwrap_or_else(|| paths::server_socket(args.system, &state_dir));
    Ok(ServerConfig {
        listen,
        socket,
        state_dir,
        http,
        auth,
        cleanup,
        store,
        addresses,
        access,
        limits,
        ws,
        system: args.system,
        config_file: None,
    })
}

/// Resolves the configuration of the control server: flag before variable, variable before file,
/// file before default. Also reads the file of the relays' key. A reload calls it again.
pub(crate) fn load_server(
    args: &ServerArgs,
    env: &Environment,
) -> Result<ServerConfig, ConfigError> {
    let place = Place::of("lanragectl-server", args.config.as_deref(), args.system, env)?;
    let (config_file, config) = place.read(|table| {
        let config = read(table, args, env);
        // One file may serve the daemon, too.
        table.disregard(daemon::keys);
        config
    })?;
    let mut config = ServerConfig { config_file, ..config? };
    if let Some(path) = &config.auth.relay_key_file {
        config.auth.relay_key = Some(key_file::read(path, env)?);
    }
    check_exposure(&config)?;
    Ok(config)
}

fn listen_variable(env: &Environment) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(value) = env.get(LISTEN_VARIABLE) else { return Ok(None) };
    let value = value.to_string_lossy().into_owned();
    match parse_listen(&value) {
        Ok(listen) => Ok(Some(listen)),
        Err(why) => Err(ConfigError::BadListen { by: LISTEN_VARIABLE, value, why }),
    }
}

/// Refuses to send tokens in clear text over the network, unless the configuration allows it.
fn check_exposure(config: &ServerConfig) -> Result<(), ConfigError> {
    let Http { tls, behind_proxy, insecure, .. } = &config.http;
    let local = config.listen.ip().to_canonical().is_loopback();
    if local || tls.is_some() || !behind_proxy.is_empty() || *insecure {
        return Ok(());
    }
    Err(ConfigError::Exposed { listen: config.listen })
}

/// Returns the changed keys that need a restart; all others may change while the server runs. A
/// reload also reads the TLS files again.
pub(crate) fn server_needs_restart(old: &ServerConfig, new: &ServerConfig) -> Vec<&'static str> {
    fn tls(config: &ServerConfig) -> (Option<&Path>, Option<&Path>) {
        let tls = config.http.tls.as_ref();
        (tls.map(|tls| tls.cert.as_path()), tls.map(|tls| tls.key.as_path()))
    }
    let ((old_cert, old_key), (new_cert, new_key)) = (tls(old), tls(new));
    resolve::changed([
        ("listen", old.listen != new.listen),
        ("socket", old.socket != new.socket),
        ("state_dir", old.state_dir != new.state_dir),
        ("http.tls_cert", old_cert != new_cert),
        ("http.tls_key", old_key != new_key),
        ("http.request_timeout", old.http.request_timeout != new.http.request_timeout),
        ("http.keep_alive", old.http.keep_alive != new.http.keep_alive),
        ("http.connections", old.http.connections != new.http.connections),
        ("addresses.subnet", old.addresses != new.addresses),
    ])
}

/// Returns the effective configuration as a file that gives the same configuration. A relay key
/// that the file would show is left out.
pub(crate) fn effective_server_toml(config: &ServerConfig) -> String {
    let toml = resolve::effective_toml(config, config.config_file.as_deref());
    match &config.auth {
        Auth { relay_key: Some(_), relay_key_file: None, .. } => {
            format!("# auth.relay_key is set, and not shown.\n{toml}")
        }
        _ => toml,
    }
}

#[cfg(test)]
mod tests;
