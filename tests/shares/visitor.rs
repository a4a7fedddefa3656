//! Clients whose addresses a proxy on this machine tells.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{Http, Response, Ws, announced};

pub(super) const ATTACKER: &str = "198.51.100.1";
pub(super) const HONEST: &str = "192.0.2.1";

/// A client at some address, which a proxy forwards.
pub(super) struct Visitor {
    http: Http,
    address: String,
    token: Option<String>,
}

impl Visitor {
    pub(super) fn new(server: SocketAddr, address: &str) -> Self {
        Self { http: Http::connect(server), address: address.to_owned(), token: None }
    }

    /// With a token for a peer.
    pub(super) fn registered(server: SocketAddr, address: &str, peer_id: &str) -> Self {
        let mut visitor = Self::new(server, address);
        visitor.register(peer_id).ok();
        visitor
    }

    /// Comes from another address from now on.
    pub(super) fn move_to(&mut self, address: &str) {
        self.address = address.to_owned();
    }

    /// Comes to a server that was restarted.
    pub(super) fn reconnect(&mut self, server: SocketAddr) {
        self.http = Http::connect(server);
    }

    /// Takes a peer id, or renews its token. Keeps the token.
    pub(super) fn register(&mut self, peer_id: &str) -> Response {
        let path = format!("/auth/register?peer_id={peer_id}");
        let response = self.request("POST", &path, None);
        if response.status == 200 {
            self.token = response.json()["token"].as_str().map(str::to_owned);
        }
        response
    }

    /// Forgets its token.
    pub(super) fn forget(&mut self) {
        self.token = None;
    }

    pub(super) fn request(&mut self, method: &str, path: &str, body: Option<Value>) -> Response {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = vec![("X-Forwarded-For", self.address.as_str())];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        headers.extend(body.is_some().then_some(("Content-Type", "application/json")));
        let body = body.map(|body| body.to_string());
        self.http.send(method, path, &headers, body.as_deref().map(str::as_bytes))
    }
}

/// A WebSocket of a client at some address, which speaks for a peer.
pub(super) fn socket(server: SocketAddr, address: &str, peer_id: &str) -> Ws {
    let mut ws = Ws::connect_for(server, Some(address));
    greet(&mut ws, peer_id);
    ws
}

/// Has a WebSocket speak for another peer.
pub(super) fn greet(ws: &mut Ws, peer_id: &str) {
    ws.send(json!({
        "type": "hello", "version": "1", "client": "test", "caps": ["lanragectl"],
        "peer_id": peer_id,
    }));
    ws.await_type("welcome");
}

pub(super) fn party(host: &str) -> Option<Value> {
    Some(json!({"name": "LAN", "host_peer_info": announced(host)}))
}

pub(super) fn register_party(id: &str, host: &str) -> Value {
    json!({"type": "register_party", "party_id": id, "name": "LAN", "host_peer": announced(host)})
}

pub(super) fn join_party(id: &str, peer: &str) -> Value {
    json!({"type": "join_party", "party_id": id, "peer": announced(peer)})
}

pub(super) fn signal(party: &str, from: &str, to: &str, data: &str) -> Value {
    json!({
        "type": "signal", "party_id": party, "from_peer_id": from, "to_peer_id": to,
        "signal_data": data,
    })
}

pub(super) fn is_done(answer: &Value) -> bool {
    answer["type"] == "ack"
}
