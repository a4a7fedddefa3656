//! Frames of an open WebSocket.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::core::reconcile::Change;

/// Returns the next frame that the server receives.
async fn received(socket: &mut Socket) -> Value {
    let message = timeout(PATIENCE, socket.next()).await.expect("a message").unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

#[actix::test]
async fn frames_go_both_ways_in_order() {
    let (mut transport, mut socket) = pair().await;
    for round in 0..3 {
        for peer in ["a", "b", "c"] {
            transport.outgoing.send(heartbeat(peer)).await.unwrap();
            let left = json!({"type": "peer_left", "party_id": "party",
                "peer_id": format!("{peer}{round}"), "epoch": "e", "seq": 1});
            socket.send(Message::text(left.to_string())).await.unwrap();
        }
        for peer in ["a", "b", "c"] {
            let expected = json!({"type": "heartbeat", "party_id": "party", "peer_id": peer});
            assert_eq!(received(&mut socket).await, expected);
            let message = message(&mut transport).await;
            let upstream::Message::Change { change: Change::Removed(peer_id), .. } = message else {
                panic!("{message:?}")
            };
            assert_eq!(peer_id.to_string(), format!("{peer}{round}"));
        }
    }
}

#[actix::test]
async fn malformed_messages_do_not_end_the_connection() {
    let (mut transport, mut socket) = pair().await;
    let long = format!("{{\"type\": \"ack\", \"req_id\": [{:?}]}}", "\u{202e}x".repeat(10_000));
    for (message, words) in [
        (Message::text("{"), "EOF while parsing"),
        (Message::text("[]"), "invalid"),
        (Message::text("null"), "invalid"),
        (Message::text(r#"{"type": 5}"#), "invalid type"),
        (Message::text(r#"{"type": "peer_left"}"#), "missing field `party_id`"),
        (Message::text(long), ""),
        (Message::binary(vec![0, 1, 2]), "a binary message"),
    ] {
        socket.send(message.clone()).await.unwrap();
        let incoming = self::message(&mut transport).await;
        let upstream::Message::Garbage(reason) = incoming else {
            panic!("{message:?}: {incoming:?}")
        };
        assert!(reason.contains(words), "{message:?}: {reason}");
        assert!(reason.chars().count() <= 201, "{reason}");
        assert!(!reason.contains(['\u{202e}', '\n']), "{reason}");
    }
    for unknown in [r#"{"type": "news_of_tomorrow", "party_id": 5}"#, r#"{"type": ""}"#] {
        socket.send(Message::text(unknown)).await.unwrap();
        assert!(matches!(next(&mut transport).await, Incoming::Alive), "{unknown}");
    }
    transport.outgoing.send(heartbeat("a")).await.unwrap();
    assert_eq!(received(&mut socket).await["peer_id"], "a", "frames are still sent");
}

#[actix::test]
async fn pings_are_sent_and_answered() {
    let (mut transport, mut socket) = pair().await;
    transport.outgoing.send(Outgoing::Ping).await.unwrap();
    // Reading the ping queues the pong.
    assert!(socket.next().await.unwrap().unwrap().is_ping());
    socket.flush().await.unwrap();
    assert!(matches!(next(&mut transport).await, Incoming::Alive));
    socket.send(Message::Ping("why".into())).await.unwrap();
    assert!(matches!(next(&mut transport).await, Incoming::Alive));
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("why".into()));
}

#[actix::test]
async fn ping_is_answered_while_the_incoming_queue_is_full() {
    let (mut transport, mut socket) = pair().await;
    for _ in 1..RECEIVE_QUEUE {
        socket.send(Message::text("{}")).await.unwrap();
    }
    socket.send(Message::Ping("why".into())).await.unwrap();
    let pong = timeout(PATIENCE, socket.next()).await.expect("a pong");
    assert_eq!(pong.unwrap().unwrap(), Message::Pong("why".into()));
    assert_eq!(transport.incoming.len(), RECEIVE_QUEUE, "the queue is full");
    assert!(is_garbage(&mut transport).await);
}

#[actix::test]
async fn message_beyond_the_largest_size_is_a_loss() {
    let (mut transport, mut socket) = pair().await;
    let text = |length: usize| {
        let around = r#"{"type":""}"#.len();
        Message::text(format!(r#"{{"type":"{}"}}"#, "x".repeat(length - around)))
    };
    socket.send(text(LARGEST_MESSAGE)).await.unwrap();
    assert!(matches!(next(&mut transport).await, Incoming::Alive));
    // The transport may close the connection during the write.
    actix::spawn(async move { socket.send(text(LARGEST_MESSAGE + 1)).await });
    let loss = loss(&mut transport).await;
    assert!(loss.words.contains("sent a message of 4194305 bytes; 4194304 at most"), "{loss:?}");
}
