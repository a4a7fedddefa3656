//! Habits of HTTP clients other than LANrage's.

use std::io::{Read as _, Write as _};

use serde_json::json;

use super::server_with;
use crate::harness::announced;

/// Each `GET` route, with the status of its answer.
const ROUTES: [(&str, u16); 11] = [
    ("/", 200),
    ("/openapi.json", 200),
    ("/docs", 200),
    ("/healthz", 200),
    ("/readyz", 200),
    ("/metrics", 200),
    ("/relays", 200),
    ("/relays/eu", 200),
    ("/parties/nope", 404),
    ("/parties/nope/peers/bob", 404),
    ("/ws", 426),
];

#[test]
fn head_answers_as_get_without_the_body() {
    let (server, [alice]) = server_with(["alice"]);
    let token = alice.token.expect("a token");
    for (path, status) in ROUTES {
        let ask = |method: &str| {
            let mut stream = std::net::TcpStream::connect(server.address()).expect("connect");
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
                 Connection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).expect("send");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            let mut lines: Vec<String> = head
                .lines()
                .filter(|line| !line.starts_with("date:"))
                // The figures of the answer itself change from one to the next.
                .filter(|line| path != "/metrics" || !line.starts_with("content-length:"))
                .map(str::to_owned)
                .collect();
            lines[1..].sort_unstable();
            (lines, body.to_owned())
        };
        let ((head, nothing), (get, body)) = (ask("HEAD"), ask("GET"));
        assert!(get[0].contains(&format!(" {status} ")), "{path}: {get:?}");
        assert_eq!((head, nothing.as_str()), (get, ""), "{path}");
        assert!(!body.is_empty(), "{path}");
    }
}

#[test]
fn head_leaves_the_connection_in_step() {
    let (_server, [mut alice]) = server_with(["alice"]);
    alice.send_raw(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut answers = String::new();
    while !answers.contains("\r\n\r\n") || answers.matches("HTTP/1.1 200").count() < 2 {
        let mut bytes = [0; 4096];
        let count = alice.stream().get_mut().read(&mut bytes).expect("more");
        assert_ne!(count, 0, "{answers}");
        answers.push_str(std::str::from_utf8(&bytes[..count]).expect("text"));
    }
    assert!(!answers.contains("LANrage"), "the body of a HEAD was sent: {answers}");
}

#[test]
fn authorization_scheme_is_read_in_any_case_and_spacing() {
    let (server, [alice]) = server_with(["alice"]);
    let token = alice.token.expect("a token");
    let mut client = server.http();
    let mut status =
        |header: &str| client.send("GET", "/relays", &[("Authorization", header)], None).status;
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR   "] {
        assert_eq!(status(&format!("{scheme}{token}")), 200, "{scheme:?}");
    }
    for scheme in ["Bearer", "Bearer\t", "Basic ", "Bearers ", ""] {
        assert_eq!(status(&format!("{scheme}{token}")), 401, "{scheme:?}");
    }
}

#[test]
fn body_with_a_content_encoding_is_refused() {
    let (server, [alice]) = server_with(["alice"]);
    let bearer = format!("Bearer {}", alice.token.expect("a token"));
    let mut client = server.http();
    let body = json!({"name": "LAN", "host_peer_info": announced("alice")}).to_string();
    let mut post = |codings: &[&str], body: &[u8]| {
        let mut headers =
            vec![("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        headers.extend(codings.iter().map(|coding| ("Content-Encoding", *coding)));
        client.send("POST", "/parties", &headers, Some(body))
    };
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    for codings in [&["gzip"][..], &["GZIP"], &["br"], &["identity, gzip"], &["identity", "x-gzip"]]
    {
        let refused = post(codings, gzip);
        assert_eq!(refused.header("accept-encoding"), Some("identity"), "{codings:?}");
        assert!(refused.detail(415).as_str().is_some_and(|told| told.contains("encoding")));
    }
    for codings in [&["identity"][..], &["Identity"], &[]] {
        post(codings, body.as_bytes()).ok();
    }
}
