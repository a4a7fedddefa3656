//! Ends of parties and of connections.

use nix::sys::signal::Signal;
use serde_json::json;

use super::{done, guest, host, leave, newcomer, plain_guest, plain_host, shapes, told, update};
use crate::harness::{Http, Setup};

#[test]
fn leave_party_of_the_host_is_told_in_each_clients_style() {
    let server = Setup::server().start();
    // The host is neither the first nor the last by name.
    let (mut host, _) = host(&server, "lan", "mia");
    let (mut bob, _) = guest(&server, "lan", "bob");
    let mut alice = plain_guest(&server, "lan", "alice");
    let mut zoe = plain_guest(&server, "lan", "zoe");
    bob.settled();
    alice.settled_plainly();
    assert_eq!(*done(&host.ask(leave("lan", "mia"))), json!({"status": "party_deleted"}));
    let removed = bob.settled();
    assert_eq!(told(&removed), ["party_removed"]);
    removed.iter().for_each(shapes::full);
    assert_eq!(
        (&removed[0]["party_id"], &removed[0]["reason"]),
        (&json!("lan"), &json!("host_left"))
    );
    for plain in [&mut alice, &mut zoe] {
        let heard = plain.settled_plainly();
        heard.iter().for_each(shapes::plain);
        let left = ["peer_left mia", "peer_left alice", "peer_left bob", "peer_left zoe"];
        assert_eq!(told(&heard), left);
    }
    // The next one of that name is another one.
    alice.send(super::register("lan", "alice"));
    alice.await_type("party_update");
    assert_eq!(done(&bob.ask(super::join("lan", "bob")))["virtual_ip"], "10.66.0.2");
    assert_eq!(told(&zoe.settled_plainly()), [""; 0]);
}

#[test]
fn leave_party_of_a_plain_host_ends_the_party() {
    let server = Setup::server().start();
    let mut alice = plain_host(&server, "lan", "alice");
    let (mut bob, _) = guest(&server, "lan", "bob");
    alice.send(leave("lan", "alice"));
    assert_eq!(bob.await_type("party_removed")["reason"], "host_left");
    alice.settled_plainly();
    assert_eq!(told(&alice.settled_plainly()), [""; 0]);
}

const QUICK: &str =
    "[cleanup]\ninterval = \"5ms\"\npeer_timeout = \"1ms\"\nstartup_grace = \"0s\"\n";

#[test]
fn member_without_signs_of_life_expires() {
    let server = Setup::server().config(QUICK).start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (bob, _) = guest(&server, "lan", "bob");
    let mut carol = plain_guest(&server, "lan", "carol");
    drop(bob);
    assert_eq!(alice.await_type("peer_updated")["connected"], json!({"bob": false}));
    assert_eq!(alice.await_type("peer_left")["peer_id"], "bob");
    assert_eq!(carol.await_type("peer_left")["peer_id"], "bob");
    // Whose connections are open stay, however long the others were waited for.
    done(&alice.ask(update("lan", "alice", "Alicia")));
    assert_eq!(
        carol.await_type("party_update")["party"]["peers"].as_object().map(|p| p.len()),
        Some(2)
    );
}

#[test]
fn host_without_signs_of_life_ends_its_party() {
    let server = Setup::server().config(QUICK).start();
    let (alice, _) = host(&server, "lan", "alice");
    let (mut bob, _) = guest(&server, "lan", "bob");
    let mut carol = plain_guest(&server, "lan", "carol");
    drop(alice);
    let removed = bob.await_type("party_removed");
    shapes::full(&removed);
    assert_eq!(removed["reason"], "expired");
    let left: Vec<_> = (0..3).map(|_| carol.await_type("peer_left")).collect();
    assert_eq!(told(&left), ["peer_left alice", "peer_left bob", "peer_left carol"]);
}

#[test]
fn dropped_connection_is_no_leave() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (bob, _) = guest(&server, "lan", "bob");
    let mut carol = plain_guest(&server, "lan", "carol");
    drop(bob);
    let silent = alice.await_type("peer_updated");
    shapes::full(&silent);
    assert_eq!(silent["connected"], json!({"bob": false}));
    assert_eq!(told(&alice.settled()), ["peer_joined bob", "peer_joined carol"]);
    assert_eq!(told(&carol.settled_plainly()), [""; 0]);
    let mut http = Http::registered(server.address(), "dave");
    let peers = http.get("/parties/lan/peers").ok();
    assert!(peers["peers"]["bob"].is_object(), "{peers}");
    let party = {
        alice.ask(super::sync("lan"));
        alice.await_type("party_update")
    };
    assert_eq!(party["connected"], json!({"alice": true, "bob": false, "carol": true}));
}

#[test]
fn goaway_is_sent_when_the_server_stops() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let mut bob = plain_guest(&server, "lan", "bob");
    let (mut carol, _) = newcomer(&server, "carol");
    server.signal(Signal::SIGTERM);
    for full in [&mut alice, &mut carol] {
        let rest = full.rest();
        let goodbye = rest.last().expect("a goodbye");
        shapes::full(goodbye);
        assert_eq!(goodbye["type"], "goaway");
        assert!(goodbye["retry_after_ms"].as_u64() > Some(0));
        assert!(!rest.iter().any(|frame| frame["type"] == "peer_updated"), "{rest:?}");
    }
    assert_eq!(told(&bob.rest()), [""; 0]);
    for ws in [alice, bob, carol] {
        assert_eq!(ws.closed.map(|frame| u16::from(frame.code)), Some(1001));
    }
    let (_, status) = server.wait();
    assert!(status.success());
}
