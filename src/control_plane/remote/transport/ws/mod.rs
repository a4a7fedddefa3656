//! A wire over WebSocket.

mod faults;
mod pump;
#[cfg(test)]
pub(super) mod tests;

use std::future::Future;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::USER_AGENT;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Carrier, Loss, RECEIVE_QUEUE, SEND_QUEUE, Target, Wire, ahead, tcp, words};
use crate::server_url::ServerUrl;

/// The largest message either side may send, in bytes: a party of many members fits easily.
const LARGEST_MESSAGE: usize = 4 << 20;

/// Room in the write buffer for what is sent beside a message: pongs and the farewell.
const BESIDE: usize = 1 << 10;

const READ_BUFFER: usize = 16 << 10;

/// Why there is no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The server answered, and seems to have none.
    NoWebSocket(Loss),
    /// Anything else.
    Lost(Loss),
}

/// Opens a WebSocket, and starts the task that carries frames over it.
///
/// The task ends when the connection does, after [`super::Outgoing::Close`], and when `incoming`
/// or all `outgoing` are dropped. What is still queued when `incoming` is dropped may get lost.
///
/// # Errors
/// Why there is none.
pub async fn open(target: &Target) -> Result<Wire, Failed> {
    let deadline = Deadline::of(target);
    let stream = connect(target, &deadline).await.map_err(Failed::Lost)?;
    if target.url.is_secure() {
        let stream = secure(target, &deadline, stream).await.map_err(Failed::Lost)?;
        upgrade(target, &deadline, stream).await
    } else {
        upgrade(target, &deadline, stream).await
    }
}

async fn connect(target: &Target, deadline: &Deadline<'_>) -> Result<TcpStream, Loss> {
    let Some(proxy) = target.proxies.to(&target.url) else {
        return reach(&target.url, deadline).await;
    };
    let mut stream = reach(proxy.place(), deadline).await?;
    let tunnel = proxy.tunnel(&mut stream, &target.url);
    deadline.hold("the answer of the proxy before", tunnel).await??;
    Ok(stream)
}

/// Connects to a server, or to a proxy.
async fn reach(url: &ServerUrl, deadline: &Deadline<'_>) -> Result<TcpStream, Loss> {
    let (host, port) = url.host_and_port();
    let addresses = deadline.hold("finding the address of", tcp::resolve(&host, port));
    let addresses = addresses.await?.map_err(|error| Loss::new(words::unresolved(&error, url)))?;
    let stream = deadline.hold("connecting to", tcp::connect(addresses)).await?;
    stream.map_err(|error| Loss::new(words::failure(&error, url)))
}

async fn secure(
    target: &Target,
    deadline: &Deadline<'_>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Loss> {
    let (host, _) = target.url.host_and_port();
    let Ok(name) = ServerName::try_from(host) else {
        let place = words::place(&target.url);
        let words = format!("no certificate can be for {place}: use another name of the server");
        return Err(Loss::new(words));
    };
    let connecting = TlsConnector::from(target.tls.clone()).connect(name, stream);
    let stream = deadline.hold("the TLS handshake with", connecting).await?;
    stream.map_err(|error| Loss::new(broken_handshake(&error, target)))
}

/// A server without TLS often ends the connection rather than answer something.
fn broken_handshake(error: &io::Error, target: &Target) -> String {
    let words = words::failure(error, &target.url);
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            format!("{words} in the middle of the TLS handshake: does it speak TLS at that port?")
        }
        _ => words,
    }
}

async fn upgrade<S>(target: &Target, deadline: &Deadline<'_>, stream: S) -> Result<Wire, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let url = &target.url;
    let mut request = (url.websocket().as_str().into_client_request())
        .map_err(|error| faults::of_upgrade(error, url, Timestamp::now()))?;
    let agent = HeaderValue::from_static(concat!("lanragectl/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, agent);
    let upgrading = client_async_with_config(request, stream, Some(config()));
    let upgraded = deadline.hold("the answer of", upgrading).await.map_err(Failed::Lost)?;
    let now = Timestamp::now();
    let (socket, answer) = upgraded.map_err(|error| faults::of_upgrade(error, url, now))?;
    let (outgoing, to_send) = mpsc::channel(SEND_QUEUE);
    let (came, incoming) = mpsc::channel(RECEIVE_QUEUE);
    tokio::spawn(pump::run(socket, to_send, came, url.clone()));
    let clock_ahead = words::date(answer.headers()).map(|theirs| ahead(theirs, now));
    Ok(Wire { outgoing, incoming, carrier: Carrier::Ws, clock_ahead })
}

/// Each message is written at once: none waits for company.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(LARGEST_MESSAGE + BESIDE)
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE))
}

/// Until when all steps of connecting have to be done.
struct Deadline<'a> {
    target: &'a Target,
    at: Instant,
}

impl<'a> Deadline<'a> {
    fn of(target: &'a Target) -> Self {
        // A time beyond all clocks is as good as this one.
        let within = target.connect_timeout.min(Duration::from_secs(24 * 60 * 60));
        Self { target, at: Instant::now() + within }
    }

    /// Waits for what is `named` so, as [`words::late`] wants it.
    async fn hold<T>(&self, named: &str, step: impl Future<Output = T>) -> Result<T, Loss> {
        timeout_at(self.at, step).await.map_err(|_| {
            let words = words::late(named, self.target.connect_timeout, &self.target.url);
            Loss::new(words)
        })
    }
}
