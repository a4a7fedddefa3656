//! How a row is tried.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Daemon, Http, PATIENCE, Response, Setup, Ws};

/// How often the honest client asks, in quiet and under attack.
pub(super) const ASKED: usize = 20;

/// A server behind a proxy on this machine, so that a client comes from the address that it says,
/// which lets one address do as much at once as it likes.
pub(super) const OPEN: &str = "[http]\nbehind_proxy = ['127.0.0.1']\n\
    [ws]\nframes_per_second = 1000000\nframes_burst = 1000000\n\
    [limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n\
    registrations_per_minute = 1000000\nregistrations_burst = 1000000\n";

/// A limit, the attack on it, and an honest client.
pub(super) struct Row {
    /// The key of the limit.
    pub(super) limit: &'static str,
    /// The attack in words.
    pub(super) attack: &'static str,
    /// Keys of `[limits]` that make the tables small.
    pub(super) small: &'static str,
    /// Attacks until it is told to stop, and tells when the limit is reached.
    pub(super) attacker: fn(&Daemon, &Attack),
    /// A client, and whether it gets what it asks for.
    pub(super) honest: fn(&Daemon) -> Box<dyn FnMut() -> bool>,
}

/// An attack that goes on.
pub(super) struct Attack {
    reached: mpsc::Sender<()>,
    stopped: AtomicBool,
}

impl Attack {
    /// The limit is reached.
    pub(super) fn reached(&self) {
        self.reached.send(()).ok();
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }
}

/// Makes a test of each row.
macro_rules! rows {
    ($($name:ident: $row:expr;)*) => {
        $(#[test]
        fn $name() {
            $crate::shares::table::try_row(&$row);
        })*
    };
}
pub(super) use rows;

pub(super) fn try_row(row: &Row) {
    let server = Setup::server().config(&format!("{OPEN}{}", row.small)).start();
    let mut honest = (row.honest)(&server);
    let quiet = ask(&mut honest);
    let (reached, is_reached) = mpsc::channel();
    let attack = Attack { reached, stopped: AtomicBool::new(false) };
    let attacked = thread::scope(|scope| {
        let attacker = scope.spawn(|| (row.attacker)(&server, &attack));
        let reached = is_reached.recv_timeout(PATIENCE);
        let attacked = reached.is_ok().then(|| ask(&mut honest));
        attack.stopped.store(true, Ordering::Relaxed);
        attacker.join().expect("the attacker");
        attacked.expect("the attack reaches the limit")
    });
    let (ratio, served) = (attacked.p99 / quiet.p99, attacked.served);
    let (limit, words) = (row.limit, row.attack);
    eprintln!("| `{limit}` | {words} | {served} of {ASKED} | {ratio:.1} |");
    assert_eq!(quiet.served, ASKED, "served in quiet");
    assert_eq!(served, ASKED, "served under attack on {limit}: {words}");
}

/// What an honest client got.
struct Served {
    served: usize,
    /// In seconds.
    p99: f64,
}

fn ask(honest: &mut dyn FnMut() -> bool) -> Served {
    let mut took = Vec::new();
    let mut served = 0;
    for _ in 0..ASKED {
        let begun = Instant::now();
        served += usize::from(honest());
        took.push(begun.elapsed());
    }
    took.sort();
    let p99 = took[(took.len() * 99).div_ceil(100) - 1].max(Duration::from_micros(1));
    Served { served, p99: p99.as_secs_f64() }
}

/// A client at some address, which a proxy forwards.
pub(super) struct Visitor {
    http: Http,
    address: String,
    token: Option<String>,
}

impl Visitor {
    pub(super) fn new(server: SocketAddr, address: &str) -> Self {
        Self { http: Http::connect(server), address: address.to_owned(), token: None }
    }

    /// With a token for a peer.
    pub(super) fn registered(server: SocketAddr, address: &str, peer_id: &str) -> Self {
        let mut visitor = Self::new(server, address);
        visitor.register(peer_id).ok();
        visitor
    }

    /// Comes from another address from now on.
    pub(super) fn move_to(&mut self, address: &str) {
        self.address = address.to_owned();
    }

    /// Comes to a server that was restarted.
    pub(super) fn reconnect(&mut self, server: SocketAddr) {
        self.http = Http::connect(server);
    }

    /// Takes a peer id, or renews its token. Keeps the token.
    pub(super) fn register(&mut self, peer_id: &str) -> Response {
        let path = format!("/auth/register?peer_id={peer_id}");
        let response = self.request("POST", &path, None);
        if response.status == 200 {
            self.token = response.json()["token"].as_str().map(str::to_owned);
        }
        response
    }

    /// Forgets its token.
    pub(super) fn forget(&mut self) {
        self.token = None;
    }

    pub(super) fn request(&mut self, method: &str, path: &str, body: Option<Value>) -> Response {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = vec![("X-Forwarded-For", self.address.as_str())];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        headers.extend(body.is_some().then_some(("Content-Type", "application/json")));
        let body = body.map(|body| body.to_string());
        self.http.send(method, path, &headers, body.as_deref().map(str::as_bytes))
    }
}

/// A WebSocket of a client at some address, which speaks for a peer.
pub(super) fn socket(server: SocketAddr, address: &str, peer_id: &str) -> Ws {
    let mut ws = Ws::connect_for(server, Some(address));
    greet(&mut ws, peer_id);
    ws
}

/// Has a WebSocket speak for another peer.
pub(super) fn greet(ws: &mut Ws, peer_id: &str) {
    ws.send(json!({
        "type": "hello", "version": "1", "client": "test", "caps": ["lanragectl"],
        "peer_id": peer_id,
    }));
    ws.await_type("welcome");
}
