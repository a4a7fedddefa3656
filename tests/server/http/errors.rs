//! Errors that do not depend on the request's content. Each has a JSON body with a `detail`:
//! LANrage's client breaks on any other.

use std::io::{Read as _, Write as _};

use serde_json::json;

use super::server_with;
use crate::harness::{Http, Response, announced};

/// Bytes of a body that are read at most.
const LIMIT: usize = 64 * 1024;

#[track_caller]
fn assert_json(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(!response.json()["detail"].is_null(), "{}", response.text());
}

fn head(client: &Http, path: &str, length: &str) -> String {
    let token = client.token.clone().unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n{length}\r\n\r\n"
    )
}

#[test]
fn body_over_the_limit_is_refused() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let mut body = json!({"name": "LAN", "host_peer_info": announced("alice")}).to_string();
    body.push_str(&" ".repeat(LIMIT - body.len()));
    let request = head(&alice, "/parties", &format!("Content-Length: {LIMIT}")) + &body;
    alice.send_raw(request.as_bytes());
    assert_eq!(alice.response().expect("a response").status, 200);
    alice.send_raw(head(&alice, "/parties", &format!("Content-Length: {}", LIMIT + 1)).as_bytes());
    assert_json(&alice.response().expect("a response"), 413);
}

/// It need not even be sent.
#[test]
fn body_announced_over_the_limit_is_refused_at_once() {
    let (_server, [mut alice]) = server_with(["alice"]);
    for path in ["/parties", "/parties/x/join", "/relays"] {
        alice.send_raw(head(&alice, path, "Content-Length: 33554432").as_bytes());
        let response = alice.response().expect("a response");
        assert_json(&response, 413);
        // What would follow is no request.
        assert_eq!(response.header("connection"), Some("close"), "{path}");
    }
    alice.get("/relays").ok();
}

#[test]
fn body_in_chunks_is_refused_once_it_passes_the_limit() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let piece = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    alice.send_raw(head(&alice, "/parties", "Transfer-Encoding: chunked").as_bytes());
    for _ in 0..LIMIT / 0x1000 {
        alice.send_raw(piece.as_bytes());
    }
    // One byte more; whatever else came would be left unread.
    alice.send_raw(b"1\r\n \r\n");
    assert_json(&alice.response().expect("a response"), 413);
    // One that is short enough is read like any other.
    let body = json!({"name": "LAN", "host_peer_info": announced("alice")}).to_string();
    let pieces: String = body
        .as_bytes()
        .chunks(50)
        .map(|c| format!("{:x}\r\n{}\r\n", c.len(), String::from_utf8_lossy(c)))
        .collect();
    alice.send_raw((head(&alice, "/parties", "Transfer-Encoding: chunked") + &pieces).as_bytes());
    alice.stream().get_mut().write_all(b"0\r\n\r\n").expect("sent");
    assert_eq!(alice.response().expect("a response").status, 200);
}

#[test]
fn request_without_a_token_is_refused_before_its_body_is_read() {
    let (server, []) = server_with([]);
    let mut nobody = server.http();
    nobody.send_raw(head(&nobody, "/parties", "Content-Length: 33554432").as_bytes());
    assert_json(&nobody.response().expect("a response"), 401);
}

/// The web framework may hang up before the answer is written.
#[test]
fn malformed_chunks_end_the_connection_with_a_400() {
    let (server, [mut alice]) = server_with(["alice"]);
    let head = head(&alice, "/parties", "Transfer-Encoding: chunked");
    let next = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for pieces in ["no length\r\n", "4\r\n{}  \r\nzz\r\n", "-1\r\n", "ffffffffffffffffff\r\n"] {
        let mut alice = server.http();
        alice.send_raw(format!("{head}{pieces}{next}").as_bytes());
        let mut answer = String::new();
        // An answer may be lost on its way, when the connection ends with bytes that nobody read.
        alice.stream().read_to_string(&mut answer).ok();
        let refused = answer.starts_with("HTTP/1.1 400 ") && answer.contains("{\"detail\":");
        assert!(answer.is_empty() || refused, "{pieces:?}: {answer}");
        assert!(answer.matches("HTTP/1.1").count() <= 1, "{pieces:?}: {answer}");
    }
    assert_eq!(alice.get("/").ok()["parties"], 0);
}

#[test]
fn error_bodies_are_json_at_every_status() {
    let (server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let party = alice.party("alice");
    let mut nobody = server.http();
    assert_json(&nobody.get("/relays"), 401);
    assert_json(&bob.delete(&format!("/parties/{party}/peers/alice")), 403);
    assert_json(&nobody.get("/nope"), 404);
    assert_json(&bob.get("/parties/nope"), 404);
    assert_json(&nobody.request("PATCH", "/relays", None), 405);
    assert_json(&nobody.request("BREW", "/", None), 405);
    assert_json(&bob.post("/auth/register?peer_id=alice", None), 409);
    assert_json(&bob.post("/parties", Some(json!({}))), 422);
    assert_json(&nobody.get("/ws"), 426);
    // What names no party that there could be is told again at no length.
    let long = bob.get(&format!("/parties/{}", "x".repeat(5_000)));
    assert_json(&long, 404);
    assert!(long.body.len() < 500, "{}", long.text());
}

/// The router tries a path against each route, which costs time in proportion to its length.
#[test]
fn path_longer_than_any_route_is_not_found() {
    let (server, []) = server_with([]);
    let mut http = server.http();
    let mut party = |length: usize| http.get(&format!("/parties/{}", "x".repeat(length)));
    assert_json(&party(500), 401);
    let long = party(2048);
    assert_json(&long, 404);
    assert_eq!(long.json()["detail"], "Not Found");
}
