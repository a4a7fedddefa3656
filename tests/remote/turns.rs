//! Servers that have no room for another registration at once.

use serde_json::{Value, json};

use crate::harness::{Daemon, Http, Setup, assert_error, fast_remote, peer};

/// A server with room for one registration, and then one in a time; and a daemon of it that is the
/// second.
fn second_in_line(per_minute: usize, transport: &str) -> (Daemon, Daemon) {
    let limits =
        format!("[limits]\nregistrations_per_minute = {per_minute}\nregistrations_burst = 1\n");
    let server = Setup::server().config(&limits).start();
    let config = fast_remote([("request_timeout", "'4s'")]) + transport;
    let url = format!("http://{}", server.address());
    let daemon = Setup::new().server_url(&url).config(&config).start();
    daemon.await_state("online");
    Http::registered(server.address(), "first");
    (server, daemon)
}

fn party() -> Value {
    json!({"name": "LAN", "host": peer("ann"), "party_id": "lan", "keepalive": "daemon"})
}

/// The wait is 2 s at most: more than one answer may take, and less than the request.
#[track_caller]
fn assert_waits(transport: &str) {
    let (_server, daemon) = second_in_line(30, transport);
    let registered = daemon.client().call("party.register", party());
    assert_eq!(registered["party"]["sync"], "synced", "{registered}");
}

#[test]
fn party_register_waits_for_its_turn_over_websocket() {
    assert_waits("transport = 'ws'\n");
}

#[test]
fn party_register_waits_for_its_turn_over_http() {
    assert_waits("transport = 'http'\n");
}

#[test]
fn party_register_whose_turn_is_too_late_is_refused_with_the_wait() {
    let (_server, daemon) = second_in_line(1, "");
    let refused = daemon.client().error("party.register", party());
    assert_error(&refused, "rate_limited");
    let message = refused["message"].as_str().expect("a message");
    assert!(message.contains("try again in "), "{message}");
}
