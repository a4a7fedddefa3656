//! Minimal correct control server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use lanrage_ipc::control::ServerFrame;
use serde_json::{Value, json};

/// Epoch of its parties.
const EPOCH: &str = "epoch-1";

/// The welcome of a peer, or of nobody.
pub(crate) fn welcome(peer_id: Option<&str>) -> Value {
    let mut welcome = json!({
        "type": "welcome", "session": "c1", "heartbeat_ms": 30_000, "epoch": EPOCH,
        "peer_id": peer_id, "token": peer_id.map(|id| format!("token-of-{id}")),
    });
    if peer_id.is_some() {
        welcome["token_expires_at"] = json!("2099-01-01T00:00:00Z");
    }
    welcome
}

/// Minimal control server. It keeps parties in memory, and sends changes only to the client that
/// caused them.
pub(crate) fn polite() -> impl Fn(&Value) -> Vec<String> + Clone + Send + Sync + 'static {
    let book = Arc::new(Mutex::new(Book::default()));
    move |frame| texts(&answers(&mut book.lock().expect("the book"), frame))
}

#[derive(Default)]
struct Book {
    /// The last `party_update` of each party.
    parties: BTreeMap<String, Value>,
    /// Peers that have got a welcome.
    peers: BTreeSet<String>,
    /// Number of registrations; the server chooses ids by it.
    registrations: usize,
}

impl Book {
    /// Welcomes a peer, the first time.
    fn meet(&mut self, peer: &Value, told: &mut Vec<Value>) {
        let id = peer["peer_id"].as_str().unwrap_or_default();
        if self.peers.insert(id.to_owned()) {
            told.push(welcome(Some(id)));
        }
    }
}

fn answers(book: &mut Book, frame: &Value) -> Vec<Value> {
    let mut told = Vec::new();
    match answer(book, frame, &mut told) {
        Ok((seq, result)) if !frame["req_id"].is_null() => {
            told.push(json!({"type": "ack", "req_id": frame["req_id"], "epoch": EPOCH, "seq": seq,
                "result": result}));
        }
        Ok(_) => {}
        Err((code, message)) => {
            told.push(json!({"type": "error", "code": code, "message": message,
                "req_id": frame["req_id"]}));
        }
    }
    told
}

/// The `seq` and `result` of the `ack`, or the `code` and `message` of the error. What is told
/// before the `ack` goes into `told`.
fn answer(
    book: &mut Book,
    frame: &Value,
    told: &mut Vec<Value>,
) -> Result<(Value, Value), (&'static str, String)> {
    let text = |field: &str| frame[field].as_str().unwrap_or_default().to_owned();
    let kind = text("type");
    match kind.as_str() {
        "hello" | "auth" => {
            let peer_id = frame["peer_id"].as_str();
            book.peers.extend(peer_id.map(str::to_owned));
            told.push(welcome(peer_id));
            let is_in =
                |party: &Value| peer_id.is_some_and(|id| !party["party"]["peers"][id].is_null());
            told.extend(book.parties.values().filter(|party| is_in(party)).cloned());
            return Ok((Value::Null, json!({})));
        }
        "list_relays" => return Ok((Value::Null, json!({"relays": []}))),
        "register_party" => {
            book.registrations += 1;
            let (host, fresh) = (&frame["host_peer"], format!("party-{}", book.registrations));
            let id = frame["party_id"].as_str().map_or(fresh, str::to_owned);
            if book.parties.contains_key(&id) {
                return Err(("party_exists", format!("party {id} is there already")));
            }
            book.meet(host, told);
            let party = empty_party(&id, &frame["name"], host);
            return Ok(enter(book.parties.entry(id).or_insert(party), host, told));
        }
        "join_party" | "leave_party" | "update_peer" | "heartbeat" | "signal" | "sync" => {}
        _ => return Err(("unknown_method", format!("type: {kind:?} is not known"))),
    }
    let party_id = text("party_id");
    if kind == "join_party" && book.parties.contains_key(&party_id) {
        book.meet(&frame["peer"], told);
    }
    let no_party = || ("party_not_found", format!("there is no party {party_id}"));
    let party = book.parties.get_mut(&party_id).ok_or_else(no_party)?;
    let result = match kind.as_str() {
        "join_party" => return Ok(enter(party, &frame["peer"], told)),
        "leave_party" => {
            let seq = next_seq(party);
            let is_host = party["party"]["host_id"] == frame["peer_id"];
            if is_host {
                book.parties.remove(&party_id);
            } else if let Some(peers) = party["party"]["peers"].as_object_mut() {
                peers.remove(&text("peer_id"));
            }
            let status = if is_host { "party_deleted" } else { "left" };
            return Ok((seq, json!({"status": status})));
        }
        "update_peer" => {
            next_seq(party);
            let peer = member(&frame["peer"]);
            party["party"]["peers"][peer["peer_id"].as_str().unwrap_or_default()] = peer.clone();
            json!({})
        }
        "heartbeat" => json!({"expires_in_ms": 60_000}),
        "signal" => json!({"queued": true}),
        _ => {
            told.push(party.clone());
            json!({})
        }
    };
    Ok((party["seq"].clone(), result))
}

fn empty_party(party_id: &str, name: &Value, host: &Value) -> Value {
    json!({
        "type": "party_update", "epoch": EPOCH, "seq": 0,
        "party": {"party_id": party_id, "name": name, "host_id": host["peer_id"],
            "created_at": "2026-01-02T03:04:05.678901", "peers": {}},
        "virtual_ips": {}, "connected": {},
    })
}

fn next_seq(party: &mut Value) -> Value {
    party["seq"] = json!(party["seq"].as_u64().unwrap_or_default() + 1);
    party["seq"].clone()
}

/// Makes a peer a member, and tells of the party.
fn enter(party: &mut Value, peer: &Value, told: &mut Vec<Value>) -> (Value, Value) {
    let id = peer["peer_id"].as_str().unwrap_or_default();
    let seq = next_seq(party);
    // The number of the change is that of nobody else's entry.
    let virtual_ip = match &party["virtual_ips"][id] {
        Value::Null => json!(format!("10.66.0.{seq}")),
        had => had.clone(),
    };
    party["party"]["peers"][id] = member(peer);
    party["virtual_ips"][id] = virtual_ip.clone();
    party["connected"][id] = json!(true);
    told.push(party.clone());
    (seq, json!({"party_id": party["party"]["party_id"], "virtual_ip": virtual_ip}))
}

/// Returns a peer as a member of a party, in the format for other members.
fn member(peer: &Value) -> Value {
    let mut member = json!({"last_seen": "2026-01-02T03:04:05.678901"});
    let fields = ["peer_id", "name", "public_key", "nat_type", "public_ip", "public_port"];
    for field in fields.into_iter().chain(["local_ip", "local_port"]) {
        member[field] = peer[field].clone();
    }
    member
}

fn texts(frames: &[Value]) -> Vec<String> {
    let text = |frame: &Value| {
        let text = frame.to_string();
        debug_assert!(ServerFrame::decode(&text).is_ok_and(|frame| frame.is_some()), "{text}");
        text
    };
    frames.iter().map(text).collect()
}
