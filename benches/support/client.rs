//! A client that costs as little as it can: it counts lines and looks into none.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

/// Time limit of a wait; longer ones never end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a daemon or an echo server.
pub(crate) struct Client {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    pub(crate) fn send(&mut self, lines: &str) -> anyhow::Result<()> {
        Ok(self.stream.write_all(lines.as_bytes())?)
    }

    /// Takes so many lines, after which none may have come. Returns their size in bytes.
    pub(crate) fn take(&mut self, lines: usize) -> anyhow::Result<usize> {
        let (mut taken, mut size) = (0, 0);
        while taken < lines {
            let read = self.stream.read(&mut self.buffer).context("no line came")?;
            ensure!(read > 0, "the connection was closed");
            taken += self.buffer[..read].iter().filter(|byte| **byte == b'\n').count();
            size += read;
        }
        ensure!(taken == lines, "{taken} lines came, not {lines}");
        Ok(size)
    }

    /// Sends so many lines, and takes a line for each.
    pub(crate) fn exchange(&mut self, lines: &str, count: usize) -> anyhow::Result<usize> {
        self.send(lines)?;
        self.take(count)
    }

    /// Sends a request that has to succeed, and returns the line of its reply.
    pub(crate) fn ask(&mut self, request: &str) -> anyhow::Result<String> {
        self.send(request)?;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let read = self.stream.read(&mut self.buffer).context("no reply came")?;
            ensure!(read > 0, "the connection was closed");
            line.extend_from_slice(&self.buffer[..read]);
        }
        let line = String::from_utf8(line)?;
        let reply: Value = serde_json::from_str(&line)?;
        if reply.get("result").is_none() {
            bail!("{} was answered by {line}", request.trim_end());
        }
        Ok(line)
    }
}

/// The line of a request.
pub(crate) fn request(id: usize, method: &str, params: &Value) -> String {
    format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
}

/// The lines of so many requests with ids of the same length, which make replies of the same
/// length.
pub(crate) fn requests(count: usize, method: &str, params: &Value) -> String {
    (100..100 + count).map(|id| request(id, method, params)).collect()
}

/// Returns the description of a peer with that id.
pub(crate) fn peer(id: &str) -> Value {
    json!({
        "peer_id": id,
        "name": format!("Player {id}"),
        "public_key": "bm90IGEga2V5LCBidXQgMzIgYnl0ZXMgbG9uZy4uLi4=",
        "nat_type": "full_cone",
        "public_ip": "203.0.113.7",
        "public_port": 51820,
        "local_ip": "192.168.1.7",
        "local_port": 51820,
    })
}

/// The request that registers a party, whose host is of the same id.
pub(crate) fn register(id: usize, party: &str) -> String {
    let (host, keepalive) = (peer(party), "daemon");
    let params = json!({"party_id": party, "name": party, "host": host, "keepalive": keepalive});
    request(id, "party.register", &params)
}

pub(crate) fn join(id: usize, party: &str, peer_id: &str) -> String {
    let params = json!({"party_id": party, "peer": peer(peer_id), "keepalive": "daemon"});
    request(id, "party.join", &params)
}

pub(crate) fn leave(id: usize, party: &str, peer_id: &str) -> String {
    request(id, "party.leave", &json!({"party_id": party, "peer_id": peer_id}))
}
