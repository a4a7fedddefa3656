//! A server that is there and does nothing.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Watcher, agree, await_synced, entry, member, register, server, url};
use crate::harness::{Setup, fast_remote};

/// Time limit of a request that needs no server.
const AT_ONCE: Duration = Duration::from_millis(100);

/// It takes as long as silence may last: 14 s.
#[test]
fn halted_server_is_found_within_15_seconds() {
    let server = server();
    // Nothing that the daemon sends finds it out.
    let config = fast_remote([("heartbeat", "'10m'")]);
    let daemon = Setup::new().server_url(&url(&server)).config(&config).start();
    daemon.await_state("online");
    register(&daemon, "p", "ann", "synced");
    let mut watcher = Watcher::of(&daemon);
    server.freeze();
    let frozen = Instant::now();
    let lost = watcher.states_to("reconnecting");
    let found = frozen.elapsed();
    // What the machine adds is its own.
    assert!(found < Duration::from_secs(18), "{found:?}");
    assert!(lost[0]["last_error"].as_str().is_some_and(|why| why.contains("not been heard")));
    register(&daemon, "q", "ann", "pending");
    server.thaw();
    watcher.states_to("online");
    await_synced(&daemon, "q");
    agree(&[&daemon, &server], "p", &["ann"]);
    agree(&[&daemon, &server], "q", &["ann"]);
}

#[test]
fn halted_server_delays_no_request_for_long() {
    let server = server();
    let config = fast_remote([("request_timeout", "'1s'")]);
    let daemon = Setup::new().server_url(&url(&server)).config(&config).start();
    daemon.await_state("online");
    register(&daemon, "p", "ann", "synced");
    server.freeze();
    let mut asking = daemon.client();
    let asked = asking.send("party.join", entry("p", "bob"));
    let mut reading = daemon.client();
    for (method, params) in [
        ("party.get", json!({"party_id": "p"})),
        ("party.list", json!({})),
        ("peer.discover", member("p", "ann")),
        ("relay.list", json!({})),
        ("status.get", json!({})),
    ] {
        let times = (0..5).map(|_| {
            let start = Instant::now();
            reading.call(method, params.clone());
            start.elapsed()
        });
        // The rest is the machine's.
        let fastest = times.min().expect("a time");
        assert!(fastest < AT_ONCE, "{method} took {fastest:?}");
    }
    let reply = asking.reply(asked);
    assert_eq!(reply["result"]["party"]["sync"], "pending", "{reply}");
    server.thaw();
    await_synced(&daemon, "p");
    agree(&[&daemon, &server], "p", &["ann", "bob"]);
}
