//! Servers that refuse again and again: each party is asked for as often as there is a reason to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{join, register};
use crate::harness::{
    BadServer, Behaviour, FAST_REMOTE, Proxy, Setup, Step, assert_error, eventually, fast_remote,
    peer, polite,
};

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

/// State of a server that has lost a party, about two guests that try to join it.
#[derive(Default)]
struct Waiting {
    /// True once it has lost the party.
    is_lost: bool,
    /// The late guest's request, which is answered between two rounds of the early one's.
    late: Option<Value>,
    heartbeats: usize,
    /// Time of the early guest's last refusal.
    refused_at: Option<Instant>,
    /// Pauses between its refusals and its next attempts, after the late guest was refused, too.
    pauses: Vec<Duration>,
}

impl Waiting {
    /// Returns the refusal of a frame; empty if the frame is not refused now.
    fn refuse(&mut self, frame: &Value) -> Vec<Value> {
        let is_early = frame["peer"]["peer_id"] == "early";
        match frame["type"].as_str() {
            Some("join_party") if is_early => {
                let before = self.refused_at.replace(Instant::now());
                if self.heartbeats > 1 {
                    self.pauses.extend(before.map(|before| before.elapsed()));
                }
                vec![frame.clone()]
            }
            Some("join_party") if self.heartbeats < 2 => {
                self.late = Some(frame.clone());
                vec![]
            }
            Some("join_party") => vec![frame.clone()],
            _ => {
                self.heartbeats += usize::from(frame["type"] == "heartbeat");
                if self.heartbeats < 2 { vec![] } else { self.late.take().into_iter().collect() }
            }
        }
    }
}

/// The first heartbeat comes with a round, the second one does not.
#[test]
fn guests_that_wait_for_the_same_host_are_sent_together() {
    let polite = polite();
    let waiting = Arc::new(Mutex::new(Waiting::default()));
    let server = BadServer::start(Behaviour::UpgradeThen(vec![Step::answer({
        let waiting = waiting.clone();
        move |frame| {
            let mut waiting = waiting.lock().expect("who waits");
            if !waiting.is_lost {
                return polite(frame);
            }
            let why = json!({"message": "gone", "code": "party_not_found"});
            let refused = waiting.refuse(frame);
            let mut texts: Vec<_> = refused.iter().map(|it| refusal(it, why.clone())).collect();
            if frame["type"] != "join_party" {
                let answers = polite(frame).into_iter();
                texts.extend(answers.map(|text| text.replace("epoch-1", "epoch-2")));
            }
            texts
        }
    })]));
    let proxy = Proxy::to(server.address());
    // The host is waited for as long as the test may take.
    let long = "'10m'";
    let config = fast_remote([
        ("connect_timeout", long),
        ("request_timeout", long),
        ("heartbeat", "'1100ms'"),
    ]);
    let daemon = Setup::new().server_url(&proxy.url()).config(&config).start();
    daemon.await_state("online");
    let mut client = daemon.client();
    register(&mut client, "p", "ann");
    proxy.refuse();
    proxy.cut();
    daemon.await_state("fallback");
    join(&mut client, "p", "early");
    join(&mut client, "p", "late");
    waiting.lock().expect("who waits").is_lost = true;
    proxy.accept();
    eventually("some rounds", || {
        (waiting.lock().expect("who waits").pauses.len() > 6).then_some(())
    });
    let waiting = waiting.lock().expect("who waits");
    let soonest = waiting.pauses.iter().min().expect("a pause");
    assert!(*soonest > Duration::from_millis(300), "{:?}", waiting.pauses);
}

#[test]
fn retry_after_longer_than_a_request_may_take_is_told_at_once() {
    let why = json!({"message": "busy", "code": "rate_limited", "retry_after_ms": 2_000_000});
    let server = BadServer::start(without_parties(why));
    // An answer after it would come within the hour, and too late if there were none.
    let config = fast_remote([("request_timeout", "'1h'")]);
    let daemon = Setup::new().server_url(&server.url()).config(&config).start();
    daemon.await_state("online");
    let params = json!({"party_id": "p", "name": "Quake", "host": peer("ann")});
    assert_error(&daemon.client().error("party.register", params), "rate_limited");
    assert_eq!(count(&server.frames(), "register_party", "/party_id", "p"), 1);
}

/// Every id is taken, says the server: also the one that the daemon chose at random.
#[test]
fn party_whose_id_is_refused_again_and_again_gets_one_other_id() {
    let server = BadServer::start(Behaviour::AcceptAndDrop);
    let daemon = Setup::new().server_url(&server.url()).config(FAST_REMOTE).start();
    daemon.await_state("fallback");
    let mut client = daemon.client();
    register(&mut client, "p", "ann");
    server.behave(without_parties(json!({"message": "taken", "code": "party_exists"})));
    daemon.await_state("online");
    eventually("a refusal that is put off", || {
        daemon.setup.log().contains("the server puts ann off: taken").then_some(())
    });
    let frames = server.frames();
    let asked = frames.iter().filter(|frame| frame["type"] == "register_party");
    let asked: BTreeSet<_> = asked.map(|frame| frame["party_id"].to_string()).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let parties = client.call("party.list", json!({}));
    let ids: Vec<_> = parties["parties"].as_array().expect("parties").iter().collect();
    assert_eq!(ids.len(), 1, "{parties}");
    assert_ne!(ids[0]["party_id"], "p");
}

/// A server of a later version refuses with codes that this version does not know.
#[test]
fn error_of_an_unknown_code_answers_its_request() {
    let polite = polite();
    let locked =
        Behaviour::UpgradeThen(vec![Step::answer(move |frame| match frame["type"].as_str() {
            Some("join_party") => {
                vec![refusal(frame, json!({"message": "it is locked", "code": "party_locked"}))]
            }
            _ => polite(frame),
        })]);
    let server = BadServer::start(locked);
    let daemon = Setup::new().server_url(&server.url()).config(FAST_REMOTE).start();
    daemon.await_state("online");
    let join = json!({"party_id": "p", "peer": peer("ann")});
    let error = daemon.client().error("party.join", join);
    assert_eq!(error["data"]["code"], "server_rejected", "{error}");
    assert!(
        error["message"].as_str().is_some_and(|words| words.contains("it is locked")),
        "{error}"
    );
    assert_eq!(server.frames().iter().filter(|frame| frame["type"] == "join_party").count(), 1);
}
