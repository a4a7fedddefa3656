//! Bytes that are no requests, and requests without bounds.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use crate::harness::{Random, is_open};

use super::{Target, responses};

const GOOD: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Returns inputs that are not HTTP.
fn garbage() -> Vec<Vec<u8>> {
    let mut random = Random(11);
    let noise: Vec<u8> = (0..500).flat_map(|_| random.next().to_le_bytes()).collect();
    let texts: [&[u8]; 18] = [
        b"\0\0\0\0\r\n\r\n",
        b"\xff\xfe\xfd\r\n\r\n",
        // A client that speaks TLS, and one that speaks HTTP/2 at once.
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTQ/1.1\r\nHost: localhost\r\n\r\n",
        b"G\0T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /heal\0thz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /heal thz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHo\0st: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\0y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n folded: y\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"{\"type\":\"hello\"}\r\n\r\n",
    ];
    texts.into_iter().map(<[u8]>::to_vec).chain([noise]).collect()
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

#[test]
fn bytes_that_are_not_http_are_refused_once_and_disconnected() {
    let target = Target::start("");
    for bytes in garbage() {
        // Behind it nothing is read any more, were it never so good.
        let statuses = target.statuses(&[&bytes, GOOD].concat());
        assert!(matches!(statuses[..], [] | [400..500]), "{statuses:?} to {:?}", shown(&bytes));
        let statuses = target.statuses(&[GOOD, GOOD, &bytes, GOOD].concat());
        let behind = statuses.strip_prefix(&[200, 200]);
        let refused = matches!(behind, Some([] | [400..500]));
        assert!(refused, "{statuses:?} to two requests and {:?}", shown(&bytes));
    }
    target.assert_unharmed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let target = Target::start("[limits]\nrequests_burst = 10_000\n");
    let pair: &[u8] =
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /none HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(target.statuses(&pair.repeat(500)), [200, 404].repeat(500));
    target.assert_unharmed();
}

/// Start of a request, and the text that is repeated behind it.
const ENDLESS: [(&str, &str); 5] = [
    ("GET /", "a"),
    ("", "G"),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nX: ", "a"),
    ("GET / HTTP/1.1\r\nHost: localhost\r\n", "a: b\r\n"),
    (
        "GET / HTTP/1.1\r\nHost: localhost\r\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: bbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n",
    ),
];

#[test]
fn heads_without_end_are_cut_off() {
    let target = Target::start("[http]\nrequest_timeout = '1h'\n");
    std::thread::scope(|scope| {
        for (begin, more) in ENDLESS {
            let target = &target;
            scope.spawn(move || {
                let mut stream = target.connect();
                stream.write_all(begin.as_bytes()).expect("the server takes it");
                let more = more.repeat(65_536 / more.len());
                // A server that takes it all would take 64 MiB.
                let mut written = 0;
                while written < 64 << 20 && stream.write_all(more.as_bytes()).is_ok() {
                    written += more.len();
                }
                assert!(written < 64 << 20, "{begin:?} had no end");
            });
        }
    });
    target.assert_unharmed();
}

#[test]
fn heads_over_the_size_limits_are_refused() {
    let target = Target::start("");
    let mebibyte = "a".repeat(1 << 20);
    let headers: String = (0..10_000).map(|number| format!("x-{number}: y\r\n")).collect();
    for request in [
        format!("GET /{mebibyte} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("{mebibyte} / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {mebibyte}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{mebibyte}: y\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {mebibyte}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {mebibyte}\r\n\r\n"),
    ] {
        // The server may hang up before it has all, and then the refusal may be lost.
        let statuses = target.statuses(request.as_bytes());
        assert!(
            matches!(statuses[..], [] | [400..500]),
            "{statuses:?} to {:?}",
            shown(request.as_bytes())
        );
    }
    target.assert_unharmed();
}

#[test]
fn heads_that_come_too_slowly_are_disconnected() {
    let target = Target::start("[http]\nrequest_timeout = '1s'\n");
    let begun =
        ["", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nX: y"].map(|begin| {
            let mut stream = target.connect();
            stream.write_all(begin.as_bytes()).expect("the server takes it");
            (begin, stream)
        });
    for (begin, stream) in begun {
        let answers = responses(stream);
        let statuses: Vec<_> = answers.iter().map(|response| response.status).collect();
        assert!(matches!(statuses[..], [] | [408]), "{statuses:?} to {begin:?}");
    }
    target.assert_unharmed();
}

#[test]
fn heads_may_come_in_pieces() {
    let target = Target::start("");
    let mut http = target.server.http();
    for _ in 0..3 {
        for piece in GOOD.chunks(7) {
            http.send_raw(piece);
            std::thread::yield_now();
        }
        assert_eq!(http.response().expect("an answer").status, 200);
    }
}

#[test]
fn head_begun_beside_a_request_is_not_waited_for() {
    let target = Target::start("[http]\nrequest_timeout = '1s'\nkeep_alive = '50ms'\n");
    for begin in ["G", "GET / HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut stream = target.connect();
        stream.write_all(&[GOOD, begin.as_bytes()].concat()).expect("the server takes it");
        assert_eq!(responses(stream)[0].status, 200, "the server closes by itself");
    }
    target.assert_unharmed();
}

/// Of a head that begins after the answer, too.
#[test]
fn head_begun_after_an_answer_is_not_waited_for() {
    let target = Target::start("[http]\nrequest_timeout = '1s'\nkeep_alive = '50ms'\n");
    let mut stream = target.connect();
    stream.write_all(GOOD).expect("the server takes it");
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).expect("an answer");
    assert_eq!(&begun, b"HTTP/1.1 200");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").ok();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    target.assert_unharmed();
}

#[test]
fn head_that_drips_is_cut_off_at_the_deadline() {
    let target = Target::start("[http]\nrequest_timeout = '1s'\n");
    let mut stream = target.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("the server takes it");
    let until = std::time::Instant::now() + super::PATIENCE;
    while stream.write_all(b"x: y\r\n").is_ok() {
        assert!(std::time::Instant::now() < until, "the server waits for ever");
        std::thread::sleep(Duration::from_millis(5));
    }
    target.assert_unharmed();
}

#[test]
fn ambiguous_requests_are_refused() {
    let target = Target::start("");
    let behind = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4, 4\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: 4 \r\nContent-Length : 5\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
    ] {
        let request =
            format!("POST /parties HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n0\r\n\r\n{behind}");
        let statuses = target.statuses(request.as_bytes());
        assert!(matches!(statuses[..], [] | [400]), "{statuses:?} to {headers:?}");
    }
    // HTTP/1.0 has no chunks.
    let request =
        format!("POST /parties HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{behind}");
    assert_eq!(target.statuses(request.as_bytes()), [400]);
    target.assert_unharmed();
}

#[test]
fn http_1_0_client_gets_an_answer_and_the_close() {
    let target = Target::start("");
    let answers = target.exchange(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].ok()["status"], "ok");
    let mut stream = target.connect();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").expect("the server takes it");
    assert_eq!(responses(stream).len(), 1, "the server closes by itself");
    target.assert_unharmed();
}

/// The HTTP library gives responses the heads of former ones.
#[test]
fn requests_of_http_1_0_close_no_other_connection() {
    let target = Target::start("");
    let token = target.server.http().post("/auth/register?peer_id=ann", None).ok()["token"].take();
    let token = token.as_str().expect("a token");
    let request =
        format!("GET /relays HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut streams = Vec::new();
    for _ in 0..6 {
        assert_eq!(target.statuses(b"GET /healthz HTTP/1.0\r\n\r\n"), [200]);
        // Two, so that each thread of the server gets some of both kinds.
        for _ in 0..2 {
            let mut stream = target.connect();
            stream.write_all(request.as_bytes()).expect("the server takes it");
            assert!(stream.read(&mut [0; 4096]).expect("an answer") > 0);
            streams.push(stream);
        }
    }
    // A response that ends its connection gives it 2 s.
    streams[0].set_read_timeout(Some(Duration::from_secs(4))).expect("set a time-out");
    let silence = (&streams[0]).read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(silence, Err(ErrorKind::WouldBlock));
    assert_eq!(streams.iter().filter(|stream| !is_open(stream)).count(), 0);
}

#[test]
fn authorization_sent_twice_counts_the_first() {
    let target = Target::start("");
    let token = target.server.http().post("/auth/register?peer_id=ann", None).ok()["token"].take();
    let good = format!("Authorization: Bearer {}\r\n", token.as_str().expect("a token"));
    let bad = "Authorization: Bearer nobodys\r\n";
    for (headers, status) in [
        (format!("{good}{bad}"), 200),
        (format!("{bad}{good}"), 401),
        (format!("Authorization: \r\n{good}"), 401),
    ] {
        let request = format!("GET /relays HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        assert_eq!(target.statuses(request.as_bytes()), [status], "{headers:?}");
    }
    target.assert_unharmed();
}

#[test]
fn host_header_redirects_to_configured_names_only() {
    let target = Target::start("[http]\npublic_names = ['a.example']\n");
    for (hosts, status, location) in [
        ("Host: a.example\r\n", 307, Some("http://a.example/relays")),
        ("Host: a.example/b\r\n", 403, None),
        ("Host: a.example@b.example\r\n", 403, None),
        ("Host: \"><script>\r\n", 403, None),
        ("Host: \r\n", 403, None),
    ] {
        let request = format!("GET /relays/ HTTP/1.1\r\n{hosts}\r\n");
        let answers = target.exchange(request.as_bytes());
        assert_eq!(answers[0].status, status, "{hosts:?}");
        assert_eq!(answers[0].header("location"), location, "{hosts:?}");
    }
    for none_or_two in ["", "Host: a.example\r\nHost: b.example\r\n"] {
        let request = format!("GET /relays/ HTTP/1.1\r\n{none_or_two}\r\n");
        assert_eq!(target.statuses(request.as_bytes()), [400], "{none_or_two:?}");
    }
    // Nor does a path that begins like a host.
    for path in ["//b.example/", "//b.example/relays/", "///relays/", "/\\b.example/"] {
        let answers =
            target.exchange(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        assert!(matches!(answers[0].status, 400 | 404), "{path}: {}", answers[0].status);
    }
    target.assert_unharmed();
}

#[test]
fn paths_and_methods_of_any_kind_are_not_found() {
    let target = Target::start("");
    let long = "p".repeat(10_000);
    for path in [
        "/parties/%00",
        "/parties/%ff%fe",
        "/parties/..%2f..%2fetc",
        "/parties/%2e%2e",
        "/../../etc/passwd",
        "/parties/a/peers/%0d%0aX:%20y",
        "/%",
        "/%zz",
        "/parties/%",
        "*",
        "/?%00=%00",
        "/.",
        &format!("/parties/{long}"),
        &format!("/parties/p/peers/{long}"),
        &format!("/relays/{long}"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answers = target.exchange(request.as_bytes());
        let statuses: Vec<_> = answers.iter().map(|response| response.status).collect();
        assert!(matches!(statuses[..], [200 | 400..500]), "{statuses:?} to {path:.60}");
        assert_eq!(answers[0].header("x"), None);
    }
    let long = "M".repeat(10_000);
    for method in ["BREW", "get", "CONNECT", "TRACE", "OPTIONS", "PUT", "HEAD", &long] {
        let request = format!("{method} /relays HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut stream = target.connect();
        stream.write_all(request.as_bytes()).expect("the server takes it");
        let head = super::head(stream);
        assert!(head.starts_with("HTTP/1.1 4"), "{head} to {method:.20}");
    }
    let log = target.server.setup.log();
    assert!(log.lines().all(|line| line.len() < 1000), "a client wrote long lines into the log");
    target.assert_unharmed();
}
