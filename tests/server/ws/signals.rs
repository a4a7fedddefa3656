//! Signals from member to member.

use serde_json::{Value, json};

use super::{
    await_sockets, done, guest, host, leave, newcomer, plain_guest, plain_host, refused, shapes,
    signal, told,
};
use crate::harness::{Http, Setup, Ws};

#[test]
fn signal_goes_to_its_target_alone() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let mut bob = plain_guest(&server, "lan", "bob");
    let (mut carol, _) = guest(&server, "lan", "carol");
    alice.settled();
    let data = json!({"sdp": "v=0\r\n…", "deep": [[{"n": 1e300}]], "null": null});
    for (to, from) in [("bob", "alice"), ("alice", "carol"), ("carol", "carol")] {
        let sender = if from == "alice" { &mut alice } else { &mut carol };
        done(&sender.ask(signal("lan", from, to, data.clone())));
    }
    let expected = |from: &str, to: &str| signal("lan", from, to, data.clone());
    assert_eq!(alice.settled(), [expected("carol", "alice")]);
    assert_eq!(carol.settled(), [expected("carol", "carol")]);
    let to_bob = bob.await_type("signal");
    shapes::plain(&to_bob);
    assert_eq!(to_bob, expected("alice", "bob"));
    bob.send(signal("lan", "bob", "alice", json!("back")));
    assert_eq!(alice.await_type("signal")["signal_data"], "back");
}

/// Numbers too large or too exact for a float come as they were sent.
#[test]
fn signal_data_arrives_letter_for_letter() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let data = "{\"b\":1.10,\"a\":123456789012345678901234567890,\"b\":\"\\u00e9\"}";
    alice.send_text(&format!(
        "{{\"type\":\"signal\",\"party_id\":\"lan\",\"from_peer_id\":\"alice\",\
          \"to_peer_id\":\"alice\",\"signal_data\":{data}}}"
    ));
    let text = loop {
        match alice.message().expect("a signal") {
            tungstenite::Message::Text(text) if text.contains("signal_data") => break text,
            _ => {}
        }
    };
    assert!(text.contains(data), "{text}");
}

#[test]
fn signal_waits_for_a_member_that_is_away() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (bob, token) = guest(&server, "lan", "bob");
    bob.close();
    await_sockets(&server, 1);
    for n in 0..3 {
        done(&alice.ask(signal("lan", "alice", "bob", json!(n))));
    }
    let (mut bob, _) = Ws::hello(server.address(), "bob", Some(&token));
    let heard = bob.settled();
    heard.iter().for_each(shapes::full);
    assert_eq!(told(&heard), ["party_update", "signal bob", "signal bob", "signal bob"]);
    let data: Vec<_> = heard[1..].iter().map(|frame| &frame["signal_data"]).collect();
    assert_eq!(data, [&json!(0), &json!(1), &json!(2)]);
    bob.close();
    await_sockets(&server, 1);
    let (mut bob, _) = Ws::hello(server.address(), "bob", Some(&token));
    assert_eq!(told(&bob.settled()), ["party_update"], "they are delivered once");
}

/// Over HTTP there is no way to get them.
#[test]
fn signal_waits_for_a_member_that_joined_over_http() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let mut bob = Http::registered(server.address(), "bob");
    bob.join("lan", "bob").ok();
    done(&alice.ask(signal("lan", "alice", "bob", json!("early"))));
    let (mut bob, _) = Ws::hello(server.address(), "bob", bob.token.as_deref());
    assert_eq!(told(&bob.settled()), ["party_update", "signal bob"]);
}

#[test]
fn signal_to_a_full_queue_is_rate_limited() {
    let server = Setup::server().config("[limits]\nsignals_per_peer = 3\n").start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let mut bob = Http::registered(server.address(), "bob");
    bob.join("lan", "bob").ok();
    for n in 0..3 {
        done(&alice.ask(signal("lan", "alice", "bob", json!(n))));
    }
    let answer = alice.ask(signal("lan", "alice", "bob", json!(3)));
    assert_eq!(refused(&answer), "rate_limited");
    assert!(answer["retry_after_ms"].as_u64() > Some(0), "{answer}");
    let (mut bob, _) = Ws::hello(server.address(), "bob", bob.token.as_deref());
    bob.settled();
    done(&alice.ask(signal("lan", "alice", "bob", json!(4))));
    assert_eq!(bob.await_type("signal")["signal_data"], 4);
}

#[test]
fn signal_ends_with_the_membership_of_its_target() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let mut bob = Http::registered(server.address(), "bob");
    bob.join("lan", "bob").ok();
    done(&alice.ask(signal("lan", "alice", "bob", json!("old"))));
    bob.delete("/parties/lan/peers/bob").ok();
    bob.join("lan", "bob").ok();
    let (mut bob, _) = Ws::hello(server.address(), "bob", bob.token.as_deref());
    assert_eq!(told(&bob.settled()), ["party_update"]);
}

#[test]
fn signal_between_others_than_members_is_refused() {
    let server = Setup::server().start();
    let mut alice = plain_host(&server, "lan", "alice");
    let (mut bob, _) = newcomer(&server, "bob");
    let answer = bob.ask(signal("lan", "bob", "alice", json!(1)));
    assert_eq!(refused(&answer), "not_a_member");
    let answer = bob.ask(signal("lan", "alice", "alice", json!(1)));
    assert_eq!(refused(&answer), "permission_denied");
    done(&bob.ask(super::join("lan", "bob")));
    done(&bob.ask(leave("lan", "bob")));
    let answer = bob.ask(signal("lan", "bob", "alice", json!(1)));
    assert_eq!(refused(&answer), "not_a_member");
    assert_eq!(told(&alice.settled_plainly()), ["peer_joined bob", "peer_left bob"]);
}

/// The frame limit, less the envelope, bounds the data.
#[test]
fn signal_of_the_longest_data_arrives() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let long: Value = json!("x".repeat(65_000));
    done(&alice.ask(signal("lan", "alice", "alice", long.clone())));
    assert_eq!(alice.await_type("signal")["signal_data"], long);
}
