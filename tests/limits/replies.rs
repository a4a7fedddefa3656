//! Memory for replies and events that clients do not read.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use crate::harness::{Client, Daemon, Setup, assert_error, memory, peer};

fn line(id: usize, method: &str, params: &Value) -> String {
    format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
}

/// Connections that ask as often as that, and read nothing.
fn flood(daemon: &Daemon, connections: usize, requests: usize, method: &str) -> Vec<Client> {
    let lines: String = (0..requests).map(|id| line(id, method, &json!({}))).collect();
    let clients = (0..connections).map(|_| {
        let mut client = daemon.client();
        client.send_raw(lines.as_bytes());
        client
    });
    clients.collect()
}

/// Kilobytes of memory that a daemon needs for a flood while another client is served.
fn growth(daemon: &Daemon, honest: &mut Client, flood: impl FnOnce() -> Vec<Client>) -> u64 {
    let before = memory(daemon.pid(), "VmRSS");
    let _flood = flood();
    // Whoever may still ask is served between all others.
    for _ in 0..300 {
        honest.call("ping", json!({}));
    }
    honest.call("status.get", json!({}));
    memory(daemon.pid(), "VmRSS").saturating_sub(before)
}

#[test]
fn unread_copies_of_the_openrpc_document_share_memory() {
    const CONNECTIONS: usize = 60;
    let daemon = Setup::new().start();
    let mut honest = daemon.client();
    honest.call("rpc.discover", json!({}));
    let growth = growth(&daemon, &mut honest, || flood(&daemon, CONNECTIONS, 32, "rpc.discover"));
    assert!(growth < 12 * 1024, "{growth} KiB for {CONNECTIONS} connections");
    honest.call("rpc.discover", json!({}));
}

/// Registers parties whose listing has about that many bytes.
fn fill(client: &mut Client, bytes: usize) {
    let count = bytes / 1000;
    let register = |number: usize| {
        let mut host = peer(&format!("host{number}"));
        host["name"] = json!("ü".repeat(100));
        host["public_key"] = json!("k".repeat(128));
        let party = format!("party{number}");
        json!({"party_id": party, "name": "ü".repeat(100), "host": host})
    };
    for from in (0..count).step_by(16) {
        let numbers = from..count.min(from + 16);
        let ids: Vec<_> =
            numbers.map(|number| client.send("party.register", register(number))).collect();
        for id in ids {
            assert_eq!(client.reply(id).get("error"), None);
        }
    }
}

#[test]
fn unread_listings_are_bounded_over_all_connections() {
    const CONNECTIONS: usize = 40;
    let limits = "[limits]\nframe_out = 262144\nreply_bytes = 4194304\nwrite_stall = \"1s\"\n";
    let daemon = Setup::new().config(limits).start();
    let mut honest = daemon.client();
    fill(&mut honest, 250_000);
    let listed = honest.call("party.list", json!({}))["parties"].as_array().map(Vec::len);
    let growth = growth(&daemon, &mut honest, || flood(&daemon, CONNECTIONS, 30, "party.list"));
    assert!(growth < 32 * 1024, "{growth} KiB for {CONNECTIONS} connections");
    honest.call("party.get", json!({"party_id": "party1"}));
    // Those who read nothing are closed, and their memory is free again.
    let again = honest.call("party.list", json!({}))["parties"].as_array().map(Vec::len);
    assert_eq!(again, listed);
}

#[test]
fn listings_are_all_answered_to_a_client_that_reads() {
    let limits = "[limits]\nframe_out = 65536\nreply_bytes = 1048576\nrequests_in_flight = 100\n";
    let daemon = Setup::new().config(limits).start();
    let mut client = daemon.client();
    fill(&mut client, 60_000);
    let ids: Vec<_> = (0..100).map(|_| client.send("party.list", json!({}))).collect();
    for id in ids {
        let parties = client.reply(id)["result"]["parties"].as_array().map(Vec::len);
        assert!(parties.is_some_and(|count| count > 10));
    }
}

#[test]
fn reply_over_the_limit_is_refused_before_it_is_built() {
    let daemon = Setup::new().config("[limits]\nframe_out = 8192\n").start();
    let mut client = daemon.client();
    fill(&mut client, 100_000);
    for (method, params) in
        [("state.export", json!({"format": "lanrage"})), ("events.subscribe", json!({}))]
    {
        let error = client.error(method, params);
        assert_error(&error, "frame_too_large");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains("bytes at least"), "{message}");
    }
    // A page has as much as fits.
    let page = client.call("party.list", json!({}));
    assert!(page["next_cursor"].is_string());
    client.call("events.subscribe", json!({"party_id": "party3"}));
}

/// A listing shows the change if it was worked out after it. The change is asked for while the
/// listings are worked out: those whose replies had come then do not count.
#[test]
fn short_request_waits_for_few_of_the_listings_before_it() {
    const LISTINGS: usize = 40;
    let daemon = Setup::new().start();
    let mut honest = daemon.client();
    fill(&mut honest, 100_000);
    let clients: Vec<_> = (0..LISTINGS)
        .map(|_| {
            let mut client = daemon.client();
            client.call("ping", json!({}));
            client
        })
        .collect();
    daemon.freeze();
    for client in &clients {
        let listing = line(2, "party.list", &json!({}));
        client.stream().write_all(listing.as_bytes()).expect("sent");
    }
    daemon.thaw();
    let mut readable: Vec<_> = clients
        .iter()
        .map(|client| PollFd::new(client.stream().as_fd(), PollFlags::POLLIN))
        .collect();
    poll(&mut readable, PollTimeout::NONE).expect("a reply begins");
    daemon.freeze();
    let mut changed = peer("host0");
    changed["name"] = json!("changed");
    let update = honest.send("peer.update", json!({"party_id": "party0", "peer": changed}));
    let (mut replies, mut had_come) = (vec![Vec::new(); LISTINGS], 0);
    for (client, reply) in clients.iter().zip(&mut replies) {
        client.stream().set_nonblocking(true).expect("set");
        let read = client.stream().read_to_end(reply);
        assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
        client.stream().set_nonblocking(false).expect("set");
        had_come += usize::from(reply.ends_with(b"\n"));
    }
    daemon.thaw();
    assert_eq!(honest.reply(update).get("error"), None);
    let mut before = 0;
    for (client, reply) in clients.iter().zip(&mut replies) {
        if !reply.ends_with(b"\n") {
            BufReader::new(client.stream()).read_until(b'\n', reply).expect("the rest");
        }
        let reply: Value = serde_json::from_slice(reply).expect("JSON");
        let name = &reply["result"]["parties"][0]["peers"]["host0"]["name"];
        assert!(name.is_string(), "{reply}");
        before += usize::from(name != "changed");
    }
    let waited = before - had_come;
    assert!(waited <= 4, "{waited} of {LISTINGS} listings came first, and {had_come} before");
}
