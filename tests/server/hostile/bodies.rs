//! Bodies that lie about themselves, and bodies that go to the bounds of JSON.

use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Http, announced};

use super::{PATIENCE, Target, responses};

/// A request to register a party, with these headers and this body.
fn request(token: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /parties HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// The body of a party that may be registered.
fn party() -> String {
    json!({"name": "LAN", "host_peer_info": announced("ann")}).to_string()
}

fn token(target: &Target) -> String {
    Http::registered(target.address, "ann").token.expect("a token")
}

#[test]
fn body_that_stops_half_way_is_cut_off_at_the_deadline() {
    let target = Target::start("[http]\nrequest_timeout = '1s'\n");
    let token = token(&target);
    let body = party();
    let half = &body[..body.len() / 2];
    let begun = [
        (format!("Content-Length: {}\r\n", body.len()), half.to_owned()),
        (format!("Content-Length: {}\r\n", body.len()), String::new()),
        (format!("Content-Length: {}\r\n", body.len() + 1), body.clone()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{:x}\r\n{half}", body.len())),
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{:x}\r\n{body}\r\n", body.len())),
        ("Transfer-Encoding: chunked\r\n".to_owned(), "5".to_owned()),
    ]
    .map(|(headers, sent)| {
        let mut stream = target.connect();
        stream.write_all(&request(&token, &headers, &sent)).expect("the server takes it");
        (headers, stream)
    });
    for (headers, stream) in begun {
        // It says so, and closes by itself.
        let answers = responses(stream);
        assert_eq!(answers.len(), 1, "{headers:?}");
        assert_eq!(answers[0].detail(408), "The request body took too long");
    }
    assert_eq!(target.server.http().get("/").ok()["parties"], 0);
    target.assert_unharmed();
}

#[test]
fn body_that_breaks_off_changes_nothing() {
    let target = Target::start("");
    let token = token(&target);
    let body = party();
    for (headers, sent) in [
        (format!("Content-Length: {}\r\n", body.len() + 1), body.clone()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{:x}\r\n{body}\r\n", body.len())),
    ] {
        let statuses = target.statuses(&request(&token, &headers, &sent));
        assert!(matches!(statuses[..], [] | [400]), "{statuses:?} to {headers:?}");
    }
    assert_eq!(target.server.http().get("/").ok()["parties"], 0);
    target.assert_unharmed();
}

#[test]
fn bytes_behind_a_body_are_another_request() {
    let target = Target::start("");
    let token = token(&target);
    let body = party();
    let headers = format!("Content-Length: {}\r\n", body.len());
    assert_eq!(
        target.statuses(&request(&token, &headers, &format!("{body}}}}}\r\n\r\n"))),
        [200, 400]
    );
    // Nor is a body that nobody reads one.
    let inner = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let outer = format!(
        "POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{inner}",
        inner.len()
    );
    assert_eq!(target.statuses(outer.as_bytes()), [404]);
    target.assert_unharmed();
}

#[test]
fn chunks_of_no_size_are_refused() {
    let target = Target::start("");
    let token = token(&target);
    for chunks in [
        "xyz\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
    ] {
        let sent = request(&token, "Transfer-Encoding: chunked\r\n", chunks);
        let statuses = target.statuses(&sent);
        assert!(matches!(statuses[..], [] | [400..500] | [400, 400]), "{statuses:?} to {chunks:?}");
    }
    let body = party();
    let good = format!("{:X};name=\"value\"\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(target.statuses(&request(&token, "Transfer-Encoding: chunked\r\n", &good)), [200]);
    target.assert_unharmed();
}

#[test]
fn body_of_any_length_costs_no_more_than_the_limit() {
    let target = Target::start("[http]\nrequest_timeout = '1h'\n");
    let token = token(&target);
    let piece = vec![b'['; 65_536];
    std::thread::scope(|scope| {
        for chunked in [false, true] {
            let (target, token, piece) = (&target, &token, &piece);
            scope.spawn(move || {
                let headers = match chunked {
                    true => "Transfer-Encoding: chunked\r\n".to_owned(),
                    false => format!("Content-Length: {}\r\n", 1_u64 << 40),
                };
                let mut stream = target.connect();
                stream.write_all(&request(token, &headers, "")).expect("the server takes it");
                let mut reader = stream.try_clone().expect("a second handle");
                let writer = scope.spawn(move || {
                    let size = format!("{:x}\r\n", piece.len());
                    let sent = match chunked {
                        true => [size.as_bytes(), piece, b"\r\n"].concat(),
                        false => piece.clone(),
                    };
                    let until = Instant::now() + PATIENCE;
                    while stream.write_all(&sent).is_ok() {
                        assert!(Instant::now() < until, "the server takes it for ever");
                    }
                });
                // The refusal may be lost in the hanging up.
                std::io::copy(&mut reader, &mut std::io::sink()).ok();
                writer.join().expect("an end");
            });
        }
    });
    target.assert_unharmed();
}

/// Every body is refused as invalid, with a list of its errors.
fn assert_invalid(client: &mut Http, body: &str) {
    let token = client.token.clone().expect("a token");
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let answer = client.send("POST", "/parties", &headers, Some(body.as_bytes()));
    let detail = answer.detail(422);
    let mistakes = detail.as_array().unwrap_or_else(|| panic!("{detail} to {body:.100}"));
    assert!(!mistakes.is_empty(), "{body:.100}");
    for mistake in mistakes {
        for key in ["type", "loc", "msg"] {
            assert!(!mistake[key].is_null(), "{mistake} has no {key}");
        }
    }
    // Nobody gets megabytes back of what they sent.
    assert!(answer.body.len() < 32 * 1024, "{} bytes for {}", answer.body.len(), body.len());
}

#[test]
fn bodies_at_the_bounds_of_json_are_invalid() {
    let target =
        Target::start("[http]\nbody_bytes = 1_048_576\n[limits]\nrequests_burst = 10_000\n");
    let mut ann = Http::registered(target.address, "ann");
    let good = party();
    let name = |name: &str| good.replace("\"LAN\"", name);
    let port =
        |port: &str| good.replacen("\"public_port\":51820", &format!("\"public_port\":{port}"), 1);
    for lone in [r"\ud800", r"\udc00", r"\udc00\ud800", r"\ud800x", r"\uD83C\n"] {
        assert_invalid(&mut ann, &name(&format!("\"{lone}\"")));
    }
    for control in [r"\u0000", r"a\u0007b", r"\u007f", r"\u0085", r"a\nb", r"\u001b[31m"] {
        assert_invalid(&mut ann, &name(&format!("\"{control}\"")));
    }
    for number in [
        "9223372036854775808",
        "1000000000000000000000000000000",
        "-1",
        "65536",
        "1e400",
        "0.5",
        "NaN",
        "Infinity",
        "-9223372036854775809",
        "true",
        "null",
        "[]",
        "\"\\u0000\"",
        "1e30",
        &"9".repeat(100_000),
    ] {
        assert_invalid(&mut ann, &port(number));
    }
    let long = "x".repeat(10_000);
    assert_invalid(&mut ann, &good.replace("\"ann\"", &format!("\"{long}\"")));
    assert_invalid(&mut ann, &name(&format!("\"{}\"", "x".repeat(900_000))));
    for deep in [
        "[".repeat(100_000) + &"]".repeat(100_000),
        "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000),
        "[".repeat(1_000_000),
        "{\"a\":".repeat(100_000),
    ] {
        assert_invalid(&mut ann, &deep);
        assert_invalid(&mut ann, &good.replace("\"LAN\"", &deep));
    }
    for odd in [
        "",
        " ",
        "\0",
        "null",
        "true",
        "1",
        "\"a\"",
        "[]",
        "{}",
        "{",
        "nul",
        "{}{}",
        "\u{feff}{}",
        "{'a':1}",
        "// {}",
    ] {
        assert_invalid(&mut ann, odd);
    }
    let many: Vec<Value> = (0..100_000).map(Value::from).collect();
    assert_invalid(&mut ann, &json!(many).to_string());
    let keys: String = (0..50_000).map(|number| format!("\"k{number}\":1,")).collect();
    assert_invalid(&mut ann, &format!("{{{keys}\"name\":\"\"}}"));
    assert_eq!(target.server.http().get("/").ok()["parties"], 0);
    target.assert_unharmed();
}

#[test]
fn bodies_that_are_no_utf8_are_invalid() {
    let target = Target::start("");
    let mut ann = Http::registered(target.address, "ann");
    let authorization = format!("Bearer {}", ann.token.clone().expect("a token"));
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let good = party().into_bytes();
    for bytes in [b"\xff\xfe" as &[u8], b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80"]
    {
        let at = good.windows(3).position(|window| window == b"LAN").expect("the name");
        let mut bad = good.clone();
        bad.splice(at..at + 3, bytes.iter().copied());
        ann.send("POST", "/parties", &headers, Some(&bad)).detail(422);
        ann.send("POST", "/parties", &headers, Some(bytes)).detail(422);
    }
    target.assert_unharmed();
}

#[test]
fn ids_of_any_kind_are_registered_or_invalid() {
    let target = Target::start("[limits]\nregistrations_burst = 1000\n");
    let mut http = target.server.http();
    let longest = "x".repeat(128);
    assert_eq!(
        http.post(&format!("/auth/register?peer_id={longest}"), None).ok()["peer_id"],
        longest
    );
    for id in [
        "",
        "x".repeat(129).as_str(),
        "x".repeat(10_000).as_str(),
        "%00",
        "a%0ab",
        "a%20b",
        "%ff",
        "%",
        "a%2Fb",
        "%F0%9F%8E%B2",
        "a+b",
    ] {
        http.post(&format!("/auth/register?peer_id={id}"), None).detail(422);
    }
    target.assert_unharmed();
}
