//! Relays.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Name, RelayId};

/// Relay for peers that cannot reach each other directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Relay {
    /// Id.
    pub relay_id: RelayId,
    /// IP address that it listens on.
    pub public_ip: IpAddr,
    /// Port that it listens on.
    pub port: u16,
    /// Geographic region.
    pub region: Name,
    /// Maximum number of peers.
    pub capacity: u32,
    /// Time of the first registration.
    #[serde(with = "crate::model::millis")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub registered_at: Timestamp,
}
