//! Connection to the control server.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::words::words;

/// Connection to the control server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Connection {
    /// State of the connection.
    pub state: ConnectionState,
    /// URL of the control server; null in local mode.
    pub server_url: Option<String>,
    /// Time at which this state began.
    #[serde(with = "crate::model::millis")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub since: Timestamp,
    /// Number of consecutive failed attempts.
    pub attempt: u32,
    /// Time until the next attempt, in milliseconds; null if none is due.
    pub retry_in_ms: Option<u64>,
    /// Message of the last failed attempt, or of a failure that the connected server reports.
    pub last_error: Option<String>,
    /// Transport to the server: `auto`, `ws` or `http`, as configured; absent in local mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// File of certificates that are trusted in addition to the system's, if configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// URL of the HTTP proxy, without its password, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

words! {
    /// State of the connection to the control server.
    ConnectionState {
        /// Local mode: the daemon is its own control plane.
        Local = "local",
        /// The first attempt is in progress.
        Connecting = "connecting",
        /// The server answers, and all pending changes are replayed.
        Online = "online",
        /// The connection was lost, or the first attempt failed. Another attempt is due soon.
        Reconnecting = "reconnecting",
        /// Too many attempts failed. The daemon works as in local mode and probes the server.
        Fallback = "fallback",
        /// The server refused the daemon's credentials. The daemon waits for a command to retry.
        AuthFailed = "auth_failed",
        /// The daemon is stopping.
        Stopping = "stopping";
        /// A state that this version does not know.
        Unknown
    }
}
