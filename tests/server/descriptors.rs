//! A server that may have few files open.

use std::net::{IpAddr, Ipv4Addr, TcpStream};

use serde_json::json;

use crate::harness::{
    Daemon, Http, Setup, connect_from, end_of, eventually, is_open, with_file_descriptors,
};

const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
/// Idle connections stay, and refusals of requests don't get in the way.
const CONFIG: &str = "[http]\nrequest_timeout = '1h'\nkeep_alive = '1h'\n\
    keep_alive_without_token = '1h'\n[limits]\nparties_per_peer = 1000\n";

fn start(setup: Setup, hard: u64) -> Daemon {
    let command = with_file_descriptors(&setup, hard);
    let mut server = Daemon::launch(setup, command);
    server.await_ready();
    server
}

/// Opens as many connections from one address as there are files; each counts, even if the server
/// closes it.
fn crowd(server: &Daemon, source: IpAddr, count: usize) -> Vec<TcpStream> {
    let connect = |_| connect_from(source, server.address()).expect("connect to the server");
    (0..count).map(connect).collect()
}

/// The connections of a crowd that the server has not closed.
fn kept(crowd: &[TcpStream]) -> usize {
    crowd.iter().filter(|stream| is_open(stream)).count()
}

#[test]
fn descriptors_of_an_address_leave_room_for_all_others() {
    let server = start(Setup::server().config(CONFIG), 256);
    let warning = "the limit of open files is 256: http.connections is ";
    let log = server.setup.log();
    let warnings = log.lines().filter(|line| line.contains(warning)).count();
    assert_eq!(warnings, 1, "{log}");
    let crowds = [ATTACKER, IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4))]
        .map(|source| crowd(&server, source, 300));
    for crowd in &crowds {
        // A quarter of all, as by default.
        eventually("the rest is closed", || (kept(crowd) <= 256 / 4).then_some(()));
        assert!(kept(crowd) > 0);
    }
    let mut honest = Http::registered_from(HONEST, server.address(), "ann");
    let party = honest.party("ann");
    // As many as the server's own files: more of them fail unless it has room for each.
    let mut admins: Vec<_> = (0..10).map(|_| server.client()).collect();
    for admin in &mut admins {
        let found = admin.call("party.get", json!({"party_id": party}));
        assert_eq!(found["party"]["party_id"], party.as_str());
    }
    let copy = server.setup.path("copy.db");
    admins[0].call("state.backup", json!({"path": copy}));
    assert!(!server.setup.log().contains("Too many open files"));
}

#[test]
fn descriptor_limit_without_room_for_clients_is_refused() {
    let setup = Setup::server();
    let expected = "the limit of open files is 100, which leaves too few for connections: raise it";
    assert_eq!(end_of(&mut with_file_descriptors(&setup, 100)).code(), Some(1));
    assert!(setup.log().contains(expected), "{}", setup.log());

    let setup = Setup::server();
    let status = end_of(with_file_descriptors(&setup, 100).arg("--check-config"));
    assert_eq!(status.code(), Some(2));
    assert!(setup.log().contains(expected), "{}", setup.log());
}

#[test]
fn descriptor_limit_is_reported_by_check_config_and_reload() {
    let setup = Setup::server();
    let status = end_of(with_file_descriptors(&setup, 512).arg("--check-config"));
    assert_eq!(status.code(), Some(0));
    let warning = "the limit of open files is 512: http.connections is ";
    assert!(setup.log().contains(warning), "{}", setup.log());

    let mut server = start(Setup::server().config("[limits]\nconnections = 8\n"), 512);
    let lowered = "limits.connections is ";
    assert!(!server.setup.log().contains(lowered), "{}", server.setup.log());
    server.reload("[limits]\nconnections = 500\n");
    assert!(server.setup.log().contains(lowered), "{}", server.setup.log());
    assert!(!server.setup.log().contains("changes with the next start"));
}
