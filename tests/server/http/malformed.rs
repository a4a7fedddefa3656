//! Refusals that the HTTP library makes by itself have a JSON body, too.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use serde_json::Value;

use super::server_with;
use crate::harness::{Setup, read_response};

/// All that a server answers to these bytes, until it closes.
fn answer(server: &crate::harness::Daemon, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).expect("connect to the server");
    stream.write_all(request).expect("send");
    let mut answer = Vec::new();
    // Bytes that nobody read may reset the connection after the answer.
    stream.read_to_end(&mut answer).ok();
    answer
}

#[track_caller]
fn assert_refused(mut answer: &[u8], status: u16) {
    let shown = String::from_utf8_lossy(answer).into_owned();
    let refused = read_response(&mut answer).expect("a response");
    assert_eq!(refused.status, status, "{shown}");
    assert_eq!(refused.header("content-type"), Some("application/json"), "{shown}");
    assert_eq!(refused.header("connection"), Some("close"), "{shown}");
    let detail = refused.json()["detail"].take();
    assert!(matches!(&detail, Value::String(words) if !words.is_empty()), "{shown}");
    assert!(answer.is_empty(), "nothing follows: {shown}");
}

#[test]
fn malformed_head_is_refused_in_json() {
    let (server, []) = server_with([]);
    for head in [
        &b"GARBAGE\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nno header\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /parties HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n",
        b"POST /parties HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ] {
        assert_refused(&answer(&server, head), 400);
    }
}

#[test]
fn post_of_http_1_0_without_a_body_needs_no_length() {
    let (server, []) = server_with([]);
    let host = server.address();
    let request = format!("POST /auth/register?peer_id=ann HTTP/1.0\r\nHost: {host}\r\n\r\n");
    let answer = answer(&server, request.as_bytes());
    assert!(read_response(&mut &answer[..]).expect("a response").ok()["token"].is_string());
}

#[test]
fn head_over_the_size_limit_is_refused_in_json() {
    let (server, []) = server_with([]);
    let many: String = (0..200).map(|number| format!("H{number}: x\r\n")).collect();
    assert_refused(
        &answer(&server, format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes()),
        431,
    );
}

#[test]
fn target_over_the_length_limit_is_refused_in_json() {
    let (server, []) = server_with([]);
    let target = |length, before| format!("{before}{}", "a".repeat(length));
    for (length, before, status) in
        [(70_000, "/", 400), (70_000, "/?all=", 400), (140_000, "/", 431)]
    {
        let target = target(length, before);
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_refused(&answer(&server, head.as_bytes()), status);
    }
}

#[test]
fn head_that_comes_too_slowly_is_refused_in_json() {
    let server = Setup::server().config("[http]\nrequest_timeout = '200ms'\n").start();
    assert_refused(&answer(&server, b"GET / HTTP/1.1\r\nHo"), 408);
}

#[test]
fn answers_before_a_malformed_head_come_first() {
    let (server, []) = server_with([]);
    let requests = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGARBAGE\r\n\r\n";
    let answers = answer(&server, requests);
    let mut rest = &answers[..];
    assert_eq!(read_response(&mut rest).expect("the first").ok()["status"], "ok");
    assert_refused(rest, 400);
    // A good request leaves the connection open, and a half-closed one is answered.
    let mut stream = TcpStream::connect(server.address()).expect("connect to the server");
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("send");
        read_response(&mut std::io::BufReader::new(&stream)).expect("an answer").ok();
    }
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("send");
    stream.shutdown(Shutdown::Write).expect("half-close");
    read_response(&mut std::io::BufReader::new(&stream)).expect("an answer").ok();
}
