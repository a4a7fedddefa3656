//! Deadlines: the first frame, and signs of life.

use std::io::Read;

use serde_json::json;
use tungstenite::Message;

use super::{guest, host, newcomer, told};
use crate::harness::{Setup, Ws};

/// Returns the server's close code.
fn code(ws: &Ws) -> Option<u16> {
    ws.closed.as_ref().map(|frame| frame.code.into())
}

#[test]
fn connection_without_a_first_frame_is_closed() {
    let server = Setup::server().config("[ws]\nfirst_frame = \"20ms\"\n").start();
    let mut silent = Ws::connect(server.address());
    // A sign of life is no word.
    silent.write(Message::Ping(vec![1].into()));
    assert_eq!(silent.rest(), [json!(null); 0]);
    assert_eq!(code(&silent), Some(1008));
}

#[test]
fn connection_with_another_first_frame_is_closed() {
    let mut server = Setup::server().config("[ws]\nfirst_frame = \"1h\"\n").start();
    let mut rude = Ws::connect(server.address());
    rude.send(super::register("lan", "alice"));
    assert_eq!(told(&[rude.frame().expect("an error")]), ["error"]);
    server.reload("[ws]\nfirst_frame = \"20ms\"\n");
    assert_eq!(rude.rest(), [json!(null); 0]);
    assert_eq!(code(&rude), Some(1008));
}

#[test]
fn ping_is_answered_with_its_pong() {
    let server = Setup::server().start();
    let (mut alice, _) = newcomer(&server, "alice");
    for payload in [vec![], vec![0xff; 125]] {
        alice.write(Message::Ping(payload.clone().into()));
        assert_eq!(alice.message(), Some(Message::Pong(payload.into())));
    }
}

/// The client answers by itself.
#[test]
fn connection_that_answers_pings_stays_open() {
    let config = "[ws]\nping_interval = \"1ms\"\npong_timeout = \"1h\"\n";
    let server = Setup::server().config(config).start();
    let (mut alice, _) = newcomer(&server, "alice");
    for _ in 0..2 {
        assert_eq!(alice.message(), Some(Message::Ping(vec![].into())));
    }
    alice.settled();
}

#[test]
fn connection_that_answers_no_ping_is_closed() {
    let mut server = Setup::server().start();
    let (mut silent, _) = newcomer(&server, "silent");
    server.reload("[ws]\nping_interval = \"1ms\"\npong_timeout = \"20ms\"\n");
    let mut bytes = Vec::new();
    // A read of the bare stream answers nothing.
    silent.stream().read_to_end(&mut bytes).ok();
    assert!(bytes.starts_with(&[0x89, 0]), "{bytes:?}");
}

/// Others don't suffer, and hear of it.
#[test]
fn peer_of_a_dead_connection_is_told_as_disconnected() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (silent, _) = guest(&server, "lan", "silent");
    let mut server = server;
    // The client that is awaited answers; the other one's frames are read by nobody.
    server.reload("[ws]\nping_interval = \"1ms\"\npong_timeout = \"1s\"\n");
    let gone = alice.await_frame("it is gone", |frame| frame["connected"]["silent"] == false);
    assert_eq!(gone["type"], "peer_updated");
    drop(silent);
}
