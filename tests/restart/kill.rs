//! Killed on the spot, again and again.

use std::sync::mpsc::{Sender, channel};

use serde_json::{Value, json};

use super::ledger::Ledger;
use crate::harness::{Client, Daemon, Setup};

const ROUNDS: u32 = 25;
const CLIENTS: u32 = 4;
const PARTIES: usize = 3;

/// Numbers that look random and are the same in each run.
fn chances(seed: u32) -> impl FnMut() -> u32 {
    let mut state = u64::from(seed) * 2 + 1;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).unwrap_or_default()
    }
}

fn ledgers(client: u32) -> Vec<Ledger> {
    let party = |n| Ledger::new(format!("c{client}-p{n}"), format!("c{client}-p{n}-host"));
    (0..PARTIES).map(party).collect()
}

fn epoch(daemon: &Daemon) -> Value {
    daemon.client().call("hello", json!({"protocol": {"min": 1, "max": 1}}))["epoch"].take()
}

/// Acts until the daemon is gone, and tells of each reply.
fn live(mut client: Client, ledgers: &mut [Ledger], seed: u32, replied: &Sender<()>) {
    let mut chance = chances(seed);
    loop {
        let ledger = &mut ledgers[chance() as usize % PARTIES];
        if !ledger.act(&mut client, chance()) {
            return;
        }
        // After the kill nobody counts any more.
        replied.send(()).ok();
    }
}

#[test]
fn nothing_that_was_told_is_lost() {
    let mut books: Vec<Vec<Ledger>> = (0..CLIENTS).map(ledgers).collect();
    let mut daemon = Setup::new().start();
    let first_epoch = epoch(&daemon);
    let mut chance = chances(0);
    for round in 1..=ROUNDS {
        let (replied, replies) = channel();
        daemon = std::thread::scope(|scope| {
            for (book, number) in books.iter_mut().zip(0..) {
                let (client, replied) = (daemon.client(), replied.clone());
                let seed = round * CLIENTS + number;
                scope.spawn(move || live(client, book, seed, &replied));
            }
            for _ in 0..1 + chance() % 60 {
                replies.recv().expect("a reply");
            }
            daemon.kill().start()
        });
        assert_eq!(epoch(&daemon), first_epoch, "history was lost");
        let mut client = daemon.client();
        books.iter_mut().flatten().for_each(|ledger| ledger.check(&mut client));
        let status = client.call("status.get", json!({}));
        assert_eq!(status["store"]["recovery"], Value::Null);
    }
}

#[test]
fn relays_that_were_told_are_there() {
    let mut setup = Setup::new();
    for round in 1..=5 {
        let daemon = setup.start();
        let mut client = daemon.client();
        let relays = client.call("relay.list", json!({}));
        assert_eq!(relays["relays"].as_array().map(Vec::len), Some(usize::from(round > 1)));
        assert!(round == 1 || relays["relays"][0]["port"] == round - 1, "{relays}");
        let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": round});
        client.call("relay.register", relay);
        setup = daemon.kill();
    }
}
