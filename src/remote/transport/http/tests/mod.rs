//! HTTP transports to real servers, and to scripted ones.

mod bad_servers;
mod life;
mod lost_responses;
mod older_servers;
mod scripted_server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control;
use lanrage_ipc::model::{PartyId, PeerId};
use serde_json::{Value, json};

use super::super::{Endpoint, Incoming, Loss, Outgoing, Transport, TransportKind};
use crate::core::reconcile::{Point, ServerParty};
use crate::core::upstream::{Acked, Message, PeerToken, Rejection, RequestResult};

/// Upper bound of the wait for an expected event.
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

/// Client's end of a transport.
struct Client(Transport);

impl Client {
    async fn open(address: impl std::fmt::Display) -> Self {
        Self(super::open(&endpoint(address)).await.expect("a transport"))
    }

    async fn send(&self, frame: Value) {
        let inbound = control::decode(&frame.to_string()).expect("a frame");
        self.0.outgoing.send(Outgoing::Frame(Box::new(inbound))).await.expect("an open transport");
    }

    /// Returns the next message.
    async fn next(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.incoming.recv());
            match next.await.expect("a message in time").expect("an open transport") {
                Incoming::Alive => {}
                Incoming::Message(message) => return message,
                Incoming::Fault(words) => panic!("a fault: {words}"),
            }
        }
    }

    /// Returns the next message, which must be the state of a party.
    async fn state(&mut self) -> (ServerParty, Point) {
        match self.next().await {
            Message::Party(party, at) => (party, at),
            other => panic!("no party: {other:?}"),
        }
    }

    /// Returns the next message, which must be the end of a party.
    async fn ended(&mut self) -> PartyId {
        match self.next().await {
            Message::Removed(party_id, _) => party_id,
            other => panic!("no end of a party: {other:?}"),
        }
    }

    /// Returns the next message, which must be the loss of the transport, and the last.
    async fn lost(&mut self) -> Loss {
        match self.next().await {
            Message::Lost(loss) => {
                assert!(self.0.incoming.recv().await.is_none(), "a message after the loss");
                loss
            }
            other => panic!("not lost: {other:?}"),
        }
    }

    /// Sends a request, with a new id unless it has one. Returns the messages before its answer,
    /// and the answer.
    async fn request(&mut self, mut frame: Value) -> (Vec<Message>, Result<Acked, Rejection>) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        if frame["req_id"].is_null() {
            frame["req_id"] = json!(format!("r{}", LAST.fetch_add(1, Ordering::Relaxed)));
        }
        let expected = frame["req_id"].as_str().expect("a string").to_owned();
        self.send(frame).await;
        let mut before = Vec::new();
        loop {
            match self.next().await {
                Message::Answer { req_id, result } if req_id.key() == expected => {
                    return (before, result);
                }
                message => before.push(message),
            }
        }
    }

    /// Sends a request that must succeed. Returns the last state of a party before its answer, and
    /// the answer.
    async fn execute(&mut self, frame: Value) -> (Option<(ServerParty, Point)>, Acked) {
        let (before, answer) = self.request(frame).await;
        let states = before.into_iter().filter_map(|message| match message {
            Message::Party(party, at) => Some((party, at)),
            _ => None,
        });
        (states.last(), answer.expect("an executed request"))
    }

    /// Sends a request that must change a party. Returns the new state.
    async fn change(&mut self, frame: Value) -> (ServerParty, Point) {
        let (state, acked) = self.execute(frame).await;
        let (party, at) = state.expect("the state of the party");
        assert_eq!(acked.at.as_ref(), Some(&at));
        (party, at)
    }

    /// Sends a request that must be refused. Returns the error.
    async fn fail(&mut self, frame: Value) -> Rejection {
        self.request(frame).await.1.expect_err("a refusal")
    }

    /// Sends the hello of a peer. Returns its token.
    async fn hello(&mut self, peer_id: &str) -> String {
        let (before, answer) = self.request(json!({"type": "hello", "peer_id": peer_id})).await;
        assert!(answer.is_ok(), "{answer:?}");
        let [welcome] = &before[..] else { panic!("more than a welcome: {before:?}") };
        let token = token(welcome);
        assert_eq!(token.peer_id.as_str(), peer_id);
        token.token.expose().to_owned()
    }

    /// Registers a party. Returns its id.
    async fn register_party(&mut self, host: &str) -> String {
        let register = json!({"type": "register_party", "name": "Game", "host_peer": peer(host)});
        let (party, _) = self.change(register).await;
        party.party_id.to_string()
    }

    /// Waits for the state of a party with these members.
    async fn wait_for_members(&mut self, members: &[&str]) -> (ServerParty, Point) {
        loop {
            let (party, at) = self.state().await;
            if member_ids(&party) == members {
                return (party, at);
            }
        }
    }
}

/// Returns the token in a welcome.
fn token(welcome: &Message) -> &PeerToken {
    let Message::Welcome { token: Some(token), .. } = welcome else {
        panic!("no welcome with a token: {welcome:?}")
    };
    token
}

fn member_ids(party: &ServerParty) -> Vec<&str> {
    party.members.keys().map(PeerId::as_str).collect()
}

fn peer(id: &str) -> Value {
    json!({
        "peer_id": id, "name": "Ann", "public_key": "a2V5", "nat_type": "open",
        "public_ip": "203.0.113.5", "public_port": 51820,
        "local_ip": "192.168.1.5", "local_port": 51820,
    })
}
