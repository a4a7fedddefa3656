//! Web pages of other origins, before and after a reload.

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
fn cors_tells_nothing_to_pages_of_other_origins() {
    let server = Setup::server().start();
    for origin in ["https://game.example", "null", "http://localhost", "*"] {
        for method in ["OPTIONS", "GET", "POST"] {
            let refused = send(&server, method, origin);
            assert_eq!(refused.detail(403), "Origin not allowed", "{method} {origin}");
            assert_eq!(cors(&refused), [], "{method} {origin}");
        }
    }
}

#[test]
fn cors_admits_pages_of_a_configured_origin() {
    let server = Setup::server().config(ALLOWED).start();
    let preflight = send(&server, "OPTIONS", "https://game.example");
    assert_eq!(preflight.status, 204);
    assert_eq!(
        cors(&preflight),
        [
            ("access-control-allow-headers", "authorization, claim, content-type, idempotency-key"),
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
        assert_eq!((preflight.status, cors(&preflight)), (403, vec![]), "{origin}");
        let answer = send(&server, "GET", origin);
        assert_eq!((answer.status, cors(&answer)), (403, vec![]), "{origin}");
        // So that no cache gives one origin's answer to another.
        assert_eq!(answer.header("vary"), Some("origin"), "{origin}");
    }
}

/// The status of a handshake from a page of those origins.
fn handshake(server: &Daemon, origins: &[&str]) -> u16 {
    handshake_with(server, &server.address().to_string(), origins)
}

/// The same, to a server that is called so.
fn handshake_with(server: &Daemon, host: &str, origins: &[&str]) -> u16 {
    let url = format!("ws://{}/ws", server.address());
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("Host", host.parse().expect("a value"));
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
fn websocket_of_a_page_needs_a_configured_origin() {
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
fn reload_changes_origins_and_limits_and_keeps_connections() {
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
    assert_eq!(send(&server, "OPTIONS", "https://game.example").status, 403);
    ws.settled();
}

/// The statuses of a handshake and of a request over HTTP, of a page of `origin` to a server that
/// is called `host`.
fn statuses(server: &Daemon, host: &str, origin: &str) -> (u16, u16) {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
    let mut http = server.http();
    http.send_raw(request.as_bytes());
    let status = http.response().expect("a response").status;
    (handshake_with(server, host, &[origin]), status)
}

#[test]
fn cors_admits_the_origin_of_the_server_itself() {
    let server = Setup::server().config("[http]\npublic_names = ['lan.example']\n").start();
    let port = server.address().port();
    for (host, origin) in [
        (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}")),
        (format!("localhost:{port}"), format!("http://localhost:{port}")),
        (format!("LocalHost:{port}"), format!("http://localhost:{port}")),
        (format!("[::1]:{port}"), format!("http://[::1]:{port}")),
        ("192.168.1.7".into(), "http://192.168.1.7".into()),
        ("192.168.1.7".into(), "http://192.168.1.7:80".into()),
        // A proxy may speak TLS for the server.
        ("lan.example".into(), "https://lan.example".into()),
        ("LAN.example:8443".into(), "https://lan.example:8443".into()),
    ] {
        assert_eq!(statuses(&server, &host, &origin), (101, 200), "{origin} to {host}");
    }
    for (host, origin) in [
        // A name that leads here without the server's consent (DNS rebinding).
        (format!("evil.example:{port}"), format!("http://evil.example:{port}")),
        (format!("127.0.0.1:{port}"), "http://127.0.0.1:1".into()),
        (format!("127.0.0.1:{port}"), format!("http://localhost:{port}")),
        (format!("127.0.0.1:{port}"), format!("http://lan.example:{port}")),
        ("lan.example.evil.example".into(), "http://lan.example.evil.example".into()),
        (format!("127.0.0.1:{port}"), "null".into()),
        (format!("127.0.0.1:{port}"), "file://".into()),
        (format!("127.0.0.1:{port}"), format!("file://127.0.0.1:{port}")),
    ] {
        assert_eq!(statuses(&server, &host, &origin), (403, 403), "{origin} to {host}");
    }
}

#[test]
fn cors_admits_pages_without_a_host_where_configured() {
    let config = "[http]\nallowed_origins = ['null', 'file://']\n";
    let server = Setup::server().config(config).start();
    let host = server.address().to_string();
    for origin in ["null", "file://"] {
        assert_eq!(statuses(&server, &host, origin), (101, 200), "{origin}");
    }
    for origin in ["file:///", "file://x", "nul", "https://game.example"] {
        assert_eq!(statuses(&server, &host, origin), (403, 403), "{origin}");
    }
}
