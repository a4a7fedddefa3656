//! Changes during an outage of the server, and their fate after the reconnect.

use serde_json::{Value, json};

use super::{
    Watcher, agree, await_synced, daemon, entry, follower, join, member, members, moved, party,
    register, server, server_on,
};
use crate::harness::{
    Daemon, Direction, Port, Proxy, Setup, assert_chosen_id, assert_error, fast_remote, peer,
};

/// A daemon whose way to its server can be cut.
struct Roaming {
    daemon: Daemon,
    proxy: Proxy,
}

impl Roaming {
    fn of(server: &Daemon) -> Self {
        let proxy = Proxy::to(server.address());
        let daemon = daemon(&proxy.url());
        daemon.await_state("online");
        Self { daemon, proxy }
    }

    fn leave(&self) {
        self.proxy.refuse();
        self.proxy.cut();
        self.daemon.await_state("fallback");
    }

    fn come_back(&self) {
        self.proxy.accept();
        self.daemon.await_state("online");
    }

    /// Kills the daemon on the spot, and starts it anew.
    fn crash(self) -> Self {
        Self { daemon: self.daemon.kill().start(), proxy: self.proxy }
    }

    fn leaves_party(&self, party_id: &str, peer_id: &str) -> Value {
        self.daemon.client().call("party.leave", member(party_id, peer_id))["status"].take()
    }

    fn updates(&self, party_id: &str, id: &str, port: u16) {
        let update = json!({"party_id": party_id, "peer": moved(id, port)});
        self.daemon.client().call("peer.update", update);
    }
}

/// A server, a daemon that may go away from it, and one that stays: `ann` there hosts `p`, in
/// which `bob` is a guest here.
fn guest_here() -> (Daemon, Roaming, Daemon) {
    let server = server();
    let (here, there) = (Roaming::of(&server), follower(&server));
    register(&there, "p", "ann", "synced");
    join(&here.daemon, "p", "bob", "synced");
    agree(&[&server, &here.daemon, &there], "p", &["ann", "bob"]);
    (server, here, there)
}

#[test]
fn offline_register_reaches_the_server_on_reconnect() {
    let port = Port::reserve();
    let here = daemon(&format!("http://{}", port.address()));
    here.await_state("fallback");
    let mut watcher = Watcher::of(&here);
    register(&here, "p", "ann", "pending");
    join(&here, "p", "bob", "pending");
    let registered = watcher.next("party.registered")["party"].take();
    assert_eq!((&registered["origin"], &registered["sync"]), (&json!("local"), &json!("pending")));
    let host = &registered["peers"]["ann"];
    assert_eq!(host["virtual_ip"], "10.66.0.1");
    let server = server_on(&port);
    let is_synced = |data: &Value| data["party"]["sync"] == "synced";
    let told = watcher.until("party.updated", is_synced);
    assert_eq!(told["party"]["origin"], "remote");
    assert_eq!(told.get("previous_party_id"), None);
    let there = follower(&server);
    join(&there, "p", "cleo", "synced");
    agree(&[&server, &here, &there], "p", &["ann", "bob", "cleo"]);
}

#[test]
fn offline_join_of_an_unknown_party_is_refused() {
    let (_server, here, _there) = guest_here();
    here.leave();
    let mut client = here.daemon.client();
    // Retryable, as its table has it.
    let error = client.error("party.join", entry("unknown", "bob"));
    assert_error(&error, "offline");
    let message = error["message"].as_str().expect("a message");
    let why = "party unknown is not known here, and the control server can't be reached now: ";
    assert!(message.strip_prefix(why).is_some_and(|why| !why.is_empty()), "{message}");
    let signal = json!({"party_id": "p", "from_peer_id": "bob", "to_peer_id": "ann",
        "signal_data": 1});
    assert_error(&client.error("signal.send", signal), "offline");
    assert_error(&client.error("peer.heartbeat", member("p", "ann")), "permission_denied");
    let beat = client.call("peer.heartbeat", member("p", "bob"));
    assert!(beat["expires_in_ms"].as_u64().is_some_and(|ms| ms > 0), "{beat}");
    assert_error(&client.error("party.get", json!({"party_id": "unknown"})), "party_not_found");
}

#[test]
fn offline_changes_are_shown_as_pending() {
    let (server, here, there) = guest_here();
    here.leave();
    let mut watcher = Watcher::of(&here.daemon);
    join(&here.daemon, "p", "cleo", "pending");
    let joined = watcher.next("peer.joined");
    assert_eq!(joined["peer"]["peer_id"], "cleo");
    let waits = watcher.next("party.updated")["party"].take();
    assert_eq!((&waits["sync"], &waits["origin"]), (&json!("pending"), &json!("remote")));
    assert_eq!(party(&here.daemon, "p")["sync"], "pending");
    here.come_back();
    watcher.until("party.updated", |data| data["party"]["sync"] == "synced");
    agree(&[&server, &here.daemon, &there], "p", &["ann", "bob", "cleo"]);
}

#[test]
fn offline_changes_outlive_a_crash() {
    let (server, here, there) = guest_here();
    here.leave();
    register(&here.daemon, "q", "bob", "pending");
    join(&here.daemon, "p", "cleo", "pending");
    here.updates("p", "bob", 7);
    let here = here.crash();
    here.daemon.await_state("fallback");
    for id in ["p", "q"] {
        assert_eq!(party(&here.daemon, id)["sync"], "pending", "{id}");
    }
    // Once more, and what is done after the crash waits, too.
    assert_eq!(here.leaves_party("p", "cleo"), "left");
    join(&here.daemon, "q", "dora", "pending");
    let here = here.crash();
    here.come_back();
    for id in ["p", "q"] {
        await_synced(&here.daemon, id);
    }
    agree(&[&server, &here.daemon], "q", &["bob", "dora"]);
    agree(&[&server, &here.daemon, &there], "p", &["ann", "bob"]);
    assert_eq!(party(&there, "p")["peers"]["bob"]["public_port"], 7);
}

#[test]
fn offline_register_of_an_id_taken_since_gets_another() {
    let server = server();
    let (here, there) = (Roaming::of(&server), follower(&server));
    here.leave();
    register(&here.daemon, "p", "ann", "pending");
    join(&here.daemon, "p", "bob", "pending");
    register(&there, "p", "eve", "synced");
    let mut watcher = Watcher::of(&here.daemon);
    let mut narrow = here.daemon.client();
    narrow.call("events.subscribe", json!({"party_id": "p", "topics": ["party", "peer"]}));
    here.come_back();
    let told = watcher.until("party.updated", |data| !data["previous_party_id"].is_null());
    assert_eq!(told["previous_party_id"], "p");
    let id = told["party"]["party_id"].as_str().expect("an id").to_owned();
    assert_chosen_id(&id);
    await_synced(&here.daemon, &id);
    agree(&[&server, &here.daemon], &id, &["ann", "bob"]);
    agree(&[&server, &there], "p", &["eve"]);
    assert_eq!(party(&here.daemon, "p"), Value::Null);
    // Whoever comes by the new id finds it.
    join(&there, &id, "cleo", "synced");
    agree(&[&server, &here.daemon, &there], &id, &["ann", "bob", "cleo"]);
    // Who listens to the old id alone goes on hearing of the party.
    while narrow.event().1["peer"]["peer_id"] != "cleo" {}
}

#[test]
fn offline_join_that_the_server_refuses_is_undone() {
    let server = Setup::server().config("[limits]\npeers_per_party = 3\n").start();
    let (here, there) = (Roaming::of(&server), follower(&server));
    register(&there, "p", "ann", "synced");
    join(&here.daemon, "p", "bob", "synced");
    here.leave();
    join(&here.daemon, "p", "cleo", "pending");
    join(&there, "p", "dora", "synced");
    let mut watcher = Watcher::of(&here.daemon);
    here.come_back();
    let left = watcher.next("peer.left");
    assert_eq!((&left["peer_id"], &left["reason"]), (&json!("cleo"), &json!("removed")));
    await_synced(&here.daemon, "p");
    agree(&[&server, &here.daemon, &there], "p", &["ann", "bob", "dora"]);
}

#[test]
fn offline_party_without_own_members_is_removed() {
    let (server, here, there) = guest_here();
    here.leave();
    assert_eq!(here.leaves_party("p", "bob"), "left");
    // Somebody elsewhere takes the id first.
    join(&here.daemon, "p", "cleo", "pending");
    register(&there, "q", "cleo", "synced");
    let mut watcher = Watcher::of(&here.daemon);
    here.come_back();
    let left = watcher.until("peer.left", |data| data["peer_id"] == "cleo");
    assert_eq!(left["reason"], "removed");
    let removed = watcher.next("party.removed");
    assert_eq!((&removed["party_id"], &removed["reason"]), (&json!("p"), &json!("removed")));
    assert_eq!(party(&here.daemon, "p"), Value::Null);
    agree(&[&server, &there], "p", &["ann"]);
}

/// Server that soon expires silent peers, so that a party can end while its host is away.
const IMPATIENT: &str =
    "[cleanup]\ninterval = '20ms'\npeer_timeout = '200ms'\nstartup_grace = '0s'\n";

#[test]
fn offline_host_registers_a_party_that_the_server_dropped() {
    let server = Setup::server().config(IMPATIENT).start();
    let proxy = Proxy::to(server.address());
    let config = fast_remote([("heartbeat", "'20ms'")]);
    let setup = Setup::new().server_url(&proxy.url()).config(&config);
    let here = Roaming { daemon: setup.start(), proxy };
    here.daemon.await_state("online");
    register(&here.daemon, "p", "ann", "synced");
    join(&here.daemon, "p", "bob", "synced");
    let mut on_server = Watcher::of(&server);
    here.leave();
    on_server.next("party.removed");
    // Nobody left here.
    assert_eq!(members(&here.daemon, "p"), ["ann", "bob"]);
    here.come_back();
    let registered = on_server.next("party.registered");
    assert_eq!(registered["party"]["party_id"], "p");
    on_server.until("peer.joined", |data| data["peer"]["peer_id"] == "bob");
    await_synced(&here.daemon, "p");
    agree(&[&server, &here.daemon], "p", &["ann", "bob"]);
}

#[test]
fn offline_leave_reaches_the_server_on_reconnect() {
    let (server, here, there) = guest_here();
    register(&here.daemon, "q", "bob", "synced");
    join(&there, "q", "ann", "synced");
    here.leave();
    assert_eq!(here.leaves_party("p", "bob"), "left");
    assert_eq!(here.leaves_party("q", "bob"), "party_deleted");
    assert_eq!(party(&here.daemon, "q"), Value::Null);
    assert_eq!(members(&there, "p"), ["ann", "bob"], "nobody told it");
    let mut watcher = Watcher::of(&there);
    here.come_back();
    let mut gone = [Value::Null, Value::Null];
    while gone.iter().any(Value::is_null) {
        let (kind, data) = watcher.client.event();
        match kind.as_str() {
            "peer.left" if data["party_id"] == "p" => gone[0] = data,
            "party.removed" => gone[1] = data,
            _ => {}
        }
    }
    assert_eq!((&gone[0]["peer_id"], &gone[0]["reason"]), (&json!("bob"), &json!("left")));
    assert_eq!((&gone[1]["party_id"], &gone[1]["reason"]), (&json!("q"), &json!("host_left")));
    agree(&[&server, &there], "p", &["ann"]);
    assert_eq!(party(&server, "q"), Value::Null);
}

#[test]
fn offline_leave_and_join_leave_a_member() {
    let (server, here, there) = guest_here();
    here.leave();
    assert_eq!(here.leaves_party("p", "bob"), "left");
    let params = json!({"party_id": "p", "peer": moved("bob", 9), "keepalive": "daemon"});
    let joined = here.daemon.client().call("party.join", params)["party"].take();
    assert_eq!(joined["sync"], "pending");
    here.come_back();
    await_synced(&here.daemon, "p");
    agree(&[&server, &here.daemon, &there], "p", &["ann", "bob"]);
    assert_eq!(party(&server, "p")["peers"]["bob"]["public_port"], 9);
}

#[test]
fn offline_join_that_failed_for_its_client_is_left_on_reconnect() {
    for transport in ["ws", "http"] {
        let server = server();
        let (proxy, other) = (Proxy::to(server.address()), follower(&server));
        let config = fast_remote([("request_timeout", "'1500ms'")]);
        let config = format!("{config}transport = '{transport}'\n");
        let here = Setup::new().server_url(&proxy.url()).config(&config).start();
        here.await_state("online");
        register(&other, "lan", "ann", "synced");
        let own = json!({"name": "Own", "host": peer("bob"), "keepalive": "daemon"});
        here.client().call("party.register", own);
        // The server does what it is asked, and its answer is lost.
        proxy.black_hole(Direction::ToClient);
        assert_error(&here.client().error("party.join", entry("lan", "bob")), "offline");
        agree(&[&server, &other], "lan", &["ann", "bob"]);
        proxy.heal();
        proxy.cut();
        agree(&[&server, &other], "lan", &["ann"]);
        here.await_state("online");
        assert_eq!(party(&here, "lan"), json!(null), "{transport}");
    }
}
