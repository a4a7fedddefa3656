//! Exact keys of each route's successful answer.

use serde_json::{Value, json};

use super::{announced_with, is_naive, is_token, server_with, with};
use crate::harness::{announced, keys};

/// Fields of a peer that LANrage's constructor takes.
const PEER: [&str; 9] = [
    "last_seen",
    "local_ip",
    "local_port",
    "name",
    "nat_type",
    "peer_id",
    "public_ip",
    "public_key",
    "public_port",
];
/// Fields of a party that LANrage's constructor takes.
const PARTY: [&str; 5] = ["created_at", "host_id", "name", "party_id", "peers"];

/// Asserts that a peer is as it was announced, with a time.
fn assert_peer(peer: &Value, announced: &Value) {
    assert_eq!(keys(peer), PEER);
    assert!(is_naive(&peer["last_seen"]), "{peer}");
    let timeless = |peer: &Value| with(peer.clone(), json!({"last_seen": null}));
    assert_eq!(timeless(peer), timeless(announced));
}

#[test]
fn auth_register_answer_has_its_exact_keys() {
    let (server, []) = server_with([]);
    let given = server.http().post("/auth/register?peer_id=A-Z_a.b:9", None).ok();
    assert_eq!(keys(&given), ["expires_at", "peer_id", "token"]);
    assert_eq!(given["peer_id"], "A-Z_a.b:9");
    assert!(is_token(&given["token"]) && is_naive(&given["expires_at"]), "{given}");
}

#[test]
fn post_parties_answer_has_its_exact_keys() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let host = announced("alice");
    let created = alice.post("/parties", Some(json!({"name": "Quake", "host_peer_info": host})));
    let created = created.ok();
    assert_eq!(keys(&created), ["epoch", "party", "party_id", "seq", "virtual_ips"]);
    assert_eq!(created["virtual_ips"], json!({"alice": "10.66.0.1"}));
    assert!(created["epoch"].is_string() && created["seq"] == 1, "{created}");
    let party = &created["party"];
    assert_eq!(keys(party), PARTY);
    assert_eq!(party["party_id"], created["party_id"]);
    assert_eq!((&party["name"], &party["host_id"]), (&json!("Quake"), &json!("alice")));
    assert!(is_naive(&party["created_at"]), "{party}");
    assert_eq!(keys(&party["peers"]), ["alice"]);
    assert_peer(&party["peers"]["alice"], &host);
}

#[test]
fn get_parties_and_peers_answers_have_their_exact_keys() {
    let (_server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let party = alice.party("alice");
    let joined = bob.join(&party, "bob").ok();
    assert_eq!(keys(&joined), ["epoch", "party", "seq", "virtual_ips"]);
    let read = alice.get(&format!("/parties/{party}")).ok();
    assert_eq!(keys(&read), keys(&joined));
    let peers = bob.get(&format!("/parties/{party}/peers")).ok();
    assert_eq!(keys(&peers), ["epoch", "peers", "seq", "virtual_ips"]);
    let addresses = json!({"alice": "10.66.0.1", "bob": "10.66.0.2"});
    for reply in [&joined, &read, &peers] {
        assert_eq!(reply["virtual_ips"], addresses);
        assert_eq!((&reply["seq"], &reply["epoch"]), (&json!(2), &joined["epoch"]));
    }
    for reply in [&joined, &read] {
        assert_eq!(keys(&reply["party"]), PARTY);
        assert_eq!(reply["party"]["peers"], peers["peers"]);
    }
    assert_eq!(keys(&peers["peers"]), ["alice", "bob"]);
    for peer in ["alice", "bob"] {
        let one = bob.get(&format!("/parties/{party}/peers/{peer}")).ok();
        assert_eq!(keys(&one), ["peer", "virtual_ips"]);
        assert_eq!(one["virtual_ips"], json!({peer: addresses[peer]}));
        assert_eq!(one["peer"], peers["peers"][peer]);
        assert_peer(&one["peer"], &announced(peer));
    }
}

#[test]
fn heartbeat_and_leave_answers_have_their_exact_keys() {
    let (_server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let party = alice.party("alice");
    bob.join(&party, "bob").ok();
    let beat = format!("/parties/{party}/peers/bob/heartbeat");
    assert_eq!(bob.post(&beat, None).ok(), json!({"status": "ok"}));
    let leave = |peer| format!("/parties/{party}/peers/{peer}");
    assert_eq!(bob.delete(&leave("bob")).ok(), json!({"status": "left"}));
    assert_eq!(alice.delete(&leave("alice")).ok(), json!({"status": "party_deleted"}));
}

/// Peer formats: the one that LANrage's server stores, the one of its client, and their union.
#[test]
fn peer_is_taken_in_both_of_lanranges_shapes() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let own = announced("alice");
    let stored = json!({"peer_id": "alice", "public_key": own["public_key"],
        "nat_type": own["nat_type"], "virtual_ip": "10.66.0.77",
        "public_endpoint": "203.0.113.9:4242", "last_seen": own["last_seen"]});
    let from_stored = json!({"peer_id": "alice", "name": "alice", "public_key": own["public_key"],
        "nat_type": own["nat_type"], "public_ip": "203.0.113.9", "public_port": 4242,
        "local_ip": "unknown", "local_port": 0});
    let endpoint = |text: &str| with(stored.clone(), json!({"public_endpoint": text}));
    let at = |ip: &str, port: u16| {
        with(from_stored.clone(), json!({"public_ip": ip, "public_port": port}))
    };
    let union = announced_with(
        "alice",
        json!({"virtual_ip": "10.66.0.77", "public_endpoint": "198.51.100.1:1"}),
    );
    let unknown = announced_with("alice", json!({"public_ip": "unknown", "public_port": 0}));
    for (sent, expected) in [
        (own.clone(), own.clone()),
        (stored.clone(), from_stored.clone()),
        // For duplicate fields, the client's format counts.
        (union, own.clone()),
        (endpoint("[2001:db8::1]:65535"), at("2001:db8::1", 65_535)),
        (endpoint("unknown"), at("unknown", 0)),
        (
            with(stored.clone(), json!({"name": "Alice"})),
            with(from_stored, json!({"name": "Alice"})),
        ),
        (unknown.clone(), unknown),
    ] {
        let body = json!({"name": "LAN", "host_peer_info": sent});
        let created = alice.post("/parties", Some(body)).ok();
        assert_peer(&created["party"]["peers"]["alice"], &expected);
        // The server gives the addresses, whatever the peer would like.
        assert_eq!(created["virtual_ips"], json!({"alice": "10.66.0.1"}));
    }
}

#[test]
fn nat_type_of_each_kind_is_told_as_it_was_sent() {
    let (_server, [mut alice]) = server_with(["alice"]);
    for nat in
        ["open", "full_cone", "restricted_cone", "port_restricted_cone", "symmetric", "unknown"]
    {
        let host = announced_with("alice", json!({"nat_type": nat}));
        let created = alice.post("/parties", Some(json!({"name": "LAN", "host_peer_info": host})));
        assert_eq!(created.ok()["party"]["peers"]["alice"]["nat_type"], nat);
    }
}

#[test]
fn probes_and_metrics_answer_with_their_content_types() {
    let (server, [mut alice]) = server_with(["alice"]);
    alice.party("alice");
    let mut http = server.http();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(http.get(path).ok(), json!({"status": "ok"}), "{path}");
    }
    let metrics = http.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let counts = |line: &str| line.contains("parties") && line.ends_with(" 1");
    assert!(metrics.text().lines().any(counts), "{}", metrics.text());
    let docs = http.get("/docs");
    assert_eq!(docs.status, 200);
    let loads = ["src=\"http", "href=\"http", "src='http", "href='http", "url(http", "@import"];
    assert!(!loads.iter().any(|load| docs.text().contains(load)), "the page loads from others");
    let policy = docs.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'none'") || policy.contains("default-src 'self'"),
        "{policy}"
    );
    let openapi = http.get("/openapi.json").ok();
    for path in
        ["/", "/auth/register", "/parties", "/parties/{party_id}/peers/{peer_id}", "/relays"]
    {
        assert!(openapi["paths"].get(path).is_some(), "{path}");
    }
}
