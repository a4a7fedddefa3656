//! Responses that are lost.

use super::scripted_server::{Reply, ScriptedServer};
use super::*;
use crate::http::tests::Server;

/// A claim secret.
const CLAIM: &str = "a-claim-that-nobody-guesses";

fn register(host: &str) -> Value {
    json!({"type": "register_party", "name": "Game", "host_peer": peer(host)})
}

fn with_req_id(mut frame: Value, req_id: &str) -> Value {
    frame["req_id"] = json!(req_id);
    frame
}

fn with_claim(mut hello: Value) -> Value {
    hello["claim"] = json!(CLAIM);
    hello
}

/// Forwards requests to a server, and loses the response to the first of each change.
async fn lossy(real: std::net::SocketAddr) -> ScriptedServer {
    let changes = |line: &str| {
        line.starts_with("POST /auth/")
            || line.starts_with("DELETE ")
            || line == "POST /parties"
            || line.ends_with("/join")
    };
    ScriptedServer::start(move |line, before| match before {
        0 if changes(line) => Reply::LoseResponse(real),
        _ => Reply::Forward(real),
    })
    .await
}

#[actix::test]
async fn request_with_a_lost_response_is_retried_with_its_key() {
    let server = Server::start();
    let scripted = lossy(server.address).await;
    let mut client = Client::open(scripted.address).await;
    for peer_id in ["ann", "ben"] {
        let hello = with_claim(json!({"type": "hello", "peer_id": peer_id}));
        let (messages, answer) = client.request(hello).await;
        assert_eq!((token(&messages[0]).peer_id.as_str(), answer.is_ok()), (peer_id, true));
    }
    let party = client.register_party("ann").await;
    assert_eq!(server.parties().await, 1);
    let join = json!({"type": "join_party", "party_id": party, "peer": peer("ben")});
    let (joined, _) = client.change(join).await;
    assert_eq!(member_ids(&joined), ["ann", "ben"]);
    // The retry returns the result of the first request.
    for (peer_id, is_last) in [("ben", false), ("ann", true)] {
        let leave = json!({"type": "leave_party", "party_id": party, "peer_id": peer_id});
        let (_, acked) = client.execute(leave).await;
        let RequestResult::Left { party_deleted } = acked.result else { panic!("{acked:?}") };
        assert_eq!(party_deleted, is_last);
    }
    for line in [
        "POST /auth/register?peer_id=ann",
        "POST /parties",
        &format!("POST /parties/{party}/join"),
        &format!("DELETE /parties/{party}/peers/ben"),
    ] {
        assert_eq!(scripted.count(line), 2, "{line}");
    }
}

#[actix::test]
async fn repeated_request_on_another_transport_has_the_same_result() {
    let server = Server::start();
    let mut before = Client::open(server.address).await;
    let hello = with_claim(json!({"type": "hello", "peer_id": "ann"}));
    before.execute(hello.clone()).await;
    let (first, _) = before.change(with_req_id(register("ann"), "once")).await;
    drop(before);
    let mut client = Client::open(server.address).await;
    let (messages, answer) = client.request(hello).await;
    assert_eq!((token(&messages[0]).peer_id.as_str(), answer.is_ok()), ("ann", true));
    let (again, _) = client.change(with_req_id(register("ann"), "once")).await;
    assert_eq!(again.party_id, first.party_id);
    assert_eq!(server.parties().await, 1);
}

#[actix::test]
async fn party_that_has_ended_can_be_registered_with_another_key() {
    let server = Server::start();
    let mut client = Client::open(server.address).await;
    client.hello("ann").await;
    let (party, _) = client.change(with_req_id(register("ann"), "once")).await;
    let party = party.party_id;
    client.execute(json!({"type": "leave_party", "party_id": party, "peer_id": "ann"})).await;
    let error = client.fail(with_req_id(register("ann"), "once")).await;
    // The party of this key has ended: the session registers it with another key.
    assert_eq!(error.code, ErrorCode::NotAMember);
    client.register_party("ann").await;
}

#[actix::test]
async fn request_is_not_retried_without_idempotency_keys() {
    let server = Server::start();
    let real = server.address;
    let scripted = ScriptedServer::start(move |line, before| match (line, before) {
        ("GET /", _) => Reply::service(),
        ("POST /auth/register?peer_id=ann" | "POST /parties", 0) => Reply::LoseResponse(real),
        _ => Reply::Forward(real),
    });
    let scripted = scripted.await;
    let mut client = Client::open(scripted.address).await;
    client.send(with_claim(json!({"type": "hello", "peer_id": "ann"}))).await;
    client.lost().await;
    let mut client = Client::open(scripted.address).await;
    client.hello("ben").await;
    client.send(with_req_id(register("ben"), "once")).await;
    client.lost().await;
    for line in ["POST /auth/register?peer_id=ann", "POST /parties"] {
        assert_eq!(scripted.count(line), 1, "{line}");
    }
}

#[actix::test]
async fn invalid_token_is_reported_before_the_claim() {
    let server = Server::start();
    let mut client = Client::open(server.address).await;
    let hello = |token: Value| json!({"type": "hello", "peer_id": "ann", "token": token});
    let error = client.fail(hello(json!("expired"))).await;
    assert_eq!(error.code, ErrorCode::PermissionDenied);
    client.execute(with_claim(hello(Value::Null))).await;
    client.register_party("ann").await;
}
