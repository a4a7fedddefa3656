//! Limits of parties, peers, signals and relays.

use serde_json::{Value, json};

use crate::harness::{Client, Setup, assert_error, peer};

fn join(client: &mut Client, party: &str, id: &str) -> Value {
    let request = client.send("party.join", json!({"party_id": party, "peer": peer(id)}));
    client.reply(request)
}

#[test]
fn party_join_of_a_full_party_is_refused() {
    let daemon = Setup::new().config("[limits]\npeers_per_party = 2").start();
    let mut client = daemon.client();
    client.register("p", "ann");
    client.join("p", "bob");
    assert_error(&join(&mut client, "p", "carl")["error"], "party_full");
    assert_eq!(client.party("p")["seq"], 2);
    // A member may join again, and who leaves makes room.
    client.join("p", "bob");
    client.call("party.leave", json!({"party_id": "p", "peer_id": "bob"}));
    assert_eq!(client.join("p", "carl")["peers"]["carl"]["virtual_ip"], "10.66.0.2");
}

#[test]
fn party_join_is_refused_at_the_default_number_of_peers() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "peer0");
    for number in 1..64 {
        client.join("p", &format!("peer{number}"));
    }
    assert_error(&join(&mut client, "p", "peer64")["error"], "party_full");
    let mut addresses: Vec<_> = client.party("p")["peers"]
        .as_object()
        .expect("peers")
        .values()
        .map(|peer| peer["virtual_ip"].as_str().expect("an address").to_owned())
        .collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 64);
}

#[test]
fn party_join_over_the_parties_of_a_peer_is_refused() {
    let daemon = Setup::new().config("[limits]\nparties_per_peer = 2").start();
    let mut client = daemon.client();
    client.register("p", "ann");
    client.register("q", "bob");
    client.join("q", "ann");
    client.register("r", "carl");
    let error = join(&mut client, "r", "ann")["error"].take();
    assert_error(&error, "rate_limited");
    let params = json!({"name": "Quake", "host": peer("ann")});
    assert_error(&client.error("party.register", params), "rate_limited");
    client.join("q", "ann");
    client.call("party.leave", json!({"party_id": "p", "peer_id": "ann"}));
    client.join("r", "ann");
    assert_eq!(client.call("party.list", json!({}))["parties"].as_array().map(Vec::len), Some(2));
}

#[test]
fn party_and_relay_register_over_the_total_are_refused() {
    let daemon = Setup::new().config("[limits]\nparties = 2\nrelays = 1").start();
    let mut client = daemon.client();
    client.register("p", "ann");
    client.register("q", "ann");
    let params = json!({"name": "Quake", "host": peer("ann")});
    assert_error(&client.error("party.register", params), "rate_limited");
    let relay = |id: &str| json!({"relay_id": id, "public_ip": "::1", "port": 1});
    client.call("relay.register", relay("r"));
    assert_error(&client.error("relay.register", relay("s")), "rate_limited");
    client.call("relay.register", relay("r"));
}

#[test]
fn signal_send_to_a_full_queue_is_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    client.join("p", "bob");
    let signal = |to: &str, data: u64| json!({"party_id": "p", "from_peer_id": "ann", "to_peer_id": to, "signal_data": data});
    let bob = json!({"party_id": "p", "peer_id": "bob"});
    for round in 0..2 {
        for number in 0..256 {
            client.call("signal.send", signal("bob", number));
        }
        assert_error(&client.error("signal.send", signal("bob", 256)), "rate_limited");
        // Others have their own queue.
        client.call("signal.send", signal("ann", round));
        let signals = client.call("signal.poll", bob.clone())["signals"].take();
        let numbers: Vec<_> = signals
            .as_array()
            .expect("signals")
            .iter()
            .map(|signal| signal["signal_data"].as_u64().expect("a number"))
            .collect();
        assert_eq!(numbers, (0..256).collect::<Vec<_>>());
    }
}

#[test]
fn events_subscribe_over_the_limit_of_a_connection_is_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let first = client.call("events.subscribe", json!({}))["subscription"].take();
    for _ in 1..32 {
        client.call("events.subscribe", json!({}));
    }
    assert_error(&client.error("events.subscribe", json!({})), "rate_limited");
    client.call("events.unsubscribe", json!({"subscription": first}));
    client.call("events.subscribe", json!({}));
    daemon.client().call("events.subscribe", json!({}));
}
