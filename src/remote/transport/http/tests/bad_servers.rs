use super::scripted_server::{Reply, ScriptedServer};
use super::*;
use crate::http::tests::Server;

async fn open_fails(reply: fn() -> Reply) -> Loss {
    let scripted = ScriptedServer::start(move |_, _| reply()).await;
    super::super::open(&endpoint(scripted.address)).await.expect_err("no control server")
}

#[actix::test]
async fn response_of_another_program_is_a_loss_with_a_reason() {
    for (reply, words) in [
        ((|| Reply::json("200 OK", "{}")) as fn() -> Reply, "not as a control server does"),
        (|| Reply::json("200 OK", "5"), "not as a control server does"),
        (|| Reply::json("200 OK", ""), "not as a control server does"),
        (
            || Reply::Respond("200 OK", "Content-Type: text/HTML; a=b\r\n", "<html>".to_owned()),
            "answered with a web page: a captive portal",
        ),
        (
            || Reply::json("404 Not Found", r#"{"detail":"Not Found"}"#),
            " (404 Not Found): check the address and the path in the server's URL",
        ),
        (
            || Reply::json("404 Not Found", r#"{"detail":"Nope"}"#),
            "there is no control server at 127.0.0.1:",
        ),
        (|| Reply::json("503 Service Unavailable", r#"{"detail":"Nope"}"#), "; it says “Nope”"),
        (
            || Reply::Respond("302 Found", "Location: http://evil.example/\r\n", String::new()),
            "redirects to http://evil.example: ",
        ),
        (
            || Reply::json("200 OK", format!(r#"{{"service":"{}"}}"#, "x".repeat(1 << 20))),
            "passes 1048576 bytes",
        ),
    ] {
        let loss = open_fails(reply).await;
        assert!(loss.words.contains(words) && !loss.is_final, "{words}: {loss:?}");
    }
}

#[actix::test]
async fn demand_for_a_login_is_a_final_loss() {
    for reply in
        [(|| Reply::json("401 Unauthorized", r#"{"detail":"Who?"}"#)) as fn() -> Reply, || {
            Reply::json("407 Proxy Authentication Required", "")
        }]
    {
        assert!(open_fails(reply).await.is_final);
    }
    let scripted = ScriptedServer::start(|line, _| match line {
        "GET /" => Reply::service(),
        _ => Reply::json("401 Unauthorized", r#"{"detail":"Who?"}"#),
    });
    let scripted = scripted.await;
    let mut client = Client::open(scripted.address).await;
    let hello = |token: Value| json!({"type": "hello", "peer_id": "ann", "token": token});
    // With a token, a 401 may mean that this token is invalid.
    assert_eq!(client.fail(hello(json!("t"))).await.code, ErrorCode::PermissionDenied);
    client.send(hello(Value::Null)).await;
    let loss = client.lost().await;
    assert!(loss.is_final && loss.words.contains("asks for a login"), "{loss:?}");
    assert_eq!(scripted.count("POST /auth/register?peer_id=ann"), 2);
}

#[actix::test]
async fn refused_connection_is_a_temporary_loss() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let loss = super::super::open(&endpoint(free)).await.unwrap_err();
    assert!(loss.words.contains("nothing listens at 127.0.0.1:"), "{loss:?}");
    assert!(!loss.is_final);
}

#[actix::test]
async fn opening_times_out_without_a_response() {
    let scripted = ScriptedServer::start(|_, _| Reply::Hang).await;
    let request_timeout = Duration::from_millis(100);
    let endpoint = Endpoint { request_timeout, ..endpoint(scripted.address) };
    let loss = super::super::open(&endpoint).await.unwrap_err();
    assert!(loss.words.contains("an answer of 127.0.0.1:"), "{loss:?}");
}

#[actix::test]
async fn ping_without_a_response_ends_the_transport() {
    let scripted = ScriptedServer::start(|_, before| match before {
        0 => Reply::service(),
        _ => Reply::Hang,
    });
    let address = scripted.await.address;
    let endpoint = Endpoint { request_timeout: Duration::from_secs(1), ..endpoint(address) };
    let mut client = Client(super::super::open(&endpoint).await.unwrap());
    client.0.outgoing.send(Outgoing::Ping).await.unwrap();
    let loss = client.lost().await;
    assert!(loss.words.contains("an answer of 127.0.0.1:") && !loss.is_final, "{loss:?}");
}

#[actix::test]
async fn failed_poll_ends_the_transport() {
    let server = Server::start();
    let real = server.address;
    let mut scripted = ScriptedServer::start(move |_, _| Reply::Forward(real)).await;
    let mut client = Client::open(scripted.address).await;
    client.0.outgoing.send(Outgoing::Ping).await.unwrap();
    assert!(matches!(client.0.incoming.recv().await, Some(Incoming::Alive)));
    client.hello("ann").await;
    client.register_party("ann").await;
    scripted.close().await;
    let loss = client.lost().await;
    assert!(loss.words.contains("nothing listens at") && !loss.is_final, "{loss:?}");
}

#[actix::test]
async fn malformed_poll_is_reported_and_repeated() {
    let server = Server::start();
    let real = server.address;
    let scripted = ScriptedServer::start(move |line, before| {
        match (line.starts_with("GET /parties/"), before) {
            (true, 0) => Reply::json("200 OK", json!({"party": {}})),
            (true, 1) => Reply::json("200 OK", json!({"party": "x".repeat(1 << 20)})),
            _ => Reply::Forward(real),
        }
    });
    let mut ann = Client::open(scripted.await.address).await;
    ann.hello("ann").await;
    let party = ann.register_party("ann").await;
    for words in ["missing field `party_id`", "passes 1048576 bytes"] {
        let Message::Garbage(reason) = ann.next().await else { panic!("no garbage: {words}") };
        assert!(reason.contains(words), "{reason}");
    }
    let mut ben = Client::open(server.address).await;
    ben.hello("ben").await;
    ben.execute(json!({"type": "join_party", "party_id": party, "peer": peer("ben")})).await;
    ann.wait_for_members(&["ann", "ben"]).await;
}

#[actix::test]
async fn poll_answered_by_another_program_ends_the_transport() {
    for (reply, words) in [
        (
            (|| Reply::Respond("200 OK", "Content-Type: text/html\r\n", "<html>".to_owned()))
                as fn() -> Reply,
            "a web page",
        ),
        (|| Reply::json("200 OK", "{}"), "not as a control server does"),
        (
            || Reply::Respond("307 Moved", "Location: /\r\n", String::new()),
            "redirects to another path",
        ),
        (|| Reply::json("404 Not Found", "{}"), "refused (404"),
    ] {
        let server = Server::start();
        let real = server.address;
        let scripted =
            ScriptedServer::start(move |line, _| match line.starts_with("GET /parties/") {
                true => reply(),
                false => Reply::Forward(real),
            });
        let mut ann = Client::open(scripted.await.address).await;
        ann.hello("ann").await;
        ann.register_party("ann").await;
        let loss = ann.lost().await;
        assert!(loss.words.contains(words) && !loss.is_final, "{loss:?}");
    }
}

#[actix::test]
async fn only_idempotent_requests_are_retried() {
    let server = Server::start();
    let real = server.address;
    let busy = || {
        let headers = "Content-Type: application/json\r\nRetry-After: 0\r\n";
        Reply::Respond("503 Service Unavailable", headers, r#"{"detail":"Busy"}"#.to_owned())
    };
    let scripted = ScriptedServer::start(move |line, before| match (line, before) {
        ("GET /", _) => Reply::service(),
        ("POST /parties", 0) => busy(),
        (line, 0) if line.starts_with("GET /parties/") || line.ends_with("/heartbeat") => busy(),
        _ => Reply::Forward(real),
    });
    let scripted = scripted.await;
    let mut client = Client::open(scripted.address).await;
    client.hello("ann").await;
    let register = json!({"type": "register_party", "name": "Game", "host_peer": peer("ann")});
    let error = client.fail(register).await;
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::StoreUnavailable, "Busy"));
    assert_eq!(error.retry_after, None);
    assert_eq!(scripted.count("POST /parties"), 1);
    let party = client.register_party("ann").await;
    client.execute(json!({"type": "heartbeat", "party_id": party, "peer_id": "ann"})).await;
    assert_eq!(scripted.count(&format!("POST /parties/{party}/peers/ann/heartbeat")), 2);
    client.execute(json!({"type": "sync", "party_id": party})).await;
    assert!(scripted.count(&format!("GET /parties/{party}")) >= 2);
}

#[actix::test]
async fn token_that_cannot_be_replaced_is_kept() {
    let server = Server::start();
    let real = server.address;
    let scripted = ScriptedServer::start(move |line, before| match (line, before) {
        ("POST /parties", 0) => {
            Reply::json("401 Unauthorized", r#"{"detail":"Invalid or expired token"}"#)
        }
        _ => Reply::Forward(real),
    });
    let scripted = scripted.await;
    let mut client = Client::open(scripted.address).await;
    client.hello("ann").await;
    // While the first token is valid, the server issues no other one without proof.
    let register = json!({"type": "register_party", "name": "Game", "host_peer": peer("ann")});
    let error = client.fail(register).await;
    assert_eq!(error.message, "Peer id is already registered");
    assert_eq!(scripted.count("POST /auth/register?peer_id=ann"), 2);
    client.register_party("ann").await;
}
