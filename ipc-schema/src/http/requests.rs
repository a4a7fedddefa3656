//! Request bodies of clients.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::lanrage::input::{Loc, Mistake, PeerForm, Reader, read_peer, rules};
use crate::model::{Name, RelayId};

/// Body of `POST /parties`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegisterPartyBody {
    /// Name of the party.
    pub name: Name,
    /// Host of the party.
    #[serde(rename = "host_peer_info")]
    pub host: PeerForm,
}

impl RegisterPartyBody {
    /// Decodes a body.
    ///
    /// # Errors
    /// All mistakes in the body.
    pub fn from_json(body: &[u8]) -> Result<Self, Vec<Mistake>> {
        let fields = object(body)?;
        let mut reader = Reader::body(&fields);
        let name = reader.required("name", rules::name);
        let host = reader.object("host_peer_info", read_peer);
        reader.finish(name.zip(host).map(|(name, host)| Self { name, host }))
    }
}

/// Body of `POST /parties/{id}/join`.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinBody {
    /// Peer that joins.
    pub peer: PeerForm,
}

impl JoinBody {
    /// Decodes a body. Its `party_id` is required, but the one in the path counts.
    ///
    /// # Errors
    /// All mistakes in the body.
    pub fn from_json(body: &[u8]) -> Result<Self, Vec<Mistake>> {
        let fields = object(body)?;
        let mut reader = Reader::body(&fields);
        reader.required("party_id", |value| rules::text(value, 1, usize::MAX));
        let peer = reader.object("peer_info", read_peer);
        reader.finish(peer.map(|peer| Self { peer }))
    }
}

/// Body of `POST /relays`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelayBody {
    /// Id of the relay.
    pub relay_id: RelayId,
    /// Address that it listens on.
    pub public_ip: IpAddr,
    /// Port that it listens on.
    pub port: u16,
    /// Region of the relay; `unknown` if absent.
    pub region: Name,
    /// Maximum number of peers; 100 if absent.
    pub capacity: u32,
}

impl RelayBody {
    /// Decodes a body.
    ///
    /// # Errors
    /// All mistakes in the body.
    pub fn from_json(body: &[u8]) -> Result<Self, Vec<Mistake>> {
        let fields = object(body)?;
        let mut reader = Reader::body(&fields);
        let relay_id = reader.required("relay_id", rules::new_id);
        let public_ip = reader.required("public_ip", rules::ip);
        let port = reader.required("port", rules::integer);
        let unknown = json!("unknown");
        let region = reader
            .defaulted("region", rules::name(&unknown).ok(), |value| rules::name(value).map(Some));
        let capacity = reader.defaulted("capacity", 100, rules::integer);
        let read = || {
            Some(Self {
                relay_id: relay_id?,
                public_ip: public_ip?,
                port: port?,
                region: region??,
                capacity: capacity?,
            })
        };
        reader.finish(read())
    }
}

/// Returns the mistakes of a body of another type than JSON.
pub fn not_json(body: &[u8]) -> Vec<Mistake> {
    match body {
        [] => vec![missing()],
        text => vec![no_object(&Value::String(String::from_utf8_lossy(text).into_owned()))],
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Vec<Mistake>> {
    if body.is_empty() {
        return Err(vec![missing()]);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(vec![no_object(&other)]),
        Err(error) => Err(vec![no_json(body, &error)]),
    }
}

fn missing() -> Mistake {
    Mistake::missing(vec!["body".into()], Value::Null)
}

fn no_object(input: &Value) -> Mistake {
    Mistake {
        kind: "model_attributes_type",
        loc: vec!["body".into()],
        msg: "Input should be a valid dictionary or object to extract fields from".to_owned(),
        input: Mistake::echo(input),
        ctx: None,
    }
}

fn no_json(body: &[u8], error: &serde_json::Error) -> Mistake {
    // Message without the position, which is in `loc`.
    let full = error.to_string();
    let words = full.rsplit_once(" at line ").map_or(full.as_str(), |(words, _)| words);
    Mistake {
        kind: "json_invalid",
        loc: vec!["body".into(), Loc::Index(offset(body, error))],
        msg: "JSON decode error".to_owned(),
        input: json!({}),
        ctx: Some(json!({"error": words})),
    }
}

/// Offset of the JSON syntax error in a body, in bytes.
fn offset(body: &[u8], error: &serde_json::Error) -> u64 {
    if error.is_eof() {
        return body.len() as u64;
    }
    let lines = body.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let offset = before + error.column().saturating_sub(1);
    offset.min(body.len()) as u64
}
