//! Connections to the server.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::programs::open_server;
use super::rows;
use super::table::{Attack, Honest, Row};
use crate::harness::{
    Daemon, Http, Ws, connect_from, is_open, narrow, register_relays, status_line,
};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// A faster flood would leave the machine without ports.
const PAUSE: Duration = Duration::from_millis(1);

rows! {
    one_address_opens_websockets: Row {
        limits: &["http.connections_per_address"],
        attack: "one address opens WebSockets without end",
        start: open_server,
        small: "http.connections = 64\nhttp.connections_per_address = 16\n",
        at_default: true,
        attacker: open_websockets,
        honest: connect_anew,
    };
    many_addresses_stay_silent: Row {
        limits: &["http.connections"],
        attack: "a hundred addresses open connections and send nothing",
        start: open_server,
        small: "http.connections = 16\nhttp.request_timeout = '1h'\n",
        at_default: false,
        attacker: stay_silent,
        honest: connect_anew,
    };
    one_address_keeps_connections_without_a_token: Row {
        limits: &["http.keep_alive_without_token"],
        attack: "one address asks once on each connection and shows no token",
        start: open_server,
        small: "http.keep_alive_without_token = '200ms'\n",
        at_default: false,
        attacker: |server, attack| keep_idle(server, attack, None),
        honest: keep_a_connection,
    };
    one_address_keeps_connections_with_a_token: Row {
        limits: &["http.keep_alive"],
        attack: "one address asks once on each connection and shows its token",
        start: open_server,
        small: "http.keep_alive = '500ms'\n",
        at_default: false,
        attacker: |server, attack| {
            let token = Http::registered_from(ATTACKER, server.address(), "x").token;
            keep_idle(server, attack, token);
        },
        honest: connect_anew,
    };
    one_address_reads_no_lists: Row {
        limits: &["http.reply_bytes"],
        attack: "one address asks for the relays on each connection and reads nothing",
        start: |config| {
            open_server(config).inspect(|server| register_relays(&mut server.client(), 500))
        },
        small: "http.reply_bytes = 1048576\n",
        at_default: false,
        attacker: never_read_relays,
        honest: keep_a_connection,
    };
    one_address_begins_requests: Row {
        limits: &["http.request_timeout"],
        attack: "one address begins requests and does not end them",
        start: open_server,
        small: "http.request_timeout = '2s'\n",
        at_default: false,
        attacker: begin_requests,
        honest: connect_anew,
    };
}

/// Opens WebSockets that greet like LANrage's clients.
fn open_websockets(server: &Daemon, attack: &Attack) {
    let mut open = Vec::new();
    attack.repeat(|| match Ws::connect_from(ATTACKER, server.address()) {
        Some(mut ws) => {
            let auth = json!({"type": "auth", "version": "1.0", "client": "x", "peer_id": null});
            ws.send(auth);
            open.push(ws);
            false
        }
        None => true,
    });
}

fn stay_silent(server: &Daemon, attack: &Attack) {
    let mut silent = VecDeque::new();
    let mut addresses = (0..100).cycle();
    attack.repeat(|| {
        let address = Ipv4Addr::new(127, 0, 1, addresses.next().expect("no end")).into();
        silent.extend(connect_from(address, server.address()));
        thread::sleep(PAUSE);
        silent.len() > 200 && silent.pop_front().is_some_and(|oldest| !is_open(&oldest))
    });
}

/// Waits each time until the server has closed all connections.
fn keep_idle(server: &Daemon, attack: &Attack, token: Option<String>) {
    attack.repeat(|| {
        let mut idle: Vec<_> = (0..16)
            .map(|_| {
                let mut http = Http::connect_from(ATTACKER, server.address());
                http.token = token.clone();
                http.get("/relays");
                http
            })
            .collect();
        idle.iter_mut().all(|http| http.response().is_none())
    });
}

fn never_read_relays(server: &Daemon, attack: &Attack) {
    let token = Http::registered_from(ATTACKER, server.address(), "x").token.expect("a token");
    let bearer = format!("Authorization: Bearer {token}");
    let request = format!("GET /relays HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n\r\n");
    let mut open = VecDeque::new();
    attack.repeat(|| {
        let mut stream = narrow(ATTACKER, server.address());
        stream.write_all(request.as_bytes()).expect("the server takes it");
        let is_refused = status_line(&mut stream).ends_with(b" 503");
        open.push_back(stream);
        open.truncate(100);
        is_refused
    });
}

fn begin_requests(server: &Daemon, attack: &Attack) {
    attack.repeat(|| {
        let mut begun = (0..16)
            .map(|_| {
                let mut stream = connect_from(ATTACKER, server.address()).expect("a connection");
                stream.write_all(b"GET / HTTP/1.1\r\nHo").expect("the server takes it");
                stream
            })
            .collect::<Vec<_>>();
        begun.iter_mut().all(|stream| stream.read_to_end(&mut Vec::new()).is_ok())
    });
}

/// A client that connects each time, over HTTP and by WebSocket.
fn connect_anew(server: &Daemon) -> Honest {
    let address = server.address();
    let token = Http::registered_from(HONEST, address, "ann").token;
    let mut asked = 0;
    Box::new(move || {
        asked += 1;
        let mut http = Http::connect_from(HONEST, address);
        http.token = token.clone();
        let is_answered = http.get("/relays").status == 200;
        let ws = Ws::connect_from(HONEST, address);
        is_answered && ws.is_some_and(|mut ws| ws.greet(&format!("ann{asked}"), None).is_object())
    })
}

/// A client with a token, whose connection stays open.
fn keep_a_connection(server: &Daemon) -> Honest {
    let mut http = Http::registered_from(HONEST, server.address(), "ann");
    assert_eq!(http.get("/relays").status, 200);
    Box::new(move || {
        http.attempt("GET", "/relays", None).is_some_and(|answer| answer.status == 200)
    })
}
