//! Every method of the local socket.

use std::collections::BTreeSet;

use lanrage_ipc::method::METHODS;
use lanrage_ipc::results::Role;
use serde_json::{Value, json};

use super::{Daemon, peer};

/// Each method with the least role that may call it, and params that a fresh daemon takes, in this
/// order. The list of methods is the program's: a new one fails here until it has its row.
pub(crate) fn methods(daemon: &Daemon) -> Vec<(&'static str, Role, Value)> {
    use Role::{Admin, Observer, Operator};
    let bob = json!({"party_id": "p", "peer_id": "bob"});
    let key = peer("bob")["public_key"].clone();
    let signal = json!({
        "party_id": "p", "from_peer_id": "ann", "to_peer_id": "bob", "signal_data": {"a": [1]},
    });
    let host = json!({"party_id": "p", "name": "Quake", "host": peer("ann")});
    let relay = json!({"relay_id": "r", "public_ip": "::1", "port": 1});
    let backup = daemon.setup.path("copy.db").display().to_string();
    let rows = vec![
        ("events.subscribe", Operator, json!({})),
        ("party.register", Operator, host),
        ("party.join", Operator, json!({"party_id": "p", "peer": peer("bob")})),
        ("peer.update", Operator, json!({"party_id": "p", "peer": peer("bob")})),
        ("party.get", Operator, json!({"party_id": "p"})),
        ("party.list", Operator, json!({"limit": 1})),
        ("party.discover", Operator, json!({})),
        ("peer.list", Operator, json!({"party_id": "p"})),
        ("peer.discover", Operator, bob.clone()),
        ("peer.heartbeat", Operator, bob.clone()),
        ("peer.trust", Operator, json!({"party_id": "p", "peer_id": "bob", "public_key": key})),
        ("signal.send", Operator, signal),
        ("signal.poll", Operator, bob.clone()),
        ("relay.register", Operator, relay),
        ("relay.list", Operator, json!({})),
        ("events.subscribe", Operator, json!({})),
        ("events.unsubscribe", Operator, json!({"subscription": "s1"})),
        ("hello", Observer, json!({})),
        ("ping", Observer, json!({})),
        ("rpc.discover", Observer, json!({})),
        ("status.get", Observer, json!({})),
        ("connection.get", Observer, json!({})),
        ("connection.set", Admin, json!({"server_url": null})),
        ("connection.retry", Operator, json!({})),
        ("state.export", Operator, json!({"format": "lanrage"})),
        ("state.import", Admin, json!({"state": {"parties": {"x": 1}}, "mode": "merge"})),
        ("state.backup", Admin, json!({"path": backup})),
        ("party.leave", Operator, bob),
        ("peer.release", Admin, json!({"peer_id": "nobody"})),
    ];
    let known: BTreeSet<_> = METHODS.iter().map(|method| method.name).collect();
    assert_eq!(rows.iter().map(|(name, ..)| *name).collect::<BTreeSet<_>>(), known);
    rows
}
