//! Repeated kills of the server, during writes over HTTP and WebSocket.

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};

use serde_json::{Value, json};

use super::ledger::{Act, Ledger, Reply, at_port};
use super::status;
use crate::harness::{Daemon, Http, Random, Setup, Ws};

const ROUNDS: u64 = 8;
/// Acts are as fast as the server is.
const UNLIMITED: &str = "\
    [limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n\
    registrations_per_minute = 1000000\nregistrations_burst = 1000000\n\
    [ws]\nframes_per_second = 1000000\nframes_burst = 1000000\n";

/// A way to the server.
trait Line {
    /// Executes a request; `None` if the server is gone before it answers.
    fn carry(&mut self, act: &Act, ledger: &Ledger) -> Option<Reply>;
}

struct OverHttp(Http);

impl OverHttp {
    fn open(address: SocketAddr) -> Self {
        let mut http = Http::connect(address);
        http.get("/").ok();
        Self(http)
    }
}

impl Line for OverHttp {
    fn carry(&mut self, act: &Act, ledger: &Ledger) -> Option<Reply> {
        let party = ledger.party_id().unwrap_or_default();
        let (host, path) = (&ledger.host, format!("/parties/{party}"));
        let (method, path, body, actor) = match act {
            Act::Claim(peer) => ("POST", format!("/auth/register?peer_id={peer}"), None, None),
            Act::Register(port) => {
                let body = json!({"name": "LAN", "host_peer_info": at_port(host, *port)});
                ("POST", "/parties".into(), Some(body), Some(host))
            }
            Act::Join(peer, port) => {
                let body = json!({"party_id": party, "peer_info": at_port(peer, *port)});
                ("POST", format!("{path}/join"), Some(body), Some(peer))
            }
            Act::Leave(peer) => ("DELETE", format!("{path}/peers/{peer}"), None, Some(peer)),
            Act::Relay(port) => {
                let body = json!({"relay_id": host, "public_ip": "203.0.113.9", "port": port});
                ("POST", "/relays".into(), Some(body), Some(host))
            }
        };
        self.0.token = actor.map(|actor| ledger.tokens[actor].clone());
        let answer = self.0.attempt(method, &path, body)?;
        assert_eq!(answer.status, 200, "{act:?}: {}", answer.text());
        let answer = answer.json();
        let entered = match act {
            Act::Register(_) => Some(host),
            Act::Join(peer, _) => Some(peer),
            _ => None,
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Reply {
            token: text(&answer["token"]),
            party_id: text(&answer["party_id"]),
            virtual_ip: entered.and_then(|peer| text(&answer["virtual_ips"][peer])),
            seq: answer["seq"].as_u64(),
        })
    }
}

struct OverWs {
    ws: Ws,
    /// Relays are registered over HTTP alone.
    http: OverHttp,
    /// Frames of this connection and their answers.
    receipts: Vec<(Value, Value)>,
    asked: Option<Value>,
    /// Counter for unique request ids.
    requests: u64,
}

impl OverWs {
    fn open(address: SocketAddr) -> Self {
        let (ws, http) = (Ws::connect(address), OverHttp::open(address));
        Self { ws, http, receipts: Vec::new(), asked: None, requests: 0 }
    }

    /// Opens another connection for the same peers, to a restarted server. An unanswered request is
    /// repeated and done once; an answered one gets the same answer.
    fn come_back(&mut self, address: SocketAddr, ledger: &mut Ledger) {
        (self.ws, self.http) = (Ws::connect(address), OverHttp::open(address));
        let asked = self.asked.take();
        for peer in std::iter::once(&ledger.host).chain(&ledger.guests) {
            let Some(token) = ledger.tokens.get(peer) else { continue };
            let reply = self.request(hello(peer, Some(token))).expect("a welcome");
            assert_eq!(reply.token.as_ref(), Some(token));
        }
        if let Some(act) = ledger.asked.clone()
            && !matches!(act, Act::Claim(_) | Act::Relay(_))
        {
            let frame = asked.expect("the frame");
            ledger.note(self.request(frame).expect("an answer"));
        }
        let still_here = |frame: &Value| {
            let peer = frame["peer_id"].as_str().or(frame["peer"]["peer_id"].as_str());
            peer.or(frame["host_peer"]["peer_id"].as_str())
                .is_some_and(|peer| peer == ledger.host || ledger.guests.iter().any(|g| g == peer))
        };
        for (frame, first) in self.receipts.iter().rev().filter(|(f, _)| still_here(f)).take(15) {
            assert_eq!(self.ws.ask(frame.clone()), *first, "{frame}");
        }
    }

    /// Sends a frame and waits for its ack; nothing when the server is gone before that.
    fn request(&mut self, mut frame: Value) -> Option<Reply> {
        if frame["req_id"].is_null() {
            self.requests += 1;
            frame["req_id"] = json!(format!("r{}", self.requests));
        }
        self.asked = Some(frame.clone());
        self.ws.send(frame.clone());
        let mut token = None;
        loop {
            let answer = self.ws.frame()?;
            if answer["type"] == "welcome" {
                token = answer["token"].as_str().map(str::to_owned);
            }
            if answer["req_id"] != frame["req_id"] {
                continue;
            }
            assert_eq!(answer["type"], "ack", "{frame}: {answer}");
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let result = &answer["result"];
            let (party_id, virtual_ip) = (text(&result["party_id"]), text(&result["virtual_ip"]));
            let seq = answer["seq"].as_u64();
            if frame["type"] != "hello" {
                self.receipts.push((frame, answer.clone()));
            }
            self.asked = None;
            return Some(Reply { token, party_id, virtual_ip, seq });
        }
    }
}

fn hello(peer: &str, token: Option<&String>) -> Value {
    json!({"type": "hello", "version": "1", "client": "test", "caps": ["lanragectl"],
        "peer_id": peer, "token": token})
}

impl Line for OverWs {
    fn carry(&mut self, act: &Act, ledger: &Ledger) -> Option<Reply> {
        let party = ledger.party_id();
        let frame = match act {
            Act::Claim(peer) => hello(peer, None),
            Act::Register(port) => {
                // Every other id is the server's choice.
                let id = (port % 2 == 0).then(|| format!("{}-party-{port}", ledger.host));
                let host = at_port(&ledger.host, *port);
                json!({"type": "register_party", "party_id": id, "name": "LAN", "host_peer": host})
            }
            Act::Join(peer, port) => {
                let kind = if ledger.is_member(peer) { "update_peer" } else { "join_party" };
                json!({"type": kind, "party_id": party, "peer": at_port(peer, *port)})
            }
            Act::Leave(peer) => json!({"type": "leave_party", "party_id": party, "peer_id": peer}),
            Act::Relay(_) => return self.http.carry(act, ledger),
        };
        self.request(frame)
    }
}

/// Acts until the server is gone, and tells of each answer.
fn live(line: &mut dyn Line, ledger: &mut Ledger, random: &mut Random, answered: &Sender<()>) {
    loop {
        let act = ledger.next(random);
        let Some(reply) = line.carry(&act, ledger) else { return };
        ledger.note(reply);
        // After the kill nobody counts any more.
        answered.send(()).ok();
    }
}

fn epoch(server: &Daemon) -> Value {
    server.client().call("hello", json!({"protocol": {"min": 1, "max": 1}}))["epoch"].take()
}

#[test]
fn answered_changes_outlive_kills() {
    let mut server = Setup::server().config(UNLIMITED).start();
    let first_epoch = epoch(&server);
    let mut over_http = [1, 2].map(|n| (Ledger::new(&format!("http{n}")), Random(n)));
    let mut over_ws =
        [3, 4].map(|n| (Ledger::new(&format!("ws{n}")), Random(n), OverWs::open(server.address())));
    let mut random = Random(0);
    for _ in 0..ROUNDS {
        let (answered, answers) = channel();
        let address = server.address();
        server = std::thread::scope(|scope| {
            for (ledger, random) in &mut over_http {
                let (answered, mut line) = (answered.clone(), OverHttp::open(address));
                scope.spawn(move || live(&mut line, ledger, random, &answered));
            }
            for (ledger, random, line) in &mut over_ws {
                let answered = answered.clone();
                scope.spawn(move || live(line, ledger, random, &answered));
            }
            drop(answered);
            for _ in 0..1 + random.below(120) {
                answers.recv().expect("an answer");
            }
            server.kill().start()
        });
        assert_eq!(epoch(&server), first_epoch, "history was lost");
        assert_eq!(status(&server)["store"]["recovery"], Value::Null);
        let mut http = server.http();
        for (ledger, _) in &mut over_http {
            ledger.check(&mut http, &first_epoch);
        }
        for (ledger, _, line) in &mut over_ws {
            line.come_back(server.address(), ledger);
            ledger.check(&mut http, &first_epoch);
        }
    }
}
