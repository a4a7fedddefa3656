//! Frames that are no messages, too long, or too many.

use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{done, guest, host, newcomer, refused, register, shapes, sync, told, update};
use crate::harness::{Setup, Ws};

fn code(ws: &Ws) -> Option<u16> {
    ws.closed.as_ref().map(|frame| frame.code.into())
}

fn piece(text: &[u8], opcode: Data, is_last: bool) -> Message {
    Message::Frame(Frame::message(text.to_vec(), OpCode::Data(opcode), is_last))
}

/// A message of exactly that many bytes.
fn padded(frame: &Value, length: usize) -> String {
    let text = frame.to_string();
    let room = length - text.len();
    text + &" ".repeat(room)
}

const LONGEST: usize = 64 * 1024;

#[test]
fn first_frame_other_than_hello_is_refused() {
    let server = Setup::server().start();
    let mut ws = Ws::connect(server.address());
    for frame in [register("lan", "alice"), sync("lan"), json!({"type": "nonsense"}), json!([])] {
        ws.send(frame);
        let error = ws.frame().expect("an answer");
        assert_eq!(error["type"], "error");
        shapes::plain(&error);
    }
    ws.send(json!({"type": "auth", "version": "1", "client": "lanrage", "peer_id": null}));
    ws.send(register("lan", "alice"));
    ws.await_type("party_update");
}

#[test]
fn frame_that_is_no_message_is_refused() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    for (text, code) in [
        ("", "parse_error"),
        ("{", "parse_error"),
        ("{\"type\":\"sync\",}", "parse_error"),
        ("{\"type\":\"sync\",\"party_id\":\"lan\"} {}", "parse_error"),
        ("{\"type\":\"sync\",\"party_id\":\"\\ud800\"}", "invalid_params"),
        ("[]", "invalid_request"),
        ("null", "invalid_request"),
        ("\"sync\"", "invalid_request"),
        ("{}", "invalid_request"),
        ("{\"type\":1}", "invalid_request"),
        ("{\"type\":\"welcome\"}", "unknown_method"),
        ("{\"type\":\"SYNC\"}", "unknown_method"),
        ("{\"type\":\"sync\"}", "invalid_params"),
        ("{\"type\":\"sync\",\"party_id\":\"a b\"}", "invalid_params"),
        ("{\"type\":\"heartbeat\",\"party_id\":\"lan\"}", "invalid_params"),
    ] {
        alice.send_text(text);
        let error = alice.await_type("error");
        assert_eq!(refused(&error), code, "{text:?}: {error}");
        assert!(!error["message"].as_str().expect("a message").is_empty());
    }
    let deep = format!("{{\"type\":\"signal\",\"x\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    alice.send_text(&deep);
    assert_eq!(refused(&alice.await_type("error")), "parse_error");
    // It goes on as if nothing had been.
    done(&alice.ask(sync("lan")));
}

#[test]
fn error_names_the_field_and_the_request() {
    let server = Setup::server().start();
    let (mut alice, _) = newcomer(&server, "alice");
    let cases: [(Value, &str); 9] = [
        (json!({"type": "register_party", "party_id": "lan"}), "name"),
        (json!({"type": "register_party", "name": "", "host_peer": {}}), "name"),
        (json!({"type": "join_party", "peer": {}}), "party_id"),
        (json!({"type": "join_party", "party_id": "lan", "peer": 5}), "peer"),
        (json!({"type": "update_peer", "party_id": "lan", "peer": {"peer_id": "a"}}), "peer.name"),
        (json!({"type": "leave_party", "party_id": "lan"}), "peer_id"),
        (json!({"type": "signal", "party_id": "lan", "from_peer_id": "a"}), "to_peer_id"),
        (json!({"type": "hello", "token": 5}), "token"),
        (json!({"type": "hello", "have": {"lan": {"epoch": "e"}}}), "have.lan.seq"),
    ];
    for (frame, field) in cases {
        let error = alice.ask(frame.clone());
        assert_eq!(refused(&error), "invalid_params", "{frame}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&format!("{field}: ")), "{field} of {frame}: {message}");
    }
    // With each value that a peer can't have.
    for (field, bad) in [
        ("public_port", json!(65_536)),
        ("public_port", json!(9_223_372_036_854_775_808_u64)),
        ("local_port", json!(-1)),
        ("public_ip", json!("not an ip")),
        ("nat_type", json!("none")),
        ("public_key", json!("")),
        ("name", json!("\u{7}")),
        ("peer_id", json!("x".repeat(129))),
    ] {
        let mut frame = register("lan", "alice");
        frame["host_peer"][field] = bad.clone();
        let error = alice.ask(frame);
        assert_eq!(refused(&error), "invalid_params", "{field}: {bad}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&format!("host_peer.{field}: ")), "{message}");
    }
}

#[test]
fn binary_frame_is_refused() {
    let server = Setup::server().start();
    let (mut alice, _) = newcomer(&server, "alice");
    alice.write(Message::binary(register("lan", "alice").to_string()));
    assert_eq!(refused(&alice.await_type("error")), "invalid_request");
    alice.settled();
}

#[test]
fn connection_with_too_many_offences_is_closed() {
    let server = Setup::server().config(super::NO_LIMITS).start();
    let offences = [Message::text("{"), Message::text("{}"), Message::binary(vec![1])];
    for (n, offence) in offences.into_iter().enumerate() {
        let (mut alice, _) = newcomer(&server, &format!("peer-{n}"));
        for _ in 0..1000 {
            alice.write(offence.clone());
        }
        let errors = alice.rest();
        errors.iter().for_each(shapes::full);
        assert!((2..1000).contains(&errors.len()), "{} errors", errors.len());
        assert!(errors.iter().all(|frame| frame["type"] == "error"));
        assert_eq!(code(&alice), Some(1008), "{offence:?}");
    }
}

/// Refusals that any good client may get are no offence.
#[test]
fn connection_with_refused_requests_stays_open() {
    let server = Setup::server().config(super::NO_LIMITS).start();
    let (mut alice, _) = newcomer(&server, "alice");
    for _ in 0..200 {
        assert_eq!(refused(&alice.ask(sync("nowhere"))), "party_not_found");
    }
}

#[test]
fn frame_over_the_size_limit_closes_its_connection_alone() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    alice.send_text(&padded(&sync("lan"), LONGEST));
    alice.await_type("party_update");
    let (mut bob, _) = guest(&server, "lan", "bob");
    alice.send_text(&padded(&sync("lan"), LONGEST + 1));
    let rest = alice.rest();
    let error = rest.last().expect("an error");
    assert_eq!(refused(error), "frame_too_large");
    assert_eq!(code(&alice), Some(1009));
    // The others go on.
    done(&bob.ask(update("lan", "bob", "Robert")));
}

#[test]
fn frame_in_fragments_is_reassembled() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let text = padded(&sync("lan"), LONGEST).into_bytes();
    let (first, rest) = text.split_at(7);
    let (second, third) = rest.split_at(30_000);
    alice.write(piece(first, Data::Text, false));
    alice.write(piece(b"", Data::Continue, false));
    alice.write(Message::Ping(vec![1].into()));
    alice.write(piece(second, Data::Continue, false));
    alice.write(piece(third, Data::Continue, true));
    alice.await_type("party_update");
    // Each is short, and together they are too long.
    for n in 0..3 {
        let opcode = if n == 0 { Data::Text } else { Data::Continue };
        alice.write(piece(&[b' '; LONGEST / 2], opcode, false));
    }
    let rest = alice.rest();
    assert_eq!(refused(rest.last().expect("an error")), "frame_too_large");
    assert_eq!(code(&alice), Some(1009));
}

#[test]
fn frame_rate_counts_frames_of_every_kind() {
    let config = "[ws]\nframes_per_second = 1\nframes_burst = 5\n";
    let server = Setup::server().config(config).start();
    let floods: [fn() -> Message; 5] = [
        || {
            Message::text(
                json!({"type": "heartbeat", "party_id": "lan", "peer_id": "x"}).to_string(),
            )
        },
        || Message::binary(vec![]),
        || Message::Ping(vec![].into()),
        || Message::Pong(vec![].into()),
        || piece(b"", Data::Continue, false),
    ];
    for (n, flood) in floods.into_iter().enumerate() {
        let (mut ws, _) = newcomer(&server, &format!("peer-{n}"));
        if n == 4 {
            ws.write(piece(b"{", Data::Text, false));
        }
        for _ in 0..1000 {
            ws.write(flood());
        }
        let errors: Vec<_> = ws.rest().into_iter().filter(|f| f["type"] == "error").collect();
        let limited = errors.iter().filter(|error| refused(error) == "rate_limited").count();
        assert!((2..1000).contains(&limited), "flood {n}: {:?}", told(&errors));
        assert_eq!(code(&ws), Some(1008), "flood {n}");
    }
}

#[test]
fn frame_rate_refusal_of_a_plain_client_has_no_additions() {
    let server = Setup::server().config("[ws]\nframes_per_second = 1\nframes_burst = 5\n").start();
    let mut ws = Ws::plain(server.address());
    for _ in 0..100 {
        ws.write(Message::Pong(vec![].into()));
    }
    let errors = ws.rest();
    assert!(!errors.is_empty());
    errors.iter().for_each(shapes::plain);
    assert_eq!(code(&ws), Some(1008));
}
