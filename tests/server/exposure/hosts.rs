//! Names that the server answers to, and pages that may speak to it: on every route.

use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::harness::{Daemon, Http, Response, Setup};

/// Each method of each route, with a request that it takes, and the upgrade to a WebSocket.
fn requests() -> Vec<(String, String, &'static str)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/ipc-schema/schema/openapi.json");
    let document = std::fs::read_to_string(file).expect("the description");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let mut requests = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let path = path.replace(['{', '}'], "");
        for method in methods.as_object().expect("methods").keys() {
            requests.push((method.to_uppercase(), path.clone(), ""));
        }
        requests.push(("HEAD".to_owned(), path.clone(), ""));
        requests.push(("OPTIONS".to_owned(), path, "Access-Control-Request-Method: POST\r\n"));
    }
    assert!(requests.len() > 40, "{requests:?}");
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    requests.push(("GET".to_owned(), "/ws".to_owned(), upgrade));
    requests
}

/// Sends a head; the status and headers of its answer.
fn send(address: SocketAddr, head: &str) -> Response {
    let mut http = Http::connect(address);
    http.send_raw(format!("{head}\r\n").as_bytes());
    let mut stream: &TcpStream = http.stream().get_ref();
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut stream, &mut byte).expect("an answer");
        text.extend(byte);
    }
    let text = String::from_utf8(text).expect("text");
    let (status, headers) = text.trim_end().split_once("\r\n").expect("headers");
    let headers = headers.lines().filter_map(|line| line.split_once(": "));
    Response {
        status: status[9..12].parse().expect("a status"),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: Vec::new(),
    }
}

fn status_for_host(server: &Daemon, host: &str) -> u16 {
    send(server.address(), &format!("GET / HTTP/1.1\r\nHost: {host}\r\n")).status
}

#[test]
fn loopback_server_answers_to_no_name_but_its_own_on_any_route() {
    let server = Setup::server().start();
    for (method, path, more) in requests() {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: evil.example:8667\r\n{more}");
        let refused = send(server.address(), &head);
        assert_eq!(refused.status, 403, "{head}");
    }
    let mut http = server.http();
    http.send_raw(b"POST /auth/register?peer_id=ann HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    let detail = http.response().expect("an answer").detail(403);
    assert!(detail.as_str().is_some_and(|detail| detail.contains("http.public_names")), "{detail}");
    Http::registered(server.address(), "ann");
}

#[test]
fn loopback_server_answers_to_its_configured_names() {
    let server = Setup::server().config("[http]\npublic_names = ['lan.example']\n").start();
    for host in [
        "127.0.0.1",
        "127.0.0.1:1",
        "192.0.2.7:8667",
        "[::1]:8667",
        "localhost",
        "LOCALHOST:80",
        "lan.example",
        "Lan.Example:443",
    ] {
        assert_eq!(status_for_host(&server, host), 200, "{host}");
    }
    for host in
        ["x", "lan.example.evil.example", "127.0.0.1.evil.example", "evil@localhost", "[x]", ""]
    {
        assert_eq!(status_for_host(&server, host), 403, "{host}");
    }
    let address = server.address();
    for none_or_two in ["", "Host: localhost\r\nHost: evil.example\r\n"] {
        let head = format!("GET / HTTP/1.1\r\n{none_or_two}");
        assert_eq!(send(address, &head).status, 400, "{none_or_two:?}");
    }
    let absolute = "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n";
    assert_eq!(send(address, absolute).status, 403);
    // No browser speaks it.
    assert_eq!(send(address, "GET / HTTP/1.0\r\n").status, 200);
}

#[test]
fn names_of_a_loopback_server_change_with_a_reload() {
    let proxied = "[http]\nbehind_proxy = ['127.0.0.1', '::1']\n";
    let mut server = Setup::server().config(proxied).start();
    server.await_log("http.public_names is empty");
    assert_eq!(status_for_host(&server, "lan.example.org"), 403);
    server.reload(&format!("{proxied}public_names = ['lan.example.org']\n"));
    assert_eq!(status_for_host(&server, "lan.example.org"), 200);
}

#[test]
fn server_of_the_network_answers_to_any_name() {
    let mut setup = Setup::server().config("[http]\ninsecure = true\n");
    setup.args[1] = "0.0.0.0:0".to_owned();
    let server = setup.start();
    let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    let head = "GET / HTTP/1.1\r\nHost: any.example\r\n";
    assert_eq!(send(address, head).status, 200);
}

#[test]
fn pages_of_a_foreign_origin_change_nothing_on_any_route() {
    let server = Setup::server().start();
    for (method, path, more) in requests() {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n{more}"
        );
        let answer = send(server.address(), &head);
        // The probes and metrics tell no secret, and change nothing.
        let is_open = ["/healthz", "/readyz", "/metrics"].contains(&&*path);
        let may_be = |status| is_open && [200, 405].contains(&status);
        assert!(answer.status == 403 || may_be(answer.status), "{head}: {}", answer.status);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{head}");
    }
    Http::registered(server.address(), "auth");
}

#[test]
fn answers_say_that_they_depend_on_the_origin_and_are_not_stored() {
    let server = Setup::server().start();
    for origin in ["", "Origin: https://evil.example\r\n", "Origin: http://localhost\r\n"] {
        for (method, path, more) in requests().into_iter().filter(|(_, path, _)| path != "/ws") {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{origin}{more}");
            let answer = send(server.address(), &head);
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{head}");
            let vary = answer.header("vary").unwrap_or_default();
            assert!(vary.split(", ").any(|name| name == "origin"), "{head}: {vary}");
        }
    }
}
