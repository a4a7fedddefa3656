//! WebSocket of one connection: the handshake, then the task that reads and writes frames. The
//! conversation gives them their meaning. The only file that knows `actix-web-actors`.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::ws::{Frame, Item};
use actix_web::http::{Version, header};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use actix_web_actors::ws::{self, HandshakeError, Message};
use bytestring::ByteString;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{self, ServerFrame};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::assembly::{Assembly, Misfit};
use super::connection_handle::{CloseCode, ConnectionHandle};
use super::conversation::Conversation;
use super::frame_header::Fault;
use super::frame_rate::FrameRate;
use super::intake::{Intake, Misread};
use super::outlet::Outlet;
use super::render::{self, Rejection};
use super::server::{Entered, NoRoom, WsServer, WsSettings};
use super::unread::UnreadTexts;
use crate::core::RetryAfter;
use crate::http::metrics::Direction;
use crate::http::refusals::Limit;
use crate::http::socket::Accepted;
use crate::http::upgrade::{Duplex, Upgrade, Upgraded};
use crate::http::{Problem, address_of};

/// Retry delay of a client whose address has too many connections.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Bytes that are read at once.
const CHUNK: usize = 8 * 1024;
/// Reads before other connections have their turn.
const READS: usize = 8;
/// Slack of the input bound: frames just below the longest arrive together with following bytes.
const SLACK: usize = 16 * 1024;

/// Upgrades a request to a WebSocket.
///
/// # Errors
/// Problem of a request that is no valid handshake, or that finds no room.
pub(super) fn upgrade(
    server: &Arc<WsServer>,
    request: &HttpRequest,
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
    let upgrade = request.conn_data::<Upgrade>();
    let upgrade = upgrade.ok_or_else(|| Problem::not_ready("The connection can't be upgraded"))?;
    let limits = &settings.ws;
    let hangup = accepted.hangup();
    let opened = server.now();
    let queued = server.queued_bytes.clone();
    let handle =
        Arc::new(ConnectionHandle::new(server.next_id(), address, opened, limits, queued, hangup));
    let entered = server.enter(handle, limits).map_err(|no_room| {
        let (limit, problem) = match no_room {
            NoRoom::Anywhere => (Limit::WebSockets, Problem::not_ready("Too many WebSockets")),
            NoRoom::ForAddress => {
                (Limit::WebSocketsPerAddress, Problem::too_often(RetryAfter(RETRY_AFTER)))
            }
        };
        server.http.refusals.add(limit, address);
        problem
    })?;
    log::debug!("{:?}: opened: address={address}", entered.handle().id);
    let server = server.clone();
    upgrade.want(move |upgraded| run(server, settings, entered, upgraded));
    Ok(response.finish())
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

/// Serves an upgraded connection until its end.
async fn run(
    server: Arc<WsServer>,
    settings: Arc<WsSettings>,
    entered: Entered,
    upgraded: Upgraded,
) {
    let (limits, handle) = (&settings.ws, entered.handle().clone());
    let texts = Rc::<UnreadTexts>::default();
    let conversation = Conversation::new(server.clone(), handle.clone(), limits.queue_frames);
    let mut conversation = pin!(conversation.run(texts.clone()));
    let mut session = Session {
        stream: Some(upgraded.stream),
        entered: Some(entered),
        has_ended: false,
        intake: Intake::new(limits.frame_bytes),
        texts,
        is_paused: false,
        assembly: Assembly::new(limits.frame_bytes),
        frame_bytes: limits.frame_bytes,
        rate: FrameRate::new(limits),
        outlet: Outlet::default(),
        server,
        handle,
    };
    drop(settings);
    session.take(&upgraded.read);
    drop(upgraded.read);
    poll_fn(move |cx| session.poll(conversation.as_mut(), cx)).await;
}

/// Session of one connection: the task that reads from the socket and writes to it. The
/// conversation is a part of the task.
struct Session {
    server: Arc<WsServer>,
    handle: Arc<ConnectionHandle>,
    /// `None` after the end of the connection.
    stream: Option<Box<dyn Duplex>>,
    entered: Option<Entered>,
    /// True after the end of the input.
    has_ended: bool,
    intake: Intake,
    /// Texts for the conversation.
    texts: Rc<UnreadTexts>,
    /// True while the server does not read, because texts wait.
    is_paused: bool,
    assembly: Assembly,
    frame_bytes: usize,
    rate: FrameRate,
    outlet: Outlet,
}

impl Session {
    /// Reads frames, processes them, and writes the answers and events.
    fn poll(
        &mut self,
        mut conversation: Pin<&mut impl Future<Output = ()>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.handle.note_running();
        loop {
            self.poll_read(cx);
            if conversation.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let was_open = self.stream.is_some();
            if self.poll_write(cx).is_err() || self.has_ended {
                self.end(cx);
            }
            let has_news = was_open && self.stream.is_none();
            let may_resume = self.stream.is_some() && self.is_paused && self.has_room();
            if !has_news && !may_resume {
                return Poll::Pending;
            }
        }
    }

    /// Reads until the socket has no more, or too much waits.
    fn poll_read(&mut self, cx: &mut Context<'_>) {
        for _ in 0..READS {
            let has_room = self.has_room();
            let Some(stream) = self.stream.as_mut().filter(|_| !self.has_ended) else { return };
            if self.is_paused == has_room {
                self.is_paused = !has_room;
                self.handle.pause_reading(!has_room, self.server.now());
            }
            if !has_room {
                return;
            }
            let mut bytes = [const { MaybeUninit::uninit() }; CHUNK];
            let mut read = ReadBuf::uninit(&mut bytes);
            match Pin::new(stream).poll_read(cx, &mut read) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.take(read.filled()),
                // A broken connection counts as a closed one.
                Poll::Ready(_) => self.has_ended = true,
            }
        }
        // Other tasks run before more input is read.
        cx.waker().wake_by_ref();
    }

    /// True if little enough of the client's input waits to be processed.
    fn has_room(&self) -> bool {
        self.intake.held() + self.texts.bytes() < self.frame_bytes + SLACK
    }

    /// Writes what waits.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        self.outlet.poll_write(cx, stream, &self.handle, &self.server.http.metrics)
    }

    /// Ends the connection. The conversation ends after the texts that wait.
    fn end(&mut self, cx: &mut Context<'_>) {
        if let Some(mut stream) = self.stream.take() {
            // Says goodbye in TLS, too.
            let _ = Pin::new(&mut stream).poll_shutdown(cx);
        }
        self.handle.abandon();
        self.entered = None;
        self.texts.close();
        self.outlet = Outlet::default();
    }

    /// Takes bytes of the client.
    fn take(&mut self, bytes: &[u8]) {
        self.intake.put(bytes);
        while !self.has_ended {
            match self.intake.next() {
                Ok(None) => return,
                Ok(Some(frame)) => {
                    let (kind, is_closing) = (kind(&frame), self.handle.closing_since().is_some());
                    self.server.http.metrics.frame(Direction::In, kind);
                    match frame {
                        Frame::Close(reason) => {
                            if !is_closing {
                                self.outlet.push(Message::Close(reason));
                            }
                            self.has_ended = true;
                        }
                        frame if !is_closing && self.is_within_rate(&frame) => self.process(frame),
                        _ => {}
                    }
                }
                Err(Misread::Fault(Fault::TooLong)) => self.too_large(),
                Err(Misread::Fault(Fault::Malformed(why))) => self.close(CloseCode::Protocol, why),
                Err(Misread::Frame(error)) => self.close(CloseCode::Protocol, &error.to_string()),
            }
        }
    }

    fn process(&mut self, frame: Frame) {
        match frame {
            Frame::Text(text) => self.forward(text),
            Frame::Binary(_) => self.no_binary(),
            Frame::Continuation(item) => self.reassemble(item),
            // To answer some pings of a client that does not read is enough.
            Frame::Ping(payload) if self.outlet.has_room() => {
                self.outlet.push(Message::Pong(payload));
            }
            Frame::Pong(_) => self.handle.note_pong(),
            Frame::Ping(_) | Frame::Close(_) => {}
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
        match put {
            Ok(None) => {}
            Ok(Some(text)) => self.forward(text.into()),
            Err(Misfit::TooLong) => self.too_large(),
            Err(Misfit::OutOfPlace) => self.close(CloseCode::Protocol, "unexpected fragment"),
        }
    }

    fn no_binary(&self) {
        self.offence(ErrorCode::InvalidRequest, "frames must be text, not binary");
    }

    fn forward(&self, text: Bytes) {
        match ByteString::try_from(text) {
            Ok(text) => self.texts.push(text),
            Err(_) => self.close(CloseCode::NotUtf8, "text that is not UTF-8"),
        }
    }

    /// True if a frame is within the rate limit.
    fn is_within_rate(&mut self, frame: &Frame) -> bool {
        let now = self.server.now();
        let Err(wait) = self.rate.take(self.handle.take_pauses(), now) else { return true };
        self.server.http.metrics.rejected_with(ErrorCode::RateLimited);
        self.server.http.refusals.add(Limit::Frames, self.handle.address);
        let text = match frame {
            Frame::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        };
        let req_id = text
            .and_then(|text| control::decode(text).map_or_else(|bad| bad.req_id, |in_| in_.req_id));
        let rejection = Rejection::too_often("too many frames: send fewer", wait);
        send(&self.handle, &render::error(self.handle.format(), rejection, req_id), now);
        self.handle.note_offence(now);
        if let Frame::Continuation(item) = frame {
            self.assembly.drop_message(matches!(item, Item::Last(_)));
        }
        false
    }

    fn offence(&self, code: ErrorCode, message: &str) {
        self.send_error(code, message);
        self.handle.note_offence(self.server.now());
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.handle.close(code, reason, self.server.now());
    }

    fn too_large(&self) {
        let message = format!("a frame may have {} bytes", self.frame_bytes);
        self.send_error(ErrorCode::FrameTooLarge, &message);
        self.close(CloseCode::TooBig, &message);
    }

    fn send_error(&self, code: ErrorCode, message: &str) {
        self.server.http.metrics.rejected_with(code);
        let frame = render::error(self.handle.format(), Rejection::new(code, message), None);
        send(&self.handle, &frame, self.server.now());
    }
}

/// Queues a frame on a connection.
pub(super) fn send(handle: &ConnectionHandle, frame: &ServerFrame, now: Duration) {
    match serde_json::to_string(frame) {
        Ok(text) => handle.send(text.into(), now),
        Err(error) => log::error!("{:?}: a frame could not be encoded: {error}", handle.id),
    }
}

fn kind(frame: &Frame) -> &'static str {
    match frame {
        Frame::Text(_) => "text",
        Frame::Binary(_) => "binary",
        Frame::Continuation(_) => "continuation",
        Frame::Ping(_) => "ping",
        Frame::Pong(_) => "pong",
        Frame::Close(_) => "close",
    }
}
