//! Rules that only new values must keep, over HTTP and WebSocket.

use serde_json::{Value, json};

use super::{announced_with, server_with};
use crate::harness::{Setup, Ws, announced};

fn message(told: &Value) -> &str {
    told["message"].as_str().expect("a message")
}

#[test]
fn ids_of_dots_are_refused_over_http() {
    let (server, [mut alice]) = server_with(["alice"]);
    let mut nobody = server.http();
    let party = alice.party("alice");
    for id in [".", ".."] {
        let told = nobody.post(&format!("/auth/register?peer_id={id}"), None).detail(422);
        assert_eq!(
            (&told[0]["loc"], &told[0]["input"]),
            (&json!(["query", "peer_id"]), &json!(id))
        );
        let bad = announced_with("alice", json!({"peer_id": id}));
        let register = json!({"name": "LAN", "host_peer_info": bad});
        let told = alice.post("/parties", Some(register)).detail(422);
        assert_eq!(told[0]["loc"], json!(["body", "host_peer_info", "peer_id"]));
        let join = json!({"party_id": party, "peer_info": bad});
        let told = alice.post(&format!("/parties/{party}/join"), Some(join)).detail(422);
        assert_eq!(told[0]["loc"], json!(["body", "peer_info", "peer_id"]));
        let relay = json!({"relay_id": id, "public_ip": "203.0.113.1", "port": 1});
        let told = alice.post("/relays", Some(relay)).detail(422);
        assert_eq!(told[0]["loc"], json!(["body", "relay_id"]));
    }
}

#[test]
fn names_keys_and_times_are_checked_over_http() {
    let (_server, [mut alice]) = server_with(["alice"]);
    for (field, value) in [
        ("name", " "),
        ("name", "\u{200b}\u{202e}"),
        ("public_key", "a\u{202e}"),
        ("last_seen", "-000001-01-01T00:00:00"),
        ("last_seen", "0001-01-01T00:00:00+14:00"),
        ("last_seen", "9999-12-31T23:59:59-12:00"),
    ] {
        let bad = announced_with("alice", json!({field: value}));
        let told = alice.post("/parties", Some(json!({"name": "LAN", "host_peer_info": bad})));
        let told = told.detail(422);
        assert_eq!(told[0]["loc"], json!(["body", "host_peer_info", field]), "{value:?}");
    }
    let unnamed = json!({"name": "\u{2800}", "host_peer_info": announced("alice")});
    assert_eq!(
        alice.post("/parties", Some(unnamed)).detail(422)[0]["loc"],
        json!(["body", "name"])
    );
}

#[test]
fn new_values_are_checked_over_websocket() {
    let server = Setup::server().start();
    let mut ws = Ws::connect(server.address());
    ws.send(json!({"type": "hello", "caps": ["lanragectl"], "peer_id": "..", "req_id": "1"}));
    let told = ws.await_type("error");
    assert!(message(&told).contains("peer_id: "), "{told}");

    let (mut alice, _) = Ws::hello(server.address(), "alice", None);
    for (field, value) in [
        ("peer_id", ".."),
        ("name", "\u{3164}"),
        ("public_key", "\u{feff}k"),
        ("last_seen", "0001-01-01T00:00:00+14:00"),
    ] {
        let host = announced_with("alice", json!({field: value}));
        let register =
            json!({"type": "register_party", "party_id": "lan", "name": "LAN", "host_peer": host});
        let told = alice.ask(register);
        assert_eq!(told["code"], "invalid_params", "{told}");
        assert!(message(&told).contains(&format!("host_peer.{field}: ")), "{told}");
    }
    let host = announced("alice");
    let register =
        json!({"type": "register_party", "party_id": ".", "name": "LAN", "host_peer": host});
    let told = alice.ask(register);
    assert!(message(&told).contains("party_id: "), "{told}");
}
