//! Keepalives of members, and their visibility to others.

use serde_json::{Value, json};

use crate::harness::{Client, Setup, peer};

fn join(client: &mut Client, party: &str, id: &str, keepalive: &str) {
    let params = json!({"party_id": party, "peer": peer(id), "keepalive": keepalive});
    client.call("party.join", params);
}

/// The next event that tells that a member changed: whose, in which party, and the member.
fn updated(client: &mut Client) -> (String, Value) {
    let (kind, mut data) = client.event();
    assert_eq!(kind, "peer.updated");
    (data["party_id"].as_str().expect("a party").to_owned(), data["peer"].take())
}

#[test]
fn keepalive_connection_lasts_while_the_connection_is_open() {
    let daemon = Setup::new().start();
    let (mut watcher, mut ann) = (daemon.client(), daemon.client());
    ann.register("p", "ann");
    watcher.call("events.subscribe", json!({"topics": ["peer"]}));
    assert_eq!(watcher.party("p")["peers"]["ann"]["connected"], true);
    drop(ann);
    let (_, peer) = updated(&mut watcher);
    assert_eq!((&peer["peer_id"], &peer["connected"]), (&json!("ann"), &json!(false)));
    let party = watcher.party("p");
    assert_eq!((&party["peers"]["ann"], &party["seq"]), (&peer, &json!(2)));

    // A heartbeat alone does not connect it; joining again does.
    let mut ann = daemon.client();
    ann.call("peer.heartbeat", json!({"party_id": "p", "peer_id": "ann"}));
    assert_eq!(watcher.party("p")["peers"]["ann"]["connected"], false);
    ann.join("p", "ann");
    let (_, peer) = updated(&mut watcher);
    assert_eq!((&peer["connected"], &peer["virtual_ip"]), (&json!(true), &json!("10.66.0.1")));
}

#[test]
fn keepalive_follows_the_last_connection_that_joined() {
    let daemon = Setup::new().start();
    let (mut watcher, mut first, mut second) = (daemon.client(), daemon.client(), daemon.client());
    first.register("p", "ann");
    second.join("p", "ann");
    watcher.join("p", "zoe");
    join(&mut first, "p", "bob", "connection");
    watcher.call("events.subscribe", json!({"topics": ["peer"]}));
    drop(first);
    assert_eq!(updated(&mut watcher).1["peer_id"], "bob");
    drop(second);
    assert_eq!(updated(&mut watcher).1["peer_id"], "ann");
}

#[test]
fn keepalive_of_a_closed_connection_ends_in_all_parties() {
    let daemon = Setup::new().start();
    let (mut watcher, mut ann) = (daemon.client(), daemon.client());
    for party in ["p", "q", "r"] {
        watcher.register(party, "zoe");
        ann.join(party, "ann");
    }
    ann.call("party.leave", json!({"party_id": "q", "peer_id": "ann"}));
    watcher.call("events.subscribe", json!({"topics": ["peer"]}));
    drop(ann);
    assert_eq!(updated(&mut watcher).0, "p");
    assert_eq!(updated(&mut watcher).0, "r");
    for (party, members) in [("p", 2), ("q", 1), ("r", 2)] {
        let party = watcher.party(party);
        assert_eq!(party["peers"].as_object().map(serde_json::Map::len), Some(members));
        assert_eq!(party["peers"]["zoe"]["connected"], true);
    }
    watcher.call("party.leave", json!({"party_id": "p", "peer_id": "ann"}));
    assert_eq!(watcher.party("r")["peers"]["ann"]["connected"], false);
}

#[test]
fn keepalive_daemon_and_heartbeats_need_no_connection() {
    let daemon = Setup::new().start();
    let (mut watcher, mut client) = (daemon.client(), daemon.client());
    watcher.register("p", "host");
    for (id, keepalive) in [("daemon", "daemon"), ("manual", "manual"), ("own", "connection")] {
        join(&mut client, "p", id, keepalive);
    }
    watcher.call("events.subscribe", json!({"topics": ["peer"]}));
    drop(client);
    // They go silent in the order of their ids: that of `own` alone is told.
    assert_eq!(updated(&mut watcher).1["peer_id"], "own");
    let before = watcher.party("p")["peers"].take();
    for (id, connected) in [("daemon", true), ("manual", true), ("own", false)] {
        assert_eq!(before[id]["connected"], connected, "{id}");
    }
    // The daemon's is seen at every look, as soon as the clock has moved; the others are not.
    let looks = (0..100_000).map(|_| watcher.party("p")["peers"].take());
    let after = looks.into_iter().find(|after| after["daemon"] != before["daemon"]);
    let after = after.expect("a fresh last_seen");
    assert_eq!((&after["manual"], &after["own"]), (&before["manual"], &before["own"]));
    watcher.call("peer.heartbeat", json!({"party_id": "p", "peer_id": "manual"}));
    assert_ne!(watcher.party("p")["peers"]["manual"]["last_seen"], before["manual"]["last_seen"]);
    // What keeps a member alive may be changed by joining again.
    join(&mut watcher, "p", "own", "daemon");
    assert_eq!(updated(&mut watcher).1["connected"], true);
}
