//! Limits of connections.

use serde_json::{Value, json};

use crate::harness::{Client, Setup, assert_error, await_clients, eventually, limit_descriptors};

/// Asserts that a fresh connection is told why not, and ends.
fn assert_refused(mut client: Client) -> String {
    let reply = client.line().expect("an error");
    assert_eq!(reply["id"], Value::Null);
    assert_error(&reply["error"], "rate_limited");
    assert_eq!(client.line(), None);
    reply["error"]["message"].as_str().expect("a message").to_owned()
}

#[test]
fn connections_over_the_limit_of_a_user_are_refused() {
    let daemon = Setup::new().config("[limits]\nconnections_per_uid = 2").start();
    let (mut first, mut second) = (daemon.client(), daemon.client());
    first.call("ping", json!({}));
    second.call("ping", json!({}));
    assert!(assert_refused(daemon.client()).contains("you have 2 connections"));
    assert_eq!(first.call("status.get", json!({}))["clients"], 2);
    drop(second);
    await_clients(&mut first, 1);
    daemon.client().call("ping", json!({}));
}

#[test]
fn connections_over_the_total_are_refused() {
    let daemon = Setup::new().config("[limits]\nconnections = 3").start();
    let mut clients = [daemon.client(), daemon.client(), daemon.client()];
    for client in &mut clients {
        client.call("ping", json!({}));
    }
    assert!(assert_refused(daemon.client()).contains("there are 3 connections"));
    for client in &mut clients {
        client.call("ping", json!({}));
    }
}

#[test]
fn connections_of_a_user_are_refused_at_the_default() {
    let daemon = Setup::new().start();
    let mut silent: Vec<_> = (0..64).map(|_| daemon.client()).collect();
    // They are let in one after the other: the last one is in once it is answered.
    silent[63].call("ping", json!({}));
    await_clients(&mut silent[63], 64);
    assert_refused(daemon.client());
    // Who has said nothing so far still may.
    silent[0].register("p", "ann");
    assert_eq!(silent[63].party("p")["host_id"], "ann");
}

#[test]
fn closed_connection_frees_its_place_at_once() {
    let daemon = Setup::new().start();
    // More than a user may have at the same time.
    for _ in 0..200 {
        daemon.client().call("ping", json!({}));
    }
}

#[test]
fn connections_that_are_refused_do_not_fill_the_log() {
    let daemon = Setup::new().config("[limits]\nconnections_per_uid = 1").start();
    let mut first = daemon.client();
    first.call("ping", json!({}));
    for _ in 0..300 {
        assert_refused(daemon.client());
    }
    let log = daemon.setup.log();
    let refusals = log.lines().filter(|line| line.contains("was refused"));
    let warnings = refusals.clone().filter(|line| line.contains("WARN")).count();
    assert_eq!(refusals.count(), 300, "each is told to whoever wants to know all");
    assert!((1..300).contains(&warnings), "{warnings}");
}

#[test]
fn lack_of_descriptors_is_logged_once() {
    let daemon = Setup::new().start();
    limit_descriptors(&daemon, 0);
    let mut waiting = daemon.client();
    let attempts = eventually("several attempts", || {
        let log = daemon.setup.log();
        let mut attempts: Vec<_> =
            log.lines().filter(|line| line.contains("not accepted")).collect();
        attempts.retain(|line| line.contains("Too many open files"));
        (attempts.len() >= 5).then(|| attempts.iter().map(ToString::to_string).collect::<Vec<_>>())
    });
    let errors = attempts.iter().filter(|line| line.contains("ERROR")).count();
    assert_eq!(errors, 1, "{attempts:?}");
    limit_descriptors(&daemon, 256);
    waiting.call("ping", json!({}));
}
