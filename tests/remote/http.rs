//! A server without a WebSocket, or one that is not to be spoken to by it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::{
    PATIENT, Watcher, await_synced, entry, join, member, members, moved, names, party,
    registration, server, server_on, url,
};
use crate::harness::{Daemon, FAST_REMOTE, Port, Setup, eventually, fast_remote};

fn over_http(url: &str) -> Daemon {
    // Each attempt has several of its own in it.
    let config = fast_remote([("max_attempts", "1")]);
    let config = format!("{config}transport = 'http'\npoll = '1s'\n");
    Setup::new().server_url(url).config(&config).start()
}

/// Registers a party, whose id the server chooses.
fn register(daemon: &Daemon, host: &str) -> String {
    let asked = registration("mine", host);
    let party = daemon.client().call("party.register", asked)["party"].take();
    assert_eq!((&party["origin"], &party["sync"]), (&json!("remote"), &json!("synced")));
    let id = party["party_id"].as_str().expect("an id").to_owned();
    assert_ne!(id, "mine");
    id
}

/// Waits until a party has these members. Over HTTP a copy comes late.
#[track_caller]
fn await_members(daemon: &Daemon, party_id: &str, expected: &[&str]) {
    eventually(&format!("{expected:?}"), || (members(daemon, party_id) == expected).then_some(()));
}

/// The life of a party between two machines that look for news.
fn live(server: &Daemon, here: &Daemon, there: &Daemon) {
    for daemon in [here, there] {
        daemon.await_state("online");
    }
    let mut watcher = Watcher::of(here);
    let id = register(here, "ann");
    assert_eq!(members(server, &id), ["ann"]);
    assert_eq!(watcher.next("party.registered")["party"]["party_id"], json!(id));
    join(there, &id, "bob", "synced");
    assert_eq!(members(server, &id), ["ann", "bob"]);
    let joined = watcher.next("peer.joined");
    assert_eq!((&joined["peer"]["peer_id"], &joined["party_id"]), (&json!("bob"), &json!(id)));
    let address = &party(server, &id)["peers"]["bob"]["virtual_ip"];
    assert_eq!(joined["peer"]["virtual_ip"], *address);

    there.client().call("peer.update", json!({"party_id": id, "peer": moved("bob", 7)}));
    assert_eq!(party(server, &id)["peers"]["bob"]["public_port"], 7);
    watcher.until("peer.updated", |data| data["peer"]["public_port"] == 7);
    there.client().call("peer.heartbeat", member(&id, "bob"));

    assert_eq!(there.client().call("party.leave", member(&id, "bob"))["status"], "left");
    assert_eq!(members(server, &id), ["ann"]);
    assert_eq!(watcher.next("peer.left")["peer_id"], "bob");
    join(there, &id, "cleo", "synced");
    let mut guest = Watcher::of(there);
    assert_eq!(here.client().call("party.leave", member(&id, "ann"))["status"], "party_deleted");
    assert_eq!(party(server, &id), Value::Null);
    assert_eq!(guest.next("party.removed")["party_id"], json!(id));
    for (daemon, guest) in [(here, "dora"), (there, "eve")] {
        assert_eq!(party(daemon, &id), Value::Null);
        let refused = daemon.client().refused("party.join", entry(&id, guest));
        assert_eq!(refused, "party_not_found");
    }
}

#[test]
fn party_runs_between_two_daemons_that_poll() {
    let server = server();
    let (here, there) = (over_http(&url(&server)), over_http(&url(&server)));
    live(&server, &here, &there);
}

#[test]
fn party_join_under_the_requested_id_keeps_its_keepalive() {
    let server = server();
    let daemon = over_http(&url(&server));
    daemon.await_state("online");
    let mut client = daemon.client();
    let registered = client.send("party.register", registration("mine", "ann"));
    let joined = client.send("party.join", entry("mine", "bob"));
    let id = client.reply(registered)["result"]["party"]["party_id"].take();
    let party = client.reply(joined)["result"]["party"].take();
    assert_eq!(party["party_id"], id, "{party}");
    for peer in ["ann", "bob"] {
        assert_eq!(party["peers"][peer]["connected"], true, "{party}");
    }
}

#[test]
fn party_join_of_a_full_party_has_its_code_over_http() {
    let config = format!("{PATIENT}peers_per_party = 1\n");
    let server = Setup::server().config(&config).start();
    let daemon = over_http(&url(&server));
    daemon.await_state("online");
    let id = register(&daemon, "ann");
    assert_eq!(daemon.client().refused("party.join", entry(&id, "bob")), "party_full");
}

#[test]
fn signal_send_over_http_stays_on_one_machine() {
    let server = server();
    let (here, there) = (over_http(&url(&server)), over_http(&url(&server)));
    for daemon in [&here, &there] {
        daemon.await_state("online");
    }
    let id = register(&here, "ann");
    join(&there, &id, "bob", "synced");
    await_members(&here, &id, &["ann", "bob"]);
    let signal = json!({"party_id": id, "from_peer_id": "ann", "to_peer_id": "bob",
        "signal_data": 1});
    let error = here.client().error("signal.send", signal);
    assert_eq!(error["data"]["code"], "server_rejected");
    // The server has one: it is the daemon that is not to use it.
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("WebSocket") && message.contains("remote.transport"), "{message}");
}

#[test]
fn offline_changes_reach_the_server_over_http() {
    let port = Port::reserve();
    let here = over_http(&format!("http://{}", port.address()));
    here.await_state("fallback");
    super::register(&here, "mine", "ann", "pending");
    join(&here, "mine", "bob", "pending");
    let mut watcher = Watcher::of(&here);
    let server = server_on(&port);
    let told = watcher.until("party.updated", |data| !data["previous_party_id"].is_null());
    assert_eq!(told["previous_party_id"], "mine");
    let id = told["party"]["party_id"].as_str().expect("an id").to_owned();
    here.await_state("online");
    await_synced(&here, &id);
    assert_eq!(members(&here, &id), ["ann", "bob"]);
    assert_eq!(members(&server, &id), ["ann", "bob"]);
    let there = over_http(&url(&server));
    there.await_state("online");
    join(&there, &id, "cleo", "synced");
    await_members(&here, &id, &["ann", "bob", "cleo"]);

    // And once more, with a party that the server has.
    let setup = server.kill();
    here.await_state("fallback");
    there.await_state("fallback");
    let left = there.client().call("party.leave", member(&id, "cleo"));
    assert_eq!(left["status"], "left");
    join(&here, &id, "dora", "pending");
    let server = setup.restart_on(port.address()).start();
    for daemon in [&here, &there] {
        daemon.await_state("online");
    }
    await_members(&here, &id, &["ann", "bob", "dora"]);
    assert_eq!(members(&server, &id), ["ann", "bob", "dora"]);
    // The first attempt that found the server was good enough.
    assert!(!here.setup.log().contains("no answer within"), "{}", here.setup.log());
}

/// A server in front of another, that has all of its routes but the WebSocket.
fn without_websocket(server: SocketAddr) -> SocketAddr {
    in_front_of(server, Arc::default())
}

/// The same for a server that has a WebSocket from some moment on.
fn in_front_of(server: SocketAddr, has_websocket: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.expect("a connection");
            let has_websocket = has_websocket.load(Ordering::SeqCst);
            thread::spawn(move || pass_on(near, server, has_websocket));
        }
    });
    address
}

/// Passes a connection on, unless it begins with an upgrade to WebSocket and there is none.
fn pass_on(near: TcpStream, server: SocketAddr, has_websocket: bool) -> Option<()> {
    let mut reader = BufReader::new(near.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (reader.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    let mut writer = near;
    if head.starts_with("GET /ws ") && !has_websocket {
        let refusal = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return writer.write_all(refusal.as_bytes()).ok();
    }
    let mut far = TcpStream::connect(server).ok()?;
    far.write_all(head.as_bytes()).ok()?;
    let mut back = far.try_clone().ok()?;
    thread::spawn(move || {
        std::io::copy(&mut back, &mut writer).ok();
        writer.shutdown(Shutdown::Both).ok();
    });
    // What was read ahead comes first.
    std::io::copy(&mut reader.by_ref(), &mut far).ok()?;
    far.shutdown(Shutdown::Both).ok()
}

#[test]
fn server_without_a_websocket_is_used_over_http() {
    let server = server();
    let url = format!("http://{}", without_websocket(server.address()));
    let config = format!("{FAST_REMOTE}transport = 'auto'\npoll = '1s'\n");
    let daemon = || Setup::new().server_url(&url).config(&config).start();
    let (here, there) = (daemon(), daemon());
    live(&server, &here, &there);
    for daemon in [here, there] {
        let log = daemon.setup.log();
        let said = log.matches("is spoken to over HTTP: there is no WebSocket").count();
        assert_eq!(said, 1, "{log}");
        // That a party has ended is no fault of anybody's.
        let is_warning = |line: &str| line.contains("WARN") && line.contains("refused");
        assert!(!log.lines().any(is_warning), "{log}");
    }
}

/// A server replaces LANrage's own at the same address.
#[test]
fn websocket_that_comes_later_is_found() {
    let server = server();
    let has_websocket = Arc::new(AtomicBool::new(false));
    let url = format!("http://{}", in_front_of(server.address(), has_websocket.clone()));
    let config = format!("{FAST_REMOTE}transport = 'auto'\npoll = '1s'\n");
    let daemon = || Setup::new().server_url(&url).config(&config).start();
    let (here, there) = (daemon(), daemon());
    here.await_state("online");
    there.await_state("online");
    let id = register(&here, "ann");
    join(&there, &id, "bob", "synced");
    let mut watcher = Watcher::of(&here);
    has_websocket.store(true, Ordering::SeqCst);
    // It is no loss that another connection is made.
    let states = watcher.states_to("online");
    assert_eq!(names(&states), ["reconnecting", "online"]);
    assert_eq!((&states[0]["attempt"], &states[0]["last_error"]), (&json!(0), &json!(null)));
    let signal = json!({"party_id": id, "from_peer_id": "ann", "to_peer_id": "bob",
        "signal_data": {"sdp": 1}});
    // Nothing but a WebSocket carries it.
    eventually("a WebSocket", || {
        let reply = here.client().ask("signal.send", signal.clone())?;
        reply["error"].is_null().then_some(())
    });
    eventually("the signal", || {
        let polled = there.client().call("signal.poll", member(&id, "bob"));
        (polled["signals"][0]["signal_data"]["sdp"] == 1).then_some(())
    });
}

#[test]
fn transport_websocket_tells_that_the_server_has_none() {
    let server = server();
    let url = format!("http://{}", without_websocket(server.address()));
    let config = format!("{FAST_REMOTE}transport = 'ws'\n");
    let daemon = Setup::new().server_url(&url).config(&config).start();
    let lost = daemon.await_state("fallback");
    assert!(lost["last_error"].as_str().is_some_and(|why| why.contains("404")), "{lost}");
    super::register(&daemon, "p", "ann", "pending");
}
