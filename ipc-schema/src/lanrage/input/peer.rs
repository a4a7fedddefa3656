//! Peers in the input of clients.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Reader, Refusal, rules};
use crate::lanrage::json::python_text;
use crate::model::{Address, LastSeen, Name, PeerId, PeerInput, UtcOffset};

/// Peer in the input of a client, in the format of LANrage's client or the one its server stores.
///
/// It is serialized in the format of LANrage's client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerForm {
    /// Data of the peer.
    #[serde(flatten)]
    pub info: PeerInput,
    /// `last_seen` by the client's clock, used only to infer the offset of that clock.
    #[serde(serialize_with = "python_moment", skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<LastSeen>,
}

impl PeerForm {
    /// Returns the offset of the client's wall clock, for input sent at `now`; `None` if unknown.
    pub fn offset(&self, now: Timestamp) -> Option<UtcOffset> {
        UtcOffset::infer(self.last_seen?, now)
    }
}

fn python_moment<S: Serializer>(
    moment: &Option<LastSeen>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(LastSeen { local, offset }) = moment else { return serializer.serialize_none() };
    let local = python_text(local);
    let Some(offset) = offset else { return serializer.serialize_str(&local) };
    let sign = if offset.is_negative() { '-' } else { '+' };
    let minutes = offset.seconds().unsigned_abs() / 60;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    serializer.collect_str(&format_args!("{local}{sign}{hours:02}:{minutes:02}"))
}

/// Decodes a peer. With a `public_endpoint`, as in the format that LANrage's server stores, the
/// fields that this format lacks are optional. Fields that are present count.
pub fn read_peer(reader: &mut Reader<'_>) -> Option<PeerForm> {
    let endpoint = reader.optional("public_endpoint", rules::endpoint);
    // The mistake of a bad endpoint is recorded already.
    let endpoint = endpoint.unwrap_or(Some((Address::Unknown, 0)));
    let is_stored = endpoint.is_some();
    let (public_ip, public_port) = endpoint.unzip();

    let peer_id = reader.required("peer_id", rules::new_id);
    let name = if is_stored {
        let name = reader.optional("name", rules::name);
        name.and_then(|name| name.or_else(|| name_of(peer_id.as_ref()?)))
    } else {
        reader.required("name", rules::name)
    };
    let public_key = reader.required("public_key", rules::public_key);
    let nat_type = reader.required("nat_type", rules::nat_type);
    let public_ip = either(reader, "public_ip", public_ip, rules::address);
    let public_port = either(reader, "public_port", public_port, rules::integer);
    let local_ip =
        either(reader, "local_ip", is_stored.then_some(Address::Unknown), rules::address);
    let local_port = either(reader, "local_port", is_stored.then_some(0), rules::integer);
    let last_seen = reader.optional("last_seen", rules::last_seen);
    // The server assigns the addresses, so the text need not be an address.
    reader.optional("virtual_ip", rules::string);
    let info = PeerInput {
        peer_id: peer_id?,
        name: name?,
        public_key: public_key?,
        nat_type: nat_type?,
        public_ip: public_ip?,
        public_port: public_port?,
        local_ip: local_ip?,
        local_port: local_port?,
    };
    Some(PeerForm { info, last_seen: last_seen? })
}

/// Decodes a field that is required unless it has a default.
fn either<'a, T>(
    reader: &mut Reader<'a>,
    key: &str,
    default: Option<T>,
    rule: impl FnOnce(&'a Value) -> Result<T, Refusal>,
) -> Option<T> {
    match default {
        Some(default) => Some(reader.optional(key, rule)?.unwrap_or(default)),
        None => reader.required(key, rule),
    }
}

/// Returns the default name of a peer without one.
fn name_of(id: &PeerId) -> Option<Name> {
    let id = id.as_str();
    id.get(..100).unwrap_or(id).parse().ok()
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PeerForm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PeerForm".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        use crate::model::{NatType, PublicKey};
        let port = schemars::json_schema!({"type": "integer", "minimum": 0, "maximum": u16::MAX});
        schemars::json_schema!({
            "type": "object",
            "description": "What a client says of a peer: in LANrage's own shape, or with \
                `public_endpoint`, as its server stores it.",
            "properties": {
                "peer_id": generator.subschema_for::<PeerId>(),
                "name": generator.subschema_for::<Name>(),
                "public_key": generator.subschema_for::<PublicKey>(),
                "nat_type": generator.subschema_for::<NatType>(),
                "public_ip": generator.subschema_for::<Address>(),
                "public_port": port,
                "local_ip": generator.subschema_for::<Address>(),
                "local_port": port,
                "public_endpoint": {"type": "string", "pattern": "^(.+:\\d{1,5}|unknown)$"},
                "virtual_ip": {"type": ["string", "null"], "description": "Ignored."},
                "last_seen": {
                    "type": ["string", "null"],
                    "description": "ISO 8601 by the client's clock, with an offset or without.",
                    "pattern": "^\\d{4}-\\d\\d-\\d\\d[Tt ]",
                },
            },
            "required": ["peer_id", "public_key", "nat_type"],
            "anyOf": [
                {"required": ["name", "public_ip", "public_port", "local_ip", "local_port"]},
                {"required": ["public_endpoint"]},
            ],
        })
    }
}
