//! A party's whole life, over HTTP and over WebSocket.

use serde_json::json;

use crate::harness::{Http, Setup, Ws, announced};

#[test]
fn party_runs_over_http_from_start_to_end() {
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
fn party_runs_over_websocket_from_start_to_end() {
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

/// One that names nobody, as older ones do, and then sends heartbeats.
#[test]
fn lanrage_client_that_reconnects_keeps_its_membership() {
    let server = Setup::server().start();
    let mut alice = Ws::plain(server.address());
    let host = announced("alice");
    alice.send(
        json!({"type": "register_party", "party_id": "lan", "name": "LAN", "host_peer": host}),
    );
    alice.await_type("party_update");
    let heartbeat = json!({"type": "heartbeat", "party_id": "lan", "peer_id": "alice"});
    let mut stranger = Ws::plain(server.address());
    stranger.send(heartbeat.clone());
    stranger.await_type("error");
    drop(alice);
    let mut alice = Ws::plain(server.address());
    let back = std::iter::repeat_with(|| {
        alice.send(heartbeat.clone());
        alice.frame().expect("an answer")
    });
    // Until the server knows that the other connection is gone, it is refused.
    let back = back.into_iter().find(|frame| frame["type"] == "party_update");
    assert_eq!(back.expect("its party")["party"]["host_id"], "alice");
    // It has shown nothing, and can do nothing that a stranger could harm it by.
    alice.send(json!({"type": "leave_party", "party_id": "lan", "peer_id": "alice"}));
    alice.await_type("error");
    alice.send(json!({"type": "join_party", "party_id": "lan", "peer": announced("alice")}));
    alice.await_type("error");
    let (mut bob, _) = Ws::hello(server.address(), "bob", None);
    bob.ask(json!({"type": "join_party", "party_id": "lan", "peer": announced("bob")}));
    assert_eq!(alice.await_type("peer_joined")["peer"]["peer_id"], "bob");
}

#[test]
fn lanrage_client_from_another_address_keeps_no_membership() {
    let server = Setup::server().config("[http]\nbehind_proxy = ['127.0.0.1']\n").start();
    let auth = json!({"type": "auth", "version": "1.0", "client": "lanrage", "peer_id": null});
    let from = |client| {
        let mut ws = Ws::connect_for(server.address(), Some(client));
        ws.send(auth.clone());
        ws
    };
    let mut alice = from("192.0.2.1");
    let host = announced("alice");
    alice.send(
        json!({"type": "register_party", "party_id": "lan", "name": "LAN", "host_peer": host}),
    );
    alice.await_type("party_update");
    drop(alice);
    let heartbeat = json!({"type": "heartbeat", "party_id": "lan", "peer_id": "alice"});
    let mut alice = from("192.0.2.1");
    let back = std::iter::repeat_with(|| {
        alice.send(heartbeat.clone());
        alice.frame().expect("an answer")
    });
    back.into_iter().find(|frame| frame["type"] == "party_update").expect("its party");
    let mut stranger = from("192.0.2.2");
    stranger.send(heartbeat);
    assert_eq!(stranger.frame().expect("an answer")["type"], "error");
}

#[test]
fn last_change_outlives_damage_after_a_stop() {
    let server = Setup::server().start();
    let mut alice = Http::registered(server.address(), "alice");
    let party = alice.party("alice");
    let (setup, status) = server.stop();
    assert!(status.success());
    let database = setup.state_dir().join("server.db");
    let mut bytes = std::fs::read(&database).expect("the database");
    bytes[..4096].fill(7);
    std::fs::write(&database, bytes).expect("damage");
    let server = setup.start();
    let mut again = server.http();
    again.token = alice.token;
    assert_eq!(again.get(&format!("/parties/{party}")).ok()["party"]["host_id"], "alice");
}

#[test]
fn party_removed_has_the_next_seq() {
    let server = Setup::server().start();
    let (mut alice, _) = Ws::hello(server.address(), "alice", None);
    let register = json!({"type": "register_party", "party_id": "lan", "name": "LAN", "host_peer": announced("alice")});
    alice.ask(register);
    let mut guests = ["bob", "cleo", "dan"].map(|id| {
        let (mut guest, _) = Ws::hello(server.address(), id, None);
        guest.ask(json!({"type": "join_party", "party_id": "lan", "peer": announced(id)}));
        guest
    });
    alice.ask(json!({"type": "leave_party", "party_id": "lan", "peer_id": "alice"}));
    // Registered with 1, and three joined.
    for guest in &mut guests {
        assert_eq!(guest.await_type("party_removed")["seq"], 5);
    }
}
