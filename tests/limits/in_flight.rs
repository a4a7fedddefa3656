//! Limit of unanswered requests.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Client, Daemon, Setup, assert_error, lock};

/// Locks the discovery file: requests for announcements wait until it is released, or for two
/// seconds, the daemon's limit for the locks of other programs.
fn hold(daemon: &Daemon) -> std::fs::File {
    let locked = lock(&daemon.setup.state_dir().join("discovery.json"));
    daemon.client().register("held", "ann");
    locked
}

fn line(id: &Value, method: &str) -> String {
    format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": method}))
}

#[test]
fn requests_in_flight_over_the_limit_are_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let held = hold(&daemon);
    let lines: String = (1..=33).map(|id| line(&json!(id), "party.discover")).collect();
    client.send_raw(lines.as_bytes());
    let refused = client.line().expect("a refusal");
    assert_eq!(refused["id"], 33);
    assert_error(&refused["error"], "too_many_in_flight");
    drop(held);
    let answered: BTreeSet<_> = (1..=32)
        .map(|_| {
            let reply = client.line().expect("a reply");
            assert_eq!(reply["result"]["parties"][0]["party_id"], "held", "{reply}");
            reply["id"].as_u64().expect("an id")
        })
        .collect();
    assert_eq!(answered, (1..=32).collect());
    client.call("party.discover", json!({}));
    client.assert_ended();
}

#[test]
fn request_that_waits_delays_no_later_request() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let held = hold(&daemon);
    let slow = client.send("party.discover", json!({}));
    // Later requests overtake it, here and elsewhere.
    let fast = client.send("ping", json!({}));
    assert_eq!(client.line().expect("a reply")["id"], fast);
    client.join("held", "bob");
    daemon.client().join("held", "carl");
    drop(held);
    assert_eq!(client.reply(slow)["result"]["parties"][0]["party_id"], "held");
}

#[test]
fn id_in_flight_is_free_again_once_answered() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let held = hold(&daemon);
    for id in [json!(7), json!("7")] {
        client.send_raw(line(&id, "party.discover").as_bytes());
    }
    for id in [json!(7), json!("7")] {
        client.send_raw(line(&id, "party.list").as_bytes());
        let refused = client.line().expect("a refusal");
        assert_eq!(refused["id"], id);
        assert_error(&refused["error"], "invalid_request");
    }
    // Another spelling is another id.
    client.send_raw(line(&json!(7.0), "ping").as_bytes());
    assert_eq!(client.line().expect("a reply")["id"], 7.0);
    drop(held);
    let answered = [client.line(), client.line()].map(|reply| reply.expect("a reply")["id"].take());
    assert!(answered.contains(&json!(7)) && answered.contains(&json!("7")), "{answered:?}");
    for id in [json!(7), json!("7")] {
        client.send_raw(line(&id, "party.discover").as_bytes());
        assert!(client.line().expect("a reply").get("result").is_some());
    }
}

/// Sends changes in one go, and asserts that each is either done and answered so, or refused.
fn pipeline(client: &mut Client, count: usize) -> usize {
    let lines: String = (0..count)
        .map(|id| {
            let relay = json!({"relay_id": format!("r{id}"), "public_ip": "::1", "port": 1});
            let line = json!({
                "jsonrpc": "2.0", "id": id, "method": "relay.register", "params": relay,
            });
            format!("{line}\n")
        })
        .collect();
    client.send_raw(lines.as_bytes());
    let mut done = BTreeSet::new();
    let mut answered = BTreeSet::new();
    for _ in 0..count {
        let reply = client.line().expect("a reply");
        let id = reply["id"].as_u64().expect("an id");
        assert!(answered.insert(id), "{id} is answered once");
        match reply.get("error") {
            Some(error) => assert_error(error, "too_many_in_flight"),
            None => {
                done.insert(format!("r{id}"));
            }
        }
    }
    let relays = client.call("relay.list", json!({}))["relays"].take();
    let relays = relays.as_array().expect("relays").iter();
    let there: BTreeSet<_> =
        relays.map(|relay| relay["relay_id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(there, done);
    done.len()
}

#[test]
fn changes_in_one_write_are_done_or_refused() {
    let daemon = Setup::new().config("[limits]\nrequests_in_flight = 1").start();
    let done = pipeline(&mut daemon.client(), 200);
    assert!((1..200).contains(&done), "{done} of 200");
    let daemon = Setup::new().start();
    let done = pipeline(&mut daemon.client(), 200);
    assert!(done >= 32, "{done} of 200");
    let daemon = Setup::new().config("[limits]\nrequests_in_flight = 200").start();
    assert_eq!(pipeline(&mut daemon.client(), 200), 200);
}

#[test]
fn pipelined_subscriptions_count_before_they_begin() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for _ in 0..31 {
        client.call("events.subscribe", json!({"snapshot": false}));
    }
    let lines: String = (1001..1033)
        .map(|id| {
            let params = json!({"snapshot": false});
            let request =
                json!({"jsonrpc": "2.0", "id": id, "method": "events.subscribe", "params": params});
            format!("{request}\n")
        })
        .collect();
    client.send_raw(lines.as_bytes());
    let replies: Vec<Value> = (0..32).map(|_| client.line().expect("a reply")).collect();
    let refused: Vec<_> = replies.iter().filter(|reply| reply.get("error").is_some()).collect();
    assert_eq!(refused.len(), 31, "{replies:?}");
    for reply in refused {
        assert_error(&reply["error"], "rate_limited");
    }
    // One that has ended makes room.
    client.call("events.unsubscribe", json!({"subscription": "s1"}));
    client.call("events.subscribe", json!({"snapshot": false}));
}
