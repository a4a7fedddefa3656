//! The daemon's stop, as its clients see it.

use std::io::Write;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Setup, keys, lock};

fn assert_goodbye(line: &Value, reason: &str) {
    assert_eq!(keys(line), ["jsonrpc", "method", "params"]);
    assert_eq!(line["method"], "goaway");
    assert_eq!(keys(&line["params"]), ["reason", "reconnect_after_ms"]);
    assert_eq!(line["params"]["reason"], reason);
    assert!(line["params"]["reconnect_after_ms"].is_u64());
}

#[test]
fn goaway_reaches_each_client_before_the_end() {
    for (signal, reason) in [(Signal::SIGTERM, "SIGTERM"), (Signal::SIGINT, "SIGINT")] {
        let daemon = Setup::new().start();
        let mut clients = [daemon.client(), daemon.client(), daemon.client()];
        clients[0].register("p", "ann");
        clients[1].call("events.subscribe", json!({}));
        clients[2].call("ping", json!({}));
        clients[2].send_raw(b"{\"half\":");
        daemon.signal(signal);
        for client in &mut clients {
            assert_goodbye(&client.line().expect("a goodbye"), reason);
            assert_eq!(client.line(), None);
        }
        let (_setup, status) = daemon.wait();
        assert!(status.success(), "{status}");
    }
}

#[test]
fn requests_before_the_goaway_are_answered_after_it() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    // The announcement of the party waits for the lock, and the request for the announcement.
    let locked = lock(&daemon.setup.state_dir().join("discovery.json"));
    client.register("p", "ann");
    let id = client.send("party.discover", json!({}));
    client.call("ping", json!({}));
    daemon.signal(Signal::SIGTERM);
    assert_goodbye(&client.line().expect("a goodbye"), "SIGTERM");
    drop(locked);
    let reply = client.line().expect("a reply");
    assert_eq!(
        (&reply["id"], &reply["result"]["parties"][0]["party_id"]),
        (&json!(id), &json!("p"))
    );
    assert_eq!(client.line(), None);
    let (_setup, status) = daemon.wait();
    assert!(status.success(), "{status}");
}

#[test]
fn answered_changes_outlive_a_stop_during_a_flood() {
    let daemon = Setup::new().config("[limits]\nrequests_in_flight = 1000").start();
    let mut client = daemon.client();
    let lines: String = (0..500)
        .map(|id| {
            let relay = json!({"relay_id": format!("r{id}"), "public_ip": "::1", "port": 1});
            let line = json!({
                "jsonrpc": "2.0", "id": id, "method": "relay.register", "params": relay,
            });
            format!("{line}\n")
        })
        .collect();
    let mut stream = client.stream().try_clone().expect("a second handle");
    // Some of it may come too late to be read.
    let writing = std::thread::spawn(move || stream.write_all(lines.as_bytes()).ok());
    let mut answered = Vec::new();
    let first = client.line().expect("a reply");
    answered.push(first);
    daemon.signal(Signal::SIGTERM);
    let mut told = false;
    while let Some(line) = client.line() {
        if line.get("id").is_some() {
            assert!(line.get("result").is_some(), "{line}");
            answered.push(line);
        } else {
            assert_goodbye(&line, "SIGTERM");
            told = true;
        }
    }
    assert!(told);
    writing.join().expect("the writer");
    let (setup, status) = daemon.wait();
    assert!(status.success(), "{status}");
    let daemon = setup.start();
    let relays = daemon.client().call("relay.list", json!({}))["relays"].take();
    let ids: Vec<_> = relays.as_array().expect("relays").iter().collect();
    let there = |reply: &Value| {
        let id = &reply["result"]["relay"]["relay_id"];
        ids.iter().any(|relay| relay["relay_id"] == *id)
    };
    assert!(answered.iter().all(there));
}
