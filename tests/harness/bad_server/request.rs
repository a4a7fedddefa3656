//! HTTP requests of clients.

use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use tungstenite::handshake::derive_accept_key;

/// A request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Their names in lower case, in their order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The next one of a connection; `None` when there is none.
    pub(in crate::harness) fn read(stream: &mut impl BufRead) -> Option<Self> {
        let start = line(stream)?;
        let mut words = start.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            let line = line(stream)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { method, path, headers, body: Vec::new() };
        let length = request.header("content-length").and_then(|length| length.parse().ok());
        stream.take(length.unwrap_or(0)).read_to_end(&mut request.body).ok()?;
        Some(request)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body of one that has JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    /// Makes it of a server in HTTP/1.0. Returns the whole answer.
    pub(in crate::harness) fn forward(&self, server: SocketAddr) -> io::Result<Vec<u8>> {
        let mut head = format!("{} {} HTTP/1.0\r\n", self.method, self.path);
        // Those that are about this connection alone stay here.
        let is_passed = |name: &str| !matches!(name, "connection" | "upgrade" | "host");
        for (name, value) in self.headers.iter().filter(|(name, _)| is_passed(name)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Host: {server}\r\nConnection: close\r\n\r\n"));
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    /// Returns the `Sec-WebSocket-Accept` value that completes the handshake.
    pub(super) fn accept_key(&self) -> Option<String> {
        let is_upgrade = self.header("upgrade")?.eq_ignore_ascii_case("websocket");
        let key = self.header("sec-websocket-key").filter(|_| is_upgrade)?;
        Some(derive_accept_key(key.as_bytes()))
    }
}

fn line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
    Some(line.trim_end().to_owned())
}
