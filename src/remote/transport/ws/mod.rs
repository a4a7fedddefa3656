//! A transport over WebSocket.

mod faults;
mod pump;
mod read_rate;
#[cfg(test)]
pub(super) mod tests;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::USER_AGENT;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::connect::{self, Deadline, Stream};
use super::paced::Paced;
use super::{Endpoint, Loss, RECEIVE_QUEUE, SEND_QUEUE, Transport, TransportKind, ahead};
use crate::remote::diagnostics;

/// The largest message either side may send, in bytes: a party of many members fits easily.
const LARGEST_MESSAGE: usize = 4 << 20;

/// Room in the write buffer for what is sent beside a message: pongs and the farewell.
const BESIDE: usize = 1 << 10;

const READ_BUFFER: usize = 16 << 10;

/// Why there is no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
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
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Transport, Failed> {
    let deadline = Deadline::of(endpoint);
    let stream = connect::tunnel(endpoint, &deadline).await.map_err(Failed::Lost)?;
    upgrade(endpoint, &deadline, stream).await
}

async fn upgrade(
    endpoint: &Endpoint,
    deadline: &Deadline<'_>,
    stream: Box<dyn Stream>,
) -> Result<Transport, Failed> {
    let url = &endpoint.url;
    let mut request = (url.websocket().as_str().into_client_request())
        .map_err(|error| faults::of_upgrade(error, url, Timestamp::now()))?;
    let agent = HeaderValue::from_static(concat!("lanragectl/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, agent);
    let sent = Timestamp::now();
    let upgrading = client_async_with_config(request, Paced::new(stream), Some(config()));
    let upgraded = deadline.hold("the answer of", upgrading).await.map_err(Failed::Lost)?;
    let now = Timestamp::now();
    let (socket, answer) = upgraded.map_err(|error| faults::of_upgrade(error, url, now))?;
    let (outgoing, to_send) = mpsc::channel(SEND_QUEUE);
    let (came, incoming) = mpsc::channel(RECEIVE_QUEUE);
    tokio::spawn(pump::run(socket, to_send, came, url.clone()));
    let clock_ahead = diagnostics::date(answer.headers()).map(|date| ahead(date, [sent, now]));
    Ok(Transport { outgoing, incoming, kind: TransportKind::Ws, clock_ahead })
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
