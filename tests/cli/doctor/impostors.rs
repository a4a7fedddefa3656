//! `doctor` against programs that answer in the server's place, and against proxies that change requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::json;

use super::Diagnosis;
use crate::harness::Setup;

/// Reads the head of a request.
fn head(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).unwrap_or(0) == 0 {
            break;
        }
    }
    head
}

/// Something that listens, and deals with each connection so.
fn listening(deal: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let deal = deal.clone();
            thread::spawn(move || deal(stream.expect("a connection")));
        }
    });
    address
}

/// Something that answers each request by its path.
pub(in crate::cli) fn answering(
    answer: impl Fn(&str) -> String + Clone + Send + 'static,
) -> SocketAddr {
    listening(move |mut stream| {
        let head = head(&stream);
        let path = head.split(' ').nth(1).unwrap_or_default();
        stream.write_all(answer(path).as_bytes()).ok();
    })
}

pub(in crate::cli) fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A proxy in front of a server, which changes the heads of requests.
fn proxy(server: SocketAddr, change: fn(String) -> String) -> SocketAddr {
    listening(move |mut near| {
        let mut far = TcpStream::connect(server).expect("connect to the server");
        far.write_all(change(head(&near)).as_bytes()).expect("pass the head on");
        let (mut from_near, mut to_far) =
            (near.try_clone().expect("a handle"), far.try_clone().expect("a handle"));
        thread::spawn(move || std::io::copy(&mut from_near, &mut to_far));
        std::io::copy(&mut far, &mut near).ok();
    })
}

#[test]
fn doctor_tells_a_web_page_from_a_control_server() {
    let address = answering(|_| response("200 OK", "Content-Type: text/html\r\n", "<h1>Hi</h1>"));
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    found.ends_at("http", "answered with a web page", "correct the server's URL");

    let address = answering(|_| response("200 OK", "", r#"{"service":"a shop"}"#));
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    found.ends_at("http", "not as a control server does", "correct the server's URL");
}

#[test]
fn doctor_has_a_fix_for_each_foreign_status() {
    let login = "Location: https://login.example.org/?next=x\r\n";
    for (status, head, words, fix) in [
        ("302 Found", login, "redirects to https://login.example.org:", "if you trust the address"),
        ("401 Unauthorized", "", "asks for a login", "let the control server's paths through"),
        ("407 Proxy", "", "asks for a login", "let the control server's paths through"),
        ("511 Network", "", "asks for a login first", "log in to the network"),
        ("429 Too Many", "Retry-After: 9\r\n", "left alone for a while", "wait a while"),
        (
            "502 Bad Gateway",
            "",
            "can't reach the control server",
            "whether the control server runs",
        ),
        ("503 Unavailable", "", "can't serve now", "whether the control server runs"),
        ("404 Not Found", "", "no control server at", "correct the server's URL"),
    ] {
        let address = answering(move |_| response(status, head, ""));
        let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
        found.ends_at("http", words, fix);
    }
}

#[test]
fn doctor_has_a_fix_for_each_broken_connection() {
    let closed = "closed the connection without an answer";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\n";
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(100_000));
    for (bytes, words, fix) in [
        ("SSH-2.0-OpenSSH_9.6\r\n", "does not answer in HTTP", "correct the port"),
        ("HTTP/9.9 200 OK\r\n\r\n", "does not answer in HTTP", "correct the port"),
        ("\u{15}\u{3}\u{3}\0\u{2}\u{2}F", "does not answer in HTTP", "with https://"),
        (endless.as_str(), "does not answer in HTTP", "correct the port"),
        ("", closed, "with https://"),
        ("HTTP/1.1 200 O", closed, "with https://"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "broke its answer off", "what it logs"),
        (chunked, "broke its answer off", "what it logs"),
    ] {
        let bytes = bytes.to_owned();
        let address = listening(move |mut stream| {
            head(&stream);
            stream.write_all(bytes.as_bytes()).ok();
        });
        let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
        found.ends_at("http", words, fix);
        assert!(found.detail("http").contains(&address.to_string()), "{}", found.document);
    }
}

#[test]
fn doctor_stops_reading_an_endless_answer() {
    let address = listening(|mut stream| {
        head(&stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n").ok();
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    });
    let line = format!("doctor http://{address} --timeout 1h");
    let found = Diagnosis::of(&Setup::new().ctl(), &line);
    found.ends_at("http", "not as a control server does", "correct the server's URL");
}

#[test]
fn doctor_gives_up_a_silent_port() {
    let address = listening(|mut stream| {
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let ctl = Setup::new().ctl();
    let found = Diagnosis::of(&ctl, &format!("doctor http://{address} --timeout 200ms"));
    found.ends_at("http", "took longer than 0.2 s", "--timeout");
    let found = Diagnosis::of(&ctl, &format!("doctor https://{address} --timeout 200ms"));
    found.ends_at("tls", "the TLS handshake with", "certificate");
}

#[test]
fn doctor_finds_a_proxy_that_drops_tokens() {
    let server = Setup::server().start();
    let ctl = Setup::new().ctl();
    let lost = proxy(server.address(), |head| {
        let lines = head.split_inclusive("\r\n");
        lines.filter(|line| !line.to_lowercase().starts_with("authorization:")).collect()
    });
    let found = Diagnosis::of(&ctl, &format!("doctor http://{lost}"));
    found.ends_at("token", "never sees the token", "pass the header Authorization on");
    assert_eq!(found.ok("upgrade"), true);

    let changed = proxy(server.address(), |head| head.replace("Bearer ", "Basic "));
    let found = Diagnosis::of(&ctl, &format!("doctor http://{changed}"));
    found.ends_at("token", "sees another token", "Authorization");
}

#[test]
fn doctor_says_that_the_daemon_polls_without_a_websocket() {
    let server = Setup::server().start();
    let old = proxy(server.address(), |head| head.replace("GET /ws ", "GET /nowhere "));
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{old}"));
    assert_eq!(found.document["ok"], true, "{}", found.document);
    let words = "no WebSocket: the daemon will poll over HTTP";
    assert!(found.detail("upgrade").starts_with(words), "{}", found.document);
}

#[test]
fn doctor_tells_of_clocks_apart_and_goes_on() {
    let address = answering(|path| {
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        match path {
            "/" => response("200 OK", date, r#"{"service":"LANrage Control Plane"}"#),
            "/ws" => response("404 Not Found", date, "{}"),
            "/auth/register" => response("422 Unprocessable", date, r#"{"detail":[{}]}"#),
            _ => response("401 Unauthorized", date, r#"{"detail":"Invalid or expired token"}"#),
        }
    });
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    found.fails_at("clock", "behind this machine's", "set both clocks right");
    assert_eq!(found.detail("http"), "LANrage Control Plane");
    assert_eq!((found.ok("upgrade"), found.ok("token")), (&json!(true), &json!(true)));
}

#[test]
fn doctor_finds_a_registration_that_does_not_arrive() {
    let address = answering(|path| match path {
        "/" => response("200 OK", "", r#"{"service":"LANrage Control Plane"}"#),
        "/ws" => response("404 Not Found", "", "{}"),
        _ => response("400 Bad Request", "", ""),
    });
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    found.ends_at("register", "400", "passes POST requests on");
    // What answers in HTTP does not speak TLS at that port.
    assert!(!found.document.to_string().contains("https://"), "{}", found.document);
}

#[test]
fn doctor_finds_a_server_whose_tokens_are_of_no_use() {
    let address = answering(|_| response("200 OK", "", r#"{"service":"Control Plane"}"#));
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    // It takes every request for the same, a registration as well.
    found.ends_at("register", "not as a control server does", "POST requests");
    let address = answering(|path| match path {
        "/ws" => response("404 Not Found", "", "{}"),
        "/auth/register" => response("422 Unprocessable", "", r#"{"detail":[{}]}"#),
        _ => response("200 OK", "", r#"{"service":"Control Plane"}"#),
    });
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    found.ends_at("token", "a made-up token is taken for a good one", "cache");
}
