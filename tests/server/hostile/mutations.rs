//! Good requests and good frames, changed at random: nothing worse than a refusal happens.

use std::io::Write;

use serde_json::{Value, json};
use tungstenite::Message;

use crate::harness::{Http, Random, Ws, announced, change, garble};

use super::Target;

/// Nobody is told to come later.
const LIMITS: &str = "\
[limits]
requests_per_second = 1_000_000
requests_burst = 1_000_000
registrations_per_minute = 1_000_000
registrations_burst = 1_000_000
[ws]
frames_per_second = 1_000_000
frames_burst = 1_000_000
";

/// A good request of every route: method, path, body.
fn requests() -> Vec<(&'static str, &'static str, Option<Value>)> {
    vec![
        ("GET", "/", None),
        ("GET", "/openapi.json", None),
        ("GET", "/readyz", None),
        ("POST", "/auth/register?peer_id=eve", None),
        ("POST", "/parties", Some(json!({"name": "LAN", "host_peer_info": announced("ann")}))),
        ("GET", "/parties/p", None),
        ("POST", "/parties/p/join", Some(json!({"party_id": "p", "peer_info": announced("ann")}))),
        ("GET", "/parties/p/peers", None),
        ("GET", "/parties/p/peers/ann", None),
        ("DELETE", "/parties/q/peers/ann", None),
        ("POST", "/parties/p/peers/ann/heartbeat", None),
        ("GET", "/relays", None),
        ("GET", "/relays/eu", None),
        (
            "POST",
            "/relays",
            Some(
                json!({"relay_id": "r", "public_ip": "::1", "port": 1, "region": "eu", "capacity": 9}),
            ),
        ),
    ]
}

/// A request as it goes over the network, maybe in chunks.
fn encode(method: &str, path: &str, token: &str, body: Option<&[u8]>, chunked: bool) -> Vec<u8> {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
    let Some(body) = body else { return format!("{head}\r\n").into_bytes() };
    let (framing, begin, end) = match chunked {
        true => (
            "Transfer-Encoding: chunked".to_owned(),
            format!("{:x}\r\n", body.len()),
            "\r\n0\r\n\r\n",
        ),
        false => (format!("Content-Length: {}", body.len()), String::new(), ""),
    };
    let head = format!("{head}Content-Type: application/json\r\n{framing}\r\n\r\n{begin}");
    [head.as_bytes(), body, end.as_bytes()].concat()
}

#[test]
fn mutated_requests_are_answered_or_refused() {
    let target = Target::start(LIMITS);
    let token = Http::registered(target.address, "ann").token.expect("a token");
    let (mut keeper, _) = Ws::hello(target.address, "keeper", None);
    let register = json!({"type": "register_party", "party_id": "p", "name": "LAN", "host_peer": announced("keeper")});
    assert_eq!(keeper.ask(register)["type"], "ack");
    let requests = requests();
    let mut random = Random(23);
    for round in 0..2_000 {
        let (method, path, body) = random.of(&requests).clone();
        let body = body.map(|mut body| {
            (0..random.below(3)).for_each(|_| change(&mut body, &mut random));
            let mut body = body.to_string().into_bytes();
            if random.below(4) == 0 {
                garble(&mut body, &mut random);
            }
            body
        });
        let mut bytes = encode(method, path, &token, body.as_deref(), random.below(4) == 0);
        if random.below(2) == 0 {
            garble(&mut bytes, &mut random);
        }
        for answer in target.exchange(&bytes) {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
            let status = answer.status;
            assert!(matches!(status, 200 | 307 | 400..500), "round {round}: {status} to {shown:?}");
            // What did not come as a request at all has no body.
            if status >= 400 && !answer.body.is_empty() {
                assert!(!answer.json()["detail"].is_null(), "round {round}: {status} to {shown:?}");
            }
        }
    }
    assert_adds_up(&target, &mut keeper);
    target.assert_unharmed();
}

/// The party that all was about is whole, and as many are told as there are.
fn assert_adds_up(target: &Target, keeper: &mut Ws) {
    keeper.settled();
    keeper.ask(json!({"type": "sync", "party_id": "p", "have": {"epoch": "other", "seq": 0}}));
    let told = keeper.await_type("party_update")["party"]["peers"].take();
    let listed =
        Http::registered(target.address, "reader").get("/parties/p/peers").ok()["peers"].take();
    let ids = |peers: &Value| peers.as_object().expect("peers").keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&told), ids(&listed));
    assert!(ids(&told).contains(&"keeper".to_owned()));
}

/// A good frame of every type.
fn frames() -> Vec<Value> {
    vec![
        json!({"type": "hello", "version": "1", "client": "t", "caps": ["lanragectl"], "peer_id": "bob",
            "token": null, "have": {"p": {"epoch": "e", "seq": 1}}}),
        json!({"type": "auth", "version": "1.0", "client": "lanrage", "peer_id": null}),
        json!({"type": "register_party", "party_id": "q", "name": "LAN", "host_peer": announced("bob")}),
        json!({"type": "join_party", "party_id": "p", "peer": announced("bob")}),
        json!({"type": "leave_party", "party_id": "q", "peer_id": "bob"}),
        json!({"type": "update_peer", "party_id": "p", "peer": announced("bob")}),
        json!({"type": "heartbeat", "party_id": "p", "peer_id": "bob"}),
        json!({"type": "signal", "party_id": "p", "from_peer_id": "bob", "to_peer_id": "keeper", "signal_data": {"a": [1]}}),
        json!({"type": "sync", "party_id": "p", "have": {"epoch": "e", "seq": 1}}),
        json!({"type": "list_relays", "region": "eu"}),
    ]
}

#[test]
fn mutated_frames_are_answered_or_refused() {
    let target = Target::start(LIMITS);
    let (mut keeper, _) = Ws::hello(target.address, "keeper", None);
    let register = json!({"type": "register_party", "party_id": "p", "name": "LAN", "host_peer": announced("keeper")});
    assert_eq!(keeper.ask(register)["type"], "ack");
    let frames = frames();
    let mut random = Random(29);
    for round in 0..100 {
        let mut ws = match random.below(3) {
            0 => Ws::connect(target.address),
            1 => Ws::plain(target.address),
            _ => Ws::hello(target.address, &format!("peer-{round}"), None).0,
        };
        for number in 0..40 {
            let mut frame = random.of(&frames).clone();
            frame["req_id"] = json!(format!("{round}-{number}"));
            (0..random.below(3)).for_each(|_| change(&mut frame, &mut random));
            let mut text = frame.to_string().into_bytes();
            if random.below(5) == 0 {
                garble(&mut text, &mut random);
            }
            match String::from_utf8(text) {
                Ok(text) => ws.write(Message::text(text)),
                Err(bytes) => ws.write(Message::binary(bytes.into_bytes())),
            }
        }
        // Its own end, or that of a repeat offender.
        ws.write(Message::Close(None));
        for frame in ws.last_words() {
            assert!(frame["type"].is_string(), "round {round}: {frame}");
            assert_ne!(frame["code"], "internal", "round {round}: {frame}");
        }
    }
    assert_adds_up(&target, &mut keeper);
    target.assert_unharmed();
}

#[test]
fn random_bytes_on_a_websocket_are_frames_or_close_it() {
    let target = Target::start(LIMITS);
    let mut random = Random(31);
    let frames = frames();
    for round in 0..300 {
        let mut ws = Ws::plain(target.address);
        let mut bytes = Vec::new();
        for _ in 0..random.below(5) {
            let text = random.of(&frames).to_string().into_bytes();
            bytes.extend(super::frames::frame(0x81, &text));
        }
        bytes.extend(super::frames::frame(0x88, b"\x03\xe8"));
        (0..random.below(3)).for_each(|_| garble(&mut bytes, &mut random));
        ws.stream().write_all(&bytes).ok();
        ws.stream().shutdown(std::net::Shutdown::Write).ok();
        for frame in ws.last_words() {
            assert!(frame["type"].is_string(), "round {round}: {frame}");
        }
    }
    target.assert_unharmed();
}
