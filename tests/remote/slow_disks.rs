//! Disks that are slow: the server's, which answers late, and the daemon's, which takes in late.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{PATIENT, agree, await_synced, entry, join, moved, register, registration};
use crate::harness::{Daemon, Proxy, Setup, SlowDisk, fast_remote};

/// A daemon of these tests gives a silent server up after four fifths of `request_timeout`.
const REQUEST_TIMEOUT: &str = "'2s'";
const GIVEN_UP: Duration = Duration::from_millis(1600);

/// A daemon that is online through a proxy.
fn follower(proxy: &Proxy, setup: Setup) -> Daemon {
    let config = fast_remote([("request_timeout", REQUEST_TIMEOUT), ("connect_timeout", "'15s'")]);
    let daemon = setup.server_url(&proxy.url()).config(&config).start();
    daemon.await_state("online");
    daemon
}

/// Cuts the connection off, and keeps it off.
fn part(proxy: &Proxy, daemon: &Daemon) {
    proxy.refuse();
    proxy.cut();
    daemon.await_state("fallback");
}

/// A server on a disk, and a proxy in front of it.
fn slow_server(disk: &SlowDisk) -> (Daemon, Proxy) {
    let server = Setup::server().config(PATIENT).slow_disk(disk).start();
    let proxy = Proxy::to(server.address());
    (server, proxy)
}

#[test]
fn reconnect_of_many_peers_succeeds_on_a_slow_disk_of_the_server() {
    let Some(disk) = SlowDisk::new() else { return };
    let (server, proxy) = slow_server(&disk);
    let daemon = follower(&proxy, Setup::new());
    register(&daemon, "lan", "p10", "synced");
    let guests: Vec<_> = (11..35).map(|number| format!("p{number}")).collect();
    let mut client = daemon.client();
    for guest in &guests {
        client.call("party.join", entry("lan", guest));
    }
    part(&proxy, &daemon);
    let before = proxy.connections();
    // All greetings together take longer than a request may.
    disk.set_delay(GIVEN_UP / 16);
    proxy.accept();
    daemon.await_state("online");
    assert_eq!(proxy.connections(), before + 1);
    disk.set_delay(Duration::ZERO);
    let all: Vec<_> = std::iter::once("p10").chain(guests.iter().map(String::as_str)).collect();
    agree(&[&server, &daemon], "lan", &all);
}

#[test]
fn outbox_of_great_length_reaches_a_server_with_a_slow_disk() {
    let Some(disk) = SlowDisk::new() else { return };
    let (server, proxy) = slow_server(&disk);
    let daemon = follower(&proxy, Setup::new());
    part(&proxy, &daemon);
    let mut client = daemon.client();
    for number in 0..40 {
        let host = format!("h{}", number % 4);
        client.call("party.register", registration(&format!("lan{number}"), &host));
    }
    let before = proxy.connections();
    disk.set_delay(GIVEN_UP / 25);
    proxy.accept();
    for number in 0..40 {
        await_synced(&daemon, &format!("lan{number}"));
    }
    assert_eq!(proxy.connections(), before + 1);
    agree(&[&server, &daemon], "lan39", &["h3"]);
}

#[test]
fn stalled_disk_of_the_daemon_ends_no_connection() {
    let Some(disk) = SlowDisk::new() else { return };
    let server = Setup::server().config(PATIENT).start();
    let proxies = [(); 2].map(|()| Proxy::to(server.address()));
    let daemon = follower(&proxies[0], Setup::new().slow_disk(&disk));
    let other = follower(&proxies[1], Setup::new());
    register(&daemon, "lan", "ann", "synced");
    join(&other, "lan", "bob", "synced");
    agree(&[&server, &daemon], "lan", &["ann", "bob"]);
    disk.set_delay(Duration::from_secs(600));
    // The news of bob waits for the daemon's disk, and the answers to its heartbeats wait behind it.
    other.client().call("peer.update", json!({"party_id": "lan", "peer": moved("bob", 7)}));
    thread::sleep(GIVEN_UP * 2);
    disk.set_delay(Duration::ZERO);
    other.client().call("peer.update", json!({"party_id": "lan", "peer": moved("bob", 8)}));
    agree(&[&server, &daemon, &other], "lan", &["ann", "bob"]);
    assert_eq!(proxies[0].connections(), 1, "it is told on the first connection");
}
