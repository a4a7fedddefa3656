//! Lost answers over HTTP: their changes were done, and are done once.

use serde_json::{Value, json};

use super::network::is_whole;
use super::world::{await_synced, join, parties, server};
use crate::harness::{
    Client, Daemon, Direction, Http, Proxy, Setup, cases, eventually, fast_remote, peer,
};

/// A daemon that speaks HTTP, and asks for nothing that nobody wants.
fn over_http(proxy: &Proxy) -> Daemon {
    let config = fast_remote([
        ("request_timeout", "'3s'"),
        ("heartbeat", "'10m'"),
        // Each attempt has several of its own in it.
        ("max_attempts", "1"),
    ]);
    let config = format!("{config}transport = 'http'\npoll = '10m'\n");
    Setup::new().server_url(&proxy.url()).config(&config).start()
}

/// Lets the next request through, and cuts its connection once the answer begins.
fn lose_the_next_answer(proxy: &Proxy) {
    proxy.cut_after(Direction::ToClient, 1);
    proxy.cut();
}

/// Once the daemon is online and has told all: the id of its only party of that name.
#[track_caller]
fn only(daemon: &Daemon, name: &str) -> String {
    await_synced(daemon);
    let mut known = parties(&mut daemon.client());
    known.retain(|party| party["name"] == name);
    assert_eq!(known.len(), 1, "{known:?}");
    known[0]["party_id"].as_str().expect("an id").to_owned()
}

/// Registers a party, which the server gives another id.
fn register(client: &mut Client, name: &str, host: &str) {
    let params = json!({"name": name, "host": peer(host), "keepalive": "daemon"});
    client.call("party.register", params);
}

fn leave(client: &mut Client, party_id: &str, peer_id: &str) -> Value {
    client.call("party.leave", json!({"party_id": party_id, "peer_id": peer_id}))["status"].take()
}

fn count(http: &mut Http) -> Value {
    http.get("/").ok()["parties"].take()
}

/// Waits until there are so many parties on the server.
#[track_caller]
fn await_count(http: &mut Http, expected: u64) {
    eventually(&format!("{expected} parties"), || (count(http) == expected).then_some(()));
}

#[test]
fn answer_that_is_cut_off_is_requested_again() {
    let server = server();
    let mut http = Http::registered(server.address(), "watcher");
    let proxy = Proxy::to(server.address());
    let daemon = over_http(&proxy);
    daemon.await_state("online");
    let mut client = daemon.client();
    // The token of its host, and then the party.
    lose_the_next_answer(&proxy);
    register(&mut client, "first", "h");
    let first = only(&daemon, "first");
    lose_the_next_answer(&proxy);
    register(&mut client, "second", "h");
    let second = only(&daemon, "second");
    assert_eq!(count(&mut http), 2);
    is_whole(&daemon, &mut http, &second, &["h"]);
    // The token of a guest, and then its entry.
    for party_id in [&first, &second] {
        lose_the_next_answer(&proxy);
        join(&mut client, party_id, "g");
        is_whole(&daemon, &mut http, party_id, &["g", "h"]);
    }
    lose_the_next_answer(&proxy);
    assert_eq!(leave(&mut client, &first, "g"), "left");
    is_whole(&daemon, &mut http, &first, &["h"]);
    lose_the_next_answer(&proxy);
    assert_eq!(leave(&mut client, &second, "h"), "party_deleted");
    is_whole(&daemon, &mut http, &first, &["h"]);
    await_count(&mut http, 1);
}

/// The network is mended only when the daemon has given the connection up, or was killed.
#[test]
fn answer_that_never_came_is_requested_on_another_connection() {
    let server = server();
    let mut http = Http::registered(server.address(), "watcher");
    let proxy = Proxy::to(server.address());
    let mut daemon = over_http(&proxy);
    daemon.await_state("online");
    let rounds = [("h", false), ("h", true), ("i", true), ("i", false)];
    for (number, (host, is_killed)) in (1..).zip(rounds.into_iter().take(cases(2, 4))) {
        proxy.black_hole(Direction::ToClient);
        let name = format!("party {number}");
        register(&mut daemon.client(), &name, host);
        daemon.await_state("fallback");
        // What was done: of a new host the claim, of one that is known already the registration.
        if number % 2 == 0 {
            await_count(&mut http, number);
        } else {
            let claim = format!("/auth/register?peer_id={host}");
            assert_eq!(http.post(&claim, None).status, 409);
        }
        if is_killed {
            daemon = daemon.kill().start();
        }
        proxy.heal();
        let party_id = only(&daemon, &name);
        is_whole(&daemon, &mut http, &party_id, &[host]);
        assert_eq!(count(&mut http), number);
    }
    // The same for who comes and goes.
    let party_id = only(&daemon, "party 1");
    for members in [&["g", "h"][..], &["h"]] {
        proxy.black_hole(Direction::ToClient);
        let mut client = daemon.client();
        match members {
            ["h"] => drop(leave(&mut client, &party_id, "g")),
            _ => drop(join(&mut client, &party_id, "g")),
        }
        daemon.await_state("fallback");
        proxy.heal();
        is_whole(&daemon, &mut http, &party_id, members);
    }
}

/// Cuts a connection after each of these numbers of bytes: while a host takes its id, and while it
/// registers a party.
#[test]
fn connection_cut_anywhere_over_http_loses_no_change() {
    let server = server();
    let mut http = Http::registered(server.address(), "watcher");
    let proxy = Proxy::to(server.address());
    let daemon = over_http(&proxy);
    daemon.await_state("online");
    let mut client = daemon.client();
    for way in [Direction::ToServer, Direction::ToClient] {
        for cut in (0..900).step_by(cases(225, 75)) {
            let host = format!("h-{way:?}-{cut}");
            for (name, count_there) in [("first", 1), ("second", 2)] {
                let name = format!("{name} {host}");
                proxy.cut_after(way, cut);
                proxy.cut();
                register(&mut client, &name, &host);
                let party_id = only(&daemon, &name);
                is_whole(&daemon, &mut http, &party_id, &[&host]);
                assert_eq!(count(&mut http), count_there, "{name}");
            }
            for name in ["first", "second"] {
                let party_id = only(&daemon, &format!("{name} {host}"));
                assert_eq!(leave(&mut client, &party_id, &host), "party_deleted");
            }
            await_count(&mut http, 0);
            // What is left of the limit is for nobody.
            proxy.heal();
        }
    }
}
