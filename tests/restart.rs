//! State that outlives the process, for any end of it.

mod backups;
mod damage;
mod disk;
mod kill;
mod ledger;
mod undone;

use serde_json::{Value, json};

use crate::harness::{Client, Daemon, Setup, peer};

fn register(client: &mut Client, party_id: &str) -> Value {
    let host = json!({"name": "Quake", "party_id": party_id, "host": peer("ann")});
    client.call("party.register", host)["party"].take()
}

/// A party as its daemon tells it.
fn party(daemon: &Daemon, party_id: &str) -> Value {
    daemon.client().call("party.get", json!({"party_id": party_id}))["party"].take()
}

/// The ids of all parties.
fn party_ids(daemon: &Daemon) -> Vec<String> {
    let list = daemon.client().call("party.list", json!({}));
    let ids = list["parties"].as_array().expect("parties").iter();
    ids.map(|party| party["party_id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn stop_and_start_change_nothing_but_connections() {
    let daemon = Setup::new().config("[store]\nbatch = '1h'\n").start();
    let mut client = daemon.client();
    register(&mut client, "p");
    for (id, keepalive) in [("bob", "manual"), ("cleo", "daemon"), ("dan", "connection")] {
        let join = json!({"party_id": "p", "peer": peer(id), "keepalive": keepalive});
        client.call("party.join", join);
    }
    // The address that becomes free is not moved into.
    client.call("party.leave", json!({"party_id": "p", "peer_id": "bob"}));
    client.call("party.join", json!({"party_id": "p", "peer": peer("eve"), "keepalive": "manual"}));
    let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 4000});
    let relay = client.call("relay.register", relay);
    // A sign of life, which is written behind, and by then at the latest.
    client.call("peer.heartbeat", json!({"party_id": "p", "peer_id": "eve"}));
    let mut before = party(&daemon, "p");
    let epoch = client.call("hello", json!({"protocol": {"min": 1, "max": 1}}))["epoch"].take();
    drop(client);
    let (setup, status) = daemon.stop();
    assert_eq!(status.code(), Some(0));

    let daemon = setup.start();
    let mut after = party(&daemon, "p");
    let seen = |party: &Value| party["peers"]["eve"]["last_seen"].clone();
    assert_eq!(seen(&before), seen(&after));
    let connected = |party: &Value, id: &str| party["peers"][id]["connected"].clone();
    for (id, is_manual) in [("ann", false), ("cleo", false), ("dan", false), ("eve", true)] {
        assert_eq!(
            (connected(&before, id), connected(&after, id)),
            (true.into(), is_manual.into())
        );
    }
    // The stop itself may have told that the connections closed, which counts.
    assert!(after["seq"].as_u64() >= before["seq"].as_u64(), "{before} {after}");
    let seq = after["seq"].as_u64().expect("a number");
    for party in [&mut before, &mut after] {
        party["seq"].take();
        for peer in party["peers"].as_object_mut().expect("peers").values_mut() {
            peer["connected"].take();
            peer["last_seen"].take();
        }
    }
    assert_eq!(before, after);
    assert_eq!(after["epoch"], epoch);
    let mut client = daemon.client();
    assert_eq!(client.call("relay.list", json!({}))["relays"][0], relay["relay"]);
    let joined = client.call("party.join", json!({"party_id": "p", "peer": peer("bob")}));
    assert_eq!(joined["party"]["seq"], seq + 1);
    assert_eq!(client.call("status.get", json!({}))["store"]["recovery"], Value::Null);
}
