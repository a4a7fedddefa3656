//! More connections than a server has places for, most of them of one address.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use serde_json::json;

use super::{PATIENCE, Target, responses};
use crate::harness::{Http, Setup, Ws, announced, connect_from, eventually, is_open};

/// The machine's addresses: each is another client for the server.
fn client(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

/// Asserts that a client at an address registers a party and hears of it by a WebSocket.
#[track_caller]
fn assert_serves(source: IpAddr, address: SocketAddr, peer_id: &str) {
    let mut http = Http::registered_from(source, address, peer_id);
    let party = http.party(peer_id);
    let mut ws = Ws::connect_from(source, address).expect("a WebSocket");
    let guest = format!("{peer_id}-ws");
    ws.greet(&guest, None);
    ws.ask(json!({"type": "join_party", "party_id": party, "peer": announced(&guest)}));
    http.delete(&format!("/parties/{party}/peers/{peer_id}")).ok();
    assert_eq!(ws.await_type("party_removed")["party_id"], json!(party));
}

/// A connection on which a request was answered, and that is open.
fn idle(source: IpAddr, address: SocketAddr) -> Http {
    let mut http = Http::connect_from(source, address);
    http.get("/healthz").ok();
    http
}

/// Asserts that the server has not closed a client's connection.
#[track_caller]
fn assert_open(http: &mut Http) {
    let answer = http.attempt("GET", "/healthz", None).expect("the connection is open");
    assert_eq!(answer.status, 200);
}

#[test]
fn connections_of_an_address_are_bounded_by_its_share() {
    let target = Target::start("[http]\nconnections = 64\nconnections_per_address = 16\n");
    let crowd: Vec<_> =
        (0..100).filter_map(|_| Ws::connect_from(client(3), target.address)).collect();
    assert_eq!(crowd.len(), 16);
    for peer_id in ["ann", "bob", "cleo"] {
        assert_serves(client(2), target.address, peer_id);
    }
    // The line counts those of a tick, and the next one comes a minute later.
    target.server.await_log("connections closed: address=127.0.0.3 count=");
    target.server.await_log(": to admit more, raise http.connections_per_address");
    drop(crowd);
    target.assert_unharmed();
}

#[test]
fn longest_idle_connection_of_the_address_with_most_makes_way() {
    let config = "[http]\nconnections = 16\nconnections_per_address = 12\n\
                  keep_alive_without_token = '1h'\n";
    let server = Setup::server().config(config).start();
    let address = server.address();
    let mut honest = idle(client(2), address);
    let mut crowd: Vec<_> = (0..12).map(|_| idle(client(3), address)).collect();
    let mut others: Vec<_> = (4..7).map(|number| idle(client(number), address)).collect();
    // All places are taken. The honest connection has been idle longest.
    let mut newcomers = [idle(client(7), address), idle(client(8), address)];
    let closed = crowd.iter_mut().map(|http| http.attempt("GET", "/healthz", None).is_none());
    let closed: Vec<_> = closed.collect();
    assert_eq!(closed[..3], [true, true, false]);
    assert_eq!(closed.iter().filter(|closed| **closed).count(), 2);
    assert_open(&mut honest);
    others.iter_mut().chain(&mut newcomers).for_each(assert_open);
}

#[test]
fn full_address_closes_its_own_longest_idle_connection() {
    let config = "[http]\nconnections_per_address = 3\nkeep_alive_without_token = '1h'\n";
    let server = Setup::server().config(config).start();
    let address = server.address();
    let mut socket = Ws::connect_from(client(2), address).expect("a WebSocket");
    let (mut first, mut second) = (idle(client(2), address), idle(client(2), address));
    assert_open(&mut first);
    let mut third = idle(client(2), address);
    assert!(second.attempt("GET", "/healthz", None).is_none(), "the longest idle one is open");
    assert_open(&mut first);
    assert_open(&mut third);
    socket.greet("ann", None);
}

#[test]
fn silent_connections_in_all_places_make_way() {
    let config = "[http]\nconnections = 16\nrequest_timeout = '1h'\n";
    let server = Setup::server().config(config).start();
    let crowd: Vec<_> = (0..200)
        .map(|n| connect_from(client(10 + n % 100), server.address()).expect("a connection"))
        .collect();
    // The last ones may not be accepted yet.
    eventually("the end of those without a place", || {
        (crowd.iter().filter(|stream| is_open(stream)).count() <= 16).then_some(())
    });
    for peer_id in ["ann", "bob", "cleo"] {
        assert_serves(client(2), server.address(), peer_id);
    }
    drop(crowd);
}

#[test]
fn players_behind_one_address_all_get_in() {
    // On a slow disk they take longer than connections are kept without a token.
    let config = "[limits]\nregistrations_burst = 200\n[http]\nkeep_alive_without_token = '1h'\n";
    let server = Setup::server().config(config).start();
    let address = server.address();
    let mut players: Vec<_> = (0..85)
        .map(|number| {
            let mut ws = Ws::connect_from(client(2), address).expect("a WebSocket");
            ws.greet(&format!("ws-{number}"), None);
            (Http::registered_from(client(2), address, &format!("http-{number}")), ws)
        })
        .collect();
    for (http, ws) in &mut players {
        assert_open(http);
        ws.settled();
    }
}

#[test]
fn connections_of_a_proxy_are_bounded_by_their_clients() {
    let config = "[http]\nbehind_proxy = ['127.0.0.1']\nconnections_per_address = 4\n\
                  [ws]\nsockets_per_address = 4\n";
    let server = Setup::server().config(config).start();
    let mut sockets: Vec<_> = (0..20)
        .map(|number| Ws::connect_for(server.address(), Some(&format!("192.0.2.{}", number / 4))))
        .collect();
    for (number, ws) in sockets.iter_mut().enumerate() {
        ws.greet(&format!("peer-{number}"), None);
    }
    assert!(Ws::connect_from(client(2), server.address()).is_some());
}

/// Reads until the server closes.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("set a time-out");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the server closes");
    rest
}

#[test]
fn connections_without_a_token_are_kept_for_a_short_time() {
    let config = "[http]\nkeep_alive = '1h'\nkeep_alive_without_token = '100ms'\n";
    let target = Target::start(config);
    let mut with_token = Http::registered(target.address, "ann");
    with_token.get("/relays").ok();
    let mut without = target.connect();
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    without.write_all(request).expect("the server takes it");
    assert_eq!(responses(without).len(), 1, "the server closes by itself");
    assert_open(&mut with_token);
    // A client whose connection was closed meanwhile connects anew.
    let mut client = Http::connect(target.address);
    for _ in 0..3 {
        client.get("/healthz").ok();
        let closed = rest(client.stream().get_mut());
        assert_eq!(closed, b"");
    }
}

#[test]
fn head_that_begins_after_an_answer_has_a_deadline() {
    let config = "[http]\nrequest_timeout = '300ms'\nkeep_alive = '1h'\n\
                  keep_alive_without_token = '1h'\n";
    let target = Target::start(config);
    let mut client = idle(client(2), target.address);
    client.send_raw(b"GET / HTTP/1.1\r\nHo");
    assert_eq!(rest(client.stream().get_mut()), b"");
}
