//! A client that reads slowly, or not at all: it is never waited for, and never misled.

use std::io::{Read, Write};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, Copy, Daemon, Setup, await_clients, mark, peer};

/// Queue that is soon full when its client does not read. Such a client is kept for as long as a
/// flood may take on a slow disk.
const SMALL_QUEUE: &str =
    "[limits]\nqueue_events = 128\nrequests_in_flight = 100\nwrite_stall = '10m'";

/// Changes a member more often than a connection's queue has room for.
fn flood(client: &mut Client, party: &str, id: &str) {
    let mut changed = peer(id);
    changed["name"] = json!("🎲".repeat(100));
    changed["public_key"] = json!("é".repeat(128));
    for round in 0..10 {
        let asked: Vec<_> = (0..100)
            .map(|number| {
                changed["public_port"] = json!(100 * round + number);
                client.send("peer.update", json!({"party_id": party, "peer": changed}))
            })
            .collect();
        for id in asked {
            assert!(client.reply(id).get("result").is_some());
        }
    }
}

fn world() -> (Daemon, Client) {
    let daemon = Setup::new().config(SMALL_QUEUE).start();
    let mut client = daemon.client();
    client.register("p", "ann");
    mark(&mut client, "begin");
    (daemon, client)
}

#[test]
fn event_reset_restarts_a_slow_subscription() {
    let (daemon, mut client) = world();
    let (mut slow, mut quick) = (daemon.client(), daemon.client());
    let mut wide = Copy::begin(&mut slow, json!({}));
    let mut narrow =
        Copy::begin(&mut slow, json!({"party_id": "p", "topics": ["party", "peer", "relay"]}));
    let mut other = Copy::begin(&mut quick, json!({}));
    // Who reads hears all of it meanwhile.
    let reader = thread::spawn(move || {
        other.read_to(&mut quick, "end");
        (other, quick)
    });
    flood(&mut client, "p", "ann");
    client.join("p", "bob");
    client.register("q", "bob");
    mark(&mut client, "end");
    let (other, _quick) = reader.join().expect("the quick one");
    other.assert_true(&mut client, None);

    // It may ask, and is answered, behind what it has not read.
    assert_eq!(slow.call("ping", json!({})), json!({}));
    for round in 0..2 {
        let marker = format!("end{round}");
        mark(&mut client, &marker);
        let there = |copy: &Copy| copy.knows_relay(&marker);
        while !there(&wide) || !there(&narrow) {
            let notification = slow.notification();
            wide.take(&notification);
            narrow.take(&notification);
        }
        wide.assert_true(&mut client, None);
        narrow.assert_true(&mut client, Some("p"));
    }
    assert!(wide.resets > 0 && narrow.resets > 0, "{wide:?} {narrow:?}");
    // It has caught up: what comes now is events again.
    let resets = wide.resets;
    client.join("q", "carl");
    while wide.take(&slow.notification()).as_deref() != Some("peer.joined") {}
    assert_eq!(wide.resets, resets);
    wide.assert_true(&mut client, None);
}

#[test]
fn event_reset_beside_the_end_of_a_party_keeps_the_others() {
    let (daemon, mut client) = world();
    let mut slow = daemon.client();
    let mut copy = Copy::begin(&mut slow, json!({"party_id": "p"}));
    flood(&mut client, "p", "ann");
    client.call("party.leave", json!({"party_id": "p", "peer_id": "ann"}));
    mark(&mut client, "end");
    copy.read_to(&mut slow, "end");
    assert!(copy.resets > 0);
    copy.assert_true(&mut client, None);
    client.register("p", "eve");
    while copy.take(&slow.notification()).as_deref() != Some("party.registered") {}
    copy.assert_true(&mut client, None);
}

#[test]
fn events_unsubscribe_of_a_slow_subscription_ends_its_events() {
    let (daemon, mut client) = world();
    let mut slow = daemon.client();
    let ended = Copy::begin(&mut slow, json!({})).subscription;
    let mut kept = Copy::begin(&mut slow, json!({"topics": ["relay"]}));
    flood(&mut client, "p", "ann");
    let id = slow.send("events.unsubscribe", json!({"subscription": ended}));
    let mut line = slow.line().expect("a line");
    while line["id"] != id {
        kept.take(&line);
        line = slow.line().expect("a line");
    }
    mark(&mut client, "end");
    while !kept.knows_relay("end") {
        let notification = slow.notification();
        assert_eq!(notification["params"]["subscription"], kept.subscription);
        kept.take(&notification);
    }
}

#[test]
fn event_reset_over_the_frame_limit_leaves_parties_out() {
    let config = format!("{SMALL_QUEUE}\nframe_out = 16384");
    let daemon = Setup::new().config(&config).start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let mut slow = daemon.client();
    slow.call("events.subscribe", json!({}));
    for number in 0..40 {
        client.register(&format!("p{number}"), "bob");
    }
    flood(&mut client, "p", "ann");
    mark(&mut client, "end");
    let reset = loop {
        let notification = slow.notification();
        if notification["method"] == "event.reset" {
            break notification;
        }
    };
    let snapshot = &reset["params"]["snapshot"];
    assert!(snapshot.get("parties").is_none() && snapshot["relays"].is_array(), "{snapshot}");
}

#[test]
fn client_that_never_reads_is_closed_and_delays_no_other() {
    let daemon = Setup::new().config("[limits]\nwrite_stall = \"300ms\"").start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let mut never = daemon.client();
    never.call("events.subscribe", json!({}));
    never.join("p", "bob");
    let mut stream = never.stream().try_clone().expect("a second handle");
    let closed = thread::spawn(move || {
        let line = format!("{}\n", json!({"jsonrpc": "2.0", "id": 1, "method": "status.get"}));
        // The daemon takes no more from who takes nothing, and then ends it.
        while stream.write_all(line.as_bytes()).is_ok() {}
        stream
    });
    let mut served = 0;
    while !closed.is_finished() {
        client.call("peer.update", json!({"party_id": "p", "peer": peer("ann")}));
        served += 1;
    }
    assert!(served > 0);
    await_clients(&mut client, 1);
    assert_eq!(client.party("p")["peers"]["bob"]["connected"], false);
    // What was on its way can still be read, then comes the end.
    let mut stream = closed.join().expect("the one that never reads");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).ok();
    let first = rest.split(|byte| *byte == b'\n').next().expect("a line");
    let first: Value = serde_json::from_slice(first).expect("JSON");
    assert!(first["params"]["kind"] == "peer.joined" || first["id"] == 1, "{first}");
}

#[test]
fn event_longer_than_the_queue_is_a_reset() {
    let daemon = Setup::new().config("[limits]\nqueue_bytes = 1024").start();
    let (mut client, mut watcher) = (daemon.client(), daemon.client());
    let mut copy = Copy::begin(&mut watcher, json!({}));
    let mut host = peer("ann");
    host["name"] = json!("🎲".repeat(100));
    host["public_key"] = json!("é".repeat(128));
    client.call("party.register", json!({"party_id": "p", "name": "é".repeat(100), "host": host}));
    assert_eq!(copy.take(&watcher.notification()).as_deref(), Some("event.reset"));
    copy.assert_true(&mut client, None);
    client.call("party.leave", json!({"party_id": "p", "peer_id": "ann"}));
    for kind in ["peer.left", "party.removed"] {
        assert_eq!(copy.take(&watcher.notification()).as_deref(), Some(kind));
    }
}
