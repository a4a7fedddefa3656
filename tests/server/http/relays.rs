//! Relays: ownership, order of the list, and expiry.

use serde_json::{Value, json};

use super::{server_with, with};
use crate::harness::{Http, Setup, eventually};

fn relay(id: &str) -> Value {
    json!({"relay_id": id, "public_ip": "198.51.100.7", "port": 51820})
}

fn register(client: &mut Http, id: &str, changes: Value) {
    let registered = client.post("/relays", Some(with(relay(id), changes))).ok();
    assert_eq!(registered, json!({"status": "registered", "relay_id": id}));
}

/// The ids that a list has.
fn listed(client: &mut Http, path: &str) -> Vec<String> {
    let relays = client.get(path).ok()["relays"].take();
    let ids = relays.as_array().expect("relays").iter().map(|relay| &relay["relay_id"]);
    ids.map(|id| id.as_str().expect("an id").to_owned()).collect()
}

#[test]
fn get_relays_sorts_by_region_and_id() {
    let (_server, [mut alice]) = server_with(["alice"]);
    for (id, region) in [("z", "eu"), ("b", "us"), ("a", "us"), ("c", "EU"), ("a.1", "eu")] {
        register(&mut alice, id, json!({"region": region}));
    }
    register(&mut alice, "m", json!({}));
    // Of letters, the large come first; `unknown` is before `us`.
    assert_eq!(listed(&mut alice, "/relays"), ["c", "a.1", "z", "m", "a", "b"]);
}

#[test]
fn get_relays_of_a_region_matches_it_letter_for_letter() {
    let (_server, [mut alice]) = server_with(["alice"]);
    for (id, region) in [("1", "eu"), ("2", "EU"), ("3", "São Paulo"), ("4", "a/b")] {
        register(&mut alice, id, json!({"region": region}));
    }
    register(&mut alice, "5", json!({}));
    for (path, ids) in [
        ("/relays/eu", &["1"][..]),
        ("/relays/EU", &["2"]),
        ("/relays/Eu", &[]),
        ("/relays/e", &[]),
        ("/relays/S%C3%A3o%20Paulo", &["3"]),
        ("/relays/unknown", &["5"]),
    ] {
        assert_eq!(listed(&mut alice, path), ids, "{path}");
    }
    let long = format!("/relays/{}", "x".repeat(101));
    assert_eq!(listed(&mut alice, &long), Vec::<String>::new());
    // A slash is no part of a path's parameter, however it is written.
    assert_eq!(alice.get("/relays/a%2Fb").detail(404), "Not Found");
}

#[test]
fn post_relays_of_a_registered_id_is_for_its_owner_alone() {
    let (server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    register(&mut alice, "r", json!({}));
    let before = alice.get("/relays").ok()["relays"][0].take();
    let change = json!({"public_ip": "2001:db8::1", "port": 0, "region": "eu", "capacity": 0});
    let refused = bob.post("/relays", Some(with(relay("r"), change.clone())));
    assert_eq!(refused.detail(403), "relay r belongs to somebody else");
    assert_eq!(bob.get("/relays").ok()["relays"], json!([before]));
    // With a new token, the owner is still the owner.
    let renewed = alice.post("/auth/register?peer_id=alice", None).ok();
    let mut alice = server.http();
    alice.token = renewed["token"].as_str().map(str::to_owned);
    register(&mut alice, "r", change.clone());
    let after = with(before, change);
    assert_eq!(bob.get("/relays").ok()["relays"], json!([after]));
}

#[test]
fn relay_that_is_silent_expires_and_may_register_again() {
    let setup = Setup::server().config(
        "[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\nrelay_timeout = '30ms'\n\
         [limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n",
    );
    let server = setup.start();
    let [mut alice, mut bob] =
        ["alice", "bob"].map(|peer| Http::registered(server.address(), peer));
    register(&mut alice, "r", json!({}));
    eventually("the relay's end", || listed(&mut alice, "/relays").is_empty().then_some(()));
    // It is nobody's now.
    register(&mut bob, "r", json!({}));
}
