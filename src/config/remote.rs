//! `[remote]`: the connection to the control server, and that server's address.

use super::keys::{Shown, keys};
use super::setting::{PROXY, SERVER};
use super::tables::{COUNT, INTERVAL, KIB, MIB, minutes, seconds};
use super::{ConfigError, Environment};
use crate::remote::transport::TransportKind;
use crate::remote::transport::proxy::ProxyChoice;
use crate::server_url::{BadServerUrl, ServerUrl};
use serde::Serialize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::DeValue;

const BACKOFF_MAX: Duration = seconds(60);
/// Range of intervals of requests to the server: from the fastest useful rate to an hour.
const POLL: RangeInclusive<Duration> = seconds(1)..=minutes(60);

/// Treatment of a member whose public key changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnKeyChange {
    /// The new key is in force at once, and an event reports the change.
    Tell,
    /// The first key stays in force until `peer.trust` accepts the new one.
    Hold,
}

keys! {
    /// `[remote]`: the connection to the control server.
    pub(crate) struct Remote {
        /// Interval of the heartbeats of the daemon's peers.
        heartbeat: Duration = within(seconds(30), INTERVAL),
        /// Time limit of connecting, from name resolution to the end of the handshakes.
        connect_timeout: Duration = within(seconds(10), INTERVAL),
        /// Time limit of an answer.
        request_timeout: Duration = within(seconds(10), INTERVAL),
        /// Longest pause before the second attempt to connect.
        backoff_initial: Duration = up_to(seconds(1), INTERVAL, ("backoff_max", BACKOFF_MAX)),
        /// Longest pause before any attempt; not less than `backoff_initial`.
        backoff_max: Duration = within(BACKOFF_MAX, INTERVAL),
        /// Failed attempts in a row before the fallback to local mode.
        max_attempts: usize = within(5, COUNT),
        /// Interval of the probes from the fallback.
        probe: Duration = within(seconds(60), INTERVAL),
        /// Longest interval of polls for changes over HTTP.
        poll: Duration = within(seconds(10), POLL),
        /// Bytes of the replicas that the daemon keeps, in memory and on the disk.
        copies_bytes: usize = within(32 * MIB, 64 * KIB..=1024 * MIB),
        /// Treatment of a member whose public key changes.
        on_key_change: OnKeyChange = value(OnKeyChange::Tell, parse_on_key_change),
        /// Choice of the transport.
        transport: TransportKind = value(TransportKind::Auto, parse_transport),
        /// Certificates, as PEM, that are trusted in addition to the system's.
        ca_file: Option<PathBuf> = path(),
        /// HTTP proxy on the way to the server. It is printed without its password, and no message
        /// repeats it.
        proxy: ProxyChoice = secret(parse_proxy),
    }
}

impl Shown for OnKeyChange {}
impl Shown for TransportKind {}
impl Shown for ProxyChoice {}

fn parse_on_key_change(value: &DeValue<'_>) -> Result<OnKeyChange, &'static str> {
    match value.as_str() {
        Some("tell") => Ok(OnKeyChange::Tell),
        Some("hold") => Ok(OnKeyChange::Hold),
        _ => Err("must be \"tell\" or \"hold\""),
    }
}

fn parse_transport(value: &DeValue<'_>) -> Result<TransportKind, &'static str> {
    match value.as_str() {
        Some("auto") => Ok(TransportKind::Auto),
        Some("ws") => Ok(TransportKind::Ws),
        Some("http") => Ok(TransportKind::Http),
        _ => Err("is no transport: it must be \"auto\", \"ws\" or \"http\""),
    }
}

fn parse_proxy(value: &DeValue<'_>) -> Result<ProxyChoice, String> {
    value.as_str().ok_or("must be \"system\", \"none\" or a URL in quotes")?.parse()
}

/// Reads the address of the control server in the file.
pub(super) fn parse_server(value: &DeValue<'_>) -> Result<Option<ServerUrl>, String> {
    let text = value.as_str();
    let text = text.ok_or("must be a URL in quotes, such as \"https://lan.example.org\"")?;
    text.parse().map(Some).map_err(|why: BadServerUrl| why.to_string())
}

/// Returns the proxy of the flag, else of the variable.
pub(super) fn given_proxy(
    flag: Option<&str>,
    env: &Environment,
) -> Result<Option<ProxyChoice>, ConfigError> {
    let Some((text, by)) = PROXY.text(flag, env) else { return Ok(None) };
    text.parse().map(Some).map_err(|why| ConfigError::BadProxy { by, why })
}

/// Returns the address of the flag, else of the variable.
pub(super) fn given_server(
    flag: Option<&str>,
    env: &Environment,
) -> Result<Option<ServerUrl>, ConfigError> {
    let Some((text, by)) = SERVER.text(flag, env) else { return Ok(None) };
    text.parse().map(Some).map_err(|why| ConfigError::BadServer { by, why })
}
