//! WebSocket client that exposes every frame.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Instant;

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message, WebSocket};

use super::daemon::PATIENCE;
use super::http::connect_from;

/// A connection to a server.
pub(crate) struct Ws {
    socket: WebSocket<TcpStream>,
    /// Frames that came while another was awaited.
    early: VecDeque<Value>,
    /// Names this connection and no other, so that no two requests have one id.
    name: u16,
    requests: u64,
    /// Close code of the server, once it has closed.
    pub(crate) closed: Option<CloseFrame>,
}

impl Ws {
    /// A connection that has said nothing yet.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_for(address, None)
    }

    /// Such a connection, as a proxy makes it for a client.
    pub(crate) fn connect_for(address: SocketAddr, client: Option<&str>) -> Self {
        let url = format!("ws://{address}/ws");
        let mut request = url.into_client_request().expect("a request");
        if let Some(client) = client {
            let client = client.parse().expect("a header");
            request.headers_mut().insert("x-forwarded-for", client);
        }
        let stream = TcpStream::connect(address).expect("connect to the server");
        Self::over(stream, request).expect("a handshake")
    }

    /// A connection from an address of this machine; `None` where the server makes no WebSocket.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> Option<Self> {
        let request = format!("ws://{address}/ws").into_client_request().expect("a request");
        Self::over(connect_from(source, address).ok()?, request)
    }

    fn over(stream: TcpStream, request: Request) -> Option<Self> {
        stream.set_nodelay(true).expect("set no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("set a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("set a time-out");
        let name = stream.local_addr().expect("an address").port();
        let (socket, _) = tungstenite::client(request, stream).ok()?;
        Some(Self { socket, name, early: VecDeque::new(), requests: 0, closed: None })
    }

    /// Connects and greets like LANrage's clients.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        let mut ws = Self::connect(address);
        let auth = json!({"type": "auth", "version": "1.0", "client": "lanrage", "peer_id": null});
        ws.send(auth);
        ws
    }

    /// One that knows the additions, and speaks for a peer: its welcome.
    pub(crate) fn hello(address: SocketAddr, peer_id: &str, token: Option<&str>) -> (Self, Value) {
        let mut ws = Self::connect(address);
        let welcome = ws.greet(peer_id, token);
        (ws, welcome)
    }

    /// Says hello for a peer: its welcome.
    pub(crate) fn greet(&mut self, peer_id: &str, token: Option<&str>) -> Value {
        self.send(json!({
            "type": "hello", "version": "1", "client": "test", "caps": ["lanragectl"],
            "peer_id": peer_id, "token": token,
        }));
        self.await_type("welcome")
    }

    pub(crate) fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string());
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.write(Message::text(text));
    }

    /// Sends any bytes; a failure to send shows in the reply.
    pub(crate) fn write(&mut self, message: Message) {
        self.socket.send(message).ok();
    }

    /// The socket below.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }

    /// The next frame; `None` when the server has closed.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> Option<Value> {
        if let Some(frame) = self.early.pop_front() {
            return Some(frame);
        }
        self.read(Instant::now() + PATIENCE)
    }

    /// The next frame. A server that only pings is waited for until then.
    #[track_caller]
    fn read(&mut self, until: Instant) -> Option<Value> {
        loop {
            assert!(Instant::now() < until, "not in time; before it came {:?}", self.early);
            if let Message::Text(text) = self.message()? {
                return Some(serde_json::from_str(&text).expect("a frame of JSON"));
            }
        }
    }

    /// The next thing of any kind that the server sends; `None` when it has closed.
    pub(crate) fn message(&mut self) -> Option<Message> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(reason)) => self.closed = reason,
                Ok(message) => return Some(message),
                Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => {
                    return None;
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame from the server: {error}"),
            }
        }
    }

    /// Closes as it should be done, and waits until the server has, too. What came meanwhile.
    pub(crate) fn close(mut self) -> Vec<Value> {
        self.socket.close(None).ok();
        self.rest()
    }

    /// The next frame of a type; others that come first are kept for later.
    #[track_caller]
    pub(crate) fn await_type(&mut self, kind: &str) -> Value {
        self.await_frame(&format!("{kind:?}"), |frame| frame["type"] == kind)
    }

    /// The answer to a request: its `ack`, or its `error`.
    #[track_caller]
    pub(crate) fn answer(&mut self, req_id: &str) -> Value {
        self.await_frame(&format!("an answer to {req_id:?}"), |frame| frame["req_id"] == req_id)
    }

    #[track_caller]
    pub(crate) fn await_frame(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.early.iter().position(&is) {
            return self.early.remove(at).expect("it is there");
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let closed = || panic!("closed instead of {what}");
            let frame = self.read(until).unwrap_or_else(closed);
            if is(&frame) {
                return frame;
            }
            self.early.push_back(frame);
        }
    }

    /// Sends a request and returns its answer. Without a `req_id` it gets one of its own.
    #[track_caller]
    pub(crate) fn ask(&mut self, mut frame: Value) -> Value {
        self.requests += 1;
        let fresh = format!("{}-{}", self.name, self.requests);
        let req_id = frame["req_id"].as_str().map_or(fresh, str::to_owned);
        frame["req_id"] = json!(req_id);
        self.send(frame);
        self.answer(&req_id)
    }

    /// Returns all frames about earlier changes. Only for a connection with the additions.
    #[track_caller]
    pub(crate) fn settled(&mut self) -> Vec<Value> {
        // The first answer shows that events of before are in the connection's queue, the second
        // that the queue was looked at since.
        for _ in 0..2 {
            self.ask(json!({"type": "list_relays"}));
        }
        self.early.drain(..).collect()
    }

    /// The same for a connection that speaks for somebody and has no additions.
    #[track_caller]
    pub(crate) fn settled_plainly(&mut self) -> Vec<Value> {
        for _ in 0..2 {
            self.requests += 1;
            let nobody = format!("nobody-{}-{}", self.name, self.requests);
            self.send(json!({"type": "heartbeat", "party_id": "nowhere", "peer_id": nobody}));
            let names =
                |frame: &Value| frame["message"].as_str().is_some_and(|m| m.contains(&nobody));
            self.await_frame("a refusal", |frame| frame["type"] == "error" && names(frame));
        }
        self.early.drain(..).collect()
    }

    /// Returns all frames up to the server's close frame. The TCP connection may end later.
    pub(crate) fn last_words(&mut self) -> Vec<Value> {
        let mut words = Vec::from(std::mem::take(&mut self.early));
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    words.push(serde_json::from_str(&text).expect("a frame of JSON"));
                }
                Ok(Message::Close(reason)) => {
                    self.closed = reason;
                    break;
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("the server neither speaks nor closes")
                }
                Err(_) => break,
            }
        }
        words
    }

    /// The rest, until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.frame()).collect()
    }
}
