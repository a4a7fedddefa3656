//! A control server that greets as it should, and then lies about parties and peers.

use serde_json::{Value, json};

use super::bad_frames::{OURS, Play, joined, party};
use super::trial::PARTY;
use crate::harness::{eventually, peer};

/// The description of a peer within a party or beside it.
fn description(peer: &Value) -> Vec<Value> {
    let fields = ["name", "public_key", "nat_type", "public_ip", "public_port", "local_ip"];
    fields.iter().chain(&["local_port"]).map(|field| peer[field].clone()).collect()
}

/// Replaces what a server says of a peer.
fn forge(peer: &mut Value) {
    peer["public_key"] = json!("stolen");
    peer["name"] = json!("Mallory");
    peer["public_ip"] = json!("192.0.2.66");
    peer["public_port"] = json!(666);
    peer["local_ip"] = json!("192.0.2.67");
}

#[test]
fn a_party_that_no_local_peer_asked_for_is_not_followed() {
    let mut play = Play::begin();
    let mut invented = party(90, "x", &[("x", "10.66.0.1"), ("h", "10.66.0.2")]);
    invented["party"]["party_id"] = json!("elsewhere");
    play.send_frames(&[invented]);
    play.nothing_changed();
    // The local peer that is a member there leaves.
    eventually("the local peer's leaving", || {
        let leaves = play.asked("leave_party");
        leaves.iter().any(|frame| frame["party_id"] == "elsewhere").then_some(())
    });
    // Nor is a member taken in that did not ask.
    let mut known = play.another_client();
    known.call(
        "party.register",
        json!({"party_id": "other", "name": "Other", "host": peer("b"), "keepalive": "daemon"}),
    );
    play.send_frames(&[joined(3, "b", "10.66.0.3")]);
    assert_eq!(play.members().len(), OURS.len());
    play.end();
}

#[test]
fn a_local_peer_stays_as_its_program_described_it() {
    // Each answer of the server describes the local peers as it likes.
    let lie = |_: &Value, answers: &mut Vec<Value>| {
        for answer in answers {
            for id in ["h", "g"] {
                if let Some(peer) = answer.pointer_mut(&format!("/party/peers/{id}")) {
                    forge(peer);
                }
            }
        }
    };
    let mut play = Play::lying(Box::new(lie), "");
    let mut updated = joined(3, "g", "10.66.0.2");
    updated["type"] = json!("peer_updated");
    forge(&mut updated["peer"]);
    let mut whole = party(4, "h", &OURS);
    forge(&mut whole["party"]["peers"]["h"]);
    play.send_frames(&[updated, whole]);
    for id in ["h", "g"] {
        let shown = play.client.party(PARTY)["peers"][id].clone();
        assert_eq!(description(&shown), description(&peer(id)), "{shown}");
    }
    // The server is told again what the programs said.
    for id in ["h", "g"] {
        let told = eventually("an update", || {
            play.asked("update_peer").into_iter().find(|frame| frame["peer"]["peer_id"] == id)
        });
        assert_eq!(description(&told["peer"]), description(&peer(id)), "{told}");
    }
    play.end();
}

#[test]
fn a_server_that_insists_on_a_lie_is_corrected_a_few_times() {
    let mut play = Play::begin();
    for seq in 3..63 {
        let mut lie = party(seq, "h", &OURS);
        forge(&mut lie["party"]["peers"]["g"]);
        play.send_frames(&[lie]);
    }
    let shown = play.client.party(PARTY)["peers"]["g"].clone();
    assert_eq!(description(&shown), description(&peer("g")));
    // What was noted of it is told by now, or never at once.
    play.client.call("peer.heartbeat", json!({"party_id": PARTY, "peer_id": "g"}));
    let told = play.asked("update_peer").len();
    assert!((1..=8).contains(&told), "told {told} times");
    play.end();
}
