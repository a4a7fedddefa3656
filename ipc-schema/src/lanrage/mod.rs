//! LANrage's own formats. Their keys are exact: its Python constructors refuse any other set.
//!
//! lanragectl writes the exact format ([`to_json`]), but reads documents of any quality.
//! [`Records`] splits a document into records, and [`Salvage`] holds the valid ones. LANrage's
//! times are in the wall clock of the writer, so each conversion takes a time zone.

mod convert;
pub mod input;
pub(crate) mod json;
mod records;
mod salvage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use json::{python_text, to_json};
pub(crate) use records::Entries;
pub use records::Records;
pub(crate) use salvage::KnownRecords;
pub use salvage::{ImportedParty, InvalidRecord, Rejected, Salvage};

/// Date and time in LANrage's format: ISO 8601 in the writer's wall clock, without an offset.
pub type NaiveTime = jiff::civil::DateTime;

/// Peer in the format of LANrage's files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnnouncedPeer {
    /// Id.
    pub peer_id: String,
    /// Name.
    pub name: String,
    /// WireGuard public key.
    pub public_key: String,
    /// NAT type.
    pub nat_type: String,
    /// Public IP address, or `unknown`.
    pub public_ip: String,
    /// Public UDP port.
    pub public_port: u16,
    /// Address in the peer's local network, or `unknown`.
    pub local_ip: String,
    /// UDP port in the peer's local network.
    pub local_port: u16,
    /// Time of the last sign of life.
    #[serde(serialize_with = "json::python_time")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[cfg_attr(feature = "schema", schemars(with = "NaiveTime"))]
    pub last_seen: NaiveTime,
}

/// Party in the format of LANrage's files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnnouncedParty {
    /// Id.
    pub party_id: String,
    /// Name.
    pub name: String,
    /// Peer id of the host.
    pub host_id: String,
    /// Time of the registration.
    #[serde(serialize_with = "json::python_time")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[cfg_attr(feature = "schema", schemars(with = "NaiveTime"))]
    pub created_at: NaiveTime,
    /// Members, by id.
    pub peers: BTreeMap<String, AnnouncedPeer>,
}

/// LANrage's `control_state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct State {
    /// Parties, by id.
    pub parties: BTreeMap<String, AnnouncedParty>,
    /// LANrage's own peer; always null in documents from lanragectl.
    pub my_peer_id: Option<String>,
    /// Party of LANrage's own peer; always null in documents from lanragectl.
    pub my_party_id: Option<String>,
}

/// A `control_state.json` as raw JSON. Its records are validated one by one, so that a bad one does
/// not affect the others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateDocument(pub Box<RawValue>);

impl PartialEq for StateDocument {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for StateDocument {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StateDocument".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "A LANrage control_state.json document.",
            "properties": {"parties": {"type": "object"}},
            "required": ["parties"],
        })
    }
}
