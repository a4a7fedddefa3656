//! Registrations and joins that a control server confirms, and lies about the party.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::play::Play;
use super::trial::PARTY;
use crate::harness::{announced, eventually, peer};

/// Changes a `party_update`.
type Forgery = fn(&mut Value);

/// A server that applies the forgery of the moment to each `party_update`.
fn forging() -> (Play, Arc<Mutex<Option<Forgery>>>) {
    let forgery = Arc::new(Mutex::new(None::<Forgery>));
    let current = forgery.clone();
    let lie = move |_: &Value, answers: &mut Vec<Value>| {
        if let Some(forge) = *current.lock().expect("the forgery") {
            answers.iter_mut().filter(|answer| answer["type"] == "party_update").for_each(forge);
        }
    };
    (Play::lying(Box::new(lie), ""), forgery)
}

fn register(party_id: &str) -> Value {
    json!({"party_id": party_id, "name": "Other", "host": peer("a")})
}

/// The request is refused for such a reason, and its peer leaves on the server.
#[track_caller]
fn is_refused(play: &mut Play, method: &str, params: Value, reason: &str) {
    let error = play.client.error(method, params.clone());
    assert_eq!(error["data"]["code"], "server_rejected", "{error}");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(reason), "{reason:?} is not in {message}");
    let peer = [&params["host"], &params["peer"]].into_iter().find(|peer| !peer.is_null());
    let peer_id = &peer.expect("a peer")["peer_id"];
    eventually("the peer's leaving", || {
        let leaves = play.asked("leave_party");
        let is_it = |frame: &Value| {
            (&frame["party_id"], &frame["peer_id"]) == (&params["party_id"], peer_id)
        };
        leaves.iter().any(is_it).then_some(())
    });
}

#[test]
fn registration_answered_with_another_host_is_refused() {
    let (mut play, forgery) = forging();
    *forgery.lock().expect("the forgery") = Some(|update| {
        update["party"]["host_id"] = json!("x");
        update["party"]["peers"]["x"] = announced("x");
        update["virtual_ips"]["x"] = json!("10.66.0.77");
    });
    is_refused(&mut play, "party.register", register("mine"), "mine, whose host is x");
    let code = play.client.refused("party.get", json!({"party_id": "mine"}));
    assert_eq!(code, "party_not_found");
    play.nothing_changed();
    // The id is free once the server does as it should.
    *forgery.lock().expect("the forgery") = None;
    let party = play.client.register("mine", "a");
    assert_eq!((&party["host_id"], &party["sync"]), (&json!("a"), &json!("synced")));
    play.end();
}

#[test]
fn entry_into_a_party_that_cannot_be_read_is_refused_with_the_reason() {
    let (mut play, forgery) = forging();
    let forgeries: [(Forgery, &str); 6] = [
        (|update| update["party"]["name"] = json!("x\u{1b}[31m"), "control character"),
        (|update| update["seq"] = json!(-1), "epoch and seq"),
        (|update| update["party"]["created_at"] = json!("9999-12-31T23:59:59.999999999"), "time"),
        (|update| update["party"]["created_at"] = json!("0000-01-01T00:00:00"), "created_at"),
        (
            |update| {
                for number in 0..1100 {
                    let id = format!("x{number}");
                    update["party"]["peers"][&id] = announced(&id);
                }
            },
            "more than 1024 members",
        ),
        (|update| update["party"]["party_id"] = json!("elsewhere"), "nothing of it"),
    ];
    for (number, (forge, reason)) in forgeries.into_iter().enumerate() {
        *forgery.lock().expect("the forgery") = Some(forge);
        let party_id = format!("r{number}");
        is_refused(&mut play, "party.register", register(&party_id), reason);
        let join = json!({"party_id": PARTY, "peer": peer(&format!("b{number}"))});
        is_refused(&mut play, "party.join", join, reason);
        play.nothing_changed();
        *forgery.lock().expect("the forgery") = None;
        assert_eq!(play.client.register(&party_id, "a")["sync"], "synced");
        play.client.call("party.leave", json!({"party_id": party_id, "peer_id": "a"}));
    }
    play.end();
}
