//! Requests to the server: their rates, their duration, and the shares of one peer or party.

use serde_json::{Value, json};

use super::programs::{open_server, server};
use super::rows;
use super::table::{Attack, Honest, Row};
use super::tables::{register_and_end_a_party, signal_a_friend};
use super::visitor::{ATTACKER, HONEST, Visitor, is_done, party, register_party, signal, socket};
use crate::harness::{Daemon, Ws, announced};

rows! {
    one_address_asks_without_end: Row {
        limits: &["limits.requests_per_second", "limits.requests_burst"],
        attack: "one address asks without a token and without end",
        start: server,
        small: "",
        at_default: true,
        attacker: |server, attack| {
            let mut visitor = Visitor::new(server.address(), ATTACKER);
            attack.repeat(|| visitor.request("GET", "/", None).status == 429);
        },
        honest: ask_with_and_without_a_token,
    };
    one_address_scrapes_without_end: Row {
        limits: &["(scrapes of /metrics)"],
        attack: "one address reads the metrics without end",
        start: server,
        small: "",
        at_default: true,
        attacker: |server, attack| {
            let mut visitor = Visitor::new(server.address(), ATTACKER);
            attack.repeat(|| visitor.request("GET", "/metrics", None).status == 429);
        },
        honest: |server| {
            let mut visitor = Visitor::new(server.address(), HONEST);
            Box::new(move || {
                let mut get = |path| visitor.request("GET", path, None).status;
                (get("/metrics"), get("/healthz")) == (200, 200)
            })
        },
    };
    one_address_greets_without_end: Row {
        limits: &["limits.registrations_per_minute", "limits.registrations_burst"],
        attack: "one address takes ids by WebSocket without end",
        start: server,
        small: "",
        at_default: true,
        attacker: greet_without_end,
        honest: take_an_id,
    };
    one_client_sends_long_bodies: Row {
        limits: &["http.body_bytes"],
        attack: "one address sends bodies that are too long",
        start: open_server,
        small: "",
        at_default: true,
        attacker: |server, attack| {
            let mut visitor = Visitor::registered(server.address(), ATTACKER, "x");
            let body = Value::from("x".repeat(70_000));
            let mut post = || visitor.request("POST", "/parties", Some(body.clone())).status;
            attack.repeat(|| post() == 413);
        },
        honest: register_and_end_a_party,
    };
    one_peer_registers_parties: Row {
        limits: &["limits.parties_per_peer"],
        attack: "one peer registers parties without end",
        start: open_server,
        small: "limits.parties_per_peer = 4\n",
        at_default: true,
        attacker: |server, attack| {
            let mut visitor = Visitor::registered(server.address(), ATTACKER, "x");
            attack.repeat(|| visitor.request("POST", "/parties", party("x")).status == 409);
        },
        honest: register_and_end_a_party,
    };
    one_address_joins_a_party: Row {
        limits: &["limits.peers_per_party"],
        attack: "peers of one address join a party without end",
        start: open_server,
        small: "limits.peers_per_party = 4\n",
        at_default: true,
        attacker: join_without_end,
        honest: signal_a_friend,
    };
    one_member_fills_a_queue: Row {
        limits: &["limits.signals_per_peer"],
        attack: "a member sends to a peer that fetches nothing",
        start: open_server,
        small: "limits.signals_per_peer = 64\n",
        at_default: true,
        attacker: fill_a_queue,
        honest: signal_a_friend,
    };
    one_member_sends_long_signals: Row {
        limits: &["limits.signal_bytes"],
        attack: "a member sends signals that are too long",
        start: open_server,
        small: "limits.signal_bytes = 1024\n",
        at_default: false,
        attacker: send_long_signals,
        honest: signal_a_friend,
    };
}

fn ask_with_and_without_a_token(server: &Daemon) -> Honest {
    let mut stranger = Visitor::new(server.address(), HONEST);
    let mut ann = Visitor::registered(server.address(), HONEST, "ann");
    Box::new(move || {
        let mut get = |path| (stranger.request("GET", path, None), ann.request("GET", path, None));
        let (without, with) = get("/");
        (without.status, with.status) == (200, 200)
    })
}

/// On another connection whenever this one is closed.
fn greet_without_end(server: &Daemon, attack: &Attack) {
    let connect = || Ws::connect_for(server.address(), Some(ATTACKER));
    let (mut ws, mut number) = (connect(), 0);
    attack.repeat(|| {
        number += 1;
        ws.send(json!({
            "type": "hello", "version": "1", "client": "x", "caps": ["lanragectl"],
            "peer_id": format!("x{number}"),
        }));
        match ws.frame() {
            Some(answer) => answer["code"] == "rate_limited",
            None => {
                ws = connect();
                false
            }
        }
    });
}

/// Takes a peer id, over HTTP and WebSocket in turn.
fn take_an_id(server: &Daemon) -> Honest {
    let address = server.address();
    let mut visitor = Visitor::new(address, HONEST);
    let mut taken = 0;
    Box::new(move || {
        taken += 1;
        let id = format!("honest{taken}");
        if taken % 2 == 0 {
            let mut ws = Ws::connect_for(address, Some(HONEST));
            return ws.greet(&id, None).is_object();
        }
        visitor.forget();
        visitor.register(&id).status == 200
    })
}

fn join_without_end(server: &Daemon, attack: &Attack) {
    let mut ws = socket(server.address(), ATTACKER, "x");
    assert!(is_done(&ws.ask(register_party("x", "x"))));
    let mut visitor = Visitor::new(server.address(), ATTACKER);
    let mut number = 0;
    attack.repeat(|| {
        number += 1;
        let peer = format!("x{number}");
        visitor.forget();
        visitor.register(&peer).ok();
        let body = json!({"party_id": "x", "peer_info": announced(&peer)});
        visitor.request("POST", "/parties/x/join", Some(body)).status != 200
    });
}

fn fill_a_queue(server: &Daemon, attack: &Attack) {
    let mut ws = socket(server.address(), ATTACKER, "x");
    assert!(is_done(&ws.ask(register_party("x", "x"))));
    let mut away = Visitor::registered(server.address(), ATTACKER, "away");
    let body = json!({"party_id": "x", "peer_info": announced("away")});
    away.request("POST", "/parties/x/join", Some(body)).ok();
    attack.repeat(|| !is_done(&ws.ask(signal("x", "x", "away", "an offer"))));
}

/// Takes another peer id after each connection that is closed for its mistakes.
fn send_long_signals(server: &Daemon, attack: &Attack) {
    let data = "x".repeat(2_000);
    let mut number = 0;
    attack.repeat(|| {
        number += 1;
        let id = format!("x{number}");
        let mut ws = socket(server.address(), ATTACKER, &id);
        assert!(is_done(&ws.ask(register_party(&id, &id))));
        let mut refuse = || {
            ws.send(signal(&id, &id, &id, &data));
            ws.frame().is_some_and(|answer| answer["type"] == "error")
        };
        (0..8).any(|_| refuse())
    });
}
