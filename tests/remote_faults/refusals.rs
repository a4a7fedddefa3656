//! Servers that refuse again and again: each party is asked for as often as there is a reason to.

use serde_json::{Value, json};

use super::world::register;
use crate::harness::{BadServer, Behaviour, FAST_REMOTE, Setup, Step, eventually, peer, polite};

/// A refusal of a frame.
fn refusal(frame: &Value, mut why: Value) -> String {
    (why["type"], why["req_id"]) = (json!("error"), frame["req_id"].clone());
    why.to_string()
}

/// A server that registers no party, and else is polite.
fn without_parties(why: Value) -> Behaviour {
    let polite = polite();
    Behaviour::UpgradeThen(vec![Step::answer(move |frame| match frame["type"].as_str() {
        Some("register_party") => vec![refusal(frame, why.clone())],
        _ => polite(frame),
    })])
}

/// Number of frames of a kind with that value at that place.
fn count(frames: &[Value], kind: &str, place: &str, value: impl Into<Value>) -> usize {
    let value = value.into();
    let found = frames.iter().filter(|f| f["type"] == kind && f.pointer(place) == Some(&value));
    found.count()
}

#[test]
fn changes_of_a_party_are_sent_without_those_of_others() {
    const STUCK: usize = 20;
    let server = BadServer::start(Behaviour::AcceptAndDrop);
    let daemon = Setup::new().server_url(&server.url()).config(FAST_REMOTE).start();
    daemon.await_state("fallback");
    let mut client = daemon.client();
    for number in 0..STUCK {
        register(&mut client, &format!("p{number}"), "ann");
    }
    // It is looked at after all the others, where those are.
    register(&mut client, "q", "ann");
    server.behave(without_parties(json!({"message": "no", "code": "permission_denied"})));
    daemon.await_state("online");
    eventually("all refused", || {
        (daemon.setup.log().matches("the server refused ann").count() > STUCK).then_some(())
    });
    for port in 1..=5 {
        let mut ann = peer("ann");
        ann["public_port"] = json!(port);
        client.call("peer.update", json!({"party_id": "q", "peer": ann}));
        let told = || count(&server.frames(), "register_party", "/host_peer/public_port", port);
        eventually("the update", || (told() > 0).then_some(()));
    }
    let frames = server.frames();
    for number in 0..STUCK {
        let party_id = format!("p{number}");
        assert_eq!(count(&frames, "register_party", "/party_id", &*party_id), 1, "{party_id}");
    }
    assert_eq!(count(&frames, "register_party", "/party_id", "q"), 6);
}
