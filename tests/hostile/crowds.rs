//! Many connections: silent ones, short ones, and those that die with a request on its way.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::harness::{
    Client, Copy, Setup, await_clients, cases, eventually, lock, mark, memory, skip,
};

#[test]
fn connections_that_never_send_do_no_harm() {
    let daemon = Setup::new().config("[limits]\nconnections_per_uid = 250").start();
    let silent: Vec<_> = (0..240).map(|_| daemon.client()).collect();
    let mut client = daemon.client();
    await_clients(&mut client, 241);
    client.register("p", "ann");
    let mut copy = Copy::begin(&mut client, json!({}));
    client.join("p", "bob");
    copy.take(&client.notification());
    copy.assert_true(&mut client, None);
    drop(silent);
    await_clients(&mut client, 1);
}

/// Number of the files that a daemon has open. `None`, with a printed line, where only the
/// superuser may know.
fn open_files(pid: nix::unistd::Pid) -> Option<usize> {
    match fs::read_dir(format!("/proc/{pid}/fd")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            skip("it takes root to see a daemon's open files");
            None
        }
        files => Some(files.expect("its files").count()),
    }
}

#[test]
fn connections_in_sequence_leave_nothing_behind() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let Some(files) = open_files(daemon.pid()) else { return };
    let before = memory(daemon.pid(), "VmRSS");
    for _ in 0..1000 {
        UnixStream::connect(daemon.setup.socket()).expect("connect to the daemon");
    }
    await_clients(&mut client, 1);
    eventually("no more open files than before", || {
        open_files(daemon.pid()).filter(|now| *now <= files)
    });
    let after = memory(daemon.pid(), "VmRSS");
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after");
    // There is room again for as many as before.
    let mut others: Vec<_> = (1..64).map(|_| daemon.client()).collect();
    for other in &mut others {
        assert_eq!(other.party("p")["host_id"], "ann");
    }
}

#[test]
fn client_that_dies_with_a_request_in_flight_does_no_harm() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    for number in 0..50 {
        let mut dying = daemon.client();
        dying.send(
            "relay.register",
            json!({"relay_id": format!("r{number}"), "public_ip": "::1", "port": 1}),
        );
    }
    // What has come whole is done, whether or not anybody waits for the answer.
    await_clients(&mut client, 1);
    let relays = client.call("relay.list", json!({}))["relays"].take();
    assert_eq!(relays.as_array().map(Vec::len), Some(50));

    let locked = lock(&daemon.setup.state_dir().join("discovery.json"));
    client.join("p", "bob");
    for _ in 0..20 {
        let mut dying = daemon.client();
        dying.send("party.discover", json!({}));
        dying.call("ping", json!({}));
    }
    drop(locked);
    await_clients(&mut client, 1);
    let found = client.call("party.discover", json!({}));
    assert_eq!(found["parties"][0]["peers"].as_object().map(serde_json::Map::len), Some(2));
}

#[test]
fn subscribers_that_die_while_they_subscribe_leave_nothing_behind() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let mut round = |count: u64| {
        for number in 0..count {
            dying_subscriber(&mut daemon.client(), number);
            if number % 10 == 9 {
                await_clients(&mut client, 1);
            }
        }
    };
    // What is allocated for good is there after some of them.
    round(cases(100, 200));
    let before = memory(daemon.pid(), "VmRSS");
    round(cases(300, 800));
    let after = memory(daemon.pid(), "VmRSS");
    assert!(after < before + cases(2, 4) * 1024, "{before} KiB before, {after} KiB after");
    let mut copy = Copy::begin(&mut client, json!({}));
    mark(&mut client, "end");
    copy.take(&client.notification());
    copy.assert_true(&mut client, None);
}

/// Subscribes as often as it may while a commit is awaited, so that the answer to a ping, which
/// comes first, finds nobody.
fn dying_subscriber(client: &mut Client, number: u64) {
    let relay = json!({"relay_id": "r", "public_ip": "::1", "port": number});
    let subscriptions = (1..31).map(|id| (id, "events.subscribe", json!({})));
    let requests = [(0, "relay.register", relay)].into_iter().chain(subscriptions);
    let lines: String = requests
        .chain([(31, "ping", json!({}))])
        .map(|(id, method, params)| {
            let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
            format!("{line}\n")
        })
        .collect();
    client.send_raw(lines.as_bytes());
}
