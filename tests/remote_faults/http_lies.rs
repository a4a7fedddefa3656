//! What a hostile control server can do over HTTP alone, and secrets that belong to another one.

use serde_json::{Value, json};

use super::play::Play;
use crate::harness::{BadServer, Behaviour, Lie, Random, Trick, eventually, peer};

#[test]
fn answers_that_are_no_answers_leave_the_daemon_as_it_was() {
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
fn another_server_never_gets_the_secrets_of_the_first() {
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
