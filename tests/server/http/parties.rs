//! The life of parties.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{announced_with, server_with};
use crate::harness::{Http, Setup, announced, assert_chosen_id, eventually};

fn join_as(client: &mut Http, party: &str, peer: Value) -> Value {
    let body = json!({"party_id": party, "peer_info": peer});
    client.post(&format!("/parties/{party}/join"), Some(body)).ok()
}

fn leave(client: &mut Http, party: &str, peer: &str) -> Value {
    client.delete(&format!("/parties/{party}/peers/{peer}")).ok()["status"].take()
}

#[test]
fn post_parties_chooses_an_unguessable_id() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let body = json!({"name": "LAN", "party_id": "mine", "host_peer_info": announced("alice")});
    let create = |_| {
        let created = alice.post("/parties", Some(body.clone())).ok();
        let id = created["party_id"].as_str().expect("an id").to_owned();
        assert_eq!(created["party"]["party_id"], id);
        assert_chosen_id(&id);
        id
    };
    let ids: BTreeSet<String> = (0..32).map(create).collect();
    assert_eq!(ids.len(), 32);
    assert_eq!(alice.get("/parties/mine").status, 404);
}

#[test]
fn post_join_again_updates_the_peer_and_keeps_its_address() {
    let (_server, [mut alice, mut bob, mut carol]) = server_with(["alice", "bob", "carol"]);
    let party = alice.party("alice");
    bob.join(&party, "bob").ok();
    carol.join(&party, "carol").ok();
    let changed = json!({"name": "Robert", "public_key": "bmV3", "nat_type": "symmetric",
        "public_ip": "198.51.100.99", "public_port": 1, "local_ip": "10.0.0.9", "local_port": 2});
    let joined = join_as(&mut bob, &party, announced_with("bob", changed.clone()));
    let read = alice.get(&format!("/parties/{party}")).ok();
    for reply in [&joined, &read] {
        for (key, value) in changed.as_object().expect("fields") {
            assert_eq!(reply["party"]["peers"]["bob"][key], *value);
        }
        let addresses = json!({"alice": "10.66.0.1", "bob": "10.66.0.2", "carol": "10.66.0.3"});
        assert_eq!(reply["virtual_ips"], addresses);
        assert_eq!(reply["seq"], 4);
    }
    // The host may say something else of itself, too.
    let host = announced_with("alice", json!({"public_key": "aG9zdA=="}));
    let joined = join_as(&mut alice, &party, host);
    assert_eq!(joined["party"]["peers"]["alice"]["public_key"], "aG9zdA==");
    assert_eq!(joined["party"]["host_id"], "alice");
}

#[test]
fn seq_counts_each_change_and_no_heartbeat() {
    let (_server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let party = alice.party("alice");
    let path = format!("/parties/{party}");
    let mut seq = || alice.get(&path).ok()["seq"].as_u64().expect("a number");
    assert_eq!(seq(), 1);
    bob.join(&party, "bob").ok();
    assert_eq!(seq(), 2);
    for _ in 0..3 {
        bob.post(&format!("{path}/peers/bob/heartbeat"), None).ok();
    }
    assert_eq!(seq(), 2);
    assert_eq!(leave(&mut bob, &party, "bob"), "left");
    assert_eq!(seq(), 3);
}

#[test]
fn post_join_adds_a_peer_to_several_parties() {
    let (_server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let parties = [alice.party("alice"), alice.party("alice"), bob.party("bob")];
    for party in &parties[..2] {
        bob.join(party, "bob").ok();
    }
    alice.join(&parties[2], "alice").ok();
    assert_eq!(leave(&mut bob, &parties[0], "bob"), "left");
    let mut members = |party: &str| {
        let peers = alice.get(&format!("/parties/{party}/peers")).ok()["peers"].take();
        peers.as_object().expect("peers").keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(members(&parties[0]), ["alice"]);
    assert_eq!(members(&parties[1]), ["alice", "bob"]);
    assert_eq!(members(&parties[2]), ["alice", "bob"]);
}

#[test]
fn delete_of_the_host_ends_the_party_for_all() {
    let (server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let party = alice.party("alice");
    let other = bob.party("bob");
    bob.join(&party, "bob").ok();
    assert_eq!(leave(&mut alice, &party, "alice"), "party_deleted");
    let gone = format!("Party {party} not found");
    for (client, peer) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        let path = format!("/parties/{party}");
        let answers = [
            client.get(&path),
            client.get(&format!("{path}/peers")),
            client.get(&format!("{path}/peers/{peer}")),
            client.post(&format!("{path}/peers/{peer}/heartbeat"), None),
            client.delete(&format!("{path}/peers/{peer}")),
            client.join(&party, peer),
        ];
        for answer in answers {
            assert_eq!(answer.detail(404), gone);
        }
    }
    // What else they are in is as it was.
    bob.get(&format!("/parties/{other}")).ok();
    let told = server.http().get("/").ok();
    assert_eq!((&told["parties"], &told["peers"]), (&json!(1), &json!(1)));
}

#[test]
fn delete_of_a_member_keeps_the_addresses_of_the_others() {
    let (_server, [mut alice, mut bob, mut carol]) = server_with(["alice", "bob", "carol"]);
    let party = alice.party("alice");
    bob.join(&party, "bob").ok();
    carol.join(&party, "carol").ok();
    leave(&mut bob, &party, "bob");
    let peers = alice.get(&format!("/parties/{party}/peers")).ok();
    assert_eq!(peers["virtual_ips"], json!({"alice": "10.66.0.1", "carol": "10.66.0.3"}));
    assert_eq!(alice.get(&format!("/parties/{party}/peers/bob")).detail(404), "Peer bob not found");
}

#[test]
fn post_join_over_the_parties_of_a_peer_is_refused() {
    let server = Setup::server().config("[limits]\nparties_per_peer = 2\n").start();
    let [mut alice, mut bob] =
        ["alice", "bob"].map(|peer| Http::registered(server.address(), peer));
    let first = alice.party("alice");
    let second = alice.party("alice");
    let third = bob.party("bob");
    let body = json!({"name": "LAN", "host_peer_info": announced("alice")});
    for refused in [alice.post("/parties", Some(body.clone())), alice.join(&third, "alice")] {
        let words = refused.detail(409);
        assert!(words.as_str().is_some_and(|words| words.contains('2')), "{words}");
    }
    // One that it is in already takes no place.
    alice.join(&first, "alice").ok();
    leave(&mut alice, &second, "alice");
    alice.join(&third, "alice").ok();
    assert_eq!(alice.post("/parties", Some(body)).status, 409);
}

#[test]
fn post_join_of_a_full_party_is_refused() {
    let server = Setup::server().config("[limits]\npeers_per_party = 2\n").start();
    let [mut alice, mut bob, mut carol] =
        ["alice", "bob", "carol"].map(|peer| Http::registered(server.address(), peer));
    let party = alice.party("alice");
    bob.join(&party, "bob").ok();
    let words = carol.join(&party, "carol").detail(409);
    assert!(words.as_str().is_some_and(|words| words.contains('2')), "{words}");
    bob.join(&party, "bob").ok();
    leave(&mut bob, &party, "bob");
    carol.join(&party, "carol").ok();
}

#[test]
fn member_without_heartbeats_expires() {
    let setup = Setup::server().config(
        "[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\npeer_timeout = '30ms'\n\
         [limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n",
    );
    let server = setup.start();
    let [mut alice, mut bob] =
        ["alice", "bob"].map(|peer| Http::registered(server.address(), peer));
    let party = alice.party("alice");
    let path = format!("/parties/{party}");
    // The host may be gone by now; then so is the party.
    bob.join(&party, "bob");
    eventually("the party's end", || (alice.get(&path).status == 404).then_some(()));
    assert_eq!(alice.get(&path).detail(404), format!("Party {party} not found"));
    assert_eq!(bob.post(&format!("{path}/peers/bob/heartbeat"), None).status, 404);
    // Its peers are still who they are.
    alice.get("/relays").ok();
}
