//! A server that greets correctly and then sends nonsense. It does so on a signal to it, before its
//! answer to that: with the answer, the daemon has processed all of it.

use serde_json::{Value, json};
use tungstenite::Message;

use super::play::{OURS, Play, joined, party};
use super::trial::{PARTY, Trial};
use crate::harness::{BadServer, Behaviour, Random, Step};

fn left(seq: u64, id: &str) -> Value {
    json!({"type": "peer_left", "party_id": PARTY, "peer_id": id, "epoch": "epoch-1", "seq": seq})
}

/// A frame with something else at a place.
fn with(mut frame: Value, pointer: &str, value: Value) -> Value {
    *frame.pointer_mut(pointer).expect("that place") = value;
    frame
}

#[test]
fn malformed_frames_are_skipped_up_to_a_limit() {
    let mut play = Play::begin();
    let mut random = Random(1);
    let bytes: Vec<u8> = (0..256).map(|_| random.next().to_le_bytes()[0]).collect();
    let nonsense = [
        Message::text("{"),
        Message::text(""),
        Message::text("null"),
        Message::text("[]"),
        Message::text(r#"{"type":7}"#),
        Message::text(format!("{}1{}", "[".repeat(5000), "]".repeat(5000))),
        Message::binary(bytes),
    ];
    for junk in &nonsense {
        play.send(vec![junk.clone()]);
        play.nothing_changed();
    }
    for (junk, words) in [(&nonsense[0], "line 1"), (&nonsense[6], "binary")] {
        play.send(vec![junk.clone(); 10_000]);
        play.lost(&["not understood", words]);
    }
    play.end();
}

#[test]
fn frames_of_a_newer_server_are_skipped() {
    let mut play = Play::begin();
    let frames: Vec<_> = (0..10_000).map(|n| json!({"type": format!("new-{n}"), "n": n})).collect();
    play.send_frames(&frames);
    play.nothing_changed();
    play.end();
}

#[test]
fn messages_are_read_at_a_bounded_rate() {
    let mut play = Play::begin();
    let told = |play: &Play| {
        play.warnings().iter().filter(|line| line.contains("messages a second")).count()
    };
    // A slow machine reads the first ones slower than the bound, and uses up the burst later.
    for _ in 0..20 {
        play.send(vec![Message::text(r#"{"type":"new"}"#); 24_000]);
        play.nothing_changed();
        if told(&play) > 0 {
            break;
        }
    }
    assert_eq!(told(&play), 1, "{}", play.log());
    play.end();
}

#[test]
fn ids_that_urls_lose_are_refused() {
    let mut play = Play::begin();
    let crowd = |id| party(3, "h", &[OURS[0], OURS[1], (id, "10.66.0.3")]);
    let stray = json!({"type": "signal", "party_id": PARTY, "from_peer_id": "..",
        "to_peer_id": "g", "signal_data": {}});
    for frame in [crowd("."), crowd(".."), joined(3, "..", "10.66.0.3"), stray] {
        play.send_frames(&[frame]);
        play.nothing_changed();
    }
    let polled = play.client.call("signal.poll", json!({"party_id": PARTY, "peer_id": "g"}));
    assert_eq!(polled["signals"].as_array().map(Vec::len), Some(0), "{polled}");
    assert!(play.log().contains("peer_id: must not be . or .."), "{}", play.log());
    play.end();
}

#[test]
fn message_over_the_size_limit_ends_the_connection() {
    let mut play = Play::begin();
    play.send(vec![Message::text("x".repeat(5 << 20))]);
    play.lost(&["bytes", "at most"]);
    play.end();
}

#[test]
fn party_update_with_an_impossible_party_is_skipped() {
    let mut play = Play::begin();
    let good = party(90, "h", &OURS);
    let mut stranger = party(90, "x", &[("x", "10.66.0.1")]);
    stranger["party"]["party_id"] = json!("elsewhere");
    for bad in [
        stranger,
        with(good.clone(), "/party/host_id", json!("nobody")),
        with(good.clone(), "/party/host_id", json!("a b")),
        with(good.clone(), "/party/name", json!("")),
        with(good.clone(), "/party/peers/g/peer_id", json!("a b")),
        with(good.clone(), "/party/peers/g/public_key", json!("k".repeat(129))),
        with(good.clone(), "/party/peers/g/public_port", json!(70_000)),
        with(good.clone(), "/party/peers/g/nat_type", json!("leaky")),
        with(good.clone(), "/party/peers/g/public_ip", json!("999.1.1.1")),
        with(good.clone(), "/party/created_at", json!("yesterday")),
        with(good.clone(), "/virtual_ips/g", json!("somewhere")),
        with(good.clone(), "/seq", json!(-1)),
        with(good, "/epoch", json!("")),
        with(joined(91, "x", "10.66.0.3"), "/peer/last_seen", json!("soon")),
    ] {
        play.send_frames(std::slice::from_ref(&bad));
        assert_eq!(
            play.client.call("connection.get", json!({}))["last_error"],
            json!(null),
            "{bad}"
        );
        play.nothing_changed();
    }
    play.end();
}

#[test]
fn membership_follows_the_server() {
    let mut play = Play::begin();
    play.send_frames(&[left(3, "g")]);
    assert_eq!(play.members(), [("h".to_owned(), "10.66.0.1".to_owned())]);
    // Our host is no member any more, and a stranger is.
    play.send_frames(&[party(4, "x", &[("x", "10.66.0.1"), ("y", "10.66.0.2")])]);
    let code = play.client.refused("party.get", json!({"party_id": PARTY}));
    assert_eq!(code, "party_not_found");
    play.trial.daemon.await_log("of host x in place of h: the local peers leave it");
    play.end();
}

#[test]
fn goaway_delays_the_retry_within_bounds() {
    for (wanted, granted) in [(json!(u64::MAX), 3_600_000), (json!(0), 0)] {
        let script = vec![
            Step::online(),
            Step::send(&json!({"type": "goaway", "retry_after_ms": wanted})),
            Step::Close(1001),
        ];
        let server = BadServer::start(Behaviour::UpgradeThen(script));
        let mut trial = Trial::of(&server.url());
        let lost = trial.is_lost(&["goes away"]);
        // None, once the wait is over.
        let wait = lost["retry_in_ms"].as_u64().unwrap_or_default();
        // What the link adds on its own is at most this much.
        assert!(wait <= granted + 500 && wait + 60_000 > granted, "{lost}");
        server.behave(Behaviour::polite());
        trial.daemon.client().call("connection.retry", json!({}));
        trial.comes_to("online", &[]);
        trial.end();
    }
}
