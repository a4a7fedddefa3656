//! LANrage's routes before a ledger: each request is a frame, and its answer is made of the frames
//! that a WebSocket would carry.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::ledger::{Ledger, refusal};
use super::{Reply, Request};

impl Ledger {
    /// Answers a request.
    pub(crate) fn respond(&mut self, request: &Request) -> Reply {
        let refusal = self.refusal.take();
        let reply = refusal.unwrap_or_else(|| self.reply(request));
        let reply = match self.trick.take() {
            Some(trick) => reply.tricked(&trick),
            None => reply,
        };
        match &self.date {
            Some(date) => reply.with("Date", date.clone()),
            None => reply,
        }
    }

    fn reply(&mut self, request: &Request) -> Reply {
        let not_found = Reply::json(404, &json!({"detail": "Not Found"}));
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let segments: Vec<_> = path.trim_matches('/').split('/').collect();
        let body = || if request.body.is_empty() { json!({}) } else { request.json() };
        let frame = match (request.method.as_str(), &segments[..]) {
            ("GET", [""]) => return Reply::json(200, &service()),
            ("POST", ["auth", "register"]) => {
                let mut query = form_urlencoded::parse(query.as_bytes());
                let peer_id = query.find(|(name, _)| name == "peer_id").map(|(_, id)| id);
                json!({"type": "hello", "peer_id": peer_id, "authorization":
                    request.header("authorization"), "claim": request.header("claim")})
            }
            ("POST", ["parties"]) => {
                let body = body();
                json!({"type": "register_party", "name": body["name"],
                    "host_peer": body["host_peer_info"]})
            }
            ("POST", ["parties", id, "join"]) => {
                json!({"type": "join_party", "party_id": id, "peer": body()["peer_info"]})
            }
            ("GET", ["parties", id] | ["parties", id, "peers"]) => {
                json!({"type": "sync", "party_id": id})
            }
            ("DELETE", ["parties", id, "peers", peer_id]) => {
                json!({"type": "leave_party", "party_id": id, "peer_id": peer_id})
            }
            ("POST", ["parties", id, "peers", peer_id, "heartbeat"]) => {
                json!({"type": "heartbeat", "party_id": id, "peer_id": peer_id})
            }
            ("GET", ["relays", ..]) => json!({"type": "list_relays"}),
            ("POST", ["relays"]) => {
                let relay_id = body()["relay_id"].clone();
                return Reply::json(200, &json!({"status": "registered", "relay_id": relay_id}));
            }
            _ => return not_found,
        };
        let mut frame = frame;
        frame["req_id"] = json!("http");
        let answers = self.answers(&frame);
        self.of_answers(&frame, &answers)
    }

    /// The answer over HTTP that frames come to.
    fn of_answers(&self, frame: &Value, answers: &[Value]) -> Reply {
        let of = |kind: &str| answers.iter().rev().find(|answer| answer["type"] == kind);
        if let Some(error) = of("error") {
            return refusal(error);
        }
        match frame["type"].as_str().unwrap_or_default() {
            "hello" => {
                let welcome = of("welcome").cloned().unwrap_or_default();
                let body = json!({"token": welcome["token"], "peer_id": frame["peer_id"],
                    "expires_at": welcome["token_expires_at"]});
                Reply::json(200, &body)
            }
            "register_party" | "join_party" | "sync" => {
                let party = of("party_update").cloned().unwrap_or_default();
                let id = party["party"]["party_id"].as_str().unwrap_or_default();
                match self.told.get(id) {
                    Some(None) => {
                        let message = format!("Party {id} not found");
                        Reply::json(404, &json!({"detail": message}))
                    }
                    Some(Some(lie)) => Reply::json(200, &of_party(lie)),
                    None => Reply::json(200, &of_party(&party)),
                }
            }
            _ => Reply::json(200, &of("ack").map_or(Value::Null, |ack| ack["result"].clone())),
        }
    }
}

/// Returns the answer to `GET /`.
fn service() -> Value {
    json!({"service": "LANrage Control Plane", "version": "1.0.0", "status": "ok", "parties": 0,
        "relays": 0, "idempotency_key": true, "claim": true})
}

/// A party as an answer over HTTP has it.
fn of_party(frame: &Value) -> Value {
    let mut body = json!({"party": frame["party"], "peers": frame["party"]["peers"]});
    // LANrage's own server numbers nothing.
    if frame["epoch"] != "lanrage" {
        for field in ["virtual_ips", "epoch", "seq"] {
            body[field] = frame[field].clone();
        }
    }
    body
}
