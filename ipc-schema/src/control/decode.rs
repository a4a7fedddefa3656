//! Reads what clients send: leniently, because LANrage's own must be understood.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Bookmark, ClientFrame, Inbound, ReqId, Secret};
use crate::envelope::{MAX_DEPTH, depth};
use crate::error::ErrorCode;
use crate::lanrage::input::{Mistake, PeerForm, Reader, Refusal, read_peer, rules};
use crate::model::{PartyId, PeerId, SignalData};
use crate::unicode::strip_bom_str;

/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 512;

/// The most `caps` of a client.
const MOST_CAPS: usize = 32;

/// Why a frame is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadFrame {
    /// What is wrong: `parse_error`, `invalid_request`, `unknown_method` or `invalid_params`.
    pub code: ErrorCode,
    /// The field and its rule, for people; at most 512 characters.
    pub message: String,
    /// Which frame, where that could be read.
    pub req_id: Option<ReqId>,
    /// True for a `hello` with `caps`: its client reads an answer with a code.
    pub names_caps: bool,
}

impl BadFrame {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: shortened(message.into(), LONGEST_MESSAGE),
            req_id: None,
            names_caps: false,
        }
    }
}

/// Reads one frame.
///
/// # Errors
/// [`BadFrame`]
pub fn decode(text: &str) -> Result<Inbound, BadFrame> {
    let text = strip_bom_str(text);
    if depth(text) > MAX_DEPTH {
        return Err(BadFrame::new(ErrorCode::ParseError, "it is nested deeper than 64 levels"));
    }
    let fields = serde_json::from_str(text).map_err(|error| no_object(text, &error))?;
    let refused = |bad| BadFrame { names_caps: names_caps(&fields), ..bad };
    let req_id = read_req_id(&fields).map_err(refused)?;
    match read(&fields) {
        Ok(frame) => Ok(Inbound { frame, req_id }),
        Err(bad) => Err(BadFrame { req_id, ..refused(bad) }),
    }
}

/// A frame's fields, as they are written there. The last one of a name counts.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

fn no_object(text: &str, error: &serde_json::Error) -> BadFrame {
    match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => BadFrame::new(ErrorCode::ParseError, format!("it is not JSON: {error}")),
        Ok(_) => BadFrame::new(ErrorCode::InvalidRequest, format!("it is not one object: {error}")),
    }
}

fn read_req_id(fields: &Fields<'_>) -> Result<Option<ReqId>, BadFrame> {
    let json = fields.get("req_id").map(|raw| raw.get()).filter(|json| *json != "null");
    let id = json.map(ReqId::from_json).transpose();
    id.map_err(|rule| BadFrame::new(ErrorCode::InvalidRequest, format!("req_id: {rule}")))
}

fn read_type(fields: &Fields<'_>) -> Option<String> {
    fields.get("type").and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// Tells whether a frame is a `hello` with `caps`, whatever else is in it.
fn names_caps(fields: &Fields<'_>) -> bool {
    let is_hello = read_type(fields).is_some_and(|kind| is_hello(&kind));
    let caps = fields.get("caps").map(|raw| serde_json::from_str::<Vec<IgnoredAny>>(raw.get()));
    is_hello && caps.is_some_and(|caps| caps.is_ok_and(|caps| !caps.is_empty()))
}

fn is_hello(kind: &str) -> bool {
    ["hello", "auth"].contains(&kind)
}

fn read(fields: &Fields<'_>) -> Result<ClientFrame, BadFrame> {
    let Some(kind) = read_type(fields) else {
        return Err(BadFrame::new(ErrorCode::InvalidRequest, "type: must be a string"));
    };
    let mut values = Map::new();
    for (name, raw) in fields {
        let value = match name.as_str() {
            // Whatever it says is kept as it is written.
            "signal_data" => Value::Null,
            _ => serde_json::from_str(raw.get()).map_err(|error| {
                let name = shortened(name.clone(), 64);
                BadFrame::new(ErrorCode::InvalidParams, format!("{name:?}: {error}"))
            })?,
        };
        values.insert(name.clone(), value);
    }
    let mut reader = Reader::frame(&values);
    let Some(read) = read_kind(&kind, &mut reader, fields) else {
        let message = format!("type: {:?} is not known", shortened(kind, 64));
        return Err(BadFrame::new(ErrorCode::UnknownMethod, message));
    };
    reader.finish(read).map_err(|mistakes| {
        let lines: Vec<_> = mistakes.iter().map(Mistake::to_string).collect();
        BadFrame::new(ErrorCode::InvalidParams, lines.join("; "))
    })
}

/// `None` for a kind that is not known, `Some(None)` for one with mistakes.
fn read_kind(
    kind: &str,
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
) -> Option<Option<ClientFrame>> {
    let frame = match kind {
        kind if is_hello(kind) => read_hello(reader),
        "register_party" => read_register(reader),
        "join_party" => {
            read_with_peer(reader, |party_id, peer| ClientFrame::JoinParty { party_id, peer })
        }
        "update_peer" => {
            read_with_peer(reader, |party_id, peer| ClientFrame::UpdatePeer { party_id, peer })
        }
        "leave_party" => {
            read_member(reader, |party_id, peer_id| ClientFrame::LeaveParty { party_id, peer_id })
        }
        "heartbeat" => {
            read_member(reader, |party_id, peer_id| ClientFrame::Heartbeat { party_id, peer_id })
        }
        "signal" => read_signal(reader, fields),
        "sync" => read_sync(reader),
        "list_relays" => {
            let region = reader.optional("region", rules::name);
            region.map(|region| ClientFrame::ListRelays { region })
        }
        _ => return None,
    };
    Some(frame)
}

fn read_hello(reader: &mut Reader<'_>) -> Option<ClientFrame> {
    // What a client calls itself decides nothing: whatever is no name is as good as none.
    let name = |key| reader.get(key).and_then(|value| rules::name(value).ok());
    let (version, client) = (name("version"), name("client"));
    let peer_id = reader.optional("peer_id", rules::new_id);
    let token = reader.optional("token", |value| {
        rules::text(value, 1, Secret::LONGEST_TOKEN).map(|text| text.to_owned().into())
    });
    let claim = reader.optional("claim", rules::claim);
    let caps = reader.list("caps", MOST_CAPS, rules::name);
    let have = match reader.get("have") {
        // Numbers without their epoch tell nothing.
        Some(Value::Object(entries)) if entries.values().all(Value::is_number) => Some(Vec::new()),
        _ => reader.objects("have", party_key, read_bookmark),
    };
    Some(ClientFrame::Hello {
        version,
        client,
        peer_id: peer_id?,
        token: token?,
        claim: claim?,
        caps: caps?,
        have: have?.into_iter().collect(),
    })
}

fn party_key(key: &str) -> Result<PartyId, Refusal> {
    key.parse().map_err(|rule| Refusal::value_error(&format!("each key {rule}")))
}

fn read_bookmark(reader: &mut Reader<'_>) -> Option<Bookmark> {
    let epoch = reader.required("epoch", rules::id);
    let seq = reader.required("seq", rules::integer);
    Some(Bookmark { epoch: epoch?, seq: seq? })
}

fn read_register(reader: &mut Reader<'_>) -> Option<ClientFrame> {
    let party_id = reader.optional("party_id", rules::new_id);
    let name = reader.required("name", rules::name);
    let host_peer = reader.object("host_peer", read_peer);
    Some(ClientFrame::RegisterParty { party_id: party_id?, name: name?, host_peer: host_peer? })
}

fn read_with_peer(
    reader: &mut Reader<'_>,
    frame: impl FnOnce(PartyId, PeerForm) -> ClientFrame,
) -> Option<ClientFrame> {
    let party_id = reader.required("party_id", rules::id);
    let peer = reader.object("peer", read_peer);
    Some(frame(party_id?, peer?))
}

fn read_member(
    reader: &mut Reader<'_>,
    frame: impl FnOnce(PartyId, PeerId) -> ClientFrame,
) -> Option<ClientFrame> {
    let party_id = reader.required("party_id", rules::id);
    let peer_id = reader.required("peer_id", rules::id);
    Some(frame(party_id?, peer_id?))
}

fn read_signal(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<ClientFrame> {
    let party_id = reader.required("party_id", rules::id);
    let from_peer_id = reader.required("from_peer_id", rules::id);
    let to_peer_id = reader.required("to_peer_id", rules::id);
    reader.required("signal_data", |_| Ok(()));
    let signal_data = fields.get("signal_data").map(|&raw| SignalData::from(raw.to_owned()));
    Some(ClientFrame::Signal {
        party_id: party_id?,
        from_peer_id: from_peer_id?,
        to_peer_id: to_peer_id?,
        signal_data: signal_data?,
    })
}

fn read_sync(reader: &mut Reader<'_>) -> Option<ClientFrame> {
    let party_id = reader.required("party_id", rules::id);
    // A number without its epoch tells nothing.
    let have = match reader.get("have") {
        None | Some(Value::Number(_)) => Some(None),
        Some(_) => reader.object("have", read_bookmark).map(Some),
    };
    Some(ClientFrame::Sync { party_id: party_id?, have: have? })
}

fn shortened(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}
