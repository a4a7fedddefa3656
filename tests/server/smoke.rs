//! A party's whole life, over HTTP and over WebSocket.

use serde_json::json;

use crate::harness::{Http, Setup, Ws, announced};

#[test]
fn a_party_lives_over_http() {
    let server = Setup::server().start();
    let mut alice = Http::registered(server.address(), "alice");
    let mut bob = Http::registered(server.address(), "bob");
    let party = alice.party("alice");
    bob.join(&party, "bob").ok();
    let peers = alice.get(&format!("/parties/{party}/peers")).ok();
    assert_eq!(peers["virtual_ips"], json!({"alice": "10.66.0.1", "bob": "10.66.0.2"}));
    bob.post(&format!("/parties/{party}/peers/bob/heartbeat"), None).ok();
    assert_eq!(bob.delete(&format!("/parties/{party}/peers/bob")).ok(), json!({"status": "left"}));
    let deleted = alice.delete(&format!("/parties/{party}/peers/alice")).ok();
    assert_eq!(deleted, json!({"status": "party_deleted"}));
    let gone = alice.get(&format!("/parties/{party}")).detail(404);
    assert_eq!(gone, json!(format!("Party {party} not found")));
}

#[test]
fn a_party_lives_over_websocket() {
    let server = Setup::server().start();
    let mut alice = Ws::plain(server.address());
    let peer = announced("alice");
    alice.send(
        json!({"type": "register_party", "party_id": "lan", "name": "LAN", "host_peer": peer}),
    );
    assert_eq!(alice.await_type("party_update")["party"]["host_id"], "alice");
    let (mut bob, welcome) = Ws::hello(server.address(), "bob", None);
    assert!(welcome["token"].is_string(), "{welcome}");
    let join = json!({"type": "join_party", "party_id": "lan", "peer": announced("bob")});
    let ack = bob.ask(join);
    assert_eq!(ack["result"]["virtual_ip"], "10.66.0.2", "{ack}");
    let update = bob.await_type("party_update");
    assert_eq!(update["virtual_ips"], json!({"alice": "10.66.0.1", "bob": "10.66.0.2"}));
    assert_eq!(alice.await_type("peer_joined")["peer"]["peer_id"], "bob");
    bob.ask(json!({
        "type": "signal", "party_id": "lan", "from_peer_id": "bob", "to_peer_id": "alice",
        "signal_data": {"offer": 1},
    }));
    assert_eq!(alice.await_type("signal")["signal_data"], json!({"offer": 1}));
    alice.send(json!({"type": "leave_party", "party_id": "lan", "peer_id": "alice"}));
    assert_eq!(bob.await_type("party_removed")["party_id"], "lan");
    let (_, status) = server.stop();
    assert!(status.success());
}
