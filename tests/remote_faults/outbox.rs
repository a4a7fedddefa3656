//! Intents for the server: many, through crashes, and for a long time.

use serde_json::{Value, json};

use super::world::{await_synced, members_on_server, parties, server_on};
use crate::harness::{
    BadServer, Behaviour, Client, FAST_REMOTE, Http, Port, Setup, assert_error, cases, fast_remote,
    is_long_run, memory, peer,
};

/// Requests that are on their way at once.
const WINDOW: usize = 24;

/// Asks for all of it, much at once, and returns the replies in the order of the requests.
fn ask_all(client: &mut Client, asks: &[(&str, Value)]) -> Vec<Value> {
    let mut replies = Vec::new();
    for window in asks.chunks(WINDOW) {
        let sent = window.iter().map(|(method, params)| client.send(method, params.clone()));
        let ids: Vec<_> = sent.collect();
        replies.extend(ids.into_iter().map(|id| client.reply(id)));
    }
    replies
}

#[track_caller]
fn all_done(replies: &[Value]) {
    for reply in replies {
        assert!(reply.get("error").is_none(), "{reply}");
    }
}

fn registration(party_id: &str, host: &str) -> (&'static str, Value) {
    let params = json!({"party_id": party_id, "name": "Quake", "host": peer(host),
        "keepalive": "daemon"});
    ("party.register", params)
}

fn joining(party_id: &str, id: &str) -> (&'static str, Value) {
    let params = json!({"party_id": party_id, "peer": peer(id), "keepalive": "daemon"});
    ("party.join", params)
}

fn leaving(party_id: &str, id: &str) -> (&'static str, Value) {
    ("party.leave", json!({"party_id": party_id, "peer_id": id}))
}

/// A daemon whose server comes and goes at an address, and which may come to have many parties.
fn setup(url: &str) -> Setup {
    let limits = "[limits]\nparties_per_peer = 60000\n";
    Setup::new().server_url(url).config(&format!("{FAST_REMOTE}{limits}"))
}

#[test]
fn pending_changes_outlive_a_crash_and_are_done_once() {
    const PARTIES: usize = 200;
    let port = Port::reserve();
    let daemon = setup(&format!("http://{}", port.address())).start();
    daemon.await_state("fallback");
    let id = |n: usize| (format!("p{n}"), format!("h{}", n % 5), format!("g{}", n % 3));
    let (mut registrations, mut joinings, mut leavings) = (vec![], vec![], vec![]);
    for n in 0..PARTIES {
        let (party_id, host, guest) = id(n);
        registrations.push(registration(&party_id, &host));
        joinings.push(joining(&party_id, &guest));
        // Some parties end before the server ever hears of them, and some guests leave.
        match n % 4 {
            0 => leavings.push(leaving(&party_id, &host)),
            1 => leavings.push(leaving(&party_id, &guest)),
            _ => {}
        }
    }
    for asks in [registrations, joinings, leavings] {
        all_done(&ask_all(&mut daemon.client(), &asks));
    }
    let daemon = daemon.kill().start();
    let server = server_on(&port);
    await_synced(&daemon);
    let mut http = Http::registered(server.address(), "watcher");
    for n in 0..PARTIES {
        let (party_id, host, guest) = id(n);
        let expected = match n % 4 {
            0 => vec![],
            1 => vec![host],
            _ => vec![guest, host],
        };
        assert_eq!(members_on_server(&mut http, &party_id), expected, "{party_id}");
    }
    assert_eq!(http.get("/").ok()["parties"], PARTIES * 3 / 4);
    assert_eq!(parties(&mut daemon.client()).len(), PARTIES * 3 / 4);
}

#[test]
fn probing_a_dead_server_for_long_takes_no_memory() {
    let server = BadServer::start(Behaviour::AcceptAndDrop);
    let config = fast_remote([("probe", "'10ms'"), ("max_attempts", "1")]);
    let daemon = Setup::new().server_url(&server.url()).config(&config).start();
    let mut client = daemon.client();
    let mut attempts = |from: usize, to: usize| {
        for attempt in from..=to {
            client.call("connection.retry", json!({}));
            server.await_connections(attempt);
        }
        memory(daemon.pid(), "VmRSS")
    };
    let (first, last) = cases((200, 1200), (1000, 5000));
    let (before, after) = (attempts(1, first), attempts(first + 1, last));
    // Each attempt would have to leave more than a few KiB behind.
    assert!(after < before + 4096, "{before} KiB, then {after} KiB");
}

#[test]
fn outbox_that_is_full_refuses_changes_and_loses_none() {
    if !is_long_run() {
        return;
    }
    const LIMIT: usize = 10_000;
    let port = Port::reserve();
    let daemon = setup(&format!("http://{}", port.address())).start();
    daemon.await_state("fallback");
    let mut client = daemon.client();
    let asks: Vec<_> =
        (0..LIMIT).map(|n| registration(&format!("p{n}"), &format!("h{}", n % 8))).collect();
    all_done(&ask_all(&mut client, &asks));
    for (method, params) in [registration("one-more", "h0"), joining("p0", "g")] {
        let error = client.error(method, params);
        assert_error(&error, "rate_limited");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&LIMIT.to_string()), "{message}");
    }
    assert_eq!(client.refused("party.get", json!({"party_id": "one-more"})), "party_not_found");
    // What needs no room is done: the server is told something else of the same peer.
    let (method, params) = leaving("p0", "h0");
    assert_eq!(client.call(method, params)["status"], "party_deleted");
    let daemon = daemon.kill().start();
    let kept = parties(&mut daemon.client());
    assert_eq!(kept.len(), LIMIT - 1);
    assert!(kept.iter().all(|party| party["sync"] == "pending"));
}
