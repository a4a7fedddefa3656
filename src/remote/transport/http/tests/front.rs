//! A little HTTP server that answers as it is told, or passes requests on to a real one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Treatment of a request.
pub(super) enum Act {
    /// It is answered with this status, these header lines and this body.
    Answer(&'static str, &'static str, String),
    /// A server answers it.
    Pass(SocketAddr),
    /// A server does what it asks, and the connection ends before the answer.
    Lose(SocketAddr),
    /// Nobody ever answers it.
    Ignore,
}

impl Act {
    pub(super) fn json(status: &'static str, body: impl ToString) -> Self {
        Self::Answer(status, "Content-Type: application/json\r\n", body.to_string())
    }

    /// Answer to `GET /`.
    pub(super) fn service() -> Self {
        Self::json("200 OK", r#"{"service":"LANrage Control Plane"}"#)
    }
}

/// A server of a test. It ends with the test's runtime.
pub(super) struct Front {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Front {
    /// Decides by a request's first line, and by how often it came before.
    pub(super) async fn start(decide: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, decide) = (Arc::new(Mutex::new(Vec::new())), Arc::new(decide));
        let told = seen.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (decide, seen) = (decide.clone(), seen.clone());
                tokio::spawn(async move { serve(stream, &*decide, &seen).await });
            }
        });
        Self { address, seen: told, accepting }
    }

    /// Takes no connection any more.
    pub(super) async fn close(&mut self) {
        self.accepting.abort();
        (&mut self.accepting).await.ok();
    }

    /// Returns the number of requests with this first line.
    pub(super) fn count(&self, line: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| *seen == line).count()
    }
}

async fn serve(
    mut stream: TcpStream,
    decide: &(impl Fn(&str, usize) -> Act + Send + Sync),
    seen: &Mutex<Vec<String>>,
) {
    let Some(request) = read(&mut stream).await else { return };
    let (line, rest) = request.split_once("\r\n").unwrap();
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let before = {
        let mut seen = seen.lock().unwrap();
        let before = seen.iter().filter(|seen| **seen == line).count();
        seen.push(line.clone());
        before
    };
    let answer = match decide(&line, before) {
        Act::Answer(status, headers, body) => format!(
            "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
        Act::Pass(to) => pass(to, &line, rest).await,
        Act::Lose(to) => {
            pass(to, &line, rest).await;
            return;
        }
        Act::Ignore => std::future::pending().await,
    };
    // Who has read enough may be gone.
    stream.write_all(answer.as_bytes()).await.ok();
}

/// Answer of a server.
async fn pass(to: SocketAddr, line: &str, rest: &str) -> String {
    let mut server = TcpStream::connect(to).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{rest}");
    server.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    server.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A request with its body.
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
