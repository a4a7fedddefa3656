//! Exact keys of each frame.

use serde_json::Value;

use crate::harness::keys;

const PARTY: [&str; 5] = ["created_at", "host_id", "name", "party_id", "peers"];
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
const BESIDE: [&str; 4] = ["connected", "epoch", "seq", "virtual_ips"];

/// Asserts that a frame is one that LANrage's clients know, with no key more or less.
#[track_caller]
pub(super) fn plain(frame: &Value) {
    let expected: &[&str] = match frame["type"].as_str().expect("a type") {
        "party_update" => &["party"],
        "peer_joined" => &["party_id", "peer"],
        "peer_left" => &["party_id", "peer_id"],
        "signal" => &["from_peer_id", "party_id", "signal_data", "to_peer_id"],
        "error" => &["message"],
        other => panic!("LANrage's clients know no {other}: {frame}"),
    };
    assert_keys(frame, &[expected, &["type"]].concat());
    inner(frame);
}

/// Asserts that a frame has all that one has for clients with the additions, and nothing more.
#[track_caller]
pub(super) fn full(frame: &Value) {
    let has = |key: &'static str| frame.get(key).is_some().then_some(key);
    let expected = match frame["type"].as_str().expect("a type") {
        "party_update" => [&["party"], &BESIDE[..]].concat(),
        "peer_joined" | "peer_updated" => [&["party_id", "peer"], &BESIDE[..]].concat(),
        "peer_left" => vec!["party_id", "peer_id", "epoch", "seq"],
        "party_removed" => vec!["party_id", "reason", "epoch", "seq"],
        "signal" => vec!["from_peer_id", "party_id", "signal_data", "to_peer_id"],
        "error" => {
            let maybe = [has("req_id"), has("retry_after_ms")];
            maybe.into_iter().flatten().chain(["code", "message"]).collect()
        }
        "welcome" => {
            let expected = ["epoch", "heartbeat_ms", "peer_id", "session", "token"];
            has("token_expires_at").into_iter().chain(expected).collect()
        }
        "ack" => vec!["epoch", "req_id", "result", "seq"],
        "goaway" => vec!["retry_after_ms"],
        other => panic!("no frame of the server: {other}: {frame}"),
    };
    assert_keys(frame, &[&expected[..], &["type"]].concat());
    inner(frame);
    about_its_peers(frame);
}

/// Asserts that the extensions of a frame concern only its own peers.
#[track_caller]
fn about_its_peers(frame: &Value) {
    let Some(addresses) = frame.get("virtual_ips") else { return };
    let expected = match frame.get("party") {
        Some(party) => keys(&party["peers"]),
        None => vec![frame["peer"]["peer_id"].as_str().expect("an id")],
    };
    assert_eq!(keys(addresses), expected, "{frame}");
    assert_eq!(keys(&frame["connected"]), expected, "{frame}");
}

#[track_caller]
fn inner(frame: &Value) {
    if let Some(party) = frame.get("party") {
        assert_keys(party, &PARTY);
        naive(&party["created_at"]);
        for (id, peer) in party["peers"].as_object().expect("peers") {
            assert_keys(peer, &PEER);
            assert_eq!(peer["peer_id"], *id);
            naive(&peer["last_seen"]);
        }
    }
    if let Some(peer) = frame.get("peer") {
        assert_keys(peer, &PEER);
        naive(&peer["last_seen"]);
    }
}

#[track_caller]
fn assert_keys(object: &Value, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(keys(object), expected, "{object}");
}

/// Time without an offset: with one, LANrage's clients compare incompatible times.
#[track_caller]
fn naive(time: &Value) {
    let text = time.as_str().expect("a time");
    let is_naive = !text.contains(['Z', 'z', '+']) && text.matches('-').count() == 2;
    assert!(is_naive && text.parse::<jiff::civil::DateTime>().is_ok(), "{text}");
}
