//! Locks on resources that only one server may use.

use crate::harness::{Daemon, Setup};

/// Expects a second server to give up and name the first, and the first to go on.
fn refuses_a_second(first: &Daemon, second: &Setup, words: &[&str]) {
    let (status, log) = second.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    for word in words {
        assert!(log.contains(word), "{word} is not in {log}");
    }
    first.http().get("/readyz").ok();
    first.ctl().text("status");
}

#[test]
fn second_server_on_the_state_names_the_first() {
    let first = Setup::server().start();
    let mut second = Setup::server();
    second.state = first.setup.state_dir();
    let pid = format!("process {},", first.pid());
    refuses_a_second(&first, &second, &[&pid, &first.setup.state_dir().display().to_string()]);
}

#[test]
fn second_server_on_the_socket_names_the_first() {
    let first = Setup::server().start();
    let mut second = Setup::server();
    second.socket = first.setup.socket();
    let pid = format!("process {},", first.pid());
    refuses_a_second(&first, &second, &[&pid, &first.setup.socket().display().to_string()]);
}

#[test]
fn second_server_on_the_port_names_the_port() {
    let first = Setup::server().start();
    let mut second = Setup::server();
    second.args[1] = first.address().to_string();
    refuses_a_second(&first, &second, &[&first.address().to_string(), "--listen"]);
}

#[test]
fn daemon_and_server_share_a_state_directory() {
    let server = Setup::server().start();
    let mut setup = Setup::new();
    setup.state = server.setup.state_dir();
    let daemon = setup.start();
    let party = crate::harness::Http::registered(server.address(), "ann").party("ann");
    daemon.client().register("local", "ann");
    // Each server has its own parties and backups, also after a restart.
    let (daemon, _) = daemon.stop();
    let (server, _) = server.stop();
    let (daemon, server) = (daemon.start(), server.start());
    let listed = |daemon: &Daemon| {
        let parties = daemon.ctl().json("party list");
        let parties = parties["parties"].as_array().expect("parties").clone();
        parties
            .iter()
            .map(|party| party["party_id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&daemon), ["local"]);
    assert_eq!(listed(&server), [party]);
}
