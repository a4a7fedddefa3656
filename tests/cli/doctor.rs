//! `doctor` against the real server, and against what is none.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};

use crate::harness::{Ctl, ForwardProxy, Setup, write_secret};

const STEPS: [&str; 11] = [
    "daemon", "url", "proxy", "name", "connect", "tls", "http", "clock", "register", "upgrade",
    "token",
];

/// What a run came to.
struct Diagnosis {
    document: Value,
    steps: BTreeMap<String, Value>,
}

impl Diagnosis {
    fn of(ctl: &Ctl, line: &str) -> Self {
        let ran = ctl.run(&format!("{line} --json"));
        let document: Value = serde_json::from_str(&ran.stdout).expect("one document");
        assert_eq!(ran.stderr, "");
        assert_eq!(ran.code, Some(i32::from(document["ok"] != true)), "{document}");
        let steps = document["steps"].as_array().expect("steps");
        let name = |step: &Value| step["step"].as_str().expect("a name").to_owned();
        assert_eq!(steps.iter().map(name).collect::<Vec<_>>(), STEPS);
        let steps = steps.iter().map(|step| (name(step), step.clone())).collect();
        Self { document, steps }
    }

    fn ok(&self, step: &str) -> &Value {
        &self.steps[step]["ok"]
    }

    fn detail(&self, step: &str) -> &str {
        self.steps[step]["detail"].as_str().expect("a detail")
    }

    /// Asserts that this step failed, in these words.
    #[track_caller]
    fn fails_at(&self, step: &str, words: &str, fix: &str) {
        assert_eq!(self.ok(step), false, "{}", self.document);
        assert!(self.detail(step).contains(words), "{}", self.detail(step));
        let told = self.steps[step]["fix"].as_str().expect("a fix");
        assert!(told.contains(fix), "{told}");
        assert!(self.steps[step]["took_ms"].is_u64());
    }

    /// Asserts that it did, and that no later one was taken.
    #[track_caller]
    fn ends_at(&self, step: &str, words: &str, fix: &str) {
        self.fails_at(step, words, fix);
        for later in STEPS.iter().skip_while(|name| **name != step).skip(1) {
            let expected = json!({
                "step": later, "ok": null, "took_ms": null, "detail": "a step before it failed",
                "fix": null,
            });
            assert_eq!(self.steps[*later], expected);
        }
        let failed = |step: &&str| self.ok(step) == false;
        assert_eq!(STEPS.iter().filter(|step| failed(step)).count(), 1, "{}", self.document);
    }
}

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
pub(super) fn answering(answer: impl Fn(&str) -> String + Clone + Send + 'static) -> SocketAddr {
    listening(move |mut stream| {
        let head = head(&stream);
        let path = head.split(' ').nth(1).unwrap_or_default();
        stream.write_all(answer(path).as_bytes()).ok();
    })
}

pub(super) fn response(status: &str, headers: &str, body: &str) -> String {
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
fn all_is_well_with_a_server_that_serves() {
    let server = Setup::server().start();
    let nobody = Setup::new();
    let address = server.address();
    let found = Diagnosis::of(&nobody.ctl(), &format!("doctor http://{address}/"));
    assert_eq!(found.document["ok"], true, "{}", found.document);
    assert_eq!(found.document["server_url"], format!("http://{address}"));
    for step in ["url", "name", "connect", "http", "clock", "register", "upgrade", "token"] {
        assert_eq!(found.ok(step), true, "{}", found.document);
        assert_eq!(found.steps[step]["fix"], json!(null));
    }
    assert_eq!(found.ok("daemon"), &json!(null), "there is none");
    assert!(found.detail("daemon").contains("is not started"), "{}", found.document);
    assert_eq!(found.ok("tls"), &json!(null), "it is not spoken");
    assert_eq!(found.detail("name"), "127.0.0.1");
    assert_eq!(found.detail("connect"), format!("{address} connects"));
    assert!(found.detail("http").starts_with("LANrage Control Plane (lanragectl-server/"));
    assert_eq!(found.detail("upgrade"), "WebSocket");

    let told = nobody.ctl().text(&format!("doctor http://{address}"));
    let marks: Vec<_> = told.lines().map(|line| line.split_whitespace().next()).collect();
    let expected =
        ["skipped", "ok", "skipped", "ok", "ok", "skipped", "ok", "ok", "ok", "ok", "ok"];
    assert_eq!(marks, expected.map(Some), "{told}");
}

#[test]
fn a_daemon_in_local_mode_follows_no_server_to_look_for() {
    let daemon = Setup::new().start();
    let server = Setup::server().start();
    let found = Diagnosis::of(&daemon.ctl(), "doctor");
    assert_eq!(found.document["ok"], true, "{}", found.document);
    assert!(found.detail("daemon").starts_with("local: the daemon needs no"));
    for step in &STEPS[1..] {
        assert_eq!(found.ok(step), &json!(null), "{}", found.document);
        assert_eq!(found.detail(step), "there is nothing to check in local mode");
    }
    let told = daemon.ctl().text("doctor");
    assert!(!told.contains("FAILED") && told.contains("nothing to check"), "{told}");
    let found = Diagnosis::of(&daemon.ctl(), &format!("doctor http://{}", server.address()));
    assert_eq!((found.ok("daemon"), &found.document["ok"]), (&json!(true), &json!(true)));

    let nobody = Setup::new();
    let found = Diagnosis::of(&nobody.ctl(), "doctor");
    found.ends_at("daemon", "is not started", "lanragectl-d --socket");
    assert_eq!(found.document["server_url"], json!(null));
    let told = nobody.ctl().run("doctor");
    assert_eq!((told.code, told.stderr.as_str()), (Some(1), ""));
    assert!(told.stdout.contains("FAILED   daemon "), "{}", told.stdout);
    assert!(
        told.stdout.contains("\n                             fix: start it: "),
        "{}",
        told.stdout
    );
}

#[test]
fn what_is_no_url_is_not_repeated() {
    let nobody = Setup::new();
    let found = Diagnosis::of(&nobody.ctl(), "doctor http://ann:hunter2@127.0.0.1");
    found.ends_at("url", "must have no user and no password", "https://");
    assert!(!found.document.to_string().contains("hunter2"), "{}", found.document);
    assert!(!nobody.ctl().run("doctor http://ann:hunter2@h").stdout.contains("hunter2"));
}

#[test]
fn nothing_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    found.ends_at("connect", &format!("{address}: Connection refused"), "start the server");
}

#[test]
fn a_name_that_there_is_not() {
    let line = "doctor http://no-such-host.invalid --timeout 5s";
    let found = Diagnosis::of(&Setup::new().ctl(), line);
    found.ends_at("name", "no-such-host.invalid", "correct the host");
}

#[test]
fn a_web_page_is_no_control_server() {
    let address = answering(|_| response("200 OK", "Content-Type: text/html\r\n", "<h1>Hi</h1>"));
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    found.ends_at("http", "answered with a web page", "correct the server's URL");

    let address = answering(|_| response("200 OK", "", r#"{"service":"a shop"}"#));
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    found.ends_at("http", "not as a control server does", "correct the server's URL");
}

#[test]
fn each_answer_that_is_none_has_a_fix_of_its_own() {
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
fn what_is_no_answer_has_a_fix_of_its_own() {
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
fn an_answer_without_end_is_not_read_to_it() {
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
fn a_silent_port_is_given_up() {
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
fn a_certificate_is_trusted_when_it_is_told_to_be() {
    let made = generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let setup = Setup::server().config("[http]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n");
    let cert = setup.path("cert.pem");
    std::fs::write(&cert, made.cert.pem()).expect("write the certificate");
    write_secret(&setup.path("key.pem"), &made.signing_key.serialize_pem());
    let server = setup.start();
    let port = server.address().port();
    let ctl = Setup::new().ctl();
    let url = format!("https://localhost:{port}");

    let found = Diagnosis::of(&ctl, &format!("doctor {url} --ca-file {}", cert.display()));
    assert_eq!(found.document["ok"], true, "{}", found.document);
    let words = found.detail("tls");
    assert!(
        words.starts_with("a trusted certificate, valid for ") && words.contains(" days until ")
    );
    assert_eq!(found.detail("upgrade"), "WebSocket");

    Diagnosis::of(&ctl, &format!("doctor {url}")).ends_at("tls", "the certificate", "--ca-file");
    let other = format!("doctor https://127.0.0.1:{port} --ca-file {}", cert.display());
    Diagnosis::of(&ctl, &other).ends_at("tls", "localhost", "certificate for the host");
    let key = server.setup.path("key.pem");
    let none = Diagnosis::of(&ctl, &format!("doctor {url} --ca-file {}", key.display()));
    none.ends_at("tls", "holds no certificate", "correct --ca-file");
    let plain = Diagnosis::of(&ctl, &format!("doctor http://localhost:{port}"));
    assert_eq!(plain.ok("http"), false, "{}", plain.document);
}

#[test]
fn doctor_goes_the_way_of_the_daemon() {
    let made = generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let setup = Setup::server().config("[http]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n");
    let cert = setup.path("cert.pem");
    std::fs::write(&cert, made.cert.pem()).expect("write the certificate");
    write_secret(&setup.path("key.pem"), &made.signing_key.serialize_pem());
    let server = setup.start();
    let proxy = ForwardProxy::to(server.address(), None);
    let url = format!("https://localhost:{}", server.address().port());
    let config =
        format!("[remote]\nca_file = '{}'\nproxy = 'http://{}'\n", cert.display(), proxy.address());
    let daemon = Setup::new().server_url(&url).config(&config).start();
    daemon.await_state("online");
    let found = Diagnosis::of(&daemon.ctl(), "doctor");
    assert_eq!(found.document["ok"], true, "{}", found.document);
    assert!(found.detail("proxy").starts_with(&format!("http://{}", proxy.address())));
    assert_eq!(found.detail("connect"), format!("{} connects", proxy.address()));
    assert!(found.detail("tls").starts_with("a trusted certificate"), "{}", found.document);
    // Without what the daemon tells, the certificate is nobody's.
    Diagnosis::of(&Setup::new().ctl(), &format!("doctor {url}")).ends_at("tls", "certificate", "");
    let line =
        format!("doctor {url} --ca-file {} --proxy http://{}", cert.display(), proxy.address());
    assert_eq!(Diagnosis::of(&Setup::new().ctl(), &line).document["ok"], true);
}

#[test]
fn tls_is_not_spoken_where_it_should_be() {
    let server = Setup::server().start();
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor https://{}", server.address()));
    found.ends_at("tls", "", "certificate");
}

#[test]
fn a_proxy_that_keeps_tokens_to_itself_is_found() {
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
fn without_websocket_the_daemon_will_poll() {
    let server = Setup::server().start();
    let old = proxy(server.address(), |head| head.replace("GET /ws ", "GET /nowhere "));
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{old}"));
    assert_eq!(found.document["ok"], true, "{}", found.document);
    let words = "no WebSocket: the daemon will poll over HTTP";
    assert!(found.detail("upgrade").starts_with(words), "{}", found.document);
}

#[test]
fn clocks_apart_are_told_and_keep_no_step_from_being_taken() {
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
fn a_registration_that_does_not_arrive_is_found() {
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
fn a_token_that_nobody_gave_out_lets_nobody_in() {
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
