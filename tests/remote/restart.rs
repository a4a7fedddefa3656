//! A server that restarts, with its state or without.

use serde_json::{Value, json};

use super::{
    Watcher, agree, await_synced, follower, join, member, moved, party, register, registration,
    server_on, url,
};
use crate::harness::{Http, Port, Setup, assert_error, fast_remote};

#[test]
fn server_that_restarts_with_its_state_loses_no_party() {
    let port = Port::reserve();
    let server = server_on(&port);
    let (here, there) = (follower(&server), follower(&server));
    register(&here, "p", "ann", "synced");
    join(&there, "p", "bob", "synced");
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
    let before = party(&server, "p");
    let setup = server.kill();
    for daemon in [&here, &there] {
        daemon.await_state("fallback");
    }
    let server = setup.restart_on(port.address()).start();
    for daemon in [&here, &there] {
        daemon.await_state("online");
    }
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
    assert_eq!(party(&server, "p")["created_at"], before["created_at"]);
    assert_eq!(party(&server, "p")["epoch"], before["epoch"]);
    // By the same tokens they act as before.
    let update = json!({"party_id": "p", "peer": moved("bob", 7)});
    let mut watcher = Watcher::of(&here);
    there.client().call("peer.update", update);
    watcher.until("peer.updated", |data| data["peer"]["public_port"] == 7);
    here.client().call("peer.heartbeat", member("p", "ann"));
    assert_error(&there.client().error("party.register", registration("p", "bob")), "party_exists");
}

#[test]
fn server_that_lost_its_state_gets_the_parties_of_all_daemons() {
    let port = Port::reserve();
    let server = server_on(&port);
    let (here, there) = (follower(&server), follower(&server));
    for (id, host, guest) in [("p", &here, &there), ("q", &there, &here)] {
        register(host, id, &format!("{id}-host"), "synced");
        join(guest, id, &format!("{id}-guest"), "synced");
    }
    let all = [&here, &there];
    agree(&all, "p", &["p-guest", "p-host"]);
    let setup = server.kill();
    let server = setup.wiped().restart_on(port.address()).start();
    for daemon in all {
        daemon.await_state("online");
    }
    for id in ["p", "q"] {
        let expected = [format!("{id}-guest"), format!("{id}-host")];
        agree(&[&server, &here, &there], id, &[&expected[0], &expected[1]]);
        for daemon in all {
            await_synced(daemon, id);
        }
    }
    let mut watcher = Watcher::of(&there);
    here.client().call("peer.update", json!({"party_id": "p", "peer": moved("p-host", 7)}));
    watcher.until("peer.updated", |data| data["peer"]["public_port"] == 7);
}

#[test]
fn server_that_lost_its_state_has_no_party_of_a_host_that_is_gone() {
    let port = Port::reserve();
    let server = server_on(&port);
    let (here, there) = (follower(&server), follower(&server));
    register(&there, "p", "ann", "synced");
    join(&here, "p", "bob", "synced");
    agree(&[&here, &there], "p", &["ann", "bob"]);
    // The host's machine is switched off, and the server loses everything.
    drop(there);
    let setup = server.kill();
    here.await_state("fallback");
    let mut watcher = Watcher::of(&here);
    let server = setup.wiped().restart_on(port.address()).start();
    let removed = watcher.next("party.removed");
    assert_eq!(removed["party_id"], "p");
    assert_eq!(party(&here, "p"), Value::Null);
    let mut http = Http::registered(server.address(), "watcher");
    assert_eq!(http.get("/").ok()["parties"], 0);
}

#[test]
fn guest_that_began_anew_waits_for_the_host_after_a_lost_state() {
    let port = Port::reserve();
    let server = server_on(&port);
    let patient = fast_remote([("connect_timeout", "'20s'")]);
    let there = Setup::new().config(&patient).server_url(&url(&server)).start();
    there.await_state("online");
    let here = follower(&server);
    register(&here, "p", "ann", "synced");
    join(&there, "p", "bob", "synced");
    here.freeze();
    let setup = server.kill();
    let there = there.kill().start();
    there.await_state("fallback");
    // Nothing kept it alive any more.
    join(&there, "p", "bob", "synced");
    let server = setup.wiped().restart_on(port.address()).start();
    there.await_state("online");
    assert_eq!(party(&there, "p")["sync"], "pending");
    here.thaw();
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
    await_synced(&there, "p");
}
