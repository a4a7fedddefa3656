//! Transports to the control server: requests go out, messages come in.
//!
//! | file | |
//! |---|---|
//! | `dial` | opens a transport that the server supports |
//! | `ws` | a transport over WebSocket: how it is opened, and the task that carries frames |
//! | `http` | a transport over LANrage's HTTP routes, which polls |
//! | `connect` | opens the connection below them |
//! | `paced` | bounds the rate at which a connection is read |
//! | `tcp`, `tls`, `proxy` | its parts: addresses and sockets; trusted certificates; proxies |

mod connect;
pub(crate) mod dial;
pub(crate) mod http;
mod paced;
pub(crate) mod proxy;
mod tcp;
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

/// Frames that may wait to be sent.
pub(crate) const SEND_QUEUE: usize = 256;

/// Frames that may wait to be taken in; a hostile server's are large.
pub(crate) const RECEIVE_QUEUE: usize = 16;

/// Server to connect to, and the way there.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The server.
    pub(crate) url: ServerUrl,
    /// Kind of transport.
    pub(crate) kind: TransportKind,
    /// Trusted certificates, versions and ciphers.
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// Proxies on the way.
    pub(crate) proxies: Arc<Proxies>,
    /// Upper bound of connecting, from the name's resolution to the end of the handshakes.
    pub(crate) connect_timeout: Duration,
    /// Upper bound of an answer over HTTP.
    pub(crate) request_timeout: Duration,
    /// Longest interval of polls over HTTP; while there is news the interval is down to a tenth.
    pub(crate) poll: Duration,
}

/// Transport to a server that is not chosen yet.
#[derive(Debug, Clone)]
pub(crate) struct TransportConfig {
    /// Kind of transport.
    pub(crate) kind: TransportKind,
    /// As [`Endpoint::tls`].
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// File of the certificates that are trusted beside the system's.
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
    /// To a certain server.
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

/// Something to send.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A request.
    Frame(Box<Inbound>),
    /// A question whether the server is still there. Any answer is an [`Incoming::Alive`].
    Ping,
    /// A farewell.
    Close,
}

/// Something that came.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message of the server, or the loss of the connection.
    Message(Message),
    /// A sign of life and nothing else.
    Alive,
    /// The server is there, and fails in a way that its users should know of, in words.
    Fault(String),
}

/// Returns the lead of the server's clock over this machine's, in seconds: the least that explains
/// an answer of `date` between `sent` and `came`. A date has whole seconds, and the answer may have
/// been made at any time between: on a slow way, clocks that agree would seem not to.
pub(crate) fn ahead(date: Timestamp, [sent, came]: [Timestamp; 2]) -> i64 {
    let least = date.duration_since(came).as_secs();
    let most = date.duration_since(sent).saturating_add(SignedDuration::from_secs(1)).as_secs();
    least.max(0) + most.min(0)
}

#[cfg(test)]
mod tests {
    use super::ahead;

    #[test]
    fn clocks_that_may_agree_do() {
        for (date, sent, came, expected) in [
            ("00:10:00", "00:10:00.9", "00:10:00.95", 0),
            ("00:10:00", "00:09:57", "00:10:03.5", 0),
            ("00:10:00", "00:09:52.9", "00:09:57.9", 2),
            ("00:10:00", "00:10:02.9", "00:10:06.9", -1),
            ("00:10:00", "00:10:03.1", "00:10:06.9", -2),
            ("01:10:00", "00:10:00", "00:10:00.1", 3599),
            ("00:00:00", "00:10:00", "00:10:00", -599),
        ] {
            let at = |time: &str| format!("2026-01-01T{time}Z").parse().unwrap();
            assert_eq!(ahead(at(date), [at(sent), at(came)]), expected, "{date} {sent} {came}");
        }
    }
}
