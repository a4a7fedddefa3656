//! Clients that do not read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use super::mirror::Mirror;
use super::{NO_LIMITS, done, guest, host, signal, sync, told, update};
use crate::harness::{PATIENCE, Setup, Ws, eventually};

/// Frames for a client that does not read fill the system's buffers first, then its queue.
#[test]
fn slow_client_is_closed_and_delays_no_other() {
    assert_slow_client_is_closed(NO_LIMITS);
}

#[test]
fn slow_client_is_closed_at_the_limit_of_queued_bytes() {
    let bytes = "[ws]\nqueue_frames = 60000\nqueue_bytes = 131072\n";
    assert_slow_client_is_closed(&NO_LIMITS.replace("[ws]\n", bytes));
}

fn assert_slow_client_is_closed(config: &str) {
    let server = Setup::server().config(config).start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut slow, token) = guest(&server, "lan", "slow");
    let (mut bob, _) = guest(&server, "lan", "bob");
    let mut mirror = Mirror::full();
    done(&bob.ask(sync("lan")));
    mirror.take(&bob.settled());
    let (is_closed, mut sent) = (AtomicBool::new(false), 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            mirror.take_until(&mut bob, |frame| frame["connected"]["slow"] == false);
            is_closed.store(true, Ordering::Relaxed);
        });
        // Until its buffers are full, signals get through; from then on they wait.
        let long: Value = json!("x".repeat(20_000));
        let until = Instant::now() + 2 * PATIENCE;
        while !is_closed.load(Ordering::Relaxed) {
            assert!(Instant::now() < until, "open after {sent} updates");
            alice.ask(signal("lan", "alice", "slow", long.clone()));
            done(&alice.ask(update("lan", "alice", &format!("Alice {sent}"))));
            sent += 1;
        }
    });
    done(&alice.ask(update("lan", "alice", "Alice in the end")));
    mirror.take(&bob.settled());
    assert_eq!(mirror.parties["lan"].party["peers"]["alice"]["name"], "Alice in the end");
    // It finds how far it got, and then the end of the connection.
    let rest = slow.rest();
    let updates = told(&rest).iter().filter(|told| *told == "peer_updated alice").count();
    assert!(updates < sent, "{updates} of {sent} updates");
    // It comes back and starts afresh.
    let (mut slow, _) = Ws::hello(server.address(), "slow", Some(&token));
    let party = slow.await_type("party_update")["party"].take();
    assert_eq!(party["peers"]["alice"]["name"], "Alice in the end");
}

/// They are fetched in batches that fit into the queue.
#[test]
fn waiting_signals_longer_than_the_queue_reach_a_peer_that_returns() {
    let bytes = "[ws]\nqueue_frames = 60000\nqueue_bytes = 131072\n";
    let server = Setup::server().config(&NO_LIMITS.replace("[ws]\n", bytes)).start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (away, token) = guest(&server, "lan", "away");
    drop(away);
    alice.await_frame("its end", |frame| frame["connected"]["away"] == false);
    let (count, padding) = (40, "x".repeat(20_000));
    for n in 0..count {
        done(&alice.ask(signal("lan", "alice", "away", json!([n, padding]))));
    }
    let (mut back, _) = Ws::hello(server.address(), "away", Some(&token));
    for n in 0..count {
        assert_eq!(back.await_type("signal")["signal_data"][0], n);
    }
}

/// Signals are brought as fast as they are read, none twice and none lost.
#[test]
fn signals_of_great_length_arrive_in_order() {
    let server = Setup::server().config(NO_LIMITS).start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut bob, _) = guest(&server, "lan", "bob");
    let count = 100;
    let reader = thread::spawn(move || {
        for n in 0..count {
            let data = bob.await_type("signal")["signal_data"].take();
            assert_eq!((&data[0], data[1].as_str().map(str::len)), (&json!(n), Some(50_000)));
        }
        bob.settled();
    });
    let padding = "x".repeat(50_000);
    for n in 0..count {
        let frame = signal("lan", "alice", "bob", json!([n, padding]));
        eventually("room", || (alice.ask(frame.clone())["type"] == "ack").then_some(()));
    }
    reader.join().expect("the reader");
}
