//! Web pages of other origins, and what a reload changes.

use std::net::TcpStream;

use tungstenite::client::IntoClientRequest;

use crate::harness::{Daemon, Response, Setup, Ws};

const ALLOWED: &str = "[http]\nallowed_origins = ['https://game.example']\n";

fn send(server: &Daemon, method: &str, origin: &str) -> Response {
    let headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
    server.http().send(method, "/relays", &headers, None)
}

fn cors(response: &Response) -> Vec<(&str, &str)> {
    let headers = response.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers: Vec<_> =
        headers.filter(|(name, _)| name.starts_with("access-control-")).collect();
    headers.sort_unstable();
    headers
}

#[test]
fn pages_of_other_origins_are_told_nothing_unless_they_are_named() {
    let server = Setup::server().start();
    for origin in ["https://game.example", "null", "http://localhost", "*"] {
        let preflight = send(&server, "OPTIONS", origin);
        assert_eq!(preflight.status, 405, "{origin}");
        assert_eq!(cors(&preflight), [], "{origin}");
        assert_eq!(cors(&send(&server, "GET", origin)), [], "{origin}");
    }
}

#[test]
fn pages_of_an_origin_that_is_named_may_ask() {
    let server = Setup::server().config(ALLOWED).start();
    let preflight = send(&server, "OPTIONS", "https://game.example");
    assert_eq!(preflight.status, 204);
    assert_eq!(
        cors(&preflight),
        [
            ("access-control-allow-headers", "authorization, content-type, idempotency-key"),
            ("access-control-allow-methods", "DELETE, GET, POST"),
            ("access-control-allow-origin", "https://game.example"),
            ("access-control-expose-headers", "retry-after"),
            ("access-control-max-age", "600"),
        ]
    );
    // Errors may be read, too.
    let refused = send(&server, "GET", "https://game.example");
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://game.example"));
    assert_eq!(refused.header("vary"), Some("origin"));
    for origin in [
        "https://evil.example",
        "http://game.example",
        "https://game.example.evil",
        "https://game.example:444",
        "null",
        "",
    ] {
        let preflight = send(&server, "OPTIONS", origin);
        assert_eq!((preflight.status, cors(&preflight)), (405, vec![]), "{origin}");
        let answer = send(&server, "GET", origin);
        assert_eq!(cors(&answer), [], "{origin}");
        // So that no cache gives one origin's answer to another.
        assert_eq!(answer.header("vary"), Some("origin"), "{origin}");
    }
}

/// The status of a handshake from a page of those origins.
fn handshake(server: &Daemon, origins: &[&str]) -> u16 {
    let url = format!("ws://{}/ws", server.address());
    let mut request = url.into_client_request().expect("a request");
    for origin in origins {
        request.headers_mut().append("Origin", origin.parse().expect("a value"));
    }
    let stream = TcpStream::connect(server.address()).expect("connect to the server");
    match tungstenite::client(request, stream) {
        Ok((_, response)) => response.status().as_u16(),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            response.status().as_u16()
        }
        Err(error) => panic!("no handshake: {error}"),
    }
}

#[test]
fn a_page_may_open_a_websocket_only_if_its_origin_is_named() {
    let (open, named) = (Setup::server().start(), Setup::server().config(ALLOWED).start());
    for (origins, none, one) in [
        (&[][..], 101, 101),
        (&["https://game.example"], 403, 101),
        (&["https://GAME.example:443"], 403, 101),
        (&["https://evil.example"], 403, 403),
        (&["null"], 403, 403),
        (&["https://game.example", "https://evil.example"], 403, 403),
    ] {
        assert_eq!(
            (handshake(&open, origins), handshake(&named, origins)),
            (none, one),
            "{origins:?}"
        );
    }
}

#[test]
fn a_reload_changes_origins_and_limits_and_keeps_who_is_connected() {
    let mut server = Setup::server()
        .config("[limits]\nregistrations_burst = 2\nregistrations_per_minute = 1\n")
        .start();
    let mut http = server.http();
    let (mut ws, _) = Ws::hello(server.address(), "ann", None);
    http.post("/auth/register?peer_id=bob", None).ok();
    assert_eq!(http.post("/auth/register?peer_id=eve", None).status, 429);
    assert_eq!(handshake(&server, &["https://game.example"]), 403);
    server.reload(ALLOWED);
    assert_eq!(handshake(&server, &["https://game.example"]), 101);
    assert_eq!(send(&server, "OPTIONS", "https://game.example").status, 204);
    http.post("/auth/register?peer_id=eve", None).ok();
    server.reload(&format!("{ALLOWED}body_bytes = 1024\n[ws]\nsockets = 1\n"));
    let long = serde_json::json!({"name": "x".repeat(2000)});
    http.token = Some(
        http.post("/auth/register?peer_id=zoe", None).ok()["token"]
            .as_str()
            .expect("a token")
            .to_owned(),
    );
    assert_eq!(http.post("/parties", Some(long)).status, 413);
    assert_eq!(handshake(&server, &[]), 503);
    // What is bad changes nothing, and is told.
    server.reload("[http]\nallowed_origins = ['*']\n");
    server.await_log("the configuration stays as it was");
    assert_eq!(send(&server, "OPTIONS", "https://game.example").status, 204);
    server.reload("listen = '127.0.0.1:1'\n[http]\nkeep_alive = '1h'\n");
    server.await_log("http.keep_alive changes with the next start");
    assert_eq!(send(&server, "OPTIONS", "https://game.example").status, 405);
    ws.settled();
}
