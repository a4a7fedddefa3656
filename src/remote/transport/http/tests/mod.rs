//! Wires to real servers, and to bad ones.

mod bad_servers;
mod front;
mod life;
mod lost_answers;
mod older_servers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lanrage_ipc::control;
use serde_json::{Value, json};

use super::super::{Endpoint, Incoming, Loss, Outgoing, Transport, TransportKind};

/// Long enough for a slow machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn endpoint(address: impl std::fmt::Display) -> Endpoint {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Endpoint {
        url: format!("http://{address}").parse().unwrap(),
        kind: TransportKind::Http,
        tls: Arc::new(tls),
        proxies: Arc::default(),
        connect_timeout: PATIENCE,
        request_timeout: PATIENCE,
        poll: Duration::from_millis(50),
    }
}

/// The link's end of a transport.
struct Link(Transport);

impl Link {
    async fn open(address: impl std::fmt::Display) -> Self {
        Self(super::open(&endpoint(address)).await.expect("a transport"))
    }

    async fn send(&self, frame: Value) {
        let inbound = control::decode(&frame.to_string()).expect("a frame");
        self.0.outgoing.send(Outgoing::Frame(Box::new(inbound))).await.expect("an open transport");
    }

    /// The next thing that is more than a sign of life.
    async fn next(&mut self) -> Incoming {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.incoming.recv());
            match next.await.expect("no news in time").expect("the transport's last word") {
                Incoming::Alive => {}
                next => return next,
            }
        }
    }

    async fn frame(&mut self) -> Value {
        match self.next().await {
            Incoming::Frame(frame) => serde_json::to_value(frame).unwrap(),
            other => panic!("no frame: {other:?}"),
        }
    }

    /// The next frame, which must be of this type.
    async fn expect(&mut self, kind: &str) -> Value {
        let frame = self.frame().await;
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    async fn lost(&mut self) -> Loss {
        match self.next().await {
            Incoming::Lost(loss) => {
                assert!(self.0.incoming.recv().await.is_none(), "something after the last word");
                loss
            }
            other => panic!("not lost: {other:?}"),
        }
    }

    /// Sends a frame and reads up to its answer: what came before it, and the answer. One without
    /// a name gets one of its own.
    async fn ask(&mut self, mut frame: Value) -> (Vec<Value>, Value) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        if frame["req_id"].is_null() {
            frame["req_id"] = json!(format!("r{}", LAST.fetch_add(1, Ordering::Relaxed)));
        }
        let req_id = frame["req_id"].clone();
        self.send(frame).await;
        let mut before = Vec::new();
        loop {
            let frame = self.frame().await;
            if frame["req_id"] == req_id {
                return (before, frame);
            }
            before.push(frame);
        }
    }

    /// The same for a frame that is answered by nothing else but an `ack`, or an `ack` after a
    /// `party_update`: that party, or null.
    async fn done(&mut self, frame: Value) -> (Value, Value) {
        let (before, answer) = self.ask(frame).await;
        assert_eq!(answer["type"], "ack", "{answer}");
        let update = before.into_iter().rfind(|frame| frame["type"] == "party_update");
        (update.unwrap_or_default(), answer)
    }

    /// Sends a frame that must be refused. Its error.
    async fn refused(&mut self, frame: Value) -> Value {
        let (_, answer) = self.ask(frame).await;
        assert_eq!(answer["type"], "error", "{answer}");
        answer
    }

    /// Introduces a peer; its token.
    async fn hello(&mut self, peer_id: &str) -> String {
        let (before, ack) = self.ask(json!({"type": "hello", "peer_id": peer_id})).await;
        assert_eq!((before.len(), &ack["type"]), (1, &json!("ack")), "{before:?} {ack}");
        assert_eq!(
            (&before[0]["type"], &before[0]["peer_id"]),
            (&json!("welcome"), &json!(peer_id))
        );
        before[0]["token"].as_str().expect("a token").to_owned()
    }

    /// Registers a party; its id.
    async fn party(&mut self, host: &str) -> String {
        let register = json!({"type": "register_party", "name": "Game", "host_peer": peer(host)});
        let (_, ack) = self.done(register).await;
        ack["result"]["party_id"].as_str().expect("an id").to_owned()
    }

    /// Waits for a look at a party that is told and shows these members.
    async fn sees(&mut self, members: &[&str]) -> Value {
        loop {
            let frame = self.expect("party_update").await;
            if member_ids(&frame) == members {
                return frame;
            }
        }
    }
}

fn member_ids(frame: &Value) -> Vec<&str> {
    let peers = frame["party"]["peers"].as_object().expect("peers");
    peers.keys().map(String::as_str).collect()
}

fn peer(id: &str) -> Value {
    json!({
        "peer_id": id, "name": "Ann", "public_key": "a2V5", "nat_type": "open",
        "public_ip": "203.0.113.5", "public_port": 51820,
        "local_ip": "192.168.1.5", "local_port": 51820,
    })
}
