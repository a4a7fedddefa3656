use super::*;

#[actix::test]
async fn auth_register_gives_a_peer_id_to_its_first_owner() {
    let server = Server::start();
    let path = "/auth/register?peer_id=other&peer_id=ann";
    let reply = server.call("POST", path, "", None).await.expect(200);
    assert_eq!(reply["peer_id"], "ann");
    let token = reply["token"].as_str().unwrap();
    assert_eq!(token.len(), 43);
    let expires_at = reply["expires_at"].as_str().unwrap();
    assert!(expires_at.parse::<jiff::civil::DateTime>().is_ok(), "{expires_at}");
    server.get("/relays", token).await.expect(200);

    // An unknown token counts as none.
    for other in ["", "garbage", &server.token("ben").await] {
        let reply = server.call("POST", path, other, None).await;
        reply.refuses(409, "Peer id is already registered");
    }
    let renewed = server.call("POST", path, token, None).await.expect(200);
    assert_ne!(renewed["token"], token);
    server.get("/relays", renewed["token"].as_str().unwrap()).await.expect(200);
}

#[actix::test]
async fn auth_register_with_an_invalid_peer_id_gets_a_422() {
    let server = Server::start();
    let missing = json!({"detail": [
        {"type": "missing", "loc": ["query", "peer_id"], "msg": "Field required", "input": null}
    ]});
    for path in ["/auth/register", "/auth/register?", "/auth/register?peer=x"] {
        assert_eq!(server.call("POST", path, "", None).await.expect(422), missing, "{path}");
    }
    let long = "x".repeat(129);
    for (id, kind) in [
        ("", "string_too_short"),
        (long.as_str(), "string_too_long"),
        ("a%20b%0A%C3%A9", "string_pattern_mismatch"),
        ("%FF", "string_pattern_mismatch"),
    ] {
        let path = format!("/auth/register?peer_id={id}");
        let reply = server.call("POST", &path, "", None).await.expect(422);
        assert_eq!(reply["detail"][0]["type"], kind, "{id}");
    }
}

#[actix::test]
async fn invalid_authorization_header_is_refused() {
    let server = Server::start();
    let token = server.token("ann").await;
    let (missing, format) = ("Missing authorization header", "Invalid authorization format");
    let unknown = "Invalid or expired token";
    let twice = format!("Authorization: Bearer x\r\nAuthorization: Bearer {token}\r\n");
    for (headers, detail) in [
        ("", missing),
        ("Authorization:\r\n", missing),
        ("Authorization: Basic abc\r\n", format),
        ("Authorization: Bearer\r\n", format),
        ("Authorization: Bearer \r\n", format),
        ("Authorization: Bearer nosuchtoken\r\n", unknown),
        (&*twice, unknown),
    ] {
        let reply = server.headed("GET /relays", &format!("Host: a\r\n{headers}")).await;
        reply.refuses(401, detail);
        assert_eq!(reply.header("www-authenticate"), Some("bearer"), "{headers}");
    }
    // Authentication comes before the lookup.
    for path in ["/parties", "/parties/x/join", "/relays", "/parties/x/peers/a/heartbeat"] {
        let reply = server.call("POST", path, "", Some(json!({}))).await;
        reply.refuses(401, missing);
    }
}
