//! The tables of the registry.

use serde_json::{Value, json};

use super::programs::open_server;
use super::rows;
use super::table::{ASKED, Attack, Honest, Row};
use super::visitor::{ATTACKER, HONEST, Visitor, greet, socket};
use super::visitor::{is_done, join_party, party, register_party, signal};
use crate::harness::{Daemon, announced};

rows! {
    one_address_registers_parties: Row {
        limits: &["limits.parties", "limits.address_share"],
        attack: "one address registers parties without end",
        start: open_server,
        small: "limits.parties = 64\n",
        at_default: true,
        attacker: register_parties,
        honest: register_and_end_a_party,
    };
    one_network_takes_tokens: Row {
        limits: &["limits.tokens"],
        attack: "addresses of one /48 take peer ids and use their tokens",
        start: open_server,
        small: "limits.tokens = 256\n",
        at_default: false,
        attacker: |server, attack| take_tokens(server, attack, true),
        honest: take_and_renew_a_token,
    };
    many_networks_take_tokens: Row {
        limits: &["limits.tokens"],
        attack: "addresses of many /48s take peer ids and never use them",
        start: open_server,
        small: "limits.tokens = 256\n",
        at_default: false,
        attacker: |server, attack| take_tokens(server, attack, false),
        honest: take_and_renew_a_token,
    };
    one_connection_floods_signals: Row {
        limits: &["limits.signals_total_bytes"],
        attack: "peers of one connection send to a peer that fetches nothing",
        start: open_server,
        small: "limits.signals_total_bytes = 1048576\nlimits.signal_bytes = 32768\n",
        at_default: true,
        attacker: flood_signals,
        honest: signal_a_friend,
    };
    one_token_announces_relays: Row {
        limits: &["limits.relays"],
        attack: "one address announces relays without end",
        start: open_server,
        small: "limits.relays = 64\n",
        at_default: true,
        attacker: announce_relays,
        honest: announce_a_relay,
    };
    one_connection_makes_receipts: Row {
        limits: &["limits.receipts"],
        attack: "peers of one connection make named requests without end",
        start: open_server,
        small: "limits.receipts = 64\n",
        at_default: false,
        attacker: make_receipts,
        honest: repeat_a_request,
    };
}

fn register_parties(server: &Daemon, attack: &Attack) {
    let mut visitor = Visitor::new(server.address(), ATTACKER);
    for number in 0.. {
        // A peer is in so many parties at most.
        let id = format!("x{}", number / 32);
        if number % 32 == 0 {
            visitor.forget();
            visitor.register(&id).ok();
        }
        match visitor.request("POST", "/parties", party(&id)).status {
            200 => {}
            503 => attack.reached(),
            status => panic!("{status}"),
        }
        if !attack.goes_on() {
            return;
        }
    }
}

pub(super) fn register_and_end_a_party(server: &Daemon) -> Honest {
    let mut honest = Visitor::registered(server.address(), HONEST, "ann");
    Box::new(move || {
        let registered = honest.request("POST", "/parties", party("ann"));
        if registered.status != 200 {
            return false;
        }
        let id = registered.json()["party_id"].as_str().expect("an id").to_owned();
        let left = honest.request("DELETE", &format!("/parties/{id}/peers/ann"), None);
        left.status == 200
    })
}

/// Each token of `is_used` is shown once.
fn take_tokens(server: &Daemon, attack: &Attack, is_used: bool) {
    let mut visitor = Visitor::new(server.address(), ATTACKER);
    let mut taken = 0;
    for number in 0_u32.. {
        let network = if is_used { 1 } else { number % 65_536 };
        visitor.move_to(&format!("2001:db8:{network:x}:{:x}::1", number % 65_535));
        visitor.forget();
        match visitor.register(&format!("x{number}")).status {
            200 => taken += 1,
            503 => attack.reached(),
            status => panic!("{status}"),
        }
        if is_used {
            visitor.request("GET", "/relays", None);
        } else if taken > 2 * 256 {
            attack.reached();
        }
        if !attack.goes_on() {
            return;
        }
    }
}

/// Each peer comes from an address of its own.
fn take_and_renew_a_token(server: &Daemon) -> Honest {
    let mut owner = Visitor::registered(server.address(), HONEST, "ann");
    let mut newcomer = Visitor::new(server.address(), HONEST);
    let mut number = 0;
    Box::new(move || {
        number += 1;
        newcomer.move_to(&format!("192.0.2.{}", 1 + number));
        newcomer.forget();
        let taken = newcomer.register(&format!("honest{number}"));
        let used = newcomer.request("GET", "/relays", None);
        let renewed = owner.register("ann");
        (taken.status, used.status, renewed.status) == (200, 200, 200)
    })
}

/// The parties of the attacker's connection: one for each four peers, and in each one that is away.
fn flood_signals(server: &Daemon, attack: &Attack) {
    const PEERS: usize = 32;
    let mut ws = socket(server.address(), ATTACKER, "x0");
    let mut away = Visitor::new(server.address(), ATTACKER);
    for number in 0..PEERS {
        let (peer, lan) = (format!("x{number}"), format!("x{}", number / 4));
        if number > 0 {
            greet(&mut ws, &peer);
        }
        let enter = match number % 4 {
            0 => register_party(&lan, &peer),
            _ => join_party(&lan, &peer),
        };
        assert!(is_done(&ws.ask(enter)));
        if number % 4 == 0 {
            let id = format!("away{lan}");
            away.forget();
            away.register(&id).ok();
            let body = json!({"party_id": lan, "peer_info": announced(&id)});
            away.request("POST", &format!("/parties/{lan}/join"), Some(body)).ok();
        }
    }
    let data = "x".repeat(30_000);
    let mut refused = 0;
    for number in (0..PEERS).cycle() {
        let (peer, lan) = (format!("x{number}"), format!("x{}", number / 4));
        let sent = ws.ask(signal(&lan, &peer, &format!("away{lan}"), &data));
        refused = if is_done(&sent) { 0 } else { refused + 1 };
        if refused == PEERS {
            attack.reached();
        }
        if !attack.goes_on() {
            return;
        }
    }
}

/// To one who is there, and to one who is away.
pub(super) fn signal_a_friend(server: &Daemon) -> Honest {
    let mut ann = socket(server.address(), HONEST, "ann");
    let mut bob = socket(server.address(), "192.0.2.2", "bob");
    assert!(is_done(&ann.ask(register_party("lan", "ann"))));
    assert!(is_done(&bob.ask(join_party("lan", "bob"))));
    let mut carol = Visitor::registered(server.address(), "192.0.2.3", "carol");
    let body = json!({"party_id": "lan", "peer_info": announced("carol")});
    carol.request("POST", "/parties/lan/join", Some(body)).ok();
    Box::new(move || {
        let sent = ann.ask(signal("lan", "ann", "bob", "an offer"));
        let waits = ann.ask(signal("lan", "ann", "carol", "an offer"));
        is_done(&sent) && is_done(&waits) && bob.await_type("signal")["signal_data"] == "an offer"
    })
}

fn relay(id: &str) -> Option<Value> {
    Some(json!({"relay_id": id, "public_ip": "203.0.113.1", "port": 1}))
}

fn announce_relays(server: &Daemon, attack: &Attack) {
    let mut visitor = Visitor::new(server.address(), ATTACKER);
    let mut refused = 0;
    for number in 0.. {
        if number % 8 == 0 {
            visitor.forget();
            visitor.register(&format!("x{number}"));
        }
        match visitor.request("POST", "/relays", relay(&format!("x{number}"))).status {
            200 => refused = 0,
            503 => refused += 1,
            status => panic!("{status}"),
        }
        if refused == 16 {
            attack.reached();
        }
        if !attack.goes_on() {
            return;
        }
    }
}

/// One in quiet, another under attack.
fn announce_a_relay(server: &Daemon) -> Honest {
    let mut honest = Visitor::registered(server.address(), HONEST, "ann");
    let mut asked = 0;
    Box::new(move || {
        let id = format!("ann{}", asked / ASKED);
        asked += 1;
        honest.request("POST", "/relays", relay(&id)).status == 200
    })
}

fn make_receipts(server: &Daemon, attack: &Attack) {
    const PEERS: usize = 16;
    const RECEIPTS: usize = 64;
    let mut ws = socket(server.address(), ATTACKER, "x0");
    assert!(is_done(&ws.ask(register_party("x", "x0"))));
    for number in 1..PEERS {
        let peer = format!("x{number}");
        greet(&mut ws, &peer);
        assert!(is_done(&ws.ask(join_party("x", &peer))));
    }
    let mut update = |number: usize| {
        let mut peer = announced(&format!("x{}", number % PEERS));
        peer["public_port"] = json!(number % 65_536);
        ws.ask(json!({"type": "update_peer", "party_id": "x", "peer": peer}))
    };
    for number in 0.. {
        assert!(is_done(&update(number)));
        if number == 2 * RECEIPTS {
            attack.reached();
        }
        if !attack.goes_on() {
            return;
        }
    }
}

/// Repeats its first request: done again, it would be refused.
fn repeat_a_request(server: &Daemon) -> Honest {
    let mut ann = socket(server.address(), HONEST, "ann");
    let mut first = register_party("lan", "ann");
    first["req_id"] = json!("the-first");
    let answer = ann.ask(first.clone());
    assert!(is_done(&answer));
    Box::new(move || ann.ask(first.clone()) == answer)
}
