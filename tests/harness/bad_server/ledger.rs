//! State of a hostile control server, for any transport: parties that it keeps correctly, and lies
//! about them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tungstenite::Message;

use super::reply::{Reply, Trick};
use super::{polite, reply};

/// Changes the answers of the polite server to a frame.
pub(crate) type Change = Box<dyn Fn(&Value, &mut Vec<Value>) + Send>;

/// Answers of a server that does as it should.
type Polite = Box<dyn Fn(&Value) -> Vec<String> + Send>;

/// A lie, over WebSocket or HTTP.
#[derive(Debug, Clone)]
pub(crate) enum Lie {
    /// Frames that nobody asked for. Over HTTP they show in the next answers.
    Tell(Vec<Value>),
    /// A change of the answer to the next frame of that type.
    Answer(&'static str, Twist),
    /// Bytes that are no answer of a control server.
    Send(Trick),
}

/// A change of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Twist {
    /// Another result than that kind of request has.
    Result(Value),
    /// Another id of the party.
    Rename(String),
    /// A refusal in place of the answer, or before it one that is about the whole connection.
    Refuse { code: &'static str, retry_after_ms: u64, is_named: bool },
    /// Another token, or another life of it.
    Token { token: String, expires_at: &'static str },
}

/// The state.
pub(crate) struct Ledger {
    polite: Polite,
    change: Change,
    twists: VecDeque<(&'static str, Twist)>,
    /// Messages for the next cue on a WebSocket.
    pub(crate) junk: Vec<Message>,
    /// Parties as HTTP clients are told them in place of the truth; `None` is one that is gone.
    pub(super) told: BTreeMap<String, Option<Value>>,
    /// Answer to the next HTTP request of any kind.
    pub(super) refusal: Option<Reply>,
    /// Done to the next answer over HTTP.
    pub(super) trick: Option<Trick>,
    /// `Date` of the answers over HTTP.
    pub(crate) date: Option<String>,
    /// The frames that came, and the requests over HTTP as frames.
    asked: Vec<Value>,
}

/// A ledger that a server and its test share.
pub(crate) type SharedLedger = Arc<Mutex<Ledger>>;

impl Ledger {
    /// An honest one but for a change of each answer.
    pub(crate) fn new(change: Change) -> Self {
        let polite: Polite = Box::new(polite());
        let (twists, junk, told, refusal, trick, date, asked) = Default::default();
        Self { polite, change, twists, junk, told, refusal, trick, date, asked }
    }

    /// The frames of that type that came.
    pub(crate) fn asked(&self, kind: &str) -> Vec<Value> {
        self.asked.iter().filter(|frame| frame["type"] == kind).cloned().collect()
    }

    /// Answers a frame with frames.
    pub(super) fn answers(&mut self, frame: &Value) -> Vec<Value> {
        self.asked.push(frame.clone());
        let mut answers = self.truth(frame);
        (self.change)(frame, &mut answers);
        if let Some(at) = self.twists.iter().position(|(kind, _)| frame["type"] == *kind)
            && let Some((_, twist)) = self.twists.remove(at)
        {
            twist.apply(frame, &mut answers);
        }
        answers
    }

    /// Answers a frame as it should be answered.
    pub(crate) fn truth(&self, frame: &Value) -> Vec<Value> {
        let parse = |text: &String| serde_json::from_str(text).expect("JSON");
        (self.polite)(frame).iter().map(parse).collect()
    }

    /// Answers a frame on a WebSocket. A signal releases the frames that wait.
    pub(crate) fn messages(&mut self, frame: &Value) -> Vec<Message> {
        let mut messages = Vec::new();
        if frame["type"] == "signal" {
            messages.append(&mut self.junk);
        }
        let answers = self.answers(frame);
        messages.extend(answers.iter().map(|answer| Message::text(answer.to_string())));
        messages
    }

    /// Takes up a lie that a WebSocket tells at the next cue.
    pub(crate) fn lie_by_ws(&mut self, lie: &Lie) {
        match lie {
            Lie::Tell(frames) => {
                self.junk.extend(frames.iter().map(|frame| Message::text(frame.to_string())));
            }
            Lie::Answer(kind, twist) => self.twists.push_back((kind, twist.clone())),
            Lie::Send(trick) => self.junk.extend(match trick {
                Trick::Long => Some(Message::text("x".repeat(5 << 20))),
                Trick::Deep => Some(Message::text(reply::deep())),
                Trick::NoJson => Some(Message::text("{")),
                Trick::Empty => Some(Message::text("")),
                Trick::WrongKind => Some(Message::binary(vec![0; 100])),
                // An open WebSocket has no place for them.
                _ => None,
            }),
        }
    }

    /// Takes up a lie that the next answers over HTTP tell.
    pub(crate) fn lie_by_http(&mut self, lie: &Lie) {
        match lie {
            Lie::Tell(frames) => frames.iter().for_each(|frame| self.show(frame)),
            Lie::Answer(kind, twist) => self.twists.push_back((kind, twist.clone())),
            Lie::Send(trick) => self.trick = Some(trick.clone()),
        }
    }

    /// Turns an unsolicited frame into state that HTTP clients find.
    fn show(&mut self, frame: &Value) {
        let id = frame["party_id"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str().unwrap_or_default() {
            "party_update" => {
                let id = frame["party"]["party_id"].as_str().expect("an id").to_owned();
                self.told.insert(id, Some(frame.clone()));
            }
            "party_removed" => drop(self.told.insert(id, None)),
            kind @ ("peer_joined" | "peer_updated" | "peer_left") => {
                let Some(mut party) = self.party(&id) else { return };
                let peer_id = match kind {
                    "peer_left" => &frame["peer_id"],
                    _ => &frame["peer"]["peer_id"],
                };
                let peer_id = peer_id.as_str().expect("an id");
                (party["epoch"], party["seq"]) = (frame["epoch"].clone(), frame["seq"].clone());
                let peers = party["party"]["peers"].as_object_mut().expect("peers");
                if kind == "peer_left" {
                    peers.remove(peer_id);
                } else {
                    peers.insert(peer_id.to_owned(), frame["peer"].clone());
                    party["virtual_ips"][peer_id] = frame["virtual_ips"][peer_id].clone();
                }
                self.told.insert(id, Some(party));
            }
            "goaway" => {
                let seconds = frame["retry_after_ms"].as_u64().unwrap_or_default() / 1000;
                let refusal = Reply::json(503, &json!({"detail": "Server is stopping"}));
                self.refusal = Some(refusal.with("Retry-After", seconds.to_string()));
            }
            "error" => self.refusal = Some(refusal(frame)),
            "welcome" => {
                let token = frame["token"].as_str().unwrap_or_default().to_owned();
                let expires_at = "9999-01-01T00:00:00";
                self.twists.push_back(("hello", Twist::Token { token, expires_at }));
                // So that the client says hello.
                self.refusal =
                    Some(Reply::json(401, &json!({"detail": "Invalid or expired token"})));
            }
            "ack" => {
                let twist = Twist::Result(frame["result"].clone());
                self.twists.push_back(("heartbeat", twist));
            }
            // HTTP has no place for them.
            _ => {}
        }
    }

    /// A party as HTTP clients are told it, its addresses and its last change beside it.
    pub(super) fn party(&self, party_id: &str) -> Option<Value> {
        match self.told.get(party_id) {
            Some(told) => told.clone(),
            None => {
                let sync = json!({"type": "sync", "party_id": party_id, "req_id": "ledger"});
                self.truth(&sync).into_iter().find(|answer| answer["type"] == "party_update")
            }
        }
    }
}

/// A refusal of a WebSocket as HTTP has it.
pub(super) fn refusal(error: &Value) -> Reply {
    let code = error["code"].as_str().unwrap_or("internal");
    let status = match code {
        "party_not_found" | "peer_not_found" | "not_a_member" | "unknown_method" => 404,
        "permission_denied" => 403,
        "party_exists" => 409,
        "rate_limited" => 429,
        "store_unavailable" => 503,
        _ => 500,
    };
    let reply = Reply::json(status, &json!({"detail": error["message"]}));
    let reply = reply.with("X-Error-Code", code);
    match error["retry_after_ms"].as_u64() {
        Some(wait) => reply.with("Retry-After", (wait / 1000).to_string()),
        None => reply,
    }
}

impl Twist {
    fn apply(&self, frame: &Value, answers: &mut Vec<Value>) {
        match self {
            Self::Result(result) => {
                for ack in answers.iter_mut().filter(|answer| answer["type"] == "ack") {
                    ack["result"] = result.clone();
                }
            }
            Self::Rename(to) => {
                for answer in answers {
                    for place in ["/party/party_id", "/result/party_id"] {
                        if let Some(party_id) = answer.pointer_mut(place) {
                            *party_id = json!(to);
                        }
                    }
                }
            }
            Self::Refuse { code, retry_after_ms, is_named } => {
                if *is_named {
                    answers.clear();
                }
                let req_id = if *is_named { frame["req_id"].clone() } else { Value::Null };
                let refusal = json!({"type": "error", "message": "no", "code": code,
                    "req_id": req_id, "retry_after_ms": retry_after_ms});
                answers.insert(0, refusal);
            }
            Self::Token { token, expires_at } => {
                for welcome in answers.iter_mut().filter(|answer| answer["type"] == "welcome") {
                    welcome["token"] = json!(token);
                    welcome["token_expires_at"] = json!(format!("{expires_at}Z"));
                }
            }
        }
    }
}
