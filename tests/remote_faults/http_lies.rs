//! Lies of a hostile control server over HTTP alone, and secrets that belong to another server.

use serde_json::{Value, json};

use super::lies::description;
use super::play::Play;
use crate::harness::{
    BadServer, Behaviour, Lie, Random, Trick, Twist, announced, eventually, peer,
};

/// Waits until the server was asked for the party that many times more.
fn await_looks(play: &Play, count: usize) {
    let before = play.syncs();
    eventually("looks at the party", || (play.syncs() >= before + count).then_some(()));
}

#[test]
fn members_that_break_a_rule_do_not_fill_the_log() {
    let lie = |_: &Value, answers: &mut Vec<Value>| {
        for answer in answers.iter_mut().filter(|answer| answer["type"] == "party_update") {
            for number in 0..200 {
                answer["party"]["peers"][format!("x{number}")] = json!({"peer_id": 7});
            }
        }
    };
    let play = Play::over_http(Box::new(lie), "");
    await_looks(&play, 4);
    let warnings = play.warnings();
    assert!((1..=60).contains(&warnings.len()), "{} warnings", warnings.len());
    play.end();
}

#[test]
fn relays_that_break_a_rule_do_not_fill_the_log() {
    let lie = |frame: &Value, answers: &mut Vec<Value>| {
        if frame["type"] == "list_relays" {
            for answer in answers.iter_mut().filter(|answer| answer["type"] == "ack") {
                answer["result"] = json!({"relays": [7]});
            }
        }
    };
    let mut play = Play::over_http(Box::new(lie), "");
    let asked = |play: &Play| play.asked("list_relays").len();
    while asked(&play) < 120 {
        play.client.call("relay.list", json!({}));
    }
    let warnings = play.warnings();
    assert!((1..=60).contains(&warnings.len()), "{} warnings", warnings.len());
    play.end();
}

#[test]
fn registration_never_gets_the_id_of_a_party_that_is_here() {
    let mut play = Play::over_http(Box::new(|_, _| ()), "");
    let mine = json!({"party_id": "mine", "name": "Mine", "host_id": "m",
        "created_at": "2026-01-02T03:04:05", "peers": {"m": announced("m"), "n": announced("n")}});
    let state = json!({"parties": {"mine": mine}, "my_peer_id": "m", "my_party_id": "mine"});
    play.client.call("state.import", json!({"state": state, "mode": "merge"}));
    let before = play.client.party("mine");
    let register = |play: &mut Play, taken: &str, host: &str| {
        let rename = Lie::Answer("register_party", Twist::Rename(taken.to_owned()));
        play.ledger.lock().expect("the ledger").lie_by_http(&rename);
        let register = json!({"party_id": "other", "name": "Other", "host": peer(host)});
        let error = play.client.error("party.register", register);
        assert_eq!(error["data"]["code"], "server_rejected", "{error}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(taken), "{message}");
    };
    register(&mut play, "mine", "a");
    await_looks(&play, 2);
    let after = play.client.party("mine");
    for field in ["origin", "host_id", "seq"] {
        assert_eq!(after[field], before[field], "{after}");
    }
    for peer_id in ["m", "n"] {
        assert_eq!(description(&after["peers"][peer_id]), description(&before["peers"][peer_id]));
    }
    let copy = play.party_id.clone();
    register(&mut play, &copy, "b");
    // One that is answered as it should be is done all the same.
    let registered = play.client.register("other", "a");
    assert_eq!(registered["sync"], "synced");
    play.end();
}

#[test]
fn registration_is_not_answered_with_a_party_of_another_host() {
    let lie = |frame: &Value, answers: &mut Vec<Value>| {
        if frame["host_peer"]["peer_id"] == "a" {
            for answer in answers.iter_mut().filter(|answer| answer["type"] == "party_update") {
                answer["party"]["party_id"] = json!("theirs");
                answer["party"]["host_id"] = json!("x");
                answer["party"]["peers"]["x"] = announced("x");
            }
        }
    };
    let mut play = Play::over_http(Box::new(lie), "");
    let register = json!({"party_id": "other", "name": "Other", "host": peer("a")});
    let error = play.client.error("party.register", register);
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("answered with theirs, whose host is x"), "{message}");
    let code = play.client.refused("party.get", json!({"party_id": "theirs"}));
    assert_eq!(code, "party_not_found");
    play.end();
}

#[test]
fn registration_never_gets_an_id_that_urls_lose() {
    let mut play = Play::over_http(Box::new(|_, _| ()), "");
    for id in [".", ".."] {
        let rename = Lie::Answer("register_party", Twist::Rename(id.to_owned()));
        play.ledger.lock().expect("the ledger").lie_by_http(&rename);
        let register = json!({"party_id": "other", "name": "Other", "host": peer("a")});
        let error = play.client.error("party.register", register);
        assert_eq!(error["data"]["code"], "server_rejected", "{error}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains("must not be . or .."), "{message}");
    }
    let parties = play.client.call("party.list", json!({}))["parties"].clone();
    assert_eq!(parties.as_array().map(Vec::len), Some(1), "{parties}");
    play.end();
}

#[test]
fn times_by_a_server_s_clock_stay_times() {
    let lie = |_: &Value, answers: &mut Vec<Value>| {
        for answer in answers.iter_mut().filter(|answer| answer["type"] == "party_update") {
            answer["party"]["created_at"] = json!("0001-01-02T00:00:00");
            for peer in answer["party"]["peers"].as_object_mut().expect("peers").values_mut() {
                peer["last_seen"] = json!("0001-01-02T00:00:00");
            }
        }
    };
    let mut play = Play::over_http(Box::new(lie), "");
    play.ledger.lock().expect("the ledger").date = Some("Thu, 30 Dec 9999 12:00:00 GMT".to_owned());
    // The clock is read as the connection is made.
    let url = play.server.url();
    play.client.call("connection.set", json!({"server_url": null}));
    play.client.call("connection.set", json!({"server_url": url}));
    play.await_online();
    let registered = play.client.register("late", "a");
    let party_id = registered["party_id"].as_str().expect("an id");
    let readable = |play: &mut Play| {
        let shown = play.client.party(party_id);
        for time in [&shown["created_at"], &shown["peers"]["a"]["last_seen"]] {
            let time = time.as_str().expect("a time");
            assert!(time.starts_with(|first: char| first.is_ascii_digit()), "{shown}");
        }
    };
    readable(&mut play);
    let mut play = play.restart_alone("");
    readable(&mut play);
    play.end();
}

#[test]
fn token_that_is_too_long_is_not_used() {
    let mut play = Play::over_http(Box::new(|_, _| ()), "");
    let token = "t".repeat(500_000);
    let lie = Lie::Answer("hello", Twist::Token { token, expires_at: "2099-01-01T00:00:00" });
    play.ledger.lock().expect("the ledger").lie_by_http(&lie);
    let register = json!({"party_id": "other", "name": "Other", "host": peer("a")});
    play.client.ask("party.register", register).expect("an answer");
    let longest =
        |request: &crate::harness::Request| request.header("authorization").map_or(0, str::len);
    let longest = play.server.requests().iter().map(longest).max();
    assert!(longest < Some(1024), "a token of {longest:?} bytes");
    play.end();
}

#[test]
fn malformed_answers_leave_the_daemon_as_it_was() {
    let elsewhere = BadServer::start(Behaviour::polite());
    let mut play = Play::impatient_over_http();
    for trick in [
        Trick::Long,
        Trick::Endless,
        Trick::Stalled,
        Trick::Cut,
        Trick::Deep,
        Trick::ManyHeaders,
        Trick::WrongKind,
        Trick::Redirect(elsewhere.url()),
        Trick::NoJson,
        Trick::Empty,
        Trick::Status(204),
        Trick::Status(304),
    ] {
        play.await_online();
        let party_id = play.party_id.clone();
        play.tell(&party_id, &Lie::Send(trick.clone()), &mut Random(1));
        assert_eq!(play.client.party(&party_id)["host_id"], "h", "{trick:?}");
    }
    assert_eq!(elsewhere.requests().len(), 0, "a redirection was followed");
    let growth = play.growth();
    assert!(growth < 64 * 1024, "the daemon has grown by {growth} KiB");
    play.end();
}

#[test]
fn tokens_and_claims_are_sent_to_their_own_server_only() {
    let mut play = Play::over_http(Box::new(|_, _| ()), "");
    play.client.call(
        "relay.register",
        json!({"relay_id": "r", "public_ip": "203.0.113.5",
        "port": 5}),
    );
    // Secrets of the first server: tokens that it gave, and claims that were made there.
    let secrets = |server: &BadServer| {
        let mut secrets = std::collections::BTreeSet::new();
        for request in server.requests() {
            let named = |name: &str| request.header(name).map(str::to_owned);
            secrets.extend(named("authorization").into_iter().chain(named("claim")));
        }
        for frame in server.frames() {
            let of = |field: &str| frame[field].as_str().map(str::to_owned);
            secrets.extend(of("token").map(|token| format!("Bearer {token}")));
            secrets.extend(of("claim"));
        }
        secrets
    };
    let first = secrets(&play.server);
    assert!(first.len() >= 4, "{first:?}");
    for behaviour in [Behaviour::polite(), Behaviour::Status(404, Vec::new())] {
        let other = BadServer::start(behaviour);
        play.client.call("connection.set", json!({"server_url": other.url()}));
        eventually("requests", || (!other.requests().is_empty()).then_some(()));
        play.client.ask("party.register", json!({"name": "Quake", "host": peer("h")}));
        let common: Vec<_> = secrets(&other).intersection(&first).cloned().collect();
        assert_eq!(common, [] as [String; 0], "secrets of the first server");
    }
    play.end();
}

#[test]
fn redirections_carry_no_token_away() {
    for status in [301, 302, 307, 308] {
        let elsewhere = BadServer::start(Behaviour::polite());
        let mut play = Play::over_http(Box::new(|_, _| ()), "");
        let to = ("Location", format!("{}/parties", elsewhere.url()));
        play.server.behave(Behaviour::Status(status, vec![to]));
        let known = play.server.requests().len();
        let party_id = play.party_id.clone();
        for _ in 0..3 {
            play.client.ask("party.join", json!({"party_id": party_id, "peer": peer("g")}));
        }
        eventually("a request", || (play.server.requests().len() > known).then_some(()));
        assert_eq!(elsewhere.requests().len(), 0, "{status}");
        play.end();
    }
}
