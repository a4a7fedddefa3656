//! Clients that break the rules. The server must serve the others as before.

mod bodies;
mod connections;
mod crowds;
mod frames;
mod mutations;
mod requests;
mod unread;
mod upgrades;

use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Daemon, Http, Response, Setup, Ws, announced, memory, read_response};

/// Long enough for a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum growth of a server's peak memory, in KiB.
const ROOM: u64 = 64 * 1024;

/// Server under attack.
struct Target {
    server: Daemon,
    address: SocketAddr,
    /// Peak memory before the attack, in KiB.
    before: u64,
}

impl Target {
    fn start(config: &str) -> Self {
        let server = Setup::server().config(config).start();
        let address = server.address();
        let target = Self { server, address, before: 0 };
        // What it needs at all is not counted.
        target.assert_serving("before");
        let before = memory(target.server.pid(), "VmHWM");
        Self { before, ..target }
    }

    /// Asserts that the server accepts new clients over HTTP and WebSocket.
    #[track_caller]
    fn assert_serving(&self, peer_id: &str) {
        let mut http = Http::registered(self.address, peer_id);
        let party = http.party(peer_id);
        let (mut ws, _) = Ws::hello(self.address, &format!("{peer_id}-ws"), None);
        ws.ask(json!({"type": "join_party", "party_id": party, "peer": announced(&format!("{peer_id}-ws"))}));
        let deleted = http.delete(&format!("/parties/{party}/peers/{peer_id}")).ok();
        assert_eq!(deleted, json!({"status": "party_deleted"}));
        assert_eq!(ws.await_type("party_removed")["party_id"], json!(party));
    }

    /// Asserts that the server accepts new clients, is within its memory bound, and logged no
    /// internal error.
    #[track_caller]
    fn assert_unharmed(&self) {
        self.assert_serving("after");
        let after = memory(self.server.pid(), "VmHWM");
        let before = self.before;
        assert!(after < before + ROOM, "{before} KiB before, {after} KiB at the peak");
        let log = self.server.setup.log();
        for bad in ["panicked", " ERROR "] {
            let line = log.lines().find(|line| line.contains(bad));
            assert_eq!(line, None, "in the log");
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connect to the server");
        stream.set_read_timeout(Some(PATIENCE)).expect("set a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("set a time-out");
        stream
    }

    /// Sends bytes and then nothing more; all responses until the server closes.
    #[track_caller]
    fn exchange(&self, bytes: &[u8]) -> Vec<Response> {
        let mut stream = self.connect();
        // What can't be sent shows in what comes back.
        stream.write_all(bytes).ok();
        stream.shutdown(Shutdown::Write).ok();
        responses(stream)
    }

    /// The statuses of the same.
    #[track_caller]
    fn statuses(&self, bytes: &[u8]) -> Vec<u16> {
        self.exchange(bytes).iter().map(|response| response.status).collect()
    }
}

/// All responses until the server closes.
fn responses(stream: TcpStream) -> Vec<Response> {
    let mut stream = BufReader::new(stream);
    std::iter::from_fn(|| read_response(&mut stream)).collect()
}

/// First line of the response.
fn head(stream: TcpStream) -> String {
    let mut line = String::new();
    std::io::BufRead::read_line(&mut BufReader::new(stream), &mut line).expect("a line");
    line
}
