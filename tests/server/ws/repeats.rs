//! Repeated requests.

use serde_json::{Value, json};

use super::{done, guest, host, join, leave, newcomer, refused, register, signal, told, update};
use crate::harness::{Http, Setup, Ws};

fn named(mut frame: Value, req_id: &str) -> Value {
    frame["req_id"] = json!(req_id);
    frame
}

/// Every mutation of one peer, in an order in which each can be done.
fn mutations() -> Vec<Value> {
    let mut nameless = register("", "bob");
    nameless.as_object_mut().expect("an object").remove("party_id");
    let frames = [
        join("lan", "bob"),
        update("lan", "bob", "Robert"),
        signal("lan", "bob", "alice", json!("once")),
        register("own", "bob"),
        nameless,
        leave("lan", "bob"),
        leave("own", "bob"),
    ];
    let named = frames.into_iter().zip(1..).map(|(frame, n)| named(frame, &format!("m{n}")));
    named.collect()
}

#[test]
fn req_id_sent_twice_is_done_once() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut bob, _) = newcomer(&server, "bob");
    for frame in mutations() {
        let first = bob.ask(frame.clone());
        done(&first);
        assert_eq!(bob.ask(frame.clone()), first, "{frame}");
    }
    let expected = ["peer_joined bob", "peer_updated bob", "signal alice", "peer_left bob"];
    assert_eq!(told(&alice.settled()), expected);
    let metrics = server.metrics();
    assert!(metrics.text().contains("lanrage_parties 2\n"), "lan, and the one without a name");
}

#[test]
fn req_id_sent_twice_at_once_gets_equal_answers() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut bob, token) = newcomer(&server, "bob");
    let (mut other, _) = Ws::hello(server.address(), "bob", Some(&token));
    for frame in mutations() {
        bob.send(frame.clone());
        other.send(frame.clone());
        bob.send(frame.clone());
        let id = frame["req_id"].as_str().expect("an id");
        let answers = [bob.answer(id), bob.answer(id), other.answer(id)];
        done(&answers[0]);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
    let expected = ["peer_joined bob", "peer_updated bob", "signal alice", "peer_left bob"];
    assert_eq!(told(&alice.settled()), expected);
}

#[test]
fn req_id_on_another_connection_gets_the_same_answer() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut bob, token) = newcomer(&server, "bob");
    for frame in mutations() {
        let first = bob.ask(frame.clone());
        done(&first);
        drop(bob);
        bob = Ws::hello(server.address(), "bob", Some(&token)).0;
        assert_eq!(bob.ask(frame.clone()), first, "{frame}");
    }
    let heard = told(&alice.settled());
    let count = |what: &str| heard.iter().filter(|told| *told == what).count();
    assert_eq!(
        (count("peer_joined bob"), count("signal alice"), count("peer_left bob")),
        (1, 1, 1)
    );
}

#[test]
fn req_id_after_a_kill_gets_the_same_answer() {
    let mut server = Setup::server().start();
    let (_, alice_token) = host(&server, "lan", "alice");
    let (_, token) = newcomer(&server, "bob");
    let mut signals = 0;
    for frame in mutations() {
        let (mut alice, _) = Ws::hello(server.address(), "alice", Some(&alice_token));
        let (mut bob, _) = Ws::hello(server.address(), "bob", Some(&token));
        let first = bob.ask(frame.clone());
        done(&first);
        signals += told(&alice.settled()).iter().filter(|told| *told == "signal alice").count();
        server = server.kill().start();
        let (mut alice, _) = Ws::hello(server.address(), "alice", Some(&alice_token));
        let (mut bob, _) = Ws::hello(server.address(), "bob", Some(&token));
        assert_eq!(bob.ask(frame.clone()), first, "{frame}");
        signals += told(&alice.settled()).iter().filter(|told| *told == "signal alice").count();
    }
    assert_eq!(signals, 1);
}

/// A registration that comes again brings its party again, too.
#[test]
fn register_party_repeated_brings_the_party_again() {
    let server = Setup::server().start();
    let (mut alice, token) = newcomer(&server, "alice");
    let mut frame = named(register("", "alice"), "r1");
    frame.as_object_mut().expect("an object").remove("party_id");
    let party_id = done(&alice.ask(frame.clone()))["party_id"].clone();
    drop(alice);
    let mut alice = Ws::connect(server.address());
    alice.send(
        json!({"type": "hello", "version": "1", "client": "t", "caps": ["x"], "token": token}),
    );
    alice.await_type("party_update");
    done(&alice.ask(frame));
    assert_eq!(alice.await_type("party_update")["party"]["party_id"], party_id);
}

#[test]
fn req_id_is_known_again_for_its_peer_only() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let members = ["bob", "carol"].map(|peer| {
        let (mut ws, _) = newcomer(&server, peer);
        done(&ws.ask(named(join("lan", peer), "same")));
        ws
    });
    assert_eq!(told(&alice.settled()), ["peer_joined bob", "peer_joined carol"]);
    drop(members);
    // A caller without a token learns nothing of the request.
    let mut mallory = newcomer(&server, "mallory").0;
    assert_eq!(refused(&mallory.ask(named(join("lan", "bob"), "same"))), "permission_denied");
}

#[test]
fn req_id_of_a_refused_request_is_decided_anew() {
    let server = Setup::server().start();
    let (mut bob, _) = newcomer(&server, "bob");
    let frame = named(join("lan", "bob"), "r1");
    assert_eq!(refused(&bob.ask(frame.clone())), "party_not_found");
    let _alice = host(&server, "lan", "alice");
    done(&bob.ask(frame));
}

#[test]
fn req_id_is_echoed_letter_for_letter() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    for id in [json!("ß \"quoted\""), json!(0), json!(-7), json!(u64::MAX)] {
        let mut frame = update("lan", "alice", "A");
        frame["req_id"] = id.clone();
        alice.send(frame);
        assert_eq!(alice.await_type("ack")["req_id"], id);
    }
    for id in [json!(""), json!(1.5), json!([1]), json!("x".repeat(129)), json!(true)] {
        let mut frame = update("lan", "alice", "A");
        frame["req_id"] = id.clone();
        alice.send(frame);
        assert_eq!(refused(&alice.await_type("error")), "invalid_request", "{id}");
    }
    // None, and none asked for: no answer.
    alice.send(named(update("lan", "alice", "B"), "last"));
    let mut frame = update("lan", "alice", "C");
    frame["req_id"] = json!(null);
    alice.send(frame);
    assert_eq!(done(&alice.answer("last")), &json!({}));
    assert!(!told(&alice.settled()).contains(&"ack".to_owned()));
}

/// Later changes over HTTP do not change the recorded answer.
#[test]
fn leave_party_repeated_gets_the_first_answer() {
    let server = Setup::server().start();
    let (mut alice, token) = host(&server, "lan", "alice");
    let (_bob, _) = guest(&server, "lan", "bob");
    let frame = named(leave("lan", "alice"), "bye");
    let first = alice.ask(frame.clone());
    assert_eq!(*done(&first), json!({"status": "party_deleted"}));
    let mut http = Http::connect(server.address());
    http.token = Some(token);
    let again = http.party("alice");
    assert_eq!(alice.ask(frame), first);
    http.get(&format!("/parties/{again}")).ok();
}
