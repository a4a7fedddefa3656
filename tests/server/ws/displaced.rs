//! A connection whose peers another one takes over.

use serde_json::{Value, json};

use super::{host, newcomer};
use crate::harness::{Daemon, Setup, Ws, announced};

/// Greets for a peer with the cap to take it over.
fn take_over(server: &Daemon, peer_id: &str, token: &str) -> Ws {
    let mut ws = Ws::connect(server.address());
    greet(&mut ws, peer_id, token);
    ws
}

fn greet(ws: &mut Ws, peer_id: &str, token: &str) {
    ws.send(json!({
        "type": "hello", "version": "1", "client": "test", "caps": ["lanragectl", "takeover"],
        "peer_id": peer_id, "token": token,
    }));
    ws.await_type("welcome");
}

fn taken_over(peer_id: &str) -> Value {
    let message =
        format!("another connection with the same identity has taken over peer {peer_id}");
    json!({"type": "error", "code": "permission_denied", "message": message})
}

#[test]
fn displaced_connection_is_told_and_closed() {
    let server = Setup::server().start();
    let (mut older, token) = host(&server, "lan", "alice");
    let _newer = take_over(&server, "alice", &token);
    assert_eq!(older.await_type("error"), taken_over("alice"));
    older.rest();
    let closed = older.closed.expect("a reason");
    assert_eq!(u16::from(closed.code), 4001);
    assert_eq!(
        closed.reason.as_str(),
        "displaced: another connection with the same identity took over"
    );
}

#[test]
fn displaced_connection_is_closed_with_its_last_peer() {
    let server = Setup::server().start();
    let (mut older, alice) = newcomer(&server, "alice");
    older.send(json!({"type": "hello", "caps": ["lanragectl"], "peer_id": "bob"}));
    let welcome = older.await_type("welcome");
    let bob = welcome["token"].as_str().expect("a token");
    let mut newer = take_over(&server, "alice", &alice);
    assert_eq!(older.settled(), [taken_over("alice")]);
    // The same peer once more is none that is taken over.
    greet(&mut newer, "alice", &alice);
    assert_eq!(older.settled(), [] as [Value; 0]);
    greet(&mut newer, "bob", bob);
    assert_eq!(older.rest(), [taken_over("bob")]);
    assert_eq!(older.closed.map(|closed| closed.code.into()), Some(4001_u16));
    newer.settled();
}

#[test]
fn displaced_peers_party_is_neither_synced_nor_told() {
    let server = Setup::server().start();
    let (mut older, alice) = host(&server, "lan", "alice");
    older.send(json!({"type": "hello", "caps": ["lanragectl"], "peer_id": "bob"}));
    older.await_type("welcome");
    let mut newer = take_over(&server, "alice", &alice);
    newer.settled();
    assert_eq!(older.settled(), [taken_over("alice")]);
    older.send(json!({"type": "sync", "req_id": "1", "party_id": "lan", "have": null}));
    let refused = older.await_type("error");
    assert_eq!((&refused["code"], &refused["req_id"]), (&json!("not_a_member"), &json!("1")));
    let (mut carl, _) = newcomer(&server, "carl");
    carl.send(json!({"type": "join_party", "party_id": "lan", "peer": announced("carl")}));
    carl.await_type("party_update");
    newer.await_type("peer_joined");
    assert_eq!(older.settled(), [] as [Value; 0]);
    // Nor may it act for the peer; for its other one it may.
    for frame in [
        json!({"type": "update_peer", "party_id": "lan", "peer": announced("alice")}),
        json!({"type": "heartbeat", "party_id": "lan", "peer_id": "alice"}),
        json!({"type": "leave_party", "party_id": "lan", "peer_id": "alice"}),
        json!({"type": "join_party", "party_id": "lan", "peer": announced("alice")}),
    ] {
        older.send(frame);
        assert_eq!(older.await_type("error")["code"], "permission_denied");
    }
    older.send(json!({"type": "join_party", "party_id": "lan", "peer": announced("bob")}));
    older.await_type("party_update");
    newer.await_type("peer_joined");
    carl.send(json!({"type": "leave_party", "party_id": "lan", "peer_id": "carl"}));
    assert_eq!(older.await_type("peer_left")["peer_id"], "carl");
}

#[test]
fn hello_without_takeover_displaces_no_connection() {
    let server = Setup::server().start();
    let (mut older, token) = newcomer(&server, "alice");
    let (mut newer, _) = Ws::hello(server.address(), "alice", Some(&token));
    for ws in [&mut older, &mut newer] {
        assert_eq!(ws.settled(), [] as [Value; 0]);
    }
}

#[test]
fn displaced_plain_connection_is_closed_without_a_frame() {
    let server = Setup::server().start();
    let (_first, token) = newcomer(&server, "alice");
    let mut plain = Ws::connect(server.address());
    plain.send(json!({
        "type": "auth", "version": "1.0", "client": "lanrage", "peer_id": "alice", "token": token,
    }));
    plain.settled_plainly();
    let _newer = take_over(&server, "alice", &token);
    assert_eq!(plain.rest(), [] as [Value; 0]);
    assert_eq!(plain.closed.map(|closed| closed.code.into()), Some(4001_u16));
}
