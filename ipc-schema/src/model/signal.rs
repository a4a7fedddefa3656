//! Signals.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{PartyId, PeerId, RawJson};

/// Any JSON value, kept letter for letter as it was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalData(RawJson);

impl SignalData {
    /// Returns the JSON text.
    pub fn as_json(&self) -> &str {
        self.0.as_json()
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.as_json().len()
    }

    /// Always false: a JSON text has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.as_json().is_empty()
    }
}

impl From<Box<RawValue>> for SignalData {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw.into())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for SignalData {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SignalData".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"description": "Any JSON value."})
    }
}

/// Message from one member to another, such as an offer or an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Signal {
    /// Party of both members.
    pub party_id: PartyId,
    /// Peer that sent it.
    pub from_peer_id: PeerId,
    /// Peer that receives it.
    pub to_peer_id: PeerId,
    /// Payload.
    pub signal_data: SignalData,
    /// Time at which it was queued.
    #[serde(with = "crate::model::millis")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub sent_at: Timestamp,
}
