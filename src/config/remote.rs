//! `[remote]`: how the daemon gets along with its control server, and the address of that server.

use super::reader::{self, Table};
use super::tables::{COUNT, INTERVAL, KIB, MIB, minutes, seconds};
use super::{ConfigError, Environment, duration};
use crate::control_plane::remote::transport::Carrier;
use crate::control_plane::remote::transport::proxy::ProxyChoice;
use crate::server_url::{BadServerUrl, ServerUrl};
use serde::Serialize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FLAG: &str = "--server";
const VARIABLE: &str = "LANRAGE_CONTROL_SERVER";
const PROXY_FLAG: &str = "--proxy";
const PROXY_VARIABLE: &str = "LANRAGE_PROXY";
/// A server that is asked more often has nothing else to do; after an hour there are no news.
const POLL: RangeInclusive<Duration> = seconds(1)..=minutes(60);

/// Treatment of a member whose public key changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnKeyChange {
    /// The new key is in force at once, and the change is told.
    Tell,
    /// The key that was seen first stays in force until `peer.trust` accepts the new one.
    Hold,
}

/// `[remote]`: how the daemon gets along with its control server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remote {
    /// How often the server is told that the daemon's peers are alive.
    #[serde(serialize_with = "duration::serialize")]
    pub heartbeat: Duration,
    /// How long connecting may take, from the name's resolution to the end of the handshakes.
    #[serde(serialize_with = "duration::serialize")]
    pub connect_timeout: Duration,
    /// How long an answer may take.
    #[serde(serialize_with = "duration::serialize")]
    pub request_timeout: Duration,
    /// How long to wait, at most, before the second attempt to connect.
    #[serde(serialize_with = "duration::serialize")]
    pub backoff_initial: Duration,
    /// How long to wait, at most, before any attempt; not less than `backoff_initial`.
    #[serde(serialize_with = "duration::serialize")]
    pub backoff_max: Duration,
    /// Attempts that may fail in a row before the daemon goes on as in local mode.
    pub max_attempts: usize,
    /// How often it then looks whether the server is back.
    #[serde(serialize_with = "duration::serialize")]
    pub probe: Duration,
    /// How often at least it looks for news where it can't be told them.
    #[serde(serialize_with = "duration::serialize")]
    pub poll: Duration,
    /// Bytes of the copies of its parties that the daemon keeps, in memory and on the disk.
    pub copies_bytes: usize,
    /// Treatment of a member whose public key changes.
    pub on_key_change: OnKeyChange,
    /// What it speaks.
    pub transport: Carrier,
    /// Certificates, as PEM, that are trusted beside those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The HTTP proxy on the way to the server. It is shown without its password.
    pub proxy: ProxyChoice,
}

impl Remote {
    /// Relative paths start from `directory`.
    pub(super) fn read(table: &mut Table<'_>, directory: &Path) -> Self {
        let backoff_max = table.duration("backoff_max", seconds(60), INTERVAL);
        Self {
            heartbeat: table.duration("heartbeat", seconds(30), INTERVAL),
            connect_timeout: table.duration("connect_timeout", seconds(10), INTERVAL),
            request_timeout: table.duration("request_timeout", seconds(10), INTERVAL),
            backoff_initial: backoff_initial(table, backoff_max),
            backoff_max,
            max_attempts: table.number("max_attempts", 5, COUNT),
            probe: table.duration("probe", seconds(60), INTERVAL),
            poll: table.duration("poll", seconds(10), POLL),
            copies_bytes: table.number("copies_bytes", 32 * MIB, 64 * KIB..=1024 * MIB),
            on_key_change: table.value("on_key_change", OnKeyChange::Tell, |value| {
                match value.as_str() {
                    Some("tell") => Ok(OnKeyChange::Tell),
                    Some("hold") => Ok(OnKeyChange::Hold),
                    _ => Err("must be \"tell\" or \"hold\""),
                }
            }),
            transport: table.value("transport", Carrier::Auto, |value| match value.as_str() {
                Some("auto") => Ok(Carrier::Auto),
                Some("ws") => Ok(Carrier::Ws),
                Some("http") => Ok(Carrier::Http),
                _ => Err("is no transport: it must be \"auto\", \"ws\" or \"http\""),
            }),
            ca_file: table.path("ca_file", directory),
            proxy: read_proxy(table),
        }
    }
}

/// Where the file says nothing of it, a second, or `most` where that is less.
fn backoff_initial(table: &mut Table<'_>, most: Duration) -> Duration {
    table.value("backoff_initial", seconds(1).min(most), |value| {
        let initial = reader::duration(value, &INTERVAL)?;
        if initial > most {
            return Err(format!(
                "is more than remote.backoff_max, which is {}: lower the one or raise the other",
                duration::short(most)
            ));
        }
        Ok(initial)
    })
}

/// The address of the control server in the file. No message repeats it: it may have a password.
pub(super) fn read_server(table: &mut Table<'_>) -> Option<ServerUrl> {
    table.secret("server", |value| match value.as_str() {
        Some(text) => text.parse().map_err(|why: BadServerUrl| why.to_string()),
        None => Err("must be a URL in quotes, such as \"https://lan.example.org\"".to_owned()),
    })
}

/// The proxy in the file. No message repeats it: it may have a password.
fn read_proxy(table: &mut Table<'_>) -> ProxyChoice {
    let proxy = table.secret("proxy", |value| match value.as_str() {
        Some(text) => text.parse(),
        None => Err("must be \"system\", \"none\" or a URL in quotes".to_owned()),
    });
    proxy.unwrap_or_default()
}

/// The proxy that the flag gives, else the variable.
pub(super) fn given_proxy(
    flag: Option<&str>,
    env: &Environment,
) -> Result<Option<ProxyChoice>, ConfigError> {
    let Some((text, by)) = given(flag, PROXY_FLAG, env, PROXY_VARIABLE) else { return Ok(None) };
    text.parse().map(Some).map_err(|why| ConfigError::BadProxy { by, why })
}

/// The text that the flag gives, else the variable, with the name of that.
fn given(
    flag: Option<&str>,
    flag_name: &'static str,
    env: &Environment,
    variable: &'static str,
) -> Option<(String, &'static str)> {
    let in_env = || Some((env.get(variable)?.to_string_lossy().into_owned(), variable));
    flag.map(|flag| (flag.to_owned(), flag_name)).or_else(in_env)
}

/// The address that the flag gives, else the variable.
pub(super) fn given_server(
    flag: Option<&str>,
    env: &Environment,
) -> Result<Option<ServerUrl>, ConfigError> {
    let Some((text, by)) = given(flag, FLAG, env, VARIABLE) else { return Ok(None) };
    text.parse().map(Some).map_err(|why| ConfigError::BadServer { by, why })
}

impl Default for Remote {
    fn default() -> Self {
        Self::read(&mut Table::empty(), Path::new(""))
    }
}
