//! WebSocket of the control server: each message, its answer, and its recipients.

mod claims;
mod displaced;
mod endings;
mod frames;
mod history;
mod identity;
mod idle;
mod mirror;
mod news;
mod plain;
mod receipts;
mod repeats;
mod returning;
mod returns;
mod revocation;
mod shapes;
mod signals;
mod slow;
mod slow_disk;
mod times;
mod turns;

use serde_json::{Value, json};

use crate::harness::{Daemon, Ws, announced};

/// Configuration without rate limits, for tests that send many messages.
const NO_LIMITS: &str = "[ws]\nupdate_interval = \"0s\"\nframes_per_second = 1000000\nframes_burst = 1000000\n\
    [limits]\nregistrations_per_minute = 1000000\nregistrations_burst = 1000000\n\
    requests_per_second = 1000000\nrequests_burst = 1000000\n";

fn register(party_id: &str, host: &str) -> Value {
    let host_peer = announced(host);
    json!({"type": "register_party", "party_id": party_id, "name": "LAN", "host_peer": host_peer})
}

fn join(party_id: &str, peer_id: &str) -> Value {
    json!({"type": "join_party", "party_id": party_id, "peer": announced(peer_id)})
}

fn leave(party_id: &str, peer_id: &str) -> Value {
    json!({"type": "leave_party", "party_id": party_id, "peer_id": peer_id})
}

/// The peer is called otherwise from now on.
fn update(party_id: &str, peer_id: &str, name: &str) -> Value {
    let mut peer = announced(peer_id);
    peer["name"] = json!(name);
    json!({"type": "update_peer", "party_id": party_id, "peer": peer})
}

fn heartbeat(party_id: &str, peer_id: &str) -> Value {
    json!({"type": "heartbeat", "party_id": party_id, "peer_id": peer_id})
}

fn signal(party_id: &str, from: &str, to: &str, data: Value) -> Value {
    json!({
        "type": "signal", "party_id": party_id, "from_peer_id": from, "to_peer_id": to,
        "signal_data": data,
    })
}

fn sync(party_id: &str) -> Value {
    json!({"type": "sync", "party_id": party_id})
}

/// A connection with the additions that speaks for a new peer, and the peer's token.
fn newcomer(server: &Daemon, peer_id: &str) -> (Ws, String) {
    let (ws, welcome) = Ws::hello(server.address(), peer_id, None);
    (ws, welcome["token"].as_str().expect("a token").to_owned())
}

/// A LANrage client that hosts a party.
fn plain_host(server: &Daemon, party_id: &str, peer_id: &str) -> Ws {
    let mut ws = Ws::plain(server.address());
    ws.send(register(party_id, peer_id));
    ws.await_type("party_update");
    ws
}

/// A LANrage client that is a member of a party.
fn plain_guest(server: &Daemon, party_id: &str, peer_id: &str) -> Ws {
    let mut ws = Ws::plain(server.address());
    ws.send(join(party_id, peer_id));
    ws.await_type("party_update");
    ws
}

/// A connection with the additions that hosts a party, and its peer's token.
pub(super) fn host(server: &Daemon, party_id: &str, peer_id: &str) -> (Ws, String) {
    let (mut ws, token) = newcomer(server, peer_id);
    done(&ws.ask(register(party_id, peer_id)));
    ws.await_type("party_update");
    (ws, token)
}

/// A connection with the additions that is a member of a party, and its peer's token.
fn guest(server: &Daemon, party_id: &str, peer_id: &str) -> (Ws, String) {
    let (mut ws, token) = newcomer(server, peer_id);
    done(&ws.ask(join(party_id, peer_id)));
    ws.await_type("party_update");
    (ws, token)
}

/// The result of an `ack`.
#[track_caller]
pub(super) fn done(answer: &Value) -> &Value {
    assert_eq!(answer["type"], "ack", "{answer}");
    shapes::full(answer);
    &answer["result"]
}

/// The code of an `error` with the additions.
#[track_caller]
fn refused(answer: &Value) -> &str {
    assert_eq!(answer["type"], "error", "{answer}");
    shapes::full(answer);
    answer["code"].as_str().expect("a code")
}

/// Types of the frames, each with its subject.
fn told(frames: &[Value]) -> Vec<String> {
    let told = |frame: &Value| {
        let peer = [&frame["peer_id"], &frame["peer"]["peer_id"], &frame["to_peer_id"]];
        let peer = peer.into_iter().find_map(Value::as_str);
        let kind = frame["type"].as_str().expect("a type");
        peer.map_or(kind.to_owned(), |peer| format!("{kind} {peer}"))
    };
    frames.iter().map(told).collect()
}

/// Waits until the server counts that many WebSockets.
fn await_sockets(server: &Daemon, count: usize) {
    let line = format!("lanrage_websocket_connections {count}\n");
    crate::harness::eventually("that many WebSockets", || {
        server.metrics().text().contains(&line).then_some(())
    });
}
