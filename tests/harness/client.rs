//! Client that exposes every raw line.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use super::daemon::PATIENCE;

/// A connection to a daemon.
pub(crate) struct Client {
    reader: BufReader<UnixStream>,
    last_id: u64,
    /// Lines that came while another was awaited.
    early: VecDeque<Value>,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> Self {
        Self::over(UnixStream::connect(socket).expect("connect to the daemon"))
    }

    /// On a stream that leads to a daemon.
    pub(crate) fn over(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("set a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("set a time-out");
        Self { reader: BufReader::new(stream), last_id: 0, early: VecDeque::new() }
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.reader.get_ref()
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("write to the daemon");
    }

    /// Sends a request and returns its id.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send_raw(format!("{line}\n").as_bytes());
        id
    }

    /// The next line; `None` when the daemon has closed the connection.
    pub(crate) fn line(&mut self) -> Option<Value> {
        self.text().map(|line| serde_json::from_str(&line).expect("a line of JSON"))
    }

    /// The next line, letter for letter.
    pub(crate) fn text(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line from the daemon: {error}"),
        }
    }

    /// Returns the reply to a request; earlier messages are kept.
    pub(crate) fn reply(&mut self, id: u64) -> Value {
        let wanted = json!(id);
        if let Some(at) = self.early.iter().position(|line| line["id"] == wanted) {
            return self.early.remove(at).expect("it is there");
        }
        loop {
            let line = self.line().expect("a reply, not the end");
            if line["id"] == wanted {
                return line;
            }
            self.early.push_back(line);
        }
    }

    /// Asks, and returns the result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let mut reply = self.reply(id);
        assert!(reply.get("error").is_none(), "{method} failed: {reply}");
        reply["result"].take()
    }

    /// Asks, and returns the error's code.
    pub(crate) fn refused(&mut self, method: &str, params: Value) -> String {
        let id = self.send(method, params);
        let reply = self.reply(id);
        let code = reply["error"]["data"]["code"].as_str();
        code.unwrap_or_else(|| panic!("{method} was not refused: {reply}")).to_owned()
    }

    /// Asks, and returns the reply's line; `None` when the daemon is gone before it.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Option<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes()).ok()?;
        loop {
            let line = self.line()?;
            if line["id"] == id {
                return Some(line);
            }
            self.early.push_back(line);
        }
    }

    /// The next notification.
    pub(crate) fn notification(&mut self) -> Value {
        if let Some(at) = self.early.iter().position(|line| line.get("id").is_none()) {
            return self.early.remove(at).expect("it is there");
        }
        loop {
            let line = self.line().expect("a notification, not the end");
            if line.get("id").is_none() {
                return line;
            }
            self.early.push_back(line);
        }
    }

    /// The next event's kind and data.
    pub(crate) fn event(&mut self) -> (String, Value) {
        let mut notification = self.notification();
        assert_eq!(notification["method"], "event", "{notification}");
        let params = &mut notification["params"];
        let kind = params["kind"].as_str().expect("a kind").to_owned();
        (kind, params["data"].take())
    }
}

/// Returns the data of a peer with the given id.
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
