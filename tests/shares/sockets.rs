//! WebSockets.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use tungstenite::Message;

use super::programs::{open_server, server};
use super::rows;
use super::table::{Attack, Honest, Row};
use super::tables::{register_and_end_a_party, signal_a_friend};
use super::visitor::{
    ATTACKER, HONEST, Visitor, is_done, join_party, register_party, signal, socket,
};
use crate::harness::{Daemon, Ws, announced};

rows! {
    one_address_takes_websockets: Row {
        limits: &["ws.sockets_per_address"],
        attack: "one address opens WebSockets without end",
        start: open_server,
        small: "ws.sockets_per_address = 8\n",
        at_default: false,
        attacker: |server, attack| open_without_end(server, attack, 3..4),
        honest: open_another,
    };
    many_addresses_take_all_websockets: Row {
        limits: &["ws.sockets"],
        attack: "ten addresses open WebSockets without end; those who have one keep it",
        start: open_server,
        small: "ws.sockets = 32\n",
        at_default: false,
        attacker: |server, attack| open_without_end(server, attack, 10..20),
        honest: use_an_open_one,
    };
    one_client_sends_without_end: Row {
        limits: &["ws.frames_per_second", "ws.frames_burst"],
        attack: "a client sends frames without end, on one connection after the other",
        start: server,
        small: "",
        at_default: true,
        attacker: |server, attack| {
            send_until_closed(server, attack, &Message::Ping("x".into()), 500, 1008);
        },
        honest: use_an_open_one,
    };
    one_client_sends_long_frames: Row {
        limits: &["ws.frame_bytes"],
        attack: "a client sends frames that are too long, on one connection after the other",
        start: open_server,
        small: "",
        at_default: true,
        attacker: |server, attack| {
            let long = Message::text("x".repeat(70_000));
            send_until_closed(server, attack, &long, 1, 1009);
        },
        honest: use_an_open_one,
    };
    one_member_reads_no_frames: Row {
        limits: &["ws.queue_frames"],
        attack: "a member reads nothing while its party changes, and comes back",
        start: open_server,
        small: "ws.queue_frames = 16\n",
        at_default: false,
        attacker: never_read,
        honest: signal_a_friend,
    };
    one_member_reads_no_bytes: Row {
        limits: &["ws.queue_bytes"],
        attack: "a member reads nothing while its party changes, and comes back",
        start: open_server,
        small: "ws.queue_bytes = 32768\nws.queue_frames = 60000\n",
        at_default: false,
        attacker: never_read,
        honest: signal_a_friend,
    };
    one_address_reads_nothing: Row {
        limits: &["ws.queue_total_bytes"],
        attack: "a member reads nothing while its party changes, and comes back",
        start: open_server,
        small: "ws.queue_total_bytes = 1048576\nws.queue_frames = 60000\n",
        at_default: false,
        attacker: never_read,
        honest: signal_a_friend,
    };
    one_address_says_no_hello: Row {
        limits: &["ws.first_frame"],
        attack: "one address opens WebSockets and says nothing",
        start: open_server,
        small: "ws.first_frame = '2s'\n",
        at_default: false,
        attacker: |server, attack| attack.repeat(|| {
            let silent = (0..16).map(|_| Ws::connect_for(server.address(), Some(ATTACKER)));
            let mut silent: Vec<_> = silent.collect();
            silent.iter_mut().all(|ws| ws.last_words().is_empty())
        }),
        honest: register_and_end_a_party,
    };
    one_member_answers_no_ping: Row {
        limits: &["ws.pong_timeout"],
        attack: "a member answers no ping, and comes back",
        start: open_server,
        small: "ws.ping_interval = '300ms'\nws.pong_timeout = '1s'\n",
        at_default: false,
        attacker: never_pong,
        honest: register_and_end_a_party,
    };
}

fn source(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

/// Keeps all that it gets.
fn open_without_end(server: &Daemon, attack: &Attack, addresses: std::ops::Range<u8>) {
    let mut open = Vec::new();
    let mut addresses = addresses.cycle();
    attack.repeat(|| {
        let ws = Ws::connect_from(source(addresses.next().expect("no end")), server.address());
        let is_refused = ws.is_none();
        open.extend(ws);
        is_refused
    });
}

/// Opens a WebSocket each time.
fn open_another(server: &Daemon) -> Honest {
    let address = server.address();
    let mut opened = 0;
    Box::new(move || {
        opened += 1;
        let ws = Ws::connect_from(source(2), address);
        ws.is_some_and(|mut ws| ws.greet(&format!("ann{opened}"), None).is_object())
    })
}

/// Asks on a WebSocket that stays open, and over HTTP.
fn use_an_open_one(server: &Daemon) -> Honest {
    let mut ws = socket(server.address(), HONEST, "ann");
    let mut http = Visitor::registered(server.address(), HONEST, "bob");
    Box::new(move || {
        let is_answered = is_done(&ws.ask(json!({"type": "list_relays"})));
        is_answered && http.request("GET", "/relays", None).status == 200
    })
}

/// Sends so many frames on each connection; the server closes it with that code.
fn send_until_closed(server: &Daemon, attack: &Attack, frame: &Message, count: usize, code: u16) {
    attack.repeat(|| {
        let mut ws = Ws::connect_for(server.address(), Some(ATTACKER));
        ws.send(json!({"type": "auth", "version": "1.0", "client": "x", "peer_id": null}));
        (0..count).for_each(|_| ws.write(frame.clone()));
        ws.last_words();
        ws.closed.is_some_and(|close| u16::from(close.code) == code)
    });
}

/// A party of the attacker's address, whose guest does not read.
struct Party {
    id: String,
    host: Ws,
    _guest: Ws,
}

impl Party {
    fn new(server: &Daemon, number: usize) -> Self {
        let (id, guest_id) = (format!("x{number}"), format!("guest{number}"));
        let mut host = socket(server.address(), ATTACKER, &id);
        assert!(is_done(&host.ask(register_party(&id, &id))));
        let mut guest = socket(server.address(), ATTACKER, &guest_id);
        assert!(is_done(&guest.ask(join_party(&id, &guest_id))));
        Self { id, host, _guest: guest }
    }

    fn guest_id(&self) -> String {
        self.id.replace('x', "guest")
    }

    /// True for a frame that says that the guest has lost its connection.
    fn is_end_of_guest(&self) -> impl Fn(&Value) -> bool + use<> {
        let guest = self.guest_id();
        move |frame| frame["connected"][&guest] == false
    }
}

/// The system holds much for one that does not read: signals fill that, then changes wait.
fn never_read(server: &Daemon, attack: &Attack) {
    let mut party = Party::new(server, 0);
    let (long, mut rounds) = ("x".repeat(60_000), 0);
    attack.repeat(|| {
        rounds += 1;
        let (id, guest) = (party.id.clone(), party.guest_id());
        for number in 0..8 {
            party.host.ask(signal(&id, &id, &guest, &long));
            let mut changed = announced(&id);
            changed["name"] = json!(format!("{rounds} {number} {}", "🎲".repeat(80)));
            party.host.ask(json!({"type": "update_peer", "party_id": id, "peer": changed}));
        }
        let is_end = party.is_end_of_guest();
        let is_closed = party.host.settled().iter().any(is_end);
        if is_closed {
            party = Party::new(server, rounds);
        }
        is_closed
    });
}

/// Only the host of each party reads, and so answers.
fn never_pong(server: &Daemon, attack: &Attack) {
    let mut parties = 0;
    attack.repeat(|| {
        parties += 1;
        let mut party = Party::new(server, parties);
        let is_end = party.is_end_of_guest();
        party.host.await_frame("the end of the guest", is_end);
        true
    });
}
