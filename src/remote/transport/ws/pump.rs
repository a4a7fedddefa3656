//! Task that sends and receives the frames of a WebSocket.

use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use lanrage_ipc::control::{Inbound, ServerFrame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Error};

use super::read_rate::ReadRate;
use super::{LARGEST_MESSAGE, errors};
use crate::core::upstream::Message;
use crate::remote::diagnostics;
use crate::remote::transport::{Incoming, Loss, Outgoing};
use crate::server_url::ServerUrl;

/// Upper bound of the close handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Sink<S> = SplitSink<WebSocketStream<S>, tungstenite::Message>;

/// Sends and receives frames until the WebSocket ends or its owner drops it. The last incoming
/// message is [`Message::Lost`], after the connection has closed.
pub(super) async fn run<S>(
    socket: WebSocketStream<S>,
    outgoing: Receiver<Outgoing>,
    incoming: Sender<Incoming>,
    url: ServerUrl,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let loss = run_until_closed(socket, outgoing, &incoming, &url).await;
    // The owner may have dropped its end.
    incoming.send(Incoming::Message(Message::Lost(loss))).await.ok();
}

/// Reads and writes concurrently: neither blocks the other. Returns the reason for the end.
async fn run_until_closed<S>(
    socket: WebSocketStream<S>,
    mut outgoing: Receiver<Outgoing>,
    incoming: &Sender<Incoming>,
    url: &ServerUrl,
) -> Loss
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, stream) = socket.split();
    let pinged = Notify::new();
    let mut reading = pin!(read(stream, incoming, &pinged, url));
    let written = tokio::select! {
        loss = &mut reading => {
            timeout(CLOSE_TIMEOUT, close(&mut sink)).await.ok();
            return loss;
        }
        written = write(&mut sink, &mut outgoing, &pinged) => written,
        () = incoming.closed() => Ok(()),
    };
    drop(outgoing);
    let ending = async { tokio::join!(close(&mut sink), reading).1 };
    // The server's close frame is more specific than a failed write.
    match (timeout(CLOSE_TIMEOUT, ending).await, written) {
        (_, Ok(())) => Loss::new("the connection was closed by this daemon"),
        (Ok(loss), Err(_)) => loss,
        (Err(_), Err(error)) => errors::stream_loss(&error, url),
    }
}

/// Reads until the WebSocket ends, within [`ReadRate`] and the capacity of the queue.
async fn read<S>(
    mut stream: SplitStream<WebSocketStream<S>>,
    incoming: &Sender<Incoming>,
    pinged: &Notify,
    url: &ServerUrl,
) -> Loss
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut rate = ReadRate::new();
    // A failed reservation means that the owner has dropped its end.
    while let Ok(room) = incoming.reserve().await {
        room.send(match stream.next().await {
            Some(Ok(tungstenite::Message::Text(text))) => decode(&text),
            Some(Ok(tungstenite::Message::Binary(_))) => {
                garbage("a binary message, where only texts are expected".into())
            }
            Some(Ok(tungstenite::Message::Ping(_))) => {
                pinged.notify_one();
                Incoming::Alive
            }
            Some(Ok(tungstenite::Message::Pong(_) | tungstenite::Message::Frame(_))) => {
                Incoming::Alive
            }
            Some(Ok(tungstenite::Message::Close(frame))) => {
                return errors::close_loss(frame.as_ref(), url);
            }
            Some(Err(error)) => return errors::stream_loss(&error, url),
            None => return errors::stream_loss(&Error::ConnectionClosed, url),
        });
        if let Some(words) = rate.admit().await {
            incoming.send(Incoming::Message(Message::Flaw(words))).await.ok();
        }
    }
    errors::stream_loss(&Error::ConnectionClosed, url)
}

fn decode(text: &str) -> Incoming {
    match ServerFrame::decode(text) {
        Ok(Some(frame)) => Incoming::Message(frame.into()),
        // A frame of a newer server.
        Ok(None) => Incoming::Alive,
        Err(error) => garbage(diagnostics::shown(&error.to_string())),
    }
}

fn garbage(reason: String) -> Incoming {
    Incoming::Message(Message::Garbage(reason))
}

/// Writes outgoing messages in order, until [`Outgoing::Close`] or the owner drops its end.
async fn write<S>(
    sink: &mut Sink<S>,
    outgoing: &mut Receiver<Outgoing>,
    pinged: &Notify,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let next = tokio::select! {
            next = outgoing.recv() => next,
            // The pong is in the write buffer: flush it even while nothing is read.
            () = pinged.notified() => {
                sink.flush().await?;
                continue;
            }
        };
        match next {
            Some(Outgoing::Frame(frame)) => {
                if let Some(message) = encode(&frame) {
                    sink.send(message).await?;
                }
            }
            Some(Outgoing::Ping) => {
                sink.send(tungstenite::Message::Ping(Vec::new().into())).await?
            }
            Some(Outgoing::Close) | None => return Ok(()),
        }
    }
}

fn encode(frame: &Inbound) -> Option<tungstenite::Message> {
    match serde_json::to_string(frame) {
        Ok(text) if text.len() <= LARGEST_MESSAGE => Some(tungstenite::Message::text(text)),
        Ok(text) => {
            log::error!("frame not sent: too large: bytes={}", text.len());
            None
        }
        Err(error) => {
            log::error!("frame not sent: {error}");
            None
        }
    }
}

/// Starts the close handshake, or completes the server's. Does nothing on a broken connection.
async fn close<S>(sink: &mut Sink<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    // Fails if the server closed first: then the response is in the write buffer.
    sink.send(tungstenite::Message::Close(Some(frame))).await.ok();
    sink.close().await.ok();
}
