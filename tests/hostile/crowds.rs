//! Many connections: silent ones, short ones, and those that die with a request on its way.

use std::fs;
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::harness::{Client, Copy, Setup, await_clients, lock, mark, memory};

#[test]
fn connections_that_never_speak() {
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

fn open_files(pid: nix::unistd::Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("its files").count()
}

#[test]
fn a_thousand_connections_one_after_the_other() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let (files, before) = (open_files(daemon.pid()), memory(daemon.pid(), "VmRSS"));
    for _ in 0..1000 {
        UnixStream::connect(daemon.setup.socket()).expect("connect to the daemon");
    }
    await_clients(&mut client, 1);
    // The discovery file or a backup may be at work, then or now.
    assert!(open_files(daemon.pid()) < files + 8, "{files} before");
    let after = memory(daemon.pid(), "VmRSS");
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after");
    // There is room again for as many as before.
    let mut others: Vec<_> = (1..64).map(|_| daemon.client()).collect();
    for other in &mut others {
        assert_eq!(other.party("p")["host_id"], "ann");
    }
}

#[test]
fn a_client_that_dies_with_a_request_on_its_way() {
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
    // Once, so that what is allocated for good is there.
    let round = |client: &mut Client| {
        for number in 0..300_u64 {
            let mut lines = String::new();
            let mut ask = |id: u64, method: &str, params: serde_json::Value| {
                let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
                lines.push_str(&format!("{line}\n"));
            };
            // They wait for the commit, while the answer to the ping finds nobody.
            ask(0, "relay.register", json!({"relay_id": "r", "public_ip": "::1", "port": number}));
            (1..31).for_each(|id| ask(id, "events.subscribe", json!({})));
            ask(31, "ping", json!({}));
            let mut dying = daemon.client();
            dying.send_raw(lines.as_bytes());
        }
        await_clients(client, 1);
    };
    round(&mut client);
    let before = memory(daemon.pid(), "VmRSS");
    round(&mut client);
    round(&mut client);
    let after = memory(daemon.pid(), "VmRSS");
    assert!(after < before + 6 * 1024, "{before} KiB before, {after} KiB after");
    let mut copy = Copy::begin(&mut client, json!({}));
    mark(&mut client, "end");
    copy.take(&client.notification());
    copy.assert_true(&mut client, None);
}
