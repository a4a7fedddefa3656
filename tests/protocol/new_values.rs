//! Rules that only new values must keep.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Client, Setup, peer};

const DOTS: [&str; 2] = [".", ".."];

fn peer_with(id: &str, field: &str, value: &str) -> Value {
    let mut peer = peer(id);
    peer[field] = json!(value);
    peer
}

/// Asserts that no peer comes in with that value, neither as a host nor as a guest.
fn refuses_peers(client: &mut Client, field: &str, value: &str) {
    let bad = peer_with("bob", field, value);
    for (method, place, params) in [
        ("party.register", "host", json!({"name": "Quake", "host": bad})),
        ("party.join", "peer", json!({"party_id": "p", "peer": bad})),
        ("peer.update", "peer", json!({"party_id": "p", "peer": bad})),
    ] {
        assert_eq!(client.invalid(method, params), format!("{place}.{field}"), "{value:?}");
    }
}

#[test]
fn ids_of_dots_are_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    for id in DOTS {
        refuses_peers(&mut client, "peer_id", id);
        let register = json!({"name": "Quake", "host": peer("ann"), "party_id": id});
        assert_eq!(client.invalid("party.register", register), "party_id");
        let relay = json!({"relay_id": id, "public_ip": "::1", "port": 1});
        assert_eq!(client.invalid("relay.register", relay), "relay_id");
        // What an earlier version stored can be looked up, and can leave.
        let member = json!({"party_id": id, "peer_id": id});
        for method in ["party.leave", "peer.discover", "peer.heartbeat"] {
            assert_eq!(client.refused(method, member.clone()), "party_not_found", "{method}");
        }
    }
    client.register("...", "-..");
    assert_eq!(client.party("...")["host_id"], "-..");
}

#[test]
fn name_without_a_visible_character_is_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "bob");
    for name in [" ", "\u{a0}\u{3000}", "\u{200b}", "\u{202e}\u{2066}", "\u{3164}", "\u{2800}"] {
        refuses_peers(&mut client, "name", name);
        let register = json!({"name": name, "host": peer("ann")});
        assert_eq!(client.invalid("party.register", register), "name");
        let relay = json!({"relay_id": "r", "public_ip": "::1", "port": 1, "region": name});
        assert_eq!(client.invalid("relay.register", relay), "region");
    }
    // Among visible ones, characters that join or direct others are part of how people write.
    for name in ["👩\u{200d}🚀", "می\u{200c}خواهم", " a "] {
        let params = json!({"party_id": "p", "peer": peer_with("bob", "name", name)});
        assert_eq!(client.call("peer.update", params)["peer"]["name"], name);
    }
}

#[test]
fn public_key_with_hidden_characters_is_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "bob");
    for key in
        ["a\u{202e}b", "\u{feff}a", "a\u{ad}", "a\u{200b}", "a\u{e0041}", "a\u{2028}b", "\u{e000}"]
    {
        refuses_peers(&mut client, "public_key", key);
    }
}

/// A party as LANrage has it.
fn announced(id: &str, peers: &[Value], created_at: &str) -> Value {
    let member = |peer: &Value| {
        let mut peer = peer.clone();
        if peer.get("last_seen").is_none() {
            peer["last_seen"] = json!("2026-01-02T03:04:05");
        }
        (peer["peer_id"].as_str().expect("an id").to_owned(), peer)
    };
    let members: serde_json::Map<_, _> = peers.iter().map(member).collect();
    json!({
        "party_id": id, "name": "Theirs", "host_id": peers[0]["peer_id"], "peers": members,
        "created_at": created_at,
    })
}

const TIME: &str = "2026-01-02T03:04:05";

#[test]
fn state_import_checks_new_values() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let ann = peer("ann");
    let mut unseen = peer("carl");
    unseen["last_seen"] = json!("-000001-01-01T00:00:00");
    let guests = [
        ann.clone(),
        peer(".."),
        peer_with("bob", "name", " "),
        unseen,
        peer_with("eve", "public_key", "\u{202e}"),
    ];
    let mut parties = json!({
        "a": announced("a", &guests, TIME),
        ".": announced(".", std::slice::from_ref(&ann), TIME),
        "b": announced("b", &[peer("..")], TIME),
        "early": announced("early", std::slice::from_ref(&ann), "0001-01-01T00:00:00+14:00"),
        "late": announced("late", std::slice::from_ref(&ann), "9999-12-31T23:59:59-12:00"),
        "minus": announced("minus", std::slice::from_ref(&ann), "-000001-01-01T00:00:00Z"),
        "first": announced("first", std::slice::from_ref(&ann), "0001-01-01T00:00:00Z"),
    });
    parties["c"] = announced("c", std::slice::from_ref(&ann), TIME);
    parties["c"]["name"] = json!("\u{200b}");
    let state = json!({"parties": parties});
    let counts = client.call("state.import", json!({"state": state, "mode": "merge"}));
    let rejected: Vec<_> = counts["rejected"].as_array().expect("a list").iter().collect();
    let mut named: Vec<_> = rejected
        .iter()
        .map(|one| {
            let reason = one["reason"].as_str().expect("a reason");
            let field = reason.split(':').next().unwrap_or_default();
            (one["party_id"].as_str().unwrap_or(""), one["peer_id"].as_str().unwrap_or(""), field)
        })
        .collect();
    named.sort_unstable();
    let expected = [
        (".", "", "party_id"),
        ("a", "..", "peer_id"),
        ("a", "bob", "name"),
        ("a", "carl", "last_seen"),
        ("a", "eve", "public_key"),
        ("b", "", "host_id"),
        ("c", "", "name"),
        ("early", "", "created_at"),
        ("late", "", "created_at"),
        ("minus", "", "created_at"),
    ];
    assert_eq!(named, expected, "{counts}");
    assert_eq!((&counts["parties"], &counts["peers"]), (&json!(2), &json!(2)));
    assert_eq!(client.party("first")["created_at"], "0001-01-01T00:00:00.000Z");
}

#[test]
fn party_discover_leaves_out_invalid_new_values() {
    let setup = Setup::new();
    let file = setup.path("discovery.json");
    let ann = std::slice::from_ref(&peer("ann")).to_vec();
    let entries = json!({
        "..": announced("..", &ann, TIME),
        "late": announced("late", &ann, "9999-12-31T23:59:59-12:00"),
        "a": announced("a", &ann, TIME),
    });
    fs::write(&file, entries.to_string()).expect("write the announcements");
    let daemon = setup.arg("--discovery-file").arg(file.to_str().expect("UTF-8")).start();
    let found = daemon.client().call("party.discover", json!({}));
    let ids: Vec<_> = found["parties"].as_array().expect("a list").iter().collect();
    let ids: Vec<_> = ids.iter().map(|party| party["party_id"].as_str()).collect();
    assert_eq!(ids, [Some("a")], "{found}");
}
