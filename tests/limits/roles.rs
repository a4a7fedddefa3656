//! Shares of the system daemon's connections by role. Only the superuser has other users to try
//! them with.

use serde_json::{Value, json};

use crate::harness::{
    Client, Daemon, OtherUser, assert_error, crowd, system_daemon, system_setup,
    with_file_descriptors,
};

const OPERATOR: u32 = 60_100;

fn system(limits: &str) -> Option<Daemon> {
    system_daemon(&[OPERATOR], &format!("[limits]\n{limits}"))
}

fn clients(daemon: &Daemon, uid: u32, count: usize) -> Vec<Client> {
    crowd(&daemon.setup.socket(), uid, count)
}

fn client(daemon: &Daemon, uid: u32) -> Client {
    clients(daemon, uid, 1).remove(0)
}

/// The error that ends a connection.
fn ending(client: &mut Client) -> Value {
    let mut line = client.line().expect("an error");
    assert_eq!(line["id"], Value::Null, "{line}");
    assert_eq!(client.line(), None, "it ends");
    line["error"].take()
}

#[test]
fn observers_lock_out_neither_operators_nor_the_admin() {
    let Some(daemon) = system("") else { return };
    let mut crowds: Vec<_> = (60_001..60_005).map(|uid| clients(&daemon, uid, 64)).collect();
    let mut admin = daemon.client();
    admin.call("ping", json!({}));
    let mut operators = clients(&daemon, OPERATOR, 64);
    for operator in &mut operators {
        operator.call("party.list", json!({}));
    }
    for crowd in &mut crowds {
        // Their users are looked up at the same time: any of them may be the first ones.
        let served = crowd.iter_mut().filter_map(|client| client.ask("ping", json!({})));
        assert_eq!(served.count(), 8);
    }
    let error = ending(&mut client(&daemon, 60_001));
    assert_error(&error, "rate_limited");
    let hint = error["data"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("limits.observers_per_uid"), "{error}");
    assert_eq!(admin.call("status.get", json!({}))["clients"], 4 * 8 + 64 + 1);
}

#[test]
fn operators_do_not_lock_out_the_admin() {
    let Some(daemon) = system("connections = 8") else { return };
    // Two are reserved for the admin, and half of the others for observers.
    let mut operators = clients(&daemon, OPERATOR, 4);
    let error = ending(&mut operators[3]);
    assert!(
        error["message"].as_str().is_some_and(|text| text.contains("3 connections of operators"))
    );
    let mut observer = client(&daemon, 60_001);
    observer.call("ping", json!({}));
    for _ in 0..2 {
        daemon.client().call("ping", json!({}));
    }
    operators[..3].iter_mut().for_each(|client| drop(client.call("ping", json!({}))));
}

#[test]
fn hello_tells_the_limits_of_the_role() {
    let Some(daemon) = system("observers = 32\nobservers_per_uid = 2") else { return };
    for (mut client, role, connections, per_uid) in [
        (daemon.client(), "admin", 256, 64),
        (client(&daemon, OPERATOR), "operator", 160, 64),
        (client(&daemon, 60_001), "observer", 32, 2),
    ] {
        let hello = client.call("hello", json!({"protocol": {"min": 1, "max": 1}}));
        assert_eq!(hello["role"], role);
        assert_eq!(hello["limits"]["connections"], connections, "{role}");
        assert_eq!(hello["limits"]["connections_per_uid"], per_uid, "{role}");
    }
}

#[test]
fn idle_observers_are_closed() {
    let Some(daemon) = system("observer_idle = \"100ms\"") else { return };
    let (mut admin, mut operator) = (daemon.client(), client(&daemon, OPERATOR));
    operator.call("ping", json!({}));
    let mut observer = client(&daemon, 60_001);
    assert_error(&ending(&mut observer), "timeout");
    // The others may be silent for longer.
    operator.call("ping", json!({}));
    admin.call("ping", json!({}));
}

#[test]
fn longest_idle_observer_is_evicted_for_another() {
    let Some(daemon) = system("observers = 2") else { return };
    let mut busy = client(&daemon, 60_001);
    busy.call("ping", json!({}));
    let mut idle = client(&daemon, 60_002);
    idle.call("ping", json!({}));
    busy.call("ping", json!({}));
    let mut late = client(&daemon, 60_003);
    late.call("ping", json!({}));
    assert_error(&ending(&mut idle), "rate_limited");
    busy.call("ping", json!({}));
    // A user with as many as each other takes no place from them.
    assert_error(&ending(&mut client(&daemon, 60_003)), "rate_limited");
    late.call("ping", json!({}));
}

#[test]
fn evicted_observers_keep_no_descriptors() {
    let Some(setup) = system_setup(&[OPERATOR], "[limits]\nobservers = 1") else { return };
    let command = with_file_descriptors(&setup, 160);
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    let users = [60_001, 60_002].map(|uid| OtherUser::new(&daemon.setup.socket(), uid));
    let mut evicted: Vec<_> = users.iter().cycle().take(200).map(connected).collect();
    let mut last = evicted.pop().expect("the last one");
    last.call("ping", json!({}));
    client(&daemon, OPERATOR).call("party.list", json!({}));
    // Each was told why, however soon it was closed.
    for client in &mut evicted {
        assert_error(&ending(client), "rate_limited");
    }
    let log = daemon.setup.log();
    assert!(!log.contains("Too many open files"), "{log}");
}

/// A connection that is admitted.
fn connected(user: &OtherUser) -> Client {
    let mut client = user.connect();
    client.call("ping", json!({}));
    client
}
