//! Transport over WebSocket.

mod errors;
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
use super::throttled::Throttled;
use super::{Endpoint, Loss, RECEIVE_QUEUE, SEND_QUEUE, Transport, TransportKind, clock_lead};
use crate::remote::diagnostics;

/// Largest message of either side, in bytes: a full party is much smaller.
const LARGEST_MESSAGE: usize = 4 << 20;

/// Room in the write buffer for control frames beside a message: pongs and a close.
const CONTROL_FRAMES: usize = 1 << 10;

/// Size of the read buffer, in bytes.
const READ_BUFFER: usize = 16 << 10;

/// Error of opening a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WsOpenError {
    /// The server responded, and does not seem to support WebSocket.
    NoWebSocket(Loss),
    /// Any other failure.
    Lost(Loss),
}

/// Opens a WebSocket, and starts the task that sends and receives its frames.
///
/// The task ends with the connection, after [`super::Outgoing::Close`], or when `incoming` or all
/// `outgoing` are dropped. Frames in the queue when `incoming` is dropped may be lost.
///
/// # Errors
/// A [`WsOpenError`].
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Transport, WsOpenError> {
    let deadline = Deadline::start(endpoint);
    let stream = connect::tunnel(endpoint, &deadline).await.map_err(WsOpenError::Lost)?;
    upgrade(endpoint, &deadline, stream).await
}

async fn upgrade(
    endpoint: &Endpoint,
    deadline: &Deadline<'_>,
    stream: Box<dyn Stream>,
) -> Result<Transport, WsOpenError> {
    let url = &endpoint.url;
    let mut request = (url.websocket().as_str().into_client_request())
        .map_err(|error| errors::upgrade_error(error, url, Timestamp::now()))?;
    let agent = HeaderValue::from_static(concat!("lanragectl/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, agent);
    let sent = Timestamp::now();
    let upgrading = client_async_with_config(request, Throttled::new(stream), Some(config()));
    let upgraded = deadline.within("the answer of", upgrading).await.map_err(WsOpenError::Lost)?;
    let now = Timestamp::now();
    let (socket, response) = upgraded.map_err(|error| errors::upgrade_error(error, url, now))?;
    let (outgoing, to_send) = mpsc::channel(SEND_QUEUE);
    let (received, incoming) = mpsc::channel(RECEIVE_QUEUE);
    tokio::spawn(pump::run(socket, to_send, received, url.clone()));
    let clock_ahead =
        diagnostics::date(response.headers()).map(|date| clock_lead(date, [sent, now]));
    Ok(Transport { outgoing, incoming, kind: TransportKind::Ws, clock_ahead })
}

/// Returns the configuration. Messages are not buffered for writing.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(LARGEST_MESSAGE + CONTROL_FRAMES)
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE))
}
