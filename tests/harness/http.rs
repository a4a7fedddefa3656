//! An HTTP client that sees every header, over one connection at a time.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::client::peer;
use super::daemon::PATIENCE;

/// A client of a server; it connects anew when the server has closed.
pub(crate) struct Http {
    address: SocketAddr,
    /// Its own address.
    source: IpAddr,
    stream: Option<BufReader<TcpStream>>,
    /// Sent as Bearer, when there is one.
    pub(crate) token: Option<String>,
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Connects from an address of this machine, such as 127.0.0.2.
pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

/// True while a server has not closed a silent connection.
pub(crate) fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("do not wait");
    let read = stream.peek(&mut [0]);
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Response of a server.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In lower case, in their order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_from(LOCALHOST, address)
    }

    /// A client with an address of its own.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        Self { address, source, stream: None, token: None }
    }

    /// A client with a token for a peer of that id.
    pub(crate) fn registered(address: SocketAddr, peer_id: &str) -> Self {
        Self::registered_from(LOCALHOST, address, peer_id)
    }

    /// Such a client with an address of its own.
    pub(crate) fn registered_from(source: IpAddr, address: SocketAddr, peer_id: &str) -> Self {
        let mut http = Self::connect_from(source, address);
        let response = http.post(&format!("/auth/register?peer_id={peer_id}"), None);
        let token = response.ok()["token"].as_str().expect("a token").to_owned();
        http.token = Some(token);
        http
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, None)
    }

    pub(crate) fn delete(&mut self, path: &str) -> Response {
        self.request("DELETE", path, None)
    }

    pub(crate) fn post(&mut self, path: &str, body: Option<Value>) -> Response {
        self.request("POST", path, body)
    }

    /// Registers a party of that host; its id.
    pub(crate) fn party(&mut self, host: &str) -> String {
        let body = json!({"name": "LAN party", "host_peer_info": announced(host)});
        let reply = self.post("/parties", Some(body)).ok();
        reply["party_id"].as_str().expect("a party id").to_owned()
    }

    pub(crate) fn join(&mut self, party: &str, peer: &str) -> Response {
        let body = json!({"party_id": party, "peer_info": announced(peer)});
        self.post(&format!("/parties/{party}/join"), Some(body))
    }

    pub(crate) fn request(&mut self, method: &str, path: &str, body: Option<Value>) -> Response {
        let mut headers = Vec::new();
        if let Some(token) = &self.token {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        let body = body.map(|body| body.to_string());
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        self.send(method, path, &headers, body.as_deref().map(str::as_bytes))
    }

    /// A request with these headers beside `Host` and `Content-Length`.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Response {
        let request = self.message(method, path, headers, body);
        self.send_raw(&request);
        match self.response() {
            Some(response) => response,
            // The connection of before was closed meanwhile.
            None => {
                self.send_raw(&request);
                self.response().expect("a response on a fresh connection")
            }
        }
    }

    /// A request on the connection that is open; `None` when the server is gone before it answers.
    pub(crate) fn attempt(
        &mut self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Option<Response> {
        self.stream.as_ref()?;
        let bearer = format!("Bearer {}", self.token.as_deref().unwrap_or_default());
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = body.map(|body| body.to_string());
        let request = self.message(method, path, &headers, body.as_deref().map(str::as_bytes));
        self.send_raw(&request);
        self.response()
    }

    fn message(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Vec<u8> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let mut request = format!("{request}\r\n").into_bytes();
        request.extend_from_slice(body.unwrap_or_default());
        request
    }

    /// Sends bytes unchanged. A failure to send shows in the response.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream().get_mut().write_all(bytes).ok();
    }

    pub(crate) fn stream(&mut self) -> &mut BufReader<TcpStream> {
        let (source, address) = (self.source, self.address);
        self.stream.get_or_insert_with(|| {
            let stream = connect_from(source, address).expect("connect to the server");
            stream.set_nodelay(true).expect("set no delay");
            stream.set_read_timeout(Some(PATIENCE)).expect("set a time-out");
            stream.set_write_timeout(Some(PATIENCE)).expect("set a time-out");
            BufReader::new(stream)
        })
    }

    /// The next response; `None` when the server has closed before it.
    pub(crate) fn response(&mut self) -> Option<Response> {
        let response = read_response(self.stream());
        let closes = |r: &Response| r.header("connection") == Some("close");
        if response.as_ref().is_none_or(closes) {
            self.stream = None;
        }
        response
    }
}

fn read_line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(0) => None,
        Ok(_) => Some(line.trim_end().to_owned()),
        Err(error)
            if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) =>
        {
            None
        }
        Err(error) => panic!("no line from the server: {error}"),
    }
}

/// Reads one response from a stream.
pub(crate) fn read_response(stream: &mut impl BufRead) -> Option<Response> {
    let status_line = read_line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line: {status_line:?}"));
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new() };
    let length = response.header("content-length").and_then(|length| length.parse().ok());
    if let Some(length) = length {
        response.body = vec![0; length];
        stream.read_exact(&mut response.body).ok()?;
    } else if response.header("transfer-encoding") == Some("chunked") {
        loop {
            let length = usize::from_str_radix(&read_line(stream)?, 16).expect("a chunk's length");
            let mut chunk = vec![0; length + 2];
            stream.read_exact(&mut chunk).ok()?;
            if length == 0 {
                break;
            }
            response.body.extend_from_slice(&chunk[..length]);
        }
    }
    Some(response)
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {:?}", self.text()))
    }

    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The `detail` of an error of that status.
    #[track_caller]
    pub(crate) fn detail(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()["detail"].take()
    }
}

/// Returns a peer in the format of LANrage's clients, by a clock in UTC.
pub(crate) fn announced(id: &str) -> Value {
    announced_at(id, 0)
}

/// Returns a peer as [`announced`], by a clock that is `hours` ahead of UTC.
pub(crate) fn announced_at(id: &str, hours: i64) -> Value {
    let mut peer = peer(id);
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    let now = now.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    peer["last_seen"] = json!(now);
    peer
}
