//! Ends of an open WebSocket.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;

/// Waits for the end of the connection. Returns the close frame that the server received.
async fn close_frame(socket: &mut Socket) -> Option<CloseFrame> {
    let mut received = None;
    let ended = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                received = frame;
            }
        }
    };
    timeout(PATIENCE, ended).await.expect("the end of the connection");
    received
}

#[actix::test]
async fn close_frame_of_the_server_is_the_reason() {
    for (code, reason, words) in [
        (1000, "", "(1000: normal)"),
        (1001, "bye", "(1001: it goes away, “bye”)"),
        (1008, "a\nb\u{202e}c", "(1008: a violation of its policy, “a?b?c”)"),
        (1013, "", "(1013: try again later)"),
        (4001, "took over", "(4001, “took over”)"),
        (4321, "why not", "(4321, “why not”)"),
    ] {
        let (mut transport, mut socket) = pair().await;
        socket.close(Some(CloseFrame { code: code.into(), reason: reason.into() })).await.unwrap();
        let loss = loss(&mut transport).await;
        assert!(loss.words.ends_with(&format!("closed the connection {words}")), "{loss:?}");
        assert!(!loss.is_final && loss.retry_after.is_none());
        assert_eq!(loss.is_displaced, code == 4001);
        assert_eq!(u16::from(close_frame(&mut socket).await.unwrap().code), code, "it is answered");
    }
    let (mut transport, mut socket) = pair().await;
    socket.close(None).await.unwrap();
    assert!(loss(&mut transport).await.words.ends_with("closed the connection"));
}

#[actix::test]
async fn end_without_a_close_frame_is_a_loss() {
    let (mut transport, socket) = pair().await;
    drop(socket);
    let loss = loss(&mut transport).await;
    assert!(loss.words.ends_with("ended without a farewell"), "{loss:?}");
}

#[actix::test]
async fn protocol_violation_is_a_loss() {
    // A masked frame, reserved bits, an unknown opcode, text that is no UTF-8.
    for (bytes, words) in [
        (&[0x81, 0x81, 1, 2, 3, 4, 5][..], "broke the rules of WebSocket"),
        (&[0xf1, 1, 0x78], "broke the rules of WebSocket"),
        (&[0x83, 0], "broke the rules of WebSocket"),
        (&[0x81, 1, 0xff], "not UTF-8"),
    ] {
        let (mut transport, mut socket) = pair().await;
        socket.get_mut().write_all(bytes).await.unwrap();
        let loss = loss(&mut transport).await;
        assert!(loss.words.contains(words), "{bytes:?}: {loss:?}");
        close_frame(&mut socket).await;
    }
}

#[actix::test]
async fn close_follows_the_frames_before_it() {
    let (mut transport, mut socket) = pair().await;
    transport.outgoing.send(heartbeat("a")).await.unwrap();
    transport.outgoing.send(Outgoing::Close).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_text(), "frames before the close are sent");
    assert_eq!(u16::from(close_frame(&mut socket).await.unwrap().code), 1000);
    let loss = loss(&mut transport).await;
    assert_eq!(loss.words, "the connection was closed by this daemon");
}

#[actix::test]
async fn close_handshake_times_out() {
    let (mut transport, socket) = pair().await;
    transport.outgoing.send(Outgoing::Close).await.unwrap();
    assert_eq!(loss(&mut transport).await.words, "the connection was closed by this daemon");
    drop(socket);
}

#[actix::test]
async fn dropping_either_end_closes_the_connection() {
    let (transport, mut socket) = pair().await;
    drop(transport);
    assert_eq!(u16::from(close_frame(&mut socket).await.unwrap().code), 1000);

    let (mut transport, mut socket) = pair().await;
    transport.incoming.close();
    assert_eq!(u16::from(close_frame(&mut socket).await.unwrap().code), 1000);
    timeout(PATIENCE, transport.outgoing.closed()).await.expect("the end of the task");

    let (Transport { outgoing, mut incoming, .. }, mut socket) = pair().await;
    drop(outgoing);
    assert_eq!(u16::from(close_frame(&mut socket).await.unwrap().code), 1000);
    let last = incoming.recv().await;
    assert!(matches!(last, Some(Incoming::Message(upstream::Message::Lost(_)))), "{last:?}");
    assert!(incoming.recv().await.is_none());
}

#[actix::test]
async fn close_frame_is_the_reason_although_writing_failed() {
    let (mut transport, mut socket) = pair().await;
    for _ in 0..RECEIVE_QUEUE {
        socket.send(Message::text("{}")).await.unwrap();
    }
    let frame = CloseFrame { code: 1008.into(), reason: "why not".into() };
    socket.close(Some(frame)).await.unwrap();
    drop(socket);
    // Sends until a write fails. Nothing is read, because the incoming queue is full.
    while transport.outgoing.send(heartbeat("a")).await.is_ok() {}
    for _ in 0..RECEIVE_QUEUE {
        assert!(is_garbage(&mut transport).await);
    }
    let loss = loss(&mut transport).await;
    assert!(loss.words.contains("(1008: a violation of its policy, “why not”)"), "{loss:?}");
}
