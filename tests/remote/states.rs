//! States of the connection, and their events.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{
    Watcher, await_synced, daemon, entry, follower, names, register, server, server_on, url,
};
use crate::harness::{
    BadServer, Behaviour, Daemon, Port, Proxy, Setup, Step, assert_error, fast_remote,
};

/// Both that tell of the connection agree. When the next attempt comes differs from one to the
/// other.
#[track_caller]
fn is_told(daemon: &Daemon, state: &str) -> Value {
    let mut client = daemon.client();
    let mut connection = client.call("connection.get", json!({}));
    let status = client.call("status.get", json!({}));
    assert_eq!(connection["state"], state);
    let mut same = status["connection"].clone();
    (connection["retry_in_ms"], same["retry_in_ms"]) = Default::default();
    assert_eq!(connection, same);
    let mode = if state == "local" { "local" } else { "remote" };
    assert_eq!(status["mode"], mode);
    connection
}

#[test]
fn state_without_a_server_is_local() {
    let daemon = Setup::new().start();
    let connection = is_told(&daemon, "local");
    assert_eq!(connection["server_url"], Value::Null);
    assert_eq!((&connection["attempt"], &connection["last_error"]), (&json!(0), &Value::Null));
    // There is nothing to try.
    assert_eq!(daemon.client().call("connection.retry", json!({}))["state"], "local");
}

#[test]
fn state_of_the_first_attempt_is_connecting() {
    let server = BadServer::start(Behaviour::UpgradeThen(vec![Step::Hang]));
    let proxy = Proxy::to(server.address());
    let patient = fast_remote([("connect_timeout", "'1h'"), ("request_timeout", "'1h'")]);
    let daemon = Setup::new().server_url(&proxy.url()).config(&patient).start();
    let connection = is_told(&daemon, "connecting");
    assert_eq!(connection["server_url"], proxy.url());
    assert_eq!(connection["attempt"], 0);
    let mut watcher = Watcher::of(&daemon);
    server.await_requests(1);
    server.behave(Behaviour::polite());
    proxy.cut();
    assert_eq!(names(&watcher.states_to("online")), ["reconnecting", "online"]);
}

#[test]
fn state_follows_a_server_that_goes_and_comes_back() {
    let port = Port::reserve();
    let server = server_on(&port);
    let daemon = follower(&server);
    let online = is_told(&daemon, "online");
    assert_eq!((&online["server_url"], &online["attempt"]), (&json!(url(&server)), &json!(0)));
    let mut watcher = Watcher::of(&daemon);
    let setup = server.kill();
    let lost = watcher.states_to("fallback");
    assert_eq!(names(&lost), ["reconnecting", "fallback"]);
    let attempts: Vec<_> = lost.iter().map(|state| state["attempt"].as_u64()).collect();
    assert!(attempts.is_sorted() && attempts[0] == Some(1), "{attempts:?}");
    assert_eq!(attempts.last(), Some(&Some(3)), "as many as the configuration allows");
    let log = daemon.setup.log();
    let is_warned = |line: &str| line.contains("WARN") && line.contains("server: Fallback");
    assert!(log.lines().any(is_warned), "{log}");
    for state in &lost {
        assert!(state["last_error"].as_str().is_some_and(|why| why.contains(' ')), "{state}");
        let wait = state["retry_in_ms"].as_u64();
        assert!(wait.is_none_or(|ms| ms <= 200 * 3 / 2), "{state}");
    }
    // Either it waits for an attempt, or makes it.
    assert!(lost[0]["retry_in_ms"].is_u64(), "{}", lost[0]);
    let why = lost.last().expect("a state")["last_error"].as_str().expect("words").to_owned();
    assert!(why.contains("nothing listens at"), "{why}");
    assert!(why.contains(&port.address().to_string()), "{why}");
    is_told(&daemon, "fallback");
    let _server = setup.restart_on(port.address()).start();
    let back = watcher.states_to("online");
    let mut states = names(&back);
    // It may be probing just now.
    states.retain(|state| *state != "fallback");
    assert_eq!(states, ["online"]);
    let online = is_told(&daemon, "online");
    assert_eq!(online["last_error"], Value::Null);
    assert!(online["since"].as_str() > lost[0]["since"].as_str(), "{online}");
}

#[test]
fn retry_waits_for_the_time_that_the_server_names() {
    let goaway = json!({"type": "goaway", "retry_after_ms": 3_000_000});
    let script = vec![Step::online(), Step::send(&goaway), Step::Close(1001)];
    let server = BadServer::start(Behaviour::UpgradeThen(script));
    let daemon = daemon(&server.url());
    let lost = daemon.await_state("reconnecting");
    assert!(lost["retry_in_ms"].as_u64().is_some_and(|ms| ms > 2_900_000), "{lost}");
    assert_eq!(server.requests().len(), 1);
    server.behave(Behaviour::polite());
    // Who knows better may say so.
    daemon.client().call("connection.retry", json!({}));
    daemon.await_state("online");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn connection_retry_connects_at_once() {
    let port = Port::reserve();
    // Nobody would wait for the next attempt.
    let config = fast_remote([("backoff_max", "'10m'"), ("probe", "'10m'"), ("max_attempts", "1")]);
    let url = format!("http://{}", port.address());
    let daemon = Setup::new().server_url(&url).config(&config).start();
    let lost = daemon.await_state("fallback");
    assert!(lost["retry_in_ms"].as_u64().is_some_and(|ms| ms > 60_000), "{lost}");
    let _server = server_on(&port);
    daemon.client().call("connection.retry", json!({}));
    daemon.await_state("online");
}

#[test]
fn state_tells_of_a_server_that_stops() {
    let port = Port::reserve();
    let server = server_on(&port);
    let daemon = follower(&server);
    let mut watcher = Watcher::of(&daemon);
    let (setup, status) = server.stop();
    assert!(status.success());
    let lost = watcher.states_to("reconnecting");
    // The server tells its clients to come back at different times, none before a second.
    assert!(lost[0]["retry_in_ms"].as_u64().is_some_and(|ms| ms > 200), "{}", lost[0]);
    let _server = setup.restart_on(port.address()).start();
    daemon.client().call("connection.retry", json!({}));
    watcher.states_to("online");
}

#[test]
fn state_auth_failed_waits_for_the_user() {
    let server = BadServer::start(Behaviour::Status(401, Vec::new()));
    let daemon = daemon(&server.url());
    let refused = daemon.await_state("auth_failed");
    assert_eq!(refused["retry_in_ms"], Value::Null);
    assert!(refused["last_error"].as_str().is_some_and(|why| why.contains("401")), "{refused}");
    is_told(&daemon, "auth_failed");
    register(&daemon, "p", "ann", "pending");
    let error = daemon.client().error("party.join", entry("unknown", "bob"));
    assert_error(&error, "offline");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("does not let this daemon in: "), "{message}");
    assert_eq!(server.requests().len(), 1, "nobody told it to try again");
    let mut watcher = Watcher::of(&daemon);
    daemon.client().call("connection.retry", json!({}));
    assert_eq!(names(&watcher.states_to("auth_failed")), ["connecting", "auth_failed"]);
    assert_eq!(server.requests().len(), 2);
    server.behave(Behaviour::polite());
    daemon.client().call("connection.retry", json!({}));
    watcher.states_to("online");
    await_synced(&daemon, "p");
}

#[test]
fn state_of_a_daemon_that_stops_is_stopping() {
    let server = server();
    let daemon = follower(&server);
    let mut watcher = Watcher::of(&daemon);
    daemon.signal(Signal::SIGTERM);
    let stopping = watcher.next("connection.changed");
    assert_eq!((&stopping["state"], &stopping["retry_in_ms"]), (&json!("stopping"), &Value::Null));
    assert_eq!(watcher.client.notification()["method"], "goaway");
    let (_, status) = daemon.wait();
    assert!(status.success());
}

#[test]
fn state_is_shown_to_the_service_manager() {
    let port = Port::reserve();
    let server = server_on(&port);
    let url = url(&server);
    let mut daemon = daemon(&url);
    let mut await_status = |words: &str| {
        let is_it = |told: &str| {
            told.lines().any(|line| line.starts_with("STATUS=") && line.contains(words))
        };
        while !is_it(&daemon.notification()) {}
    };
    await_status(&format!("online at {url}, serving "));
    drop(server.kill());
    await_status(&format!("without {url} ("));
}
