//! A hostile control server in seeded combinations, and what holds whatever it sends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::bad_frames::Play;
use super::lies::description;
use crate::harness::{Random, Victim, eventually, is_long_run, json_file, peer};

/// The local peers of each party.
const OURS: [&str; 2] = ["h", "g"];

/// Bytes of copies that the daemon may keep.
const COPIES: usize = 262_144;

/// The keys of members from elsewhere as they were first seen, by party and peer.
type Pins = BTreeMap<(String, String), String>;

#[test]
fn nothing_that_a_server_sends_breaks_a_rule() {
    let (seeds, rounds) = if is_long_run() { (20, 8) } else { (2, 3) };
    for seed in 1..=seeds {
        let policy = if seed % 2 == 0 { "hold" } else { "tell" };
        eprintln!("seed {seed}, {policy}");
        let config = format!("copies_bytes = {COPIES}\non_key_change = '{policy}'\n");
        let mut play = Play::lying(Box::new(|_, _| ()), &config);
        let mut random = Random(seed);
        let mut pins = Pins::new();
        for round in 0..rounds {
            play_round(&mut play, round, &mut random);
            holds(&mut play, round, policy == "hold", &mut pins);
        }
        assert!(play.log().len() < 1 << 20, "the log has {} bytes", play.log().len());
        assert!(!play.log().contains('\u{1b}'), "a control character in the log");
        play.end();
    }
}

/// Has local peers in a party of their own, of which the server lies.
fn play_round(play: &mut Play, round: usize, random: &mut Random) {
    let party_id = party_id(round);
    eventually("a connection", || {
        let connection = play.client.call("connection.get", json!({}));
        if connection["state"] == "online" {
            return Some(());
        }
        play.client.call("connection.retry", json!({}));
        None
    });
    let register = json!({"party_id": party_id, "name": "Quake", "host": peer(OURS[0])});
    play.client.ask("party.register", register).expect("an answer");
    let join = json!({"party_id": party_id, "peer": peer(OURS[1])});
    play.client.ask("party.join", join).expect("an answer");
    let lies = Victim { party_id: &party_id, ours: OURS }.lies(random);
    play.send_about(&party_id, &lies);
}

fn party_id(round: usize) -> String {
    format!("round-{round}")
}

/// What holds of everything that the daemon shows.
fn holds(play: &mut Play, round: usize, is_held: bool, pins: &mut Pins) {
    let asked: BTreeSet<_> = (0..=round).map(party_id).chain(["p".to_owned()]).collect();
    let parties = play.client.call("party.list", json!({}))["parties"].clone();
    let mut members = 0;
    for party in parties.as_array().expect("parties") {
        let id = party["party_id"].as_str().expect("an id");
        // A server may take an id from a party that is registered, which then gets another.
        let is_ours = asked.contains(id) || party["host_id"] == OURS[0];
        assert!(is_ours, "nobody asked for {party}");
        let peers = party["peers"].as_object().expect("peers");
        members += peers.len();
        let addresses: BTreeSet<Ipv4Addr> = peers.values().map(address).collect();
        assert_eq!(addresses.len(), peers.len(), "an address twice: {party}");
        let networks: BTreeSet<_> =
            addresses.iter().map(|one| one.octets()[..2].to_vec()).collect();
        for address in addresses {
            let [first, second, ..] = address.octets();
            let is_carriers = first == 100 && (64..128).contains(&second);
            assert!(address.is_private() || is_carriers, "{address} in {party}");
        }
        assert!(networks.len() <= 2, "more than the subnet and another network: {party}");
        for (peer_id, shown) in peers {
            if OURS.contains(&peer_id.as_str()) {
                assert_eq!(description(shown), description(&peer(peer_id)), "{shown}");
            } else {
                key_is_continuous(id, peer_id, shown, is_held, pins);
            }
        }
    }
    // A party that has ended here has no pins any more.
    let live: BTreeSet<_> = parties
        .as_array()
        .expect("parties")
        .iter()
        .map(|party| party["party_id"].as_str().expect("an id").to_owned())
        .collect();
    pins.retain(|(party_id, _), _| live.contains(party_id));
    assert!(members * 1024 <= COPIES + 64 * 1024, "{members} members");
    if let Ok(metadata) = std::fs::metadata(play.discovery_file()) {
        assert!(metadata.len() < 16 << 20);
        assert!(json_file(&play.discovery_file()).is_object());
    }
}

fn address(peer: &Value) -> Ipv4Addr {
    peer["virtual_ip"].as_str().expect("an address").parse().expect("an address")
}

fn key_is_continuous(party_id: &str, peer_id: &str, shown: &Value, is_held: bool, pins: &mut Pins) {
    let key = shown["public_key"].as_str().expect("a key").to_owned();
    let pinned = match shown["key_changed"]["previous"].as_str() {
        Some(previous) => previous.to_owned(),
        None => key.clone(),
    };
    let first = pins.entry((party_id.to_owned(), peer_id.to_owned())).or_insert(pinned.clone());
    // A party that ended and came back within one round is another party.
    if is_held {
        assert_eq!(key, pinned, "a key in force that nobody accepted: {shown}");
    }
    if *first != pinned {
        *first = pinned;
    }
}
