//! A control server that greets as it should, and then lies about parties and peers.

use serde_json::{Value, json};

use super::play::{OURS, Play, joined, party};
use super::trial::PARTY;
use crate::harness::{announced, eventually, exists, json_file, peer};

/// The description of a peer within a party or beside it.
pub(super) fn description(peer: &Value) -> Vec<Value> {
    let fields = ["name", "public_key", "nat_type", "public_ip", "public_port", "local_ip"];
    fields.iter().chain(&["local_port"]).map(|field| peer[field].clone()).collect()
}

#[test]
fn party_join_answered_with_a_bad_address_is_refused() {
    let lie = |_: &Value, answers: &mut Vec<Value>| {
        for answer in answers {
            if let Some(address) = answer.pointer_mut("/virtual_ips/b") {
                *address = json!("8.8.8.8");
            }
        }
    };
    let mut play = Play::lying(Box::new(lie), "");
    let join = json!({"party_id": PARTY, "peer": peer("b")});
    let error = play.client.error("party.join", join);
    assert_eq!(error["data"]["code"], "server_rejected", "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("8.8.8.8")), "{error}");
    play.nothing_changed();
    // On the server it is no member either.
    eventually("the peer's leaving", || {
        play.asked("leave_party").iter().any(|frame| frame["peer_id"] == "b").then_some(())
    });
    play.end();
}

#[test]
fn copies_are_bounded_by_bytes() {
    let mut play = Play::lying(Box::new(|_, _| ()), "copies_bytes = 65536\n");
    let names: Vec<_> = (0..200).map(|number| format!("x{number}")).collect();
    let addresses: Vec<_> = (0..200).map(|number| format!("10.66.1.{}", number + 1)).collect();
    let strangers =
        names.iter().zip(&addresses).map(|(id, address)| (id.as_str(), address.as_str()));
    let crowd: Vec<_> = OURS.into_iter().chain(strangers).collect();
    play.send_frames(&[party(90, "h", &crowd)]);
    play.nothing_changed();
    assert!(play.log().contains("remote.copies_bytes"), "{}", play.log());
    play.send_frames(&[party(91, "h", &crowd[..12])]);
    assert_eq!(play.members().len(), 12);
    // Nor do members that come one after the other fill it.
    let joins: Vec<_> =
        (12..202).map(|place| joined(80 + place as u64, crowd[place].0, crowd[place].1)).collect();
    play.send_frames(&joins);
    let count = play.members().len();
    assert!((12..64).contains(&count), "{count} members");
    play.end();
}

/// Server's frame about a member with another key.
fn with_key(kind: &str, seq: u64, key: &str) -> Value {
    let mut frame = joined(seq, "x", "10.66.0.3");
    frame["type"] = json!(kind);
    frame["peer"]["public_key"] = json!(key);
    frame
}

/// Subscribes to the party's peers.
fn watch_peers(play: &Play) -> crate::harness::Client {
    let mut watcher = play.another_client();
    watcher.call("events.subscribe", json!({"topics": ["peer"], "party_id": PARTY}));
    watcher
}

/// The next change of a peer that is told, of those of `x`.
fn next_update(watcher: &mut crate::harness::Client) -> Value {
    loop {
        let (kind, data) = watcher.event();
        if kind == "peer.updated" && data["peer"]["peer_id"] == "x" {
            return data;
        }
    }
}

fn trust(play: &mut Play, key: &str) -> Value {
    let params = json!({"party_id": PARTY, "peer_id": "x", "public_key": key});
    play.client.ask("peer.trust", params).expect("an answer")
}

#[test]
fn public_key_that_changed_is_told_and_marked() {
    let mut play = Play::begin();
    let mut watcher = watch_peers(&play);
    play.send_frames(&[with_key("peer_joined", 3, "k1"), with_key("peer_updated", 4, "k2")]);
    let told = next_update(&mut watcher);
    assert_eq!(
        (&told["peer"]["public_key"], &told["key_changed"]),
        (&json!("k2"), &json!({"previous": "k1"}))
    );
    let shown = play.client.party(PARTY)["peers"]["x"].clone();
    assert_eq!(
        (&shown["public_key"], &shown["key_changed"]),
        (&json!("k2"), &json!({"previous": "k1"}))
    );
    let page = play.ctl().text(&format!("party show {PARTY}"));
    let advice = format!("lanragectl peer trust {PARTY} x ");
    assert!(page.contains("key changed") && page.contains(&advice), "{page}");
    // It is remembered over a restart, and while the member is away.
    let mut play = play.restart("");
    play.send_frames(&[party(20, "h", &OURS)]);
    let mut watcher = watch_peers(&play);
    play.send_frames(&[with_key("peer_joined", 21, "k3")]);
    let told = next_update(&mut watcher);
    assert_eq!(told["key_changed"], json!({"previous": "k2"}), "{told}");
    let refused = trust(&mut play, "k2");
    assert_eq!(refused["error"]["data"]["field"], "public_key", "{refused}");
    let trusted = trust(&mut play, "k3");
    assert_eq!(trusted["result"]["peer"]["public_key"], "k3", "{trusted}");
    assert_eq!(trusted["result"]["peer"].get("key_changed"), None, "{trusted}");
    play.end();
}

#[test]
fn public_key_that_changed_is_held_until_it_is_trusted() {
    let mut play = Play::lying(Box::new(|_, _| ()), "on_key_change = 'hold'\n");
    let mut watcher = watch_peers(&play);
    play.send_frames(&[with_key("peer_joined", 3, "k1"), with_key("peer_updated", 4, "k2")]);
    let change = json!({"previous": "k1", "held": "k2"});
    let told = next_update(&mut watcher);
    assert_eq!((&told["peer"]["public_key"], &told["key_changed"]), (&json!("k1"), &change));
    // Nobody here reads the new key.
    let keys = |play: &mut Play| {
        let x = json!({"party_id": PARTY, "peer_id": "x"});
        let subscribed = play.client.call("events.subscribe", json!({"topics": ["party"]}));
        let parties = subscribed["snapshot"]["parties"].as_array().expect("parties").clone();
        let exported = play.client.call("state.export", json!({"format": "lanrage"}));
        [
            play.client.party(PARTY)["peers"]["x"].clone(),
            play.client.call("peer.list", json!({"party_id": PARTY}))["peers"]["x"].clone(),
            play.client.call("peer.discover", x)["peer"].clone(),
            play.client.call("party.list", json!({}))["parties"][0]["peers"]["x"].clone(),
            parties[0]["peers"]["x"].clone(),
            exported["state"]["parties"][PARTY]["peers"]["x"].clone(),
        ]
        .map(|peer| peer["public_key"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(keys(&mut play), ["k1"; 6]);
    let file = play.discovery_file();
    eventually("the old key in the discovery file", || {
        let parties = exists(&file).then(|| json_file(&file))?;
        (parties[PARTY]["peers"]["x"]["public_key"] == "k1").then_some(())
    });
    let page = play.ctl().text(&format!("party show {PARTY}"));
    assert!(page.contains("the old key stays in force"), "{page}");
    let trusted = play.ctl().json(&format!("peer trust {PARTY} x k2"));
    assert_eq!(trusted["peer"]["public_key"], "k2", "{trusted}");
    assert_eq!(keys(&mut play), ["k2"; 6]);
    assert_eq!(next_update(&mut watcher)["peer"]["public_key"], "k2");
    play.end();
}

#[test]
fn copies_over_the_bounds_are_dropped_at_a_restart() {
    // Each party that the server tells has a hundred strangers.
    let lie = |_: &Value, answers: &mut Vec<Value>| {
        for answer in answers.iter_mut().filter(|answer| answer["type"] == "party_update") {
            for number in 1..=100 {
                let id = format!("x{number}");
                answer["party"]["peers"][&id] = announced(&id);
                answer["virtual_ips"][&id] = json!(format!("10.66.1.{number}"));
            }
        }
    };
    let mut play = Play::lying(Box::new(lie), "");
    assert_eq!(play.members().len(), 102);
    let mut play = play.restart("copies_bytes = 65536\n");
    assert!(play.log().contains("are dropped: parties=1"), "{}", play.log());
    let parties = play.client.call("party.list", json!({}))["parties"].clone();
    let peers = |party: &Value| party["peers"].as_object().map_or(0, serde_json::Map::len);
    let count: usize = parties.as_array().expect("parties").iter().map(peers).sum();
    assert!(count <= OURS.len(), "{count} members");
    play.end();
}

#[test]
fn signal_from_a_local_peer_is_taken_only_if_it_sent_one() {
    // The server passes each signal on, and makes up another.
    let lie = |frame: &Value, answers: &mut Vec<Value>| {
        if frame["type"] == "signal" {
            let mut forged = frame.clone();
            forged["signal_data"] = json!("forged");
            answers.splice(0..0, [frame.clone(), frame.clone(), forged]);
        }
    };
    let mut play = Play::lying(Box::new(lie), "");
    let signal = json!({"party_id": PARTY, "from_peer_id": "h", "to_peer_id": "g",
        "signal_data": {"b": 1.00, "a": "x"}});
    for _ in 0..2 {
        play.client.call("signal.send", signal.clone());
    }
    let polled = play.client.call("signal.poll", json!({"party_id": PARTY, "peer_id": "g"}));
    let signals = polled["signals"].as_array().expect("signals");
    assert_eq!(signals.len(), 2, "{polled}");
    for one in signals {
        assert_eq!(
            (&one["from_peer_id"], &one["signal_data"]),
            (&json!("h"), &signal["signal_data"])
        );
    }
    play.end();
}
