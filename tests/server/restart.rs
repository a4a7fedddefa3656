//! State that survives a stop or crash of the server, and state that expires.

mod damage;
mod disk;
mod expiry;
mod kill;
mod ledger;
mod silence;

use serde_json::{Value, json};

use crate::harness::{Daemon, Ws, announced};

fn status(server: &Daemon) -> Value {
    server.client().call("status.get", json!({}))
}

/// Joins over WebSocket, and waits for the answer.
fn join(ws: &mut Ws, party: &str, peer: &str) {
    ws.send(json!({"type": "join_party", "party_id": party, "peer": announced(peer)}));
    let joined = |frame: &Value| frame["party"]["peers"].get(peer).is_some();
    ws.await_frame("the party", joined);
}

/// Registers a party over WebSocket, and waits for the answer.
fn register(ws: &mut Ws, party: &str, host: &str) {
    let host = announced(host);
    ws.send(json!({"type": "register_party", "party_id": party, "name": "LAN", "host_peer": host}));
    ws.await_type("party_update");
}
