use super::front::{Act, Front};
use super::*;
use crate::http::tests::Server;

async fn fails(act: fn() -> Act) -> Loss {
    let front = Front::start(move |_, _| act()).await;
    super::super::open(&endpoint(front.address)).await.expect_err("no control server")
}

#[actix::test]
async fn what_is_no_control_server_is_told_apart() {
    for (act, words) in [
        ((|| Act::json("200 OK", "{}")) as fn() -> Act, "not as a control server does"),
        (|| Act::json("200 OK", "5"), "not as a control server does"),
        (|| Act::json("200 OK", ""), "not as a control server does"),
        (
            || Act::Answer("200 OK", "Content-Type: text/HTML; a=b\r\n", "<html>".to_owned()),
            "answered with a web page: a captive portal",
        ),
        (
            || Act::json("404 Not Found", r#"{"detail":"Not Found"}"#),
            " (404 Not Found): check the address and the path in the server's URL",
        ),
        (
            || Act::json("404 Not Found", r#"{"detail":"Nope"}"#),
            "there is no control server at 127.0.0.1:",
        ),
        (|| Act::json("503 Service Unavailable", r#"{"detail":"Nope"}"#), "; it says “Nope”"),
        (
            || Act::Answer("302 Found", "Location: http://evil.example/\r\n", String::new()),
            "redirects to http://evil.example: ",
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
    let hello = |token: Value| json!({"type": "hello", "peer_id": "ann", "token": token});
    // That may be the token.
    assert_eq!(link.refused(hello(json!("t"))).await.code, ErrorCode::PermissionDenied);
    link.send(hello(Value::Null)).await;
    let loss = link.lost().await;
    assert!(loss.is_final && loss.words.contains("asks for a login"), "{loss:?}");
    assert_eq!(front.count("POST /auth/register?peer_id=ann"), 2);
}

#[actix::test]
async fn nobody_there_is_a_loss_that_may_pass() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let loss = super::super::open(&endpoint(free)).await.unwrap_err();
    assert!(loss.words.contains("nothing listens at 127.0.0.1:"), "{loss:?}");
    assert!(!loss.is_final);
}

#[actix::test]
async fn a_server_that_never_answers_is_given_up() {
    let front = Front::start(|_, _| Act::Ignore).await;
    let brief = Duration::from_millis(100);
    let hasty = Endpoint { request_timeout: brief, ..endpoint(front.address) };
    let loss = super::super::open(&hasty).await.unwrap_err();
    assert!(loss.words.contains("an answer of 127.0.0.1:"), "{loss:?}");
}

#[actix::test]
async fn a_server_that_falls_silent_ends_the_wire() {
    let front = Front::start(|_, before| match before {
        0 => Act::service(),
        _ => Act::Ignore,
    });
    let address = front.await.address;
    let hasty = Endpoint { request_timeout: Duration::from_secs(1), ..endpoint(address) };
    let mut link = Link(super::super::open(&hasty).await.unwrap());
    link.0.outgoing.send(Outgoing::Ping).await.unwrap();
    let loss = link.lost().await;
    assert!(loss.words.contains("an answer of 127.0.0.1:") && !loss.is_final, "{loss:?}");
}

#[actix::test]
async fn a_server_that_goes_is_missed_by_itself() {
    let server = Server::start();
    let behind = server.address;
    let mut front = Front::start(move |_, _| Act::Pass(behind)).await;
    let mut link = Link::open(front.address).await;
    link.0.outgoing.send(Outgoing::Ping).await.unwrap();
    assert!(matches!(link.0.incoming.recv().await, Some(Incoming::Alive)));
    link.hello("ann").await;
    link.party("ann").await;
    front.close().await;
    let loss = link.lost().await;
    assert!(loss.words.contains("nothing listens at") && !loss.is_final, "{loss:?}");
}

#[actix::test]
async fn a_look_that_shows_nonsense_is_told_and_repeated() {
    let server = Server::start();
    let behind = server.address;
    let front =
        Front::start(move |line, before| match (line.starts_with("GET /parties/"), before) {
            (true, 0) => Act::json("200 OK", json!({"party": {}})),
            (true, 1) => Act::json("200 OK", json!({"party": "x".repeat(1 << 20)})),
            _ => Act::Pass(behind),
        });
    let mut ann = Link::open(front.await.address).await;
    ann.hello("ann").await;
    let party = ann.party("ann").await;
    for words in ["missing field `party_id`", "passes 1048576 bytes"] {
        let Message::Garbage(told) = ann.next().await else { panic!("no garbage: {words}") };
        assert!(told.contains(words), "{told}");
    }
    let mut ben = Link::open(server.address).await;
    ben.hello("ben").await;
    ben.done(json!({"type": "join_party", "party_id": party, "peer": peer("ben")})).await;
    ann.sees(&["ann", "ben"]).await;
}

#[actix::test]
async fn look_that_another_program_answers_ends_the_wire() {
    for (answer, words) in [
        (
            (|| Act::Answer("200 OK", "Content-Type: text/html\r\n", "<html>".to_owned()))
                as fn() -> Act,
            "a web page",
        ),
        (|| Act::json("200 OK", "{}"), "not as a control server does"),
        (
            || Act::Answer("307 Moved", "Location: /\r\n", String::new()),
            "redirects to another path",
        ),
        (|| Act::json("404 Not Found", "{}"), "refused (404"),
    ] {
        let server = Server::start();
        let behind = server.address;
        let front = Front::start(move |line, _| match line.starts_with("GET /parties/") {
            true => answer(),
            false => Act::Pass(behind),
        });
        let mut ann = Link::open(front.await.address).await;
        ann.hello("ann").await;
        ann.party("ann").await;
        let loss = ann.lost().await;
        assert!(loss.words.contains(words) && !loss.is_final, "{loss:?}");
    }
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
        ("GET /", _) => Act::service(),
        ("POST /parties", 0) => busy(),
        (line, 0) if line.starts_with("GET /parties/") || line.ends_with("/heartbeat") => busy(),
        _ => Act::Pass(behind),
    });
    let front = front.await;
    let mut link = Link::open(front.address).await;
    link.hello("ann").await;
    let register = json!({"type": "register_party", "name": "Game", "host_peer": peer("ann")});
    let error = link.refused(register).await;
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::StoreUnavailable, "Busy"));
    assert_eq!(error.retry_after, None);
    assert_eq!(front.count("POST /parties"), 1);
    let party = link.party("ann").await;
    link.done(json!({"type": "heartbeat", "party_id": party, "peer_id": "ann"})).await;
    assert_eq!(front.count(&format!("POST /parties/{party}/peers/ann/heartbeat")), 2);
    link.done(json!({"type": "sync", "party_id": party})).await;
    assert!(front.count(&format!("GET /parties/{party}")) >= 2);
}

#[actix::test]
async fn a_token_that_can_t_be_replaced_is_kept() {
    let server = Server::start();
    let behind = server.address;
    let front = Front::start(move |line, before| match (line, before) {
        ("POST /parties", 0) => {
            Act::json("401 Unauthorized", r#"{"detail":"Invalid or expired token"}"#)
        }
        _ => Act::Pass(behind),
    });
    let front = front.await;
    let mut link = Link::open(front.address).await;
    link.hello("ann").await;
    // The server gives no other one to who shows none, while the first is good.
    let register = json!({"type": "register_party", "name": "Game", "host_peer": peer("ann")});
    let error = link.refused(register).await;
    assert_eq!(error.message, "Peer id is already registered");
    assert_eq!(front.count("POST /auth/register?peer_id=ann"), 2);
    link.party("ann").await;
}
