use std::sync::atomic::{AtomicBool, Ordering};

use super::front::{Act, Front};
use super::*;
use crate::http::tests::Server;

async fn fails(act: fn() -> Act) -> Loss {
    let front = Front::start(move |_, _| act()).await;
    super::super::open(&target(front.address)).await.expect_err("no control server")
}

#[actix::test]
async fn what_is_no_control_server_is_told_apart() {
    for (act, words) in [
        ((|| Act::json("200 OK", "{}")) as fn() -> Act, "is not a control server"),
        (|| Act::json("200 OK", "5"), "is not a control server"),
        (|| Act::json("200 OK", ""), "is not a control server"),
        (
            || Act::Answer("200 OK", "Content-Type: text/HTML; a=b\r\n", "<html>".to_owned()),
            "answered with a web page",
        ),
        (|| Act::json("404 Not Found", r#"{"detail":"Nope"}"#), "Nope"),
        (
            || Act::Answer("302 Found", "Location: http://evil.example/\r\n", String::new()),
            "on to http://evil.example/",
        ),
        (
            || Act::json("200 OK", format!(r#"{{"service":"{}"}}"#, "x".repeat(1 << 20))),
            "passes 1048576 bytes",
        ),
    ] {
        let loss = fails(act).await;
        assert!(loss.words.contains(words) && !loss.is_final, "{words}: {loss:?}");
    }
}

#[actix::test]
async fn who_lets_nobody_in_is_not_asked_again() {
    for act in [(|| Act::json("401 Unauthorized", r#"{"detail":"Who?"}"#)) as fn() -> Act, || {
        Act::json("407 Proxy Authentication Required", "")
    }] {
        assert!(fails(act).await.is_final);
    }
    let front = Front::start(|line, _| match line {
        "GET /" => Act::service(),
        _ => Act::json("401 Unauthorized", r#"{"detail":"Who?"}"#),
    });
    let front = front.await;
    let mut link = Link::open(front.address).await;
    link.send(json!({"type": "hello", "peer_id": "ann", "token": "t"})).await;
    let loss = link.lost().await;
    assert!(loss.is_final && loss.words == "Who?", "{loss:?}");
    assert_eq!(front.count("POST /auth/register?peer_id=ann"), 2);
}

#[actix::test]
async fn nobody_there_is_a_loss_that_may_pass() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let loss = super::super::open(&target(free)).await.unwrap_err();
    assert!(loss.words.contains("could not connect to 127.0.0.1"), "{loss:?}");
    assert!(!loss.is_final);
}

#[actix::test]
async fn a_server_that_never_answers_is_given_up() {
    let front = Front::start(|_, _| Act::Ignore).await;
    let brief = Duration::from_millis(100);
    let hasty = Target { request_timeout: brief, ..target(front.address) };
    let loss = super::super::open(&hasty).await.unwrap_err();
    assert!(loss.words.contains("did not answer in time"), "{loss:?}");
}

#[actix::test]
async fn a_server_that_falls_silent_ends_the_wire() {
    static SILENT: AtomicBool = AtomicBool::new(false);
    let server = Server::start();
    let behind = server.address;
    let front = Front::start(move |_, _| match SILENT.load(Ordering::SeqCst) {
        true => Act::Ignore,
        false => Act::Pass(behind),
    });
    let patience = Duration::from_secs(2);
    let target = Target { request_timeout: patience, ..target(front.await.address) };
    let mut link = Link(super::super::open(&target).await.unwrap());
    link.0.outgoing.send(Outgoing::Ping).await.unwrap();
    assert!(matches!(link.0.incoming.recv().await, Some(Incoming::Alive)));
    link.hello("ann").await;
    link.party("ann").await;
    SILENT.store(true, Ordering::SeqCst);
    let loss = link.lost().await;
    assert!(loss.words.contains("did not answer in time") && !loss.is_final, "{loss:?}");
}

#[actix::test]
async fn what_may_be_made_twice_is_made_again_and_nothing_else() {
    let server = Server::start();
    let behind = server.address;
    let busy = || {
        let headers = "Content-Type: application/json\r\nRetry-After: 0\r\n";
        Act::Answer("503 Service Unavailable", headers, r#"{"detail":"Busy"}"#.to_owned())
    };
    let front = Front::start(move |line, before| match (line, before) {
        ("POST /parties", 0) => busy(),
        (line, 0) if line.starts_with("GET /parties/") || line.ends_with("/heartbeat") => busy(),
        _ => Act::Pass(behind),
    });
    let front = front.await;
    let mut link = Link::open(front.address).await;
    link.hello("ann").await;
    let register = json!({"type": "register_party", "name": "Game", "host_peer": peer("ann")});
    let error = link.refused(register).await;
    assert_eq!((&error["code"], &error["message"]), (&json!("store_unavailable"), &json!("Busy")));
    assert_eq!(error["retry_after_ms"], 0);
    assert_eq!(front.count("POST /parties"), 1);
    let party = link.party("ann").await;
    link.done(json!({"type": "heartbeat", "party_id": party, "peer_id": "ann"})).await;
    assert_eq!(front.count(&format!("POST /parties/{party}/peers/ann/heartbeat")), 2);
    link.done(json!({"type": "sync", "party_id": party})).await;
    assert!(front.count(&format!("GET /parties/{party}")) >= 2);
}

#[actix::test]
async fn a_token_that_expired_is_replaced_and_the_request_repeated() {
    let server = Server::start();
    let behind = server.address;
    let front = Front::start(move |line, before| match (line, before) {
        ("POST /parties", 0) => {
            Act::json("401 Unauthorized", r#"{"detail":"Invalid or expired token"}"#)
        }
        // The server would not give another token while the first one is good.
        ("POST /auth/register?peer_id=ann", 1) => Act::Pass(behind),
        _ => Act::Pass(behind),
    });
    let front = front.await;
    let mut link = Link::open(front.address).await;
    link.hello("ann").await;
    let register = json!({"type": "register_party", "name": "Game", "host_peer": peer("ann")});
    let error = link.refused(register).await;
    assert_eq!(error["message"], "Peer id is already registered");
    assert_eq!(front.count("POST /auth/register?peer_id=ann"), 2);
    // What it has is shown again, and is good again.
    link.party("ann").await;
}
