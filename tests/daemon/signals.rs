//! End of the daemon by a signal.

use std::fs::File;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Client, Daemon, Setup, SlowDisk, eventually, exists, peer};

/// Longer than any test waits.
const STALL: Duration = Duration::from_secs(3600);

/// All lines until the daemon closes the connection.
fn rest(client: &mut Client) -> Vec<Value> {
    std::iter::from_fn(|| client.line()).collect()
}

fn ends_well(daemon: Daemon) -> Setup {
    let (setup, status) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{}", setup.log());
    assert!(!exists(&setup.socket()), "the socket is left");
    setup
}

#[test]
fn sigterm_answers_requests_and_tells_clients_first() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    // The announcement of the party waits for this lock, and the discovery for the announcement.
    let lock = File::create(daemon.setup.state_dir().join("discovery.json.lock"));
    let lock = lock.expect("open the lock");
    lock.lock().expect("hold the lock");
    client.call("party.register", json!({"name": "Quake", "party_id": "p", "host": peer("ann")}));
    let discovery = client.send("party.discover", json!({}));
    client.call("ping", json!({}));

    daemon.signal(Signal::SIGTERM);
    let goodbye = client.notification();
    assert_eq!(goodbye["method"], "goaway");
    assert!(goodbye["params"]["reconnect_after_ms"].is_u64(), "{goodbye}");
    assert_eq!(goodbye["params"]["reason"], "SIGTERM");
    drop(lock);
    let rest = rest(&mut client);
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0]["id"], discovery);
    assert_eq!(rest[0]["result"]["parties"][0]["party_id"], "p", "{rest:?}");
    ends_well(daemon);
}

#[test]
fn sigint_stops_the_daemon() {
    let daemon = Setup::new().start();
    let (mut idle, mut other) = (daemon.client(), daemon.client());
    idle.call("ping", json!({}));
    other.call("ping", json!({}));
    daemon.signal(Signal::SIGINT);
    for client in [&mut idle, &mut other] {
        let told = rest(client);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["params"]["reason"], "SIGINT");
    }
    ends_well(daemon);
}

/// A client that does not read, and has asked for as much as there is room for.
fn deaf(daemon: &Daemon) -> Client {
    let mut silent = daemon.client();
    let name = "x".repeat(100);
    let register = json!({"name": name, "party_id": "p", "host": peer("ann")});
    silent.call("party.register", register);
    silent.stream().set_nonblocking(true).expect("do not wait");
    // Until its answers fill all there is between the two, and so do its questions.
    let line = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"party.list\"}\n".repeat(100);
    let full = |stream: &mut &std::os::unix::net::UnixStream| {
        matches!(std::io::Write::write(stream, &line), Err(error)
            if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    let mut stream = silent.stream();
    for _ in 0..50 {
        while !full(&mut stream) {}
        // Whatever it has read meanwhile is refilled.
        daemon.client().call("ping", json!({}));
    }
    silent
}

#[test]
fn sigterm_waits_for_no_client_that_does_not_read() {
    let daemon = Setup::new().config("[limits]\nwrite_stall = '1h'\n").start();
    let _silent = deaf(&daemon);
    daemon.signal(Signal::SIGTERM);
    ends_well(daemon);
}

#[test]
fn sigterm_twice_stops_at_once() {
    let daemon = Setup::new().start();
    let _silent = deaf(&daemon);
    daemon.signal(Signal::SIGTERM);
    daemon.await_log("stopping: SIGTERM");
    daemon.signal(Signal::SIGTERM);
    let (setup, status) = daemon.wait();
    assert_eq!(status.code(), Some(1));
    assert!(setup.log().contains("stopping at once"));
    // What was acknowledged is there.
    let daemon = setup.start();
    daemon.client().call("party.get", json!({"party_id": "p"}));
}

/// Starts a program, and signals it once it is past the point where signals are deadly: then it has
/// its lock.
fn stopped_in_its_start(setup: Setup, pid_file: &str, signal: Signal) -> Setup {
    let lock = setup.state_dir().join(pid_file);
    let command = setup.command();
    let daemon = Daemon::launch(setup, command);
    eventually("a lock", || exists(&lock).then_some(()));
    daemon.signal(signal);
    ends_well(daemon)
}

#[test]
fn sigterm_before_it_serves_stops_the_start() {
    let setup = Setup::new();
    let setup = stopped_in_its_start(setup, "lanragectl-d.pid", Signal::SIGTERM);
    setup.start();
}

#[test]
fn sigterm_in_the_first_moment_ends_in_order() {
    for make in [Setup::new as fn() -> Setup, Setup::server] {
        let Some(setup) = make().early_sigterm() else { return };
        let (status, log) = setup.fails();
        assert_eq!(status.code(), Some(0), "{status}: {log}");
        // The runtime delivers the signal: a busy machine may have read the configuration by then.
        assert!(log.contains("stopping before the start is done: SIGTERM"), "{log}");
        assert!(!log.contains("serving"), "it went on: {log}");
    }
}

#[test]
fn sigterm_during_a_start_on_a_stalled_disk_stops_it() {
    for (make, pid) in [
        (Setup::new as fn() -> Setup, "lanragectl-d.pid"),
        (Setup::server, "lanragectl-server.pid"),
    ] {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let Some(disk) = SlowDisk::new() else { return };
            disk.set_delay(STALL);
            let setup = make().slow_disk(&disk);
            let setup = stopped_in_its_start(setup, pid, signal);
            disk.set_delay(Duration::ZERO);
            setup.start();
        }
    }
}

#[test]
fn sigterm_during_a_recovery_leaves_it_to_the_next_start() {
    let Some(disk) = SlowDisk::new() else { return };
    let daemon = Setup::new().slow_disk(&disk).start();
    daemon
        .client()
        .call("party.register", json!({"name": "Q", "party_id": "p", "host": peer("a")}));
    let (setup, _) = daemon.stop();
    std::fs::write(setup.state_dir().join("control.db"), "damaged").expect("damage it");
    std::fs::remove_file(setup.state_dir().join("lanragectl-d.pid")).expect("forget the start");
    disk.set_delay(STALL);
    let setup = stopped_in_its_start(setup, "lanragectl-d.pid", Signal::SIGTERM);
    disk.set_delay(Duration::ZERO);
    let daemon = setup.start();
    assert_eq!(
        daemon.client().call("party.get", json!({"party_id": "p"}))["party"]["host_id"],
        "a"
    );
    assert!(daemon.client().call("status.get", json!({}))["store"]["recovery"].is_object());
}

#[test]
fn sigterm_during_an_import_leaves_it_to_the_next_start() {
    let Some(disk) = SlowDisk::new() else { return };
    // The state is there, so that the first flush is that of the import.
    let (setup, _) = Setup::new().slow_disk(&disk).start().stop();
    let file = setup.state_dir().join("control_state.json");
    let state = include_str!("../python/control_state.json");
    std::fs::write(&file, state).expect("write the state");
    std::fs::remove_file(setup.state_dir().join("lanragectl-d.pid")).expect("forget the start");
    disk.set_delay(STALL);
    let setup = stopped_in_its_start(setup, "lanragectl-d.pid", Signal::SIGTERM);
    assert!(exists(&file), "it was renamed before its parties were stored");
    disk.set_delay(Duration::ZERO);
    let daemon = setup.start();
    assert!(!exists(&file));
    assert_ne!(daemon.client().call("party.list", json!({}))["parties"], json!([]));
}
