//! Backpressure: a slow side blocks only its own direction.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::*;

/// Time without progress after which a side counts as blocked.
const STUCK: Duration = Duration::from_millis(300);

/// Returns a signal of 60 KB.
fn large() -> Outgoing {
    let data = format!("\"{}\"", "x".repeat(60_000));
    let frame = ClientFrame::Signal {
        party_id: "party".parse().unwrap(),
        from_peer_id: "a".parse().unwrap(),
        to_peer_id: "b".parse().unwrap(),
        signal_data: serde_json::from_str::<Box<serde_json::value::RawValue>>(&data)
            .unwrap()
            .into(),
    };
    Outgoing::Frame(Box::new(Inbound { frame, req_id: None }))
}

#[actix::test]
async fn server_that_does_not_read_fills_the_outgoing_queue_only() {
    let (mut transport, mut socket) = pair().await;
    let mut sent = 0;
    while let Ok(room) = timeout(STUCK, transport.outgoing.reserve()).await {
        room.unwrap().send(large());
        sent += 1;
    }
    assert!(transport.outgoing.try_send(heartbeat("a")).is_err(), "after {sent} frames");
    socket.send(Message::text("{}")).await.unwrap();
    assert!(is_garbage(&mut transport).await, "reading goes on");
    for _ in 0..sent {
        assert!(socket.next().await.unwrap().unwrap().is_text(), "nothing was lost");
    }
    transport.outgoing.send(Outgoing::Close).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_close());
}

#[actix::test]
async fn dropped_transport_closes_although_the_server_does_not_read() {
    let (transport, mut socket) = pair().await;
    while let Ok(room) = timeout(STUCK, transport.outgoing.reserve()).await {
        room.unwrap().send(large());
    }
    let outgoing = transport.outgoing.clone();
    drop(transport);
    timeout(PATIENCE, outgoing.closed()).await.expect("the end of the task");
    let rest = async { while let Some(Ok(_)) = socket.next().await {} };
    timeout(PATIENCE, rest).await.expect("the end of the connection");
}

#[actix::test]
async fn full_incoming_queue_blocks_the_server() {
    let (mut transport, mut socket) = pair().await;
    let text = "x".repeat(60_000);
    let mut sent = 0;
    // The last message is sent in part when the timeout expires, and completely later.
    while timeout(STUCK, socket.send(Message::text(text.clone()))).await.is_ok() {
        sent += 1;
        assert!(sent < 10_000, "no backpressure");
    }
    assert_eq!(transport.incoming.len(), RECEIVE_QUEUE);
    transport.outgoing.send(heartbeat("a")).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_text(), "writing goes on");
    let flushing = actix::spawn(async move {
        socket.close(None).await.unwrap();
        socket
    });
    for _ in 0..=sent {
        assert!(is_garbage(&mut transport).await);
    }
    loss(&mut transport).await;
    flushing.await.unwrap();
}
