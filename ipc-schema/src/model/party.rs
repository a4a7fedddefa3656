//! Parties and their peers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Address, CheckedText as _, Epoch, InvalidText, Name, NatType, PartyId, PeerId, PublicKey,
};
use crate::words::words;

/// Data that a peer states of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerInput {
    /// Id.
    pub peer_id: PeerId,
    /// Human-readable name.
    pub name: Name,
    /// WireGuard public key.
    pub public_key: PublicKey,
    /// NAT type.
    pub nat_type: NatType,
    /// Public IP address.
    pub public_ip: Address,
    /// Public UDP port; 0 if unknown.
    pub public_port: u16,
    /// Address in the peer's local network.
    pub local_ip: Address,
    /// UDP port in the peer's local network; 0 if unknown.
    pub local_port: u16,
}

impl PeerInput {
    /// Checks the rules that apply only to new values.
    ///
    /// # Errors
    /// Field that breaks its rule, and the rule.
    pub fn check_new(&self) -> Result<(), (&'static str, InvalidText)> {
        self.peer_id.check_new().map_err(|rule| ("peer_id", rule))?;
        self.name.check_new().map_err(|rule| ("name", rule))?;
        self.public_key.check_new().map_err(|rule| ("public_key", rule))
    }
}

/// Member of a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Peer {
    /// Data that the peer states of itself.
    #[serde(flatten)]
    pub info: PeerInput,
    /// Address in the virtual LAN: unique in the party, and stable while the peer is a member.
    pub virtual_ip: Ipv4Addr,
    /// Time of the last sign of life.
    #[serde(with = "crate::model::millis")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub last_seen: Timestamp,
    /// True while the keepalive lasts; `false` once its connection or daemon is gone.
    pub connected: bool,
    /// Change of the public key that `peer.trust` has not accepted yet. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_changed: Option<KeyChange>,
}

/// Change of a member's public key from the first one that this daemon saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyChange {
    /// In a member: the first key seen, or the last one accepted. In an event: the key in force
    /// before it.
    pub previous: PublicKey,
    /// Key that the control server states, while the previous one stays in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<PublicKey>,
}

words! {
    /// Place of a party's authoritative state.
    Origin {
        /// This daemon.
        Local = "local",
        /// The control server.
        Remote = "remote";
        /// An origin that this version does not know.
        Unknown
    }

    /// Confirmation of a state by the control server.
    Sync {
        /// No change is waiting for confirmation.
        Synced = "synced",
        /// A change is waiting for confirmation.
        Pending = "pending";
        /// A value that this version does not know.
        Unknown
    }
}

/// Party: a group of peers in one virtual LAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Party {
    /// Id.
    pub party_id: PartyId,
    /// Human-readable name.
    pub name: Name,
    /// Peer id of the host, always one of `peers`. The party ends when the host leaves.
    pub host_id: PeerId,
    /// Time of the registration.
    #[serde(with = "crate::model::millis")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub created_at: Timestamp,
    /// Members, by peer id.
    pub peers: BTreeMap<PeerId, Peer>,
    /// Place of the authoritative state.
    pub origin: Origin,
    /// Confirmation by the control server.
    pub sync: Sync,
    /// Epoch in which `seq` counts.
    pub epoch: Epoch,
    /// Number of the last change; grows by one with each change of the party.
    pub seq: u64,
}

words! {
    /// Keepalive of a peer: the source that refreshes its `last_seen`.
    #[derive(Default)]
    Keepalive {
        /// The connection that registered the peer, while it is open.
        #[default]
        Connection = "connection",
        /// The daemon, until the peer leaves or the daemon stops.
        Daemon = "daemon",
        /// Only `peer.heartbeat`.
        Manual = "manual",
    }
}
