//! Bytes that are no frames, and frames without end.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use serde_json::{Value, json};

use crate::harness::Ws;

use super::Target;

/// No limit on how fast frames come, so that others show.
const FAST: &str = "[ws]\nframes_per_second = 1_000_000\nframes_burst = 1_000_000\n";

/// A client's frame of that first byte. Masked with zeros, a payload is as it was.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | u8::try_from(short).expect("short")),
        long @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(long).expect("below 65,536").to_be_bytes());
        }
        longer => {
            bytes.push(0x80 | 127);
            bytes.extend((longer as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Returns all frames of the server and its close code. `send` runs meanwhile, until an error ends
/// it.
fn told(target: &Target, send: impl FnOnce(TcpStream) + Send) -> (Vec<Value>, Option<u16>) {
    let mut ws = Ws::plain(target.address);
    let stream = ws.stream().try_clone().expect("a second handle");
    thread::scope(|scope| {
        scope.spawn(move || send(stream));
        let frames = ws.last_words();
        // Or else what is being sent would never fail.
        ws.stream().shutdown(std::net::Shutdown::Both).ok();
        (frames, ws.closed.map(|close| close.code.into()))
    })
}

/// The same of bytes that are sent as they are.
fn told_of(target: &Target, bytes: &[u8]) -> (Vec<Value>, Option<u16>) {
    told(target, |mut stream| {
        stream.write_all(bytes).ok();
    })
}

/// Sends the same again and again, until the server takes no more of it. Told `most` times it has
/// failed.
fn pour(mut stream: TcpStream, bytes: &[u8], most: usize) {
    for _ in 0..most {
        if stream.write_all(bytes).is_err() {
            return;
        }
    }
}

#[test]
fn malformed_frames_close_with_the_code_of_the_protocol() {
    let target = Target::start("");
    let length = |first: u8, length: u64| {
        let mut bytes = vec![first, 0xff];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        bytes
    };
    for (bytes, code, what) in [
        (vec![0x81, 0x02, b'{', b'}'], 1002, "no mask"),
        (frame(0xc1, b"{}"), 1002, "the first reserved bit"),
        (frame(0xa1, b"{}"), 1002, "the second reserved bit"),
        (frame(0x91, b"{}"), 1002, "the third reserved bit"),
        (frame(0x83, b""), 1002, "an unknown kind of data"),
        (frame(0x8f, b""), 1002, "an unknown kind of control"),
        (frame(0x09, b""), 1002, "a ping in pieces"),
        (frame(0x89, &[0; 126]), 1002, "a long ping"),
        (frame(0x80, b"{}"), 1002, "the end of nothing"),
        (frame(0x00, b"{}"), 1002, "the middle of nothing"),
        ([frame(0x01, b"{"), frame(0x01, b"}")].concat(), 1002, "a beginning in a message"),
        (length(0x81, 1 << 63), 1009, "a length of 2^63"),
        (length(0x81, u64::MAX), 1009, "a length of 2^64 - 1"),
        (length(0x82, 65_537), 1009, "a length over the bound"),
        (frame(0x81, b"\xff\xfe"), 1007, "text that is no UTF-8"),
        ([frame(0x01, b"\xf0\x9f"), frame(0x80, b"\xff")].concat(), 1007, "the same in pieces"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 1002, "a request"),
        (vec![0; 1000], 1002, "zeros"),
    ] {
        // Whatever comes behind it.
        for behind in [Vec::new(), frame(0x81, b"{\"type\":\"hello\"}").repeat(3_000)] {
            let (frames, closed) = told_of(&target, &[bytes.clone(), behind].concat());
            assert_eq!(closed, Some(code), "{what}: {frames:?}");
            assert!(frames.iter().all(|frame| frame["type"] == "error"), "{what}: {frames:?}");
        }
    }
    target.assert_unharmed();
}

#[test]
fn frame_over_the_size_limit_is_told_before_the_close() {
    let target = Target::start("");
    for bytes in [
        frame(0x81, &vec![b'x'; 65_537]),
        [frame(0x01, &[b'x'; 40_000]), frame(0x80, &[b'x'; 40_000])].concat(),
    ] {
        let (frames, closed) = told_of(&target, &bytes);
        assert_eq!(closed, Some(1009));
        let [error] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(error["type"], "error");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("65536")), "{error}");
    }
    target.assert_unharmed();
}

#[test]
fn flood_of_empty_pings_is_bounded() {
    let target = Target::start("");
    let pings = frame(0x89, b"").repeat(1000);
    let (frames, closed) = told(&target, |stream| pour(stream, &pings, 200));
    assert_eq!(closed, Some(1008));
    assert!(frames.iter().all(|frame| frame["type"] == "error"), "{frames:?}");
    target.assert_unharmed();
}

#[test]
fn pings_of_a_client_that_never_reads_are_bounded() {
    // Where they may come as fast as they can, only reading slowly bounds them.
    for config in ["", FAST] {
        let target = Target::start(config);
        let mut ws = Ws::plain(target.address);
        let pings = frame(0x89, &[0; 125]).repeat(1000);
        ws.stream().set_write_timeout(Some(std::time::Duration::from_millis(200))).expect("set");
        let stream = ws.stream().try_clone().expect("a second handle");
        pour(stream, &pings, 200);
        target.assert_unharmed();
    }
}

#[test]
fn fragments_without_an_end_are_bounded() {
    for config in ["", FAST] {
        let target = Target::start(config);
        for (piece, times) in [(&b""[..], 200), (b"x", 200), (&[b'x'; 100], 20)] {
            if config == FAST && piece.is_empty() {
                // It grows nothing, and may go on.
                continue;
            }
            let pieces = frame(0x00, piece).repeat(1000);
            let (frames, closed) = told(&target, |mut stream| {
                stream.write_all(&frame(0x01, b"{")).expect("the server takes it");
                pour(stream, &pieces, times);
            });
            let expected = if config == FAST { 1009 } else { 1008 };
            assert_eq!(closed, Some(expected), "{} bytes each: {frames:?}", piece.len());
        }
        target.assert_unharmed();
    }
}

#[test]
fn frames_byte_by_byte_are_reassembled() {
    let target = Target::start(FAST);
    let text = br#"{"type":"hello","version":"1","client":"t","caps":["lanragectl"]}"#;
    let whole = frame(0x81, text);
    let mut pieces = frame(0x01, &text[..1]);
    for byte in &text[1..] {
        // Control frames may come between.
        pieces.extend([frame(0x00, &[*byte]), frame(0x8a, b"")].concat());
    }
    pieces.extend(frame(0x80, b""));
    for bytes in [whole, pieces] {
        let mut ws = Ws::connect(target.address);
        for byte in bytes {
            ws.stream().write_all(&[byte]).expect("the server takes it");
        }
        ws.await_type("welcome");
    }
    target.assert_unharmed();
}

#[test]
fn flood_of_frames_of_any_kind_closes_the_connection() {
    let target = Target::start("");
    for (bytes, what) in [
        (frame(0x81, b"{\"type\":\"nothing\"}"), "unknown types"),
        (frame(0x81, b"[["), "bad JSON"),
        (frame(0x81, b""), "nothing"),
        (frame(0x82, b"\0"), "binary frames"),
        (frame(0x8a, b""), "pongs"),
        (frame(0x89, b"x"), "pings"),
        (frame(0x81, br#"{"type":"heartbeat","party_id":"p","peer_id":"ann"}"#), "heartbeats"),
    ] {
        let bytes = bytes.repeat(1000);
        let (frames, closed) = told(&target, |stream| pour(stream, &bytes, 20));
        assert_eq!(closed, Some(1008), "{what}");
        assert!(frames.iter().all(|frame| frame["type"] == "error"), "{what}: {frames:?}");
    }
    target.assert_unharmed();
}

#[test]
fn texts_at_the_bounds_of_json_are_refused_one_by_one() {
    let target = Target::start(FAST);
    let (mut ws, _) = Ws::hello(target.address, "ann", None);
    let register = |name: &str, port: &str| {
        let peer = crate::harness::announced("ann");
        let frame =
            json!({"type": "register_party", "party_id": "p", "name": "NAME", "host_peer": peer});
        let text = frame.to_string().replace("\"NAME\"", name);
        text.replacen("\"public_port\":51820", &format!("\"public_port\":{port}"), 1)
    };
    let deep = "[".repeat(30_000);
    let texts = [
        register(r#""\ud800""#, "1"),
        register(r#""\u0000""#, "1"),
        register(r#""\u001b[31m""#, "1"),
        register("\"LAN\"", "9223372036854775808"),
        register("\"LAN\"", "1000000000000000000000000000000"),
        register("\"LAN\"", "1e400"),
        register("\"LAN\"", "-1"),
        register(&deep, "1"),
        deep,
        format!("{{\"type\":\"{}\"}}", "x".repeat(60_000)),
        format!(
            "{{\"type\":\"heartbeat\",\"party_id\":\"{}\",\"peer_id\":\"ann\"}}",
            "x".repeat(10_000)
        ),
        "{\"type\":1}".to_owned(),
        "null".to_owned(),
        "\0".to_owned(),
    ];
    for text in &texts {
        ws.send_text(text);
        let error = ws.frame().expect("an error");
        assert_eq!(error["type"], "error", "{text:.100}: {error}");
        assert!(
            error["message"].as_str().is_some_and(|text| text.len() < 2_000),
            "{text:.60}: {error}"
        );
    }
    assert_eq!(target.server.http().get("/").ok()["parties"], 0);
    target.assert_unharmed();
}
