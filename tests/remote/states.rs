//! The connection's states, as they are told.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::world::{World, register};
use crate::harness::{BadServer, Behaviour, FAST_REMOTE, Port, Setup};

/// The states that were told, without repetition, up to this one.
fn states_until(client: &mut crate::harness::Client, last: &str) -> Vec<String> {
    let mut states: Vec<String> = Vec::new();
    while states.last().is_none_or(|state| state != last) {
        let (kind, data) = client.event();
        assert_eq!(kind, "connection.changed");
        let state = data["state"].as_str().expect("a state").to_owned();
        if states.last() != Some(&state) {
            states.push(state);
        }
    }
    states
}

fn watch(client: &mut crate::harness::Client) -> Value {
    client.call("events.subscribe", json!({"topics": ["connection"]}))["snapshot"]["connection"]
        .take()
}

#[test]
fn a_server_that_goes_and_comes_back_is_followed_through_every_state() {
    let mut world = World::new();
    let mut watcher = world.a.client();
    let known = watch(&mut watcher);
    assert_eq!((&known["state"], &known["attempt"]), (&json!("online"), &json!(0)));
    assert_eq!(known["server_url"], world.url());
    assert_eq!(known["last_error"], Value::Null);
    let server = world.lose_server();
    assert_eq!(states_until(&mut watcher, "fallback"), ["reconnecting", "fallback"]);
    let connection = watcher.call("connection.get", json!({}));
    assert!(connection["attempt"].as_u64() >= Some(3), "{connection}");
    assert!(connection["last_error"].as_str().is_some_and(|why| why.contains("nothing listens")));
    let status = watcher.call("status.get", json!({}));
    assert_eq!(
        (&status["mode"], &status["connection"]["state"]),
        (&json!("remote"), &json!("fallback"))
    );
    world.find_server(server);
    assert_eq!(states_until(&mut watcher, "online").last().map(String::as_str), Some("online"));
}

#[test]
fn a_stop_is_told() {
    let world = World::new();
    let mut watcher = world.a.client();
    watch(&mut watcher);
    let World { a, .. } = world;
    let stopping = std::thread::spawn(move || a.stop().1);
    assert_eq!(states_until(&mut watcher, "stopping"), ["stopping"]);
    assert!(stopping.join().expect("an end").success());
}

#[test]
fn a_server_that_lets_nobody_in_is_asked_again_only_when_told_to() {
    let server = BadServer::start(Behaviour::Status(401, Vec::new()));
    let daemon = Setup::new().server_url(&server.url()).config(FAST_REMOTE).start();
    let connection = daemon.await_state("auth_failed");
    assert_eq!(connection["retry_in_ms"], Value::Null);
    let mut client = daemon.client();
    assert_eq!(register(&mut client, "p", "ann")["sync"], "pending");
    let asked = server.requests().len();
    watch(&mut client);
    client.call("connection.retry", json!({}));
    assert_eq!(states_until(&mut client, "auth_failed"), ["connecting", "auth_failed"]);
    assert!(server.requests().len() > asked);
}

#[test]
fn a_daemon_starts_without_its_server() {
    let port = Port::reserve();
    let url = format!("http://{}", port.address());
    let daemon = Setup::new().server_url(&url).config(FAST_REMOTE).start();
    daemon.await_state("fallback");
    let mut client = daemon.client();
    register(&mut client, "p", "ann");
    let _server = Setup::server().restart_on(port.address()).start();
    daemon.await_state("online");
    crate::harness::eventually("the party", || {
        (client.party("p")["sync"] == "synced").then_some(())
    });
}

#[test]
fn a_retry_is_made_at_once() {
    let port = Port::reserve();
    let url = format!("http://{}", port.address());
    // Nobody would wait for the next attempt.
    let patient = FAST_REMOTE.replace("'200ms'", "'10m'");
    let daemon = Setup::new().server_url(&url).config(&patient).start();
    daemon.await_state("fallback");
    let _server = Setup::server().restart_on(port.address()).start();
    daemon.client().call("connection.retry", json!({}));
    daemon.await_state("online");
}

#[test]
fn in_local_mode_there_is_no_server() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for method in ["connection.get", "connection.retry"] {
        let connection = client.call(method, json!({}));
        assert_eq!(
            (&connection["state"], &connection["server_url"]),
            (&json!("local"), &Value::Null)
        );
    }
    assert_eq!(client.call("status.get", json!({}))["mode"], "local");
}

#[test]
fn what_listens_and_says_nothing_is_no_server() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let config = FAST_REMOTE.replace("connect_timeout = '2s'", "connect_timeout = '200ms'");
    let daemon = Setup::new().server_url(&url).config(&config).start();
    let connection = daemon.await_state("fallback");
    assert!(connection["last_error"].as_str().is_some(), "{connection}");
}
