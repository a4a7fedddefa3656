//! Killed on the spot, again and again.

use std::fs;
use std::sync::mpsc::{Sender, channel};

use serde_json::{Value, json};

use super::ledger::Ledger;
use crate::harness::{Client, Daemon, Setup, eventually, exists, peer};

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
fn answered_changes_outlive_kills() {
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
            drop(replied);
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
fn answered_relays_outlive_a_kill() {
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

/// A state as LANrage leaves it.
fn lanrage_state(parties: usize) -> Value {
    let party = |n: usize| {
        let mut host = peer("ann");
        host["last_seen"] = json!("2026-02-03T04:05:06");
        host["peer_id"] = json!(format!("host-{n}"));
        let id = format!("party-{n}");
        let party = json!({"party_id": id, "name": "Quake", "host_id": host["peer_id"],
            "created_at": "2026-02-03T04:05:06", "peers": {format!("host-{n}"): host}});
        (id, party)
    };
    let parties: serde_json::Map<_, _> = (0..parties).map(party).collect();
    json!({"parties": parties, "my_peer_id": null, "my_party_id": null})
}

#[test]
fn state_import_cut_by_a_kill_is_complete_in_the_end() {
    const PARTIES: usize = 500;
    for sign in ["lanragectl-d.pid", "control.db", "control.db-wal", "control_state.json.imported"]
    {
        let setup = Setup::new();
        fs::create_dir(setup.state_dir()).expect("a directory");
        let state = setup.state_dir().join("control_state.json");
        fs::write(state, lanrage_state(PARTIES).to_string()).expect("the state");
        let (command, sign) = (setup.command(), setup.state_dir().join(sign));
        let daemon = Daemon::launch(setup, command);
        eventually("a sign of how far it is", || exists(&sign).then_some(()));
        let daemon = daemon.kill().start();
        let status = daemon.client().call("status.get", json!({}));
        assert_eq!(status["parties"], PARTIES);
        assert_eq!(status["store"]["recovery"], Value::Null);
        assert!(exists(&daemon.setup.state_dir().join("control_state.json.imported")));
    }
}
