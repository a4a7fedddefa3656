//! The connection to the control server.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::words::words;

/// The connection to the control server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Connection {
    /// Its state.
    pub state: ConnectionState,
    /// The server; null in local mode.
    pub server_url: Option<String>,
    /// Since when it is so.
    #[serde(with = "crate::model::millis")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub since: Timestamp,
    /// How many attempts have failed in a row.
    pub attempt: u32,
    /// When the next attempt comes, in milliseconds; null when none is due.
    pub retry_in_ms: Option<u64>,
    /// Why the last attempt failed, or how the server fails while it answers, in words.
    pub last_error: Option<String>,
    /// Transport to the server: `auto`, `ws` or `http`, as configured; absent in local mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The file of certificates that are trusted beside the system's, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The HTTP proxy on the way to the server, without its password, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
}

words! {
    /// The state of the connection to the control server.
    ConnectionState {
        /// There is none: the daemon is its own control plane.
        Local = "local",
        /// The first attempt is under way.
        Connecting = "connecting",
        /// The server answers, and has been told all there is to tell.
        Online = "online",
        /// It was lost, or the first attempt failed: another attempt is due soon.
        Reconnecting = "reconnecting",
        /// Too many attempts failed: the daemon works as in local mode, and looks now and then.
        Fallback = "fallback",
        /// The server does not let the daemon in: no attempt is made until it is told to.
        AuthFailed = "auth_failed",
        /// The daemon is stopping.
        Stopping = "stopping";
        /// One that this version does not know.
        Unknown
    }
}
