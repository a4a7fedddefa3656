//! WebSocket of one connection: the handshake, frames in, frames out. The conversation gives them
//! their meaning. The only file that knows `actix-web-actors`.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_http::ws::{Codec, Item};
use actix_web::http::{Version, header};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{self, CloseReason, HandshakeError, Message, ProtocolError};
use bytestring::ByteString;
use futures_util::stream;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{self, ServerFrame};
use tokio::sync::mpsc;

use super::assembly::{Assembly, Misfit};
use super::connection_handle::{CloseCode, ConnectionHandle, Out};
use super::conversation::Conversation;
use super::frame_rate::FrameRate;
use super::intake::{Intake, Meter, Unread};
use super::render::{self, Rejection};
use super::scanner::Fault;
use super::server::{NoRoom, WsServer};
use crate::core::RetryAfter;
use crate::http::metrics::Direction;
use crate::http::refusals::Limit;
use crate::http::socket::Accepted;
use crate::http::{Problem, address_of};

/// Retry delay of a client whose address has too many connections.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Upgrades a request to a WebSocket.
///
/// # Errors
/// Problem of a request that is no valid handshake, or that finds no room.
pub(super) fn upgrade(
    server: &Arc<WsServer>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (settings, http) = (server.settings(), &server.http.settings().http);
    let address = address_of(request, http);
    if request.version() < Version::HTTP_11 {
        return Err(Problem::bad_request("A WebSocket needs HTTP/1.1"));
    }
    let version = request.headers().get(header::SEC_WEBSOCKET_VERSION);
    if version.is_some_and(|version| version != "13") {
        return Err(Problem::no_upgrade("Only version 13 of WebSocket is spoken"));
    }
    let mut response = match ws::handshake(request) {
        Ok(response) => response,
        Err(error) => return Err(no_handshake(&error)),
    };
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    if !key.is_some_and(|key| is_nonce(key.as_bytes())) {
        return Err(Problem::bad_request("Sec-WebSocket-Key: it must be 16 bytes in base64"));
    }
    // The second handle closes connections whose clients do not read.
    let accepted = request.conn_data::<Accepted>();
    let accepted = accepted.ok_or_else(|| Problem::not_ready("Server is out of file handles"))?;
    let limits = &settings.ws;
    let hangup = accepted.hangup();
    let opened = server.now();
    let queued = server.queued_bytes.clone();
    let handle =
        Arc::new(ConnectionHandle::new(server.next_id(), address, opened, limits, queued, hangup));
    server.enter(&handle, limits).map_err(|no_room| {
        let (limit, problem) = match no_room {
            NoRoom::Anywhere => (Limit::WebSockets, Problem::not_ready("Too many WebSockets")),
            NoRoom::ForAddress => {
                (Limit::WebSocketsPerAddress, Problem::too_often(RetryAfter(RETRY_AFTER)))
            }
        };
        server.http.refusals.add(limit, address);
        problem
    })?;
    log::debug!("{:?}: opened: address={address}", handle.id);
    // The meter bounds the channel.
    let (texts, unread) = mpsc::unbounded_channel();
    let conversation = Conversation::new(server.clone(), handle.clone(), limits.queue_frames);
    actix_web::rt::spawn(conversation.run(unread));
    let on_pause = {
        let (server, handle) = (server.clone(), handle.clone());
        move |paused| handle.pause_reading(paused, server.now())
    };
    let meter = Meter::new(limits.frame_bytes, on_pause);
    let on_fault = fault_handler(server.clone(), handle.clone(), limits.frame_bytes);
    let input = Intake::new(payload, meter.clone(), limits.frame_bytes, on_fault);
    let session = WsSession {
        texts,
        meter,
        assembly: Assembly::new(limits.frame_bytes),
        frame_bytes: limits.frame_bytes,
        rate: FrameRate::new(limits),
        server: server.clone(),
        handle,
    };
    let codec = Codec::new().max_size(limits.frame_bytes);
    Ok(response.streaming(ws::WebsocketContext::with_codec(session, input, codec)))
}

/// RFC 6455, section 4.1: 16 bytes in base64. The last of the 22 characters before the padding
/// holds two bits.
fn is_nonce(key: &[u8]) -> bool {
    let in_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    match key.strip_suffix(b"==") {
        Some([digits @ .., last]) if digits.len() == 21 => {
            digits.iter().all(in_base64) && b"AQgw".contains(last)
        }
        _ => false,
    }
}

fn no_handshake(error: &HandshakeError) -> Problem {
    match error {
        HandshakeError::GetMethodRequired
        | HandshakeError::NoWebsocketUpgrade
        | HandshakeError::NoConnectionUpgrade => {
            Problem::no_upgrade("This path is for WebSockets: ask for an upgrade")
        }
        _ => Problem::bad_request(error.to_string()),
    }
}

struct WsSession {
    server: Arc<WsServer>,
    handle: Arc<ConnectionHandle>,
    /// Channel to the conversation, which ends when this is dropped.
    texts: mpsc::UnboundedSender<Unread>,
    meter: Meter,
    assembly: Assembly,
    frame_bytes: usize,
    rate: FrameRate,
}

impl Drop for WsSession {
    fn drop(&mut self) {
        self.handle.abandon();
    }
}

type Context = ws::WebsocketContext<WsSession>;

impl Actor for WsSession {
    type Context = Context;

    fn started(&mut self, ctx: &mut Context) {
        let handle = self.handle.clone();
        ctx.add_stream(stream::unfold(handle, |handle| async {
            let out = handle.next().await;
            Some((out, handle))
        }));
    }
}

impl StreamHandler<Out> for WsSession {
    fn handle(&mut self, out: Out, ctx: &mut Context) {
        match out {
            Out::Text(text) => {
                self.server.http.metrics.frame(Direction::Out, "text");
                ctx.text(&*text);
            }
            Out::Ping => {
                self.server.http.metrics.frame(Direction::Out, "ping");
                ctx.ping(b"");
            }
            // Input is dropped until the client closes, too. Closing with unread input would make
            // the system discard the frames sent.
            Out::Close(code, reason) => {
                let code = ws::CloseCode::from(code as u16);
                ctx.close(Some(CloseReason { code, description: Some(reason) }));
            }
        }
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for WsSession {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Context) {
        match message {
            Ok(message) => {
                let (kind, payload) = kind_and_length(&message);
                self.meter.taken(payload);
                self.server.http.metrics.frame(Direction::In, kind);
                if let Message::Close(reason) = message {
                    if self.handle.closing_since().is_none() {
                        ctx.close(reason);
                    }
                    ctx.stop();
                } else if self.handle.closing_since().is_none() && self.is_within_rate(&message) {
                    self.process(message, ctx);
                }
            }
            // The frame itself is lost. Undecodable input does not reach this point.
            Err(ProtocolError::Io(_)) => self.close(CloseCode::NotUtf8, "text that is not UTF-8"),
            Err(error) => self.close(CloseCode::Protocol, &error.to_string()),
        }
    }

    /// Handles the end of the client's input.
    fn finished(&mut self, ctx: &mut Context) {
        ctx.stop();
    }
}

impl WsSession {
    fn process(&mut self, message: Message, ctx: &mut Context) {
        match message {
            Message::Text(text) => self.forward(text),
            Message::Binary(_) => self.no_binary(),
            Message::Continuation(item) => self.reassemble(item),
            Message::Ping(payload) => ctx.pong(&payload),
            Message::Pong(_) => self.handle.note_pong(),
            Message::Close(_) | Message::Nop => {}
        }
    }

    fn reassemble(&mut self, item: Item) {
        let put = match item {
            Item::FirstText(piece) => self.assembly.begin(&piece).map(|()| None),
            Item::FirstBinary(_) => {
                self.assembly.drop_message(false);
                return self.no_binary();
            }
            Item::Continue(piece) => self.assembly.append(&piece).map(|()| None),
            Item::Last(piece) => self.assembly.end(&piece),
        };
        match put.map(|whole| whole.map(ByteString::try_from)) {
            Ok(None) => {}
            Ok(Some(Ok(text))) => self.forward(text),
            Ok(Some(Err(_))) => self.close(CloseCode::NotUtf8, "text that is not UTF-8"),
            Err(Misfit::TooLong) => too_large(&self.server, &self.handle, self.frame_bytes),
            Err(Misfit::OutOfPlace) => self.close(CloseCode::Protocol, "unexpected fragment"),
        }
    }

    fn no_binary(&self) {
        self.offence(ErrorCode::InvalidRequest, "frames must be text, not binary");
    }

    fn forward(&self, text: ByteString) {
        // The conversation ends only after this.
        self.texts.send(self.meter.unread(text)).ok();
    }

    /// True if a frame is within the rate limit.
    fn is_within_rate(&mut self, message: &Message) -> bool {
        let now = self.server.now();
        let Err(wait) = self.rate.take(self.handle.take_pauses(), now) else { return true };
        self.server.http.metrics.rejected_with(ErrorCode::RateLimited);
        self.server.http.refusals.add(Limit::Frames, self.handle.address);
        let req_id = match message {
            Message::Text(text) => {
                control::decode(text).map_or_else(|bad| bad.req_id, |in_| in_.req_id)
            }
            _ => None,
        };
        let rejection = Rejection::too_often("too many frames: send fewer", wait);
        send(&self.handle, &render::error(self.handle.format(), rejection, req_id), now);
        self.handle.note_offence(now);
        if let Message::Continuation(item) = message {
            self.assembly.drop_message(matches!(item, Item::Last(_)));
        }
        false
    }

    fn offence(&self, code: ErrorCode, message: &str) {
        send_error(&self.server, &self.handle, code, message);
        self.handle.note_offence(self.server.now());
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.handle.close(code, reason, self.server.now());
    }
}

/// Returns the handler of input faults, which closes the connection.
fn fault_handler(
    server: Arc<WsServer>,
    handle: Arc<ConnectionHandle>,
    frame_bytes: usize,
) -> impl Fn(Fault) {
    move |fault| match fault {
        Fault::TooLong => too_large(&server, &handle, frame_bytes),
        Fault::Malformed(why) => handle.close(CloseCode::Protocol, why, server.now()),
    }
}

fn too_large(server: &WsServer, handle: &ConnectionHandle, frame_bytes: usize) {
    let message = format!("a frame may have {frame_bytes} bytes");
    send_error(server, handle, ErrorCode::FrameTooLarge, &message);
    handle.close(CloseCode::TooBig, &message, server.now());
}

fn send_error(server: &WsServer, handle: &ConnectionHandle, code: ErrorCode, message: &str) {
    server.http.metrics.rejected_with(code);
    let frame = render::error(handle.format(), Rejection::new(code, message), None);
    send(handle, &frame, server.now());
}

/// Queues a frame on a connection.
pub(super) fn send(handle: &ConnectionHandle, frame: &ServerFrame, now: Duration) {
    match serde_json::to_string(frame) {
        Ok(text) => handle.send(text.into(), now),
        Err(error) => log::error!("{:?}: a frame could not be encoded: {error}", handle.id),
    }
}

fn kind_and_length(message: &Message) -> (&'static str, usize) {
    match message {
        Message::Text(text) => ("text", text.len()),
        Message::Binary(bytes) => ("binary", bytes.len()),
        Message::Continuation(
            Item::FirstText(bytes)
            | Item::FirstBinary(bytes)
            | Item::Continue(bytes)
            | Item::Last(bytes),
        ) => ("continuation", bytes.len()),
        Message::Ping(bytes) => ("ping", bytes.len()),
        Message::Pong(bytes) => ("pong", bytes.len()),
        Message::Close(_) => ("close", 0),
        Message::Nop => ("other", 0),
    }
}
