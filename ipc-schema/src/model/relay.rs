//! Relays.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Name, RelayId};

/// A relay for peers that can't reach each other directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Relay {
    /// Its id.
    pub relay_id: RelayId,
    /// Where it listens.
    pub public_ip: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// Where in the world it stands.
    pub region: Name,
    /// How many peers it takes.
    pub capacity: u32,
    /// When it was first registered.
    #[serde(with = "crate::model::millis")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub registered_at: Timestamp,
}
