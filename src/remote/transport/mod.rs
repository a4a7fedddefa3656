//! Transports to the control server, which send requests and receive messages.
//!
//! | file | |
//! |---|---|
//! | `dial` | opens a transport of the kind that the server supports |
//! | `ws` | transport over WebSocket |
//! | `http` | transport over LANrage's HTTP routes, by polling |
//! | `connect` | opens the connection below a transport |
//! | `throttled` | bounds the read rate of a connection |
//! | `tcp`, `tls`, `proxy` | parts of `connect`: addresses and sockets, trusted certificates, proxies |

mod connect;
pub(crate) mod dial;
pub(crate) mod http;
pub(crate) mod proxy;
mod tcp;
mod throttled;
pub(crate) mod tls;
pub(crate) mod ws;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::control::Inbound;
use tokio::sync::mpsc;

use crate::core::upstream::Message;
pub(crate) use crate::core::upstream::link::Loss;
use crate::server_url::ServerUrl;
use proxy::Proxies;

/// Capacity of the queue of outgoing frames.
pub(crate) const SEND_QUEUE: usize = 256;

/// Capacity of the queue of incoming frames. It is small because frames of a hostile server are
/// large.
pub(crate) const RECEIVE_QUEUE: usize = 16;

/// Server to connect to, and the settings of the connection.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The server.
    pub(crate) url: ServerUrl,
    /// Kind of transport.
    pub(crate) kind: TransportKind,
    /// Trusted certificates, versions and ciphers.
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// Proxies for the server.
    pub(crate) proxies: Arc<Proxies>,
    /// Upper bound of connecting, from the name resolution to the end of the handshakes.
    pub(crate) connect_timeout: Duration,
    /// Upper bound of a request over HTTP.
    pub(crate) request_timeout: Duration,
    /// Longest interval of polls over HTTP; after a change it is a tenth of this.
    pub(crate) poll: Duration,
}

/// Settings of transports to any server.
#[derive(Debug, Clone)]
pub(crate) struct TransportConfig {
    /// Kind of transport.
    pub(crate) kind: TransportKind,
    /// As [`Endpoint::tls`].
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// File of certificates that are trusted in addition to the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// As [`Endpoint::proxies`].
    pub(crate) proxies: Arc<Proxies>,
    /// As [`Endpoint::connect_timeout`].
    pub(crate) connect_timeout: Duration,
    /// As [`Endpoint::request_timeout`].
    pub(crate) request_timeout: Duration,
    /// As [`Endpoint::poll`].
    pub(crate) poll: Duration,
}

impl TransportConfig {
    /// Returns the endpoint for a server.
    pub(crate) fn to(&self, url: ServerUrl) -> Endpoint {
        let Self { kind, tls, proxies, connect_timeout, request_timeout, poll, .. } = self.clone();
        Endpoint { url, kind, tls, proxies, connect_timeout, request_timeout, poll }
    }
}

/// Kind of transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TransportKind {
    /// WebSocket, or HTTP where the server has no WebSocket.
    Auto,
    /// WebSocket and nothing else.
    Ws,
    /// HTTP and nothing else.
    Http,
}

impl TransportKind {
    /// Returns its name in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ws => "ws",
            Self::Http => "http",
        }
    }
}

/// Open transport to the server. Its task ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Transport {
    /// Queue of outgoing messages.
    pub(crate) outgoing: mpsc::Sender<Outgoing>,
    /// Queue of incoming messages; the last is [`Message::Lost`].
    pub(crate) incoming: mpsc::Receiver<Incoming>,
    /// `Ws` or `Http`.
    pub(crate) kind: TransportKind,
    /// Lead of the server's clock over this machine's, in seconds, where the server states its
    /// time.
    pub(crate) clock_ahead: Option<i64>,
}

/// Outgoing message.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Request.
    Frame(Box<Inbound>),
    /// Check that the server is alive. Any response is an [`Incoming::Alive`].
    Ping,
    /// Close of the connection, after the messages before it.
    Close,
}

/// Incoming message.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Message of the server, or the loss of the connection.
    Message(Message),
    /// Sign that the server is alive, without a message.
    Alive,
    /// Failure of a server that is alive, for the user; with the message.
    Fault(String),
}

/// Returns the lead of the server's clock over this machine's, in seconds: the smallest that
/// explains a response of `date` between `sent` and `received`. A larger one could come from the
/// truncation of the date to seconds and the latency of the connection.
pub(crate) fn clock_lead(date: Timestamp, [sent, received]: [Timestamp; 2]) -> i64 {
    let least = date.duration_since(received).as_secs();
    let most = date.duration_since(sent).saturating_add(SignedDuration::from_secs(1)).as_secs();
    least.max(0) + most.min(0)
}

#[cfg(test)]
mod tests {
    use super::clock_lead;

    #[test]
    fn clock_lead_excludes_latency_and_truncation() {
        for (date, sent, received, expected) in [
            ("00:10:00", "00:10:00.9", "00:10:00.95", 0),
            ("00:10:00", "00:09:57", "00:10:03.5", 0),
            ("00:10:00", "00:09:52.9", "00:09:57.9", 2),
            ("00:10:00", "00:10:02.9", "00:10:06.9", -1),
            ("00:10:00", "00:10:03.1", "00:10:06.9", -2),
            ("01:10:00", "00:10:00", "00:10:00.1", 3599),
            ("00:00:00", "00:10:00", "00:10:00", -599),
        ] {
            let at = |time: &str| format!("2026-01-01T{time}Z").parse().unwrap();
            let lead = clock_lead(at(date), [at(sent), at(received)]);
            assert_eq!(lead, expected, "{date} {sent} {received}");
        }
    }
}
