//! Expiry of everything silent, and of nothing else. Times are tiny, and only ever too short:
//! a slow machine makes these tests slow, not wrong.

use serde_json::{Value, json};

use crate::harness::{Client, Daemon, Setup, peer};

fn daemon(cleanup: &str) -> Daemon {
    Setup::new().config(&format!("[cleanup]\ninterval = '2ms'\n{cleanup}")).start()
}

const AT_ONCE: &str = "startup_grace = '0s'\npeer_timeout = '30ms'\nrelay_timeout = '30ms'\n";

fn register(client: &mut Client, party_id: &str, peer_id: &str, keepalive: &str) {
    let host = json!({"name": "Quake", "party_id": party_id, "host": peer(peer_id),
        "keepalive": keepalive});
    client.call("party.register", host);
}

fn join(client: &mut Client, party_id: &str, peer_id: &str, keepalive: &str) {
    let join = json!({"party_id": party_id, "peer": peer(peer_id), "keepalive": keepalive});
    client.call("party.join", join);
}

/// The next event's kind, peer and reason.
fn event(client: &mut Client) -> [Value; 3] {
    let (kind, mut data) = client.event();
    [kind.into(), data["peer_id"].take(), data["reason"].take()]
}

fn uptime_ms(client: &mut Client) -> u64 {
    client.call("status.get", json!({}))["uptime_ms"].as_u64().expect("a number")
}

#[test]
fn silent_guest_expires_alone() {
    let daemon = daemon(AT_ONCE);
    let mut client = daemon.client();
    register(&mut client, "p", "ann", "connection");
    join(&mut client, "p", "cleo", "daemon");
    client.call("events.subscribe", json!({"topics": ["peer"]}));
    let mut address = Value::Null;
    // Each round is longer than anyone may be silent.
    for _ in 0..3 {
        join(&mut client, "p", "bob", "manual");
        let (kind, mut joined) = client.event();
        assert_eq!(kind, "peer.joined");
        let given = joined["peer"]["virtual_ip"].take();
        assert!(address.is_null() || address == given, "the address did not become free");
        address = given;
        let expired = ["peer.left".into(), json!("bob"), json!("expired")];
        assert_eq!(event(&mut client), expired);
    }
    let peers = client.call("peer.list", json!({"party_id": "p"}));
    let names: Vec<_> = peers["peers"].as_object().expect("peers").keys().collect();
    assert_eq!(names, ["ann", "cleo"]);
    assert_eq!(peers["peers"]["ann"]["connected"], true);
}

#[test]
fn silent_host_ends_its_party() {
    let daemon = daemon(AT_ONCE);
    let mut client = daemon.client();
    client.call("events.subscribe", json!({}));
    register(&mut client, "p", "ann", "manual");
    // It may be gone by now; then there is nothing to join.
    client.ask("party.join", json!({"party_id": "p", "peer": peer("bob")}));
    let mut told: Vec<[Value; 3]> = Vec::new();
    while told.last().is_none_or(|[kind, ..]| kind != "party.removed") {
        told.push(event(&mut client));
    }
    let expired = |kind: &str, peer| [kind.into(), peer, json!("expired")];
    assert!(told.contains(&expired("peer.left", json!("ann"))), "{told:?}");
    let joined = told.iter().any(|[kind, ..]| kind == "peer.joined");
    let left = ["peer.left".into(), json!("bob"), json!("host_left")];
    assert_eq!(told.contains(&left), joined, "{told:?}");
    assert_eq!(told.last(), Some(&expired("party.removed", Value::Null)));
    assert_eq!(client.refused("party.get", json!({"party_id": "p"})), "party_not_found");
}

#[test]
fn host_whose_connection_closed_expires() {
    let daemon = daemon(AT_ONCE);
    let (mut host, mut watcher) = (daemon.client(), daemon.client());
    register(&mut host, "p", "ann", "connection");
    watcher.call("events.subscribe", json!({"party_id": "p"}));
    drop(host);
    let (kind, data) = watcher.event();
    assert_eq!((kind.as_str(), &data["peer"]["connected"]), ("peer.updated", &json!(false)));
    let told = [event(&mut watcher), event(&mut watcher)];
    let reasons = told.map(|[kind, _, reason]| [kind, reason]);
    let expected = [["peer.left", "expired"], ["party.removed", "expired"]];
    assert_eq!(reasons, expected.map(|pair| pair.map(Value::from)));
}

#[test]
fn members_stay_until_the_grace_after_a_start_is_over() {
    let daemon = daemon("startup_grace = '300ms'\npeer_timeout = '1ms'\nrelay_timeout = '1ms'\n");
    let mut client = daemon.client();
    client.call("events.subscribe", json!({"topics": ["party", "relay"]}));
    register(&mut client, "p", "ann", "manual");
    let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 4000});
    client.call("relay.register", relay);
    let mut gone = 0;
    while gone < 2 {
        let (kind, _) = client.event();
        if kind.ends_with(".removed") {
            let uptime = uptime_ms(&mut client);
            assert!(uptime >= 300, "{kind} after {uptime} ms");
            gone += 1;
        }
    }
}

#[test]
fn grace_counts_from_each_start() {
    let setup = Setup::new().config("[cleanup]\npeer_timeout = '1ms'\nstartup_grace = '1h'\n");
    let daemon = setup.start();
    register(&mut daemon.client(), "p", "ann", "manual");
    let mut setup = daemon.kill();
    setup.config =
        "[cleanup]\ninterval = '2ms'\npeer_timeout = '1ms'\nstartup_grace = '300ms'\n".into();
    let daemon = setup.start();
    let mut client = daemon.client();
    let subscribed = client.call("events.subscribe", json!({"topics": ["party"]}));
    if subscribed["snapshot"]["parties"][0]["party_id"] == "p" {
        assert_eq!(client.event().0, "party.removed");
    }
    let uptime = uptime_ms(&mut client);
    assert!(uptime >= 300, "gone after {uptime} ms");
}

#[test]
fn silent_relay_expires() {
    let daemon = daemon(AT_ONCE);
    let mut client = daemon.client();
    client.call("events.subscribe", json!({"topics": ["relay"]}));
    let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 4000});
    client.call("relay.register", relay);
    assert_eq!(client.event().0, "relay.updated");
    let (kind, data) = client.event();
    assert_eq!((kind.as_str(), &data["relay_id"]), ("relay.removed", &json!("r")));
    assert_eq!(client.call("relay.list", json!({}))["relays"], json!([]));
}

#[test]
fn signal_that_is_not_fetched_expires() {
    let setup = Setup::new().config(
        "[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\npeer_timeout = '30ms'\n\
         [limits]\nsignal_ttl = '30ms'\nsignals_per_peer = 1\n",
    );
    let daemon = setup.start();
    let mut client = daemon.client();
    register(&mut client, "p", "ann", "connection");
    client.call("events.subscribe", json!({"topics": ["peer"]}));
    let signal =
        json!({"party_id": "p", "from_peer_id": "ann", "to_peer_id": "ann", "signal_data": 1});
    client.call("signal.send", signal.clone());
    // As old as the signal may be, and younger than it.
    join(&mut client, "p", "clock", "manual");
    while event(&mut client)[0] != "peer.left" {}
    let polled = client.call("signal.poll", json!({"party_id": "p", "peer_id": "ann"}));
    assert_eq!(polled["signals"], json!([]));
    client.call("signal.send", signal);
}

#[test]
fn shorter_timeout_reaches_members_that_are_silent_already() {
    let mut daemon = daemon("startup_grace = '0s'\npeer_timeout = '1h'\n");
    let mut client = daemon.client();
    register(&mut client, "p", "ann", "manual");
    client.call("events.subscribe", json!({"topics": ["party"]}));
    daemon.reload("[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\npeer_timeout = '1ms'\n");
    assert_eq!(client.event().0, "party.removed");
}
