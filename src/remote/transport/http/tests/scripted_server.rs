//! HTTP server with scripted responses, which can forward requests to a real server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Scripted reaction to a request.
pub(super) enum Reply {
    /// Responds with a status, header lines and a body.
    Respond(&'static str, &'static str, String),
    /// Forwards the request to a server, and returns its response.
    Forward(SocketAddr),
    /// Forwards the request to a server, and closes the connection without its response.
    LoseResponse(SocketAddr),
    /// Never responds.
    Hang,
}

impl Reply {
    /// Responds with JSON.
    pub(super) fn json(status: &'static str, body: impl ToString) -> Self {
        Self::Respond(status, "Content-Type: application/json\r\n", body.to_string())
    }

    /// Responds to `GET /` as LANrage's own server.
    pub(super) fn service() -> Self {
        Self::json("200 OK", r#"{"service":"LANrage Control Plane"}"#)
    }
}

/// Scripted server. It ends with the test's runtime.
pub(super) struct ScriptedServer {
    pub(super) address: SocketAddr,
    /// First lines of the requests.
    received: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl ScriptedServer {
    /// Starts a server. `script` gets a request's first line, and the number of earlier requests
    /// with the same line.
    pub(super) async fn start(
        script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (received, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(script));
        let lines = received.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, lines) = (script.clone(), lines.clone());
                tokio::spawn(async move { serve(stream, &*script, &lines).await });
            }
        });
        Self { address, received, accepting }
    }

    /// Stops listening.
    pub(super) async fn close(&mut self) {
        self.accepting.abort();
        (&mut self.accepting).await.ok();
    }

    /// Returns the number of requests with this first line.
    pub(super) fn count(&self, line: &str) -> usize {
        self.received.lock().unwrap().iter().filter(|received| *received == line).count()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: &(impl Fn(&str, usize) -> Reply + Send + Sync),
    lines: &Mutex<Vec<String>>,
) {
    let Some(request) = read(&mut stream).await else { return };
    let (line, rest) = request.split_once("\r\n").unwrap();
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let before = {
        let mut lines = lines.lock().unwrap();
        let before = lines.iter().filter(|earlier| **earlier == line).count();
        lines.push(line.clone());
        before
    };
    let response = match script(&line, before) {
        Reply::Respond(status, headers, body) => format!(
            "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        Reply::Forward(to) => forward(to, &line, rest).await,
        Reply::LoseResponse(to) => {
            forward(to, &line, rest).await;
            return;
        }
        Reply::Hang => std::future::pending().await,
    };
    // The client may have closed the connection after a part of the response.
    stream.write_all(response.as_bytes()).await.ok();
}

/// Forwards a request. Returns the response.
async fn forward(to: SocketAddr, line: &str, rest: &str) -> String {
    let mut server = TcpStream::connect(to).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{rest}");
    server.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    server.read_to_string(&mut response).await.unwrap();
    response
}

/// Reads a request with its body; `None` at the end of the connection.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = std::str::from_utf8(&bytes).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            return Some(text.to_owned());
        }
    }
}
