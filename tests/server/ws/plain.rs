//! LANrage's own clients: their frames are understood, and they get no frame that they do not know.

use std::time::Instant;

use serde_json::{Value, json};

use super::mirror::Mirror;
use super::{
    done, guest, heartbeat, host, join, leave, plain_guest, plain_host, register, shapes, signal,
    sync, told, update,
};
use crate::harness::{Setup, Ws, announced};

#[test]
fn plain_client_sees_no_additions_beside_others() {
    let server = Setup::server().start();
    let mut alice = Ws::plain(server.address());
    let mut mirror = Mirror::plain();
    alice.send(register("lan", "alice"));
    mirror.take_until(&mut alice, |frame| frame["type"] == "party_update");
    let (mut bob, token) = guest(&server, "lan", "bob");
    done(&bob.ask(update("lan", "bob", "Robert")));
    done(&bob.ask(signal("lan", "bob", "alice", json!({"sdp": "…", "n": [1, 2.5e3]}))));
    drop(bob);
    let (mut carol, _) = guest(&server, "lan", "carol");
    let (mut bob, _) = Ws::hello(server.address(), "bob", Some(&token));
    alice.send(heartbeat("lan", "alice"));
    let mut bad = join("lan", "bob");
    bad["req_id"] = json!("r1");
    alice.send(bad);
    alice.send(join("nowhere", "alice"));
    done(&carol.ask(leave("lan", "carol")));
    done(&bob.ask(leave("lan", "bob")));
    let heard = alice.settled_plainly();
    mirror.take(&heard);
    let expected = [
        "peer_joined bob",
        "party_update",
        "signal alice",
        "peer_joined carol",
        "error",
        "error",
        "peer_left carol",
        "peer_left bob",
    ];
    // When a refusal comes between what others do is anybody's guess.
    let sorted = |list: Vec<String>| {
        let (errors, news): (Vec<_>, Vec<_>) = list.into_iter().partition(|told| told == "error");
        (errors.len(), news)
    };
    assert_eq!(sorted(told(&heard)), sorted(expected.map(str::to_owned).to_vec()));
    assert_eq!(mirror.parties["lan"].party["peers"].as_object().map(|p| p.len()), Some(1));
    alice.send(leave("lan", "alice"));
    assert_eq!(told(&alice.settled_plainly()), [""; 0]);
}

/// It never waits for an answer.
#[test]
fn plain_client_may_send_all_frames_at_once() {
    let server = Setup::server().start();
    let mut alice = Ws::plain(server.address());
    for frame in [register("lan", "alice"), join("lan", "alice"), heartbeat("lan", "alice")] {
        alice.send(frame);
    }
    alice.send(leave("lan", "alice"));
    alice.send(register("lan", "alice"));
    let heard = alice.settled_plainly();
    assert_eq!(told(&heard), ["party_update"; 3]);
    heard.iter().for_each(shapes::plain);
}

/// An older client sends `hello`, and none sends `caps`; unknown fields are ignored.
#[test]
fn plain_client_of_an_older_version_is_understood() {
    let server = Setup::server().start();
    let mut alice = Ws::connect(server.address());
    alice.send(json!({"type": "hello", "version": "1.0", "client": "lanrage"}));
    let mut frame = register("lan", "alice");
    frame["whatever"] = json!({"more": 1});
    frame["host_peer"]["whatever"] = json!(null);
    alice.send(frame);
    shapes::plain(&alice.await_type("party_update"));
    // The shape that LANrage's server stores.
    alice.send(json!({"type": "join_party", "party_id": "lan", "peer": {
        "peer_id": "alice", "name": "A", "public_key": "key", "nat_type": "open",
        "public_endpoint": "198.51.100.4:4242", "virtual_ip": "10.66.0.77",
    }}));
    let party = alice.await_type("party_update");
    shapes::plain(&party);
    let peer = &party["party"]["peers"]["alice"];
    assert_eq!((&peer["public_ip"], &peer["public_port"]), (&json!("198.51.100.4"), &json!(4242)));
}

#[test]
fn list_relays_of_a_plain_client_is_refused() {
    let server = Setup::server().start();
    let mut alice = plain_host(&server, "lan", "alice");
    let mut relays = json!({"type": "list_relays"});
    alice.send(relays.clone());
    shapes::plain(&alice.await_type("error"));
    relays["req_id"] = json!("r1");
    alice.send(relays);
    shapes::plain(&alice.await_type("error"));
    // The whole party is an answer that it understands.
    let mut frame = sync("lan");
    frame["req_id"] = json!("r2");
    alice.send(frame);
    shapes::plain(&alice.await_type("party_update"));
    assert_eq!(told(&alice.settled_plainly()), [""; 0]);
}

#[test]
fn peer_update_reaches_a_plain_client_as_its_party() {
    let server = Setup::server().start();
    let mut alice = plain_host(&server, "lan", "alice");
    let mut bob = plain_guest(&server, "lan", "bob");
    let mut peer = announced("bob");
    peer["public_port"] = json!(7777);
    bob.send(json!({"type": "update_peer", "party_id": "lan", "peer": peer}));
    bob.settled_plainly();
    let heard = alice.settled_plainly();
    assert_eq!(told(&heard), ["peer_joined bob", "party_update"]);
    heard.iter().for_each(shapes::plain);
    assert_eq!(heard[1]["party"]["peers"]["bob"]["public_port"], 7777);
    // Joining again is such a change, too, and no second arrival.
    peer["public_port"] = json!(8888);
    bob.send(json!({"type": "join_party", "party_id": "lan", "peer": peer}));
    bob.settled_plainly();
    let heard = alice.await_type("party_update");
    assert_eq!(heard["party"]["peers"]["bob"]["public_port"], 8888);
    assert_eq!(told(&alice.settled_plainly()), [""; 0]);
}

fn moved(peer_id: &str, port: usize) -> Value {
    let mut peer = announced(peer_id);
    peer["public_port"] = json!(port);
    json!({"type": "update_peer", "party_id": "lan", "peer": peer})
}

/// Each would be the whole party, to each member.
#[test]
fn peer_updates_reach_a_plain_client_once_a_second() {
    const CHANGES: usize = 60;
    let server = Setup::server().start();
    let mut alice = plain_host(&server, "lan", "alice");
    let mut bob = plain_guest(&server, "lan", "bob");
    alice.await_type("peer_joined");
    let began = Instant::now();
    (1..=CHANGES).for_each(|port| bob.send(moved("bob", port)));
    let is_last = |update: &Value| update["party"]["peers"]["bob"]["public_port"] == json!(CHANGES);
    let mut updates = 1;
    while !is_last(&alice.await_type("party_update")) {
        updates += 1;
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("a short time");
    assert!(updates <= 2 + seconds, "{updates} in {seconds} s");
}

#[test]
fn plain_client_gets_joins_leaves_and_answers_without_delay() {
    let server = Setup::server().config("[ws]\nupdate_interval = \"1h\"\n").start();
    let mut alice = plain_host(&server, "lan", "alice");
    let mut bob = plain_guest(&server, "lan", "bob");
    bob.send(moved("bob", 1));
    assert_eq!(alice.await_type("party_update")["party"]["peers"]["bob"]["public_port"], 1);
    bob.send(moved("bob", 2));
    bob.settled_plainly();
    let mut carol = plain_guest(&server, "lan", "carol");
    carol.send(leave("lan", "carol"));
    carol.settled_plainly();
    let heard = told(&alice.settled_plainly());
    assert_eq!(heard, ["peer_joined bob", "peer_joined carol", "peer_left carol"]);
    // An answer has the newest state, so that nothing is left to be told.
    alice.send(sync("lan"));
    assert_eq!(alice.await_type("party_update")["party"]["peers"]["bob"]["public_port"], 2);
}

#[test]
fn heartbeat_of_a_plain_client_gets_no_answer() {
    let server = Setup::server().start();
    let mut alice = plain_host(&server, "lan", "alice");
    let (mut bob, _) = host(&server, "other", "bob");
    for _ in 0..20 {
        alice.send(heartbeat("lan", "alice"));
    }
    assert_eq!(told(&alice.settled_plainly()), [""; 0]);
    done(&bob.ask(join("lan", "bob")));
    for _ in 0..20 {
        alice.send(heartbeat("lan", "alice"));
    }
    alice.settled_plainly();
    assert_eq!(told(&bob.settled()), ["party_update"], "they are no news to others");
}

/// It refreshes its copies by nothing else, and its program sends no heartbeats over a WebSocket.
#[test]
fn plain_client_gets_its_parties_again_at_intervals() {
    let server = Setup::server().config("[ws]\nrefresh = \"20ms\"\n").start();
    let mut alice = plain_host(&server, "lan", "alice");
    let mut carol = plain_guest(&server, "lan", "carol");
    let (mut bob, _) = guest(&server, "lan", "bob");
    let is_told = |party: &Value, since: Option<&Value>| {
        let seen = |party: &Value| {
            let peers = party["party"]["peers"].as_object().expect("peers").values();
            peers.map(|peer| peer["last_seen"].to_string()).collect::<Vec<_>>()
        };
        let before = since.map_or_else(Vec::new, seen);
        let now = seen(party);
        now.len() == 3 && now.iter().zip(&before).all(|(now, before)| now > before)
    };
    for ws in [&mut alice, &mut carol] {
        let is_update = |frame: &Value| frame["type"] == "party_update";
        let first = ws.await_frame("all", |frame| is_update(frame) && is_told(frame, None));
        shapes::plain(&first);
        ws.await_frame("later", |frame| is_update(frame) && is_told(frame, Some(&first)));
    }
    // Who knows more has numbers to tell what it missed.
    assert_eq!(told(&bob.settled()), [""; 0]);
}
