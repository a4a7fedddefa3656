//! Answers that are lost on their way.

use super::front::{Act, Front};
use super::*;
use crate::http::tests::Server;

/// A claim secret.
const CLAIM: &str = "a-claim-that-nobody-guesses";

fn register(host: &str) -> Value {
    json!({"type": "register_party", "name": "Game", "host_peer": peer(host)})
}

fn named(mut frame: Value, req_id: &str) -> Value {
    frame["req_id"] = json!(req_id);
    frame
}

fn claiming(mut hello: Value) -> Value {
    hello["claim"] = json!(CLAIM);
    hello
}

/// In front of a server, of which each first answer to a change is lost.
async fn lossy(behind: std::net::SocketAddr) -> Front {
    let changes = |line: &str| {
        line.starts_with("POST /auth/")
            || line.starts_with("DELETE ")
            || line == "POST /parties"
            || line.ends_with("/join")
    };
    Front::start(move |line, before| match before {
        0 if changes(line) => Act::Lose(behind),
        _ => Act::Pass(behind),
    })
    .await
}

#[actix::test]
async fn a_server_that_knows_names_is_asked_again_at_once() {
    let server = Server::start();
    let front = lossy(server.address).await;
    let mut link = Link::open(front.address).await;
    for peer_id in ["ann", "ben"] {
        let hello = claiming(json!({"type": "hello", "peer_id": peer_id}));
        let (told, answer) = link.ask(hello).await;
        assert_eq!((token(&told[0]).peer_id.as_str(), answer.is_ok()), (peer_id, true));
    }
    let party = link.party("ann").await;
    assert_eq!(server.parties().await, 1);
    let join = json!({"type": "join_party", "party_id": party, "peer": peer("ben")});
    let (joined, _) = link.changed(join).await;
    assert_eq!(member_ids(&joined), ["ann", "ben"]);
    // The one that is told is what the first request did.
    for (peer_id, is_last) in [("ben", false), ("ann", true)] {
        let leave = json!({"type": "leave_party", "party_id": party, "peer_id": peer_id});
        let (_, acked) = link.done(leave).await;
        let RequestResult::Left { party_deleted } = acked.result else { panic!("{acked:?}") };
        assert_eq!(party_deleted, is_last);
    }
    for line in [
        "POST /auth/register?peer_id=ann",
        "POST /parties",
        &format!("POST /parties/{party}/join"),
        &format!("DELETE /parties/{party}/peers/ben"),
    ] {
        assert_eq!(front.count(line), 2, "{line}");
    }
}

#[actix::test]
async fn a_request_of_before_is_known_again_on_another_wire() {
    let server = Server::start();
    let mut before = Link::open(server.address).await;
    let hello = claiming(json!({"type": "hello", "peer_id": "ann"}));
    before.done(hello.clone()).await;
    let (first, _) = before.changed(named(register("ann"), "once")).await;
    drop(before);
    let mut link = Link::open(server.address).await;
    let (told, answer) = link.ask(hello).await;
    assert_eq!((token(&told[0]).peer_id.as_str(), answer.is_ok()), ("ann", true));
    let (again, _) = link.changed(named(register("ann"), "once")).await;
    assert_eq!(again.party_id, first.party_id);
    assert_eq!(server.parties().await, 1);
}

#[actix::test]
async fn a_registration_of_a_party_that_ended_since_can_be_made_anew() {
    let server = Server::start();
    let mut link = Link::open(server.address).await;
    link.hello("ann").await;
    let (party, _) = link.changed(named(register("ann"), "once")).await;
    let party = party.party_id;
    link.done(json!({"type": "leave_party", "party_id": party, "peer_id": "ann"})).await;
    let error = link.refused(named(register("ann"), "once")).await;
    // As who was let in and is not there is told it: under another name it is done.
    assert_eq!(error.code, ErrorCode::NotAMember);
    link.party("ann").await;
}

#[actix::test]
async fn a_server_that_knows_no_names_is_not_asked_twice() {
    let server = Server::start();
    let behind = server.address;
    let front = Front::start(move |line, before| match (line, before) {
        ("GET /", _) => Act::service(),
        ("POST /auth/register?peer_id=ann" | "POST /parties", 0) => Act::Lose(behind),
        _ => Act::Pass(behind),
    });
    let front = front.await;
    let mut link = Link::open(front.address).await;
    link.send(claiming(json!({"type": "hello", "peer_id": "ann"}))).await;
    link.lost().await;
    let mut link = Link::open(front.address).await;
    link.hello("ben").await;
    link.send(named(register("ben"), "once")).await;
    link.lost().await;
    for line in ["POST /auth/register?peer_id=ann", "POST /parties"] {
        assert_eq!(front.count(line), 1, "{line}");
    }
}

#[actix::test]
async fn a_token_that_is_lost_is_told_so_that_the_claim_can_be_named() {
    let server = Server::start();
    let mut link = Link::open(server.address).await;
    let hello = |token: Value| json!({"type": "hello", "peer_id": "ann", "token": token});
    let error = link.refused(hello(json!("of another day"))).await;
    assert_eq!(error.code, ErrorCode::PermissionDenied);
    link.done(claiming(hello(Value::Null))).await;
    link.party("ann").await;
}
