//! Invalid handshakes.

use super::Target;

/// Headers of a WebSocket client's handshake (RFC 6455, section 4.1).
const HEADERS: [(&str, &str); 5] = [
    ("Host", "localhost"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A handshake with that header as given, or without it.
fn handshake(name: &str, value: Option<&str>) -> Vec<u8> {
    let lines: String = HEADERS
        .iter()
        .filter_map(|(header, good)| {
            let value = if *header == name { value? } else { good };
            Some(format!("{header}: {value}\r\n"))
        })
        .collect();
    format!("GET /ws HTTP/1.1\r\n{lines}\r\n").into_bytes()
}

#[test]
fn ws_handshake_needs_each_of_its_headers() {
    let target = Target::start("");
    for (name, value, status) in [
        ("Connection", None, 426),
        ("Connection", Some("close"), 426),
        ("Connection", Some("keep-alive"), 426),
        ("Upgrade", None, 426),
        ("Upgrade", Some("h2c"), 426),
        ("Upgrade", Some(""), 426),
        ("Sec-WebSocket-Version", None, 400),
        ("Sec-WebSocket-Version", Some("8"), 426),
        ("Sec-WebSocket-Version", Some("14"), 426),
        ("Sec-WebSocket-Version", Some("13.0"), 426),
        ("Sec-WebSocket-Key", None, 400),
        ("Sec-WebSocket-Key", Some(""), 400),
        ("Sec-WebSocket-Key", Some("x"), 400),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25j"), 400),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZWU="), 400),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ"), 400),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZR=="), 400),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBu_25jZQ=="), 400),
    ] {
        let answers = target.exchange(&handshake(name, value));
        let shown = format!("{name}: {value:?}");
        assert_eq!(answers.len(), 1, "{shown}");
        let detail = answers[0].detail(status);
        assert!(detail.as_str().is_some_and(|detail| !detail.is_empty()), "{shown}: {detail}");
        if status == 426 {
            assert_eq!(answers[0].header("upgrade"), Some("websocket"), "{shown}");
        }
    }
    target.assert_unharmed();
}

#[test]
fn ws_handshake_is_a_get() {
    let target = Target::start("");
    for method in ["POST", "PUT", "DELETE", "BREW"] {
        let request = handshake("", None);
        let request = [method.as_bytes(), &request[3..]].concat();
        let answers = target.exchange(&request);
        assert_eq!((answers[0].status, answers[0].header("allow")), (405, Some("GET")), "{method}");
    }
    // Elsewhere an upgrade is passed over.
    let elsewhere =
        String::from_utf8(handshake("", None)).expect("UTF-8").replace("/ws", "/healthz");
    assert_eq!(target.statuses(elsewhere.as_bytes()), [200]);
    target.assert_unharmed();
}

#[test]
fn ws_handshake_with_further_tokens_is_taken() {
    let target = Target::start("");
    for (name, value) in
        [("Connection", "keep-alive, Upgrade"), ("Connection", "upgrade"), ("Upgrade", "WebSocket")]
    {
        assert_eq!(target.statuses(&handshake(name, Some(value))), [101], "{name}: {value}");
    }
    target.assert_unharmed();
}

#[test]
fn ws_handshake_needs_http_1_1() {
    let target = Target::start("");
    let request = String::from_utf8(handshake("", None)).expect("UTF-8");
    let answers = target.exchange(request.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].detail(400), "A WebSocket needs HTTP/1.1");
    target.assert_unharmed();
}
