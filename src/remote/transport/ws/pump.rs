//! The task that carries frames over a WebSocket.

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
use super::{LARGEST_MESSAGE, faults};
use crate::core::upstream::Message;
use crate::remote::diagnostics;
use crate::remote::transport::{Incoming, Loss, Outgoing};
use crate::server_url::ServerUrl;

/// Upper bound of the close handshake.
const FAREWELL: Duration = Duration::from_secs(1);

type Sink<S> = SplitSink<WebSocketStream<S>, tungstenite::Message>;

/// Carries frames until the WebSocket ends, or nobody wants it any more. The last that comes is
/// [`Message::Lost`], when the connection is closed already.
pub(super) async fn run<S>(
    socket: WebSocketStream<S>,
    outgoing: Receiver<Outgoing>,
    incoming: Sender<Incoming>,
    url: ServerUrl,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let loss = carry(socket, outgoing, &incoming, &url).await;
    // The owner may have dropped its end of the queue.
    incoming.send(Incoming::Message(Message::Lost(loss))).await.ok();
}

/// Reading and writing are two: neither waits for the other.
async fn carry<S>(
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
            timeout(FAREWELL, farewell(&mut sink)).await.ok();
            return loss;
        }
        written = write(&mut sink, &mut outgoing, &pinged) => written,
        () = incoming.closed() => Ok(()),
    };
    drop(outgoing);
    let ending = async { tokio::join!(farewell(&mut sink), reading).1 };
    // The server's close reason says more than a failed write.
    match (timeout(FAREWELL, ending).await, written) {
        (_, Ok(())) => Loss::new("the connection was closed by this daemon"),
        (Ok(loss), Err(_)) => loss,
        (Err(_), Err(error)) => faults::of_stream(&error, url),
    }
}

/// Reads no faster than it is taken, and within [`ReadRate`], until the WebSocket ends.
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
    // When nobody takes anything any more, why it ends is of no interest.
    while let Ok(room) = incoming.reserve().await {
        room.send(match stream.next().await {
            Some(Ok(tungstenite::Message::Text(text))) => decoded(&text),
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
                return faults::of_close(frame.as_ref(), url);
            }
            Some(Err(error)) => return faults::of_stream(&error, url),
            None => return faults::of_stream(&Error::ConnectionClosed, url),
        });
        if let Some(words) = rate.admit().await {
            incoming.send(Incoming::Message(Message::Flaw(words))).await.ok();
        }
    }
    faults::of_stream(&Error::ConnectionClosed, url)
}

fn decoded(text: &str) -> Incoming {
    match ServerFrame::decode(text) {
        Ok(Some(frame)) => Incoming::Message(frame.into()),
        // From a server that knows more than this daemon.
        Ok(None) => Incoming::Alive,
        Err(error) => garbage(diagnostics::shown(&error.to_string())),
    }
}

fn garbage(reason: String) -> Incoming {
    Incoming::Message(Message::Garbage(reason))
}

/// Writes what is to be sent, in order, until it is told to close or nobody can send any more.
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
            // The pong is queued, and may have to go out while nothing is read.
            () = pinged.notified() => {
                sink.flush().await?;
                continue;
            }
        };
        match next {
            Some(Outgoing::Frame(frame)) => {
                if let Some(message) = encoded(&frame) {
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

fn encoded(frame: &Inbound) -> Option<tungstenite::Message> {
    match serde_json::to_string(frame) {
        Ok(text) if text.len() <= LARGEST_MESSAGE => Some(tungstenite::Message::text(text)),
        Ok(text) => {
            log::error!("a frame of {} bytes is too large, and is not sent", text.len());
            None
        }
        Err(error) => {
            log::error!("a frame can't be written as JSON, and is not sent: {error}");
            None
        }
    }
}

/// Says that this side closes, or answers that the other does. After a broken connection it does
/// nothing.
async fn farewell<S>(sink: &mut Sink<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    // Fails when the other side closed first: then the answer to that is queued.
    sink.send(tungstenite::Message::Close(Some(frame))).await.ok();
    sink.close().await.ok();
}
