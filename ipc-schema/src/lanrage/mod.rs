//! LANrage's own shapes, to the key: its Python constructors refuse one key more or less.
//!
//! What lanragectl writes is exact ([`to_json`]); what it reads may be anything: [`Records`] looks
//! at a document record by record, and [`Salvage`] is what came out of it. LANrage's times are in
//! the wall clock of whoever wrote them, so each conversion is given a time zone.

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

pub(crate) use convert::announce_peers;
pub use json::to_json;
pub(crate) use records::Entries;
pub use records::Records;
pub(crate) use salvage::KnownRecords;
pub use salvage::{ImportedParty, InvalidRecord, Rejected, Salvage};

/// A date and time as LANrage writes it: ISO 8601 in the writer's wall clock, without an offset.
pub type NaiveTime = jiff::civil::DateTime;

/// A peer as LANrage's files have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnnouncedPeer {
    /// Its id.
    pub peer_id: String,
    /// Its name.
    pub name: String,
    /// Its WireGuard public key.
    pub public_key: String,
    /// What its NAT does.
    pub nat_type: String,
    /// Its address as the Internet sees it, or `unknown`.
    pub public_ip: String,
    /// Its port as the Internet sees it.
    pub public_port: u16,
    /// Its address in its own network, or `unknown`.
    pub local_ip: String,
    /// Its port in its own network.
    pub local_port: u16,
    /// Its last sign of life.
    #[serde(serialize_with = "json::python_time")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[cfg_attr(feature = "schema", schemars(with = "NaiveTime"))]
    pub last_seen: NaiveTime,
}

/// A party as LANrage's files have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnnouncedParty {
    /// Its id.
    pub party_id: String,
    /// Its name.
    pub name: String,
    /// Its host.
    pub host_id: String,
    /// When it was registered.
    #[serde(serialize_with = "json::python_time")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[cfg_attr(feature = "schema", schemars(with = "NaiveTime"))]
    pub created_at: NaiveTime,
    /// Its members, by id.
    pub peers: BTreeMap<String, AnnouncedPeer>,
}

/// LANrage's `control_state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct State {
    /// The parties, by id.
    pub parties: BTreeMap<String, AnnouncedParty>,
    /// The peer that LANrage itself is; always null in what lanragectl writes.
    pub my_peer_id: Option<String>,
    /// The party that it is in; always null in what lanragectl writes.
    pub my_party_id: Option<String>,
}

/// A `control_state.json` as it came: its records are looked at one by one, so that a bad one
/// does not keep the good ones out.
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
