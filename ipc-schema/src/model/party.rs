//! Parties and their peers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Address, CheckedText as _, Epoch, InvalidText, Name, NatType, PartyId, PeerId, PublicKey,
};
use crate::words::words;

/// What a peer says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerInput {
    /// Its id.
    pub peer_id: PeerId,
    /// Its name, for people.
    pub name: Name,
    /// Its WireGuard public key.
    pub public_key: PublicKey,
    /// What its NAT does.
    pub nat_type: NatType,
    /// Its address as the Internet sees it.
    pub public_ip: Address,
    /// Its UDP port as the Internet sees it; 0 when unknown.
    pub public_port: u16,
    /// Its address in its own network.
    pub local_ip: Address,
    /// Its UDP port in its own network; 0 when unknown.
    pub local_port: u16,
}

impl PeerInput {
    /// Checks the rules that only new values must keep.
    ///
    /// # Errors
    /// The field and its rule.
    pub fn check_new(&self) -> Result<(), (&'static str, InvalidText)> {
        self.peer_id.check_new().map_err(|rule| ("peer_id", rule))?;
        self.name.check_new().map_err(|rule| ("name", rule))?;
        self.public_key.check_new().map_err(|rule| ("public_key", rule))
    }
}

/// A member of a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Peer {
    /// What it says of itself.
    #[serde(flatten)]
    pub info: PeerInput,
    /// Its address in the virtual LAN: unique in the party, stable while it is a member.
    pub virtual_ip: Ipv4Addr,
    /// When it last gave a sign of life.
    #[serde(with = "crate::model::millis")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub last_seen: Timestamp,
    /// Whether what keeps it alive still does; `false` once its connection or daemon has gone.
    pub connected: bool,
    /// Change of its public key that nobody has accepted by `peer.trust` yet. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_changed: Option<KeyChange>,
}

/// Another public key of a member than the one that this daemon saw first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyChange {
    /// Of a member: the key that was seen first, or accepted last. Of an event: the key in force
    /// before it.
    pub previous: PublicKey,
    /// The key that the control server states, while the one before it stays in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<PublicKey>,
}

words! {
    /// Where a party lives.
    Origin {
        /// In this daemon.
        Local = "local",
        /// On a control server.
        Remote = "remote";
        /// Somewhere that this version does not know.
        Unknown
    }

    /// Whether a control server has confirmed what is shown.
    Sync {
        /// Nothing is waiting to be confirmed.
        Synced = "synced",
        /// Something is.
        Pending = "pending";
        /// Something else, which this version does not know.
        Unknown
    }
}

/// A party: peers that want to reach each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Party {
    /// Its id.
    pub party_id: PartyId,
    /// Its name, for people.
    pub name: Name,
    /// The peer whose leaving ends the party; always one of `peers`.
    pub host_id: PeerId,
    /// When it was registered.
    #[serde(with = "crate::model::millis")]
    #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
    pub created_at: Timestamp,
    /// Its members, by peer id.
    pub peers: BTreeMap<PeerId, Peer>,
    /// Where it lives.
    pub origin: Origin,
    /// Whether a control server has confirmed it.
    pub sync: Sync,
    /// The stretch of history that `seq` counts in.
    pub epoch: Epoch,
    /// Grows by one with every change of the party.
    pub seq: u64,
}

words! {
    /// Who refreshes a peer's `last_seen`.
    #[derive(Default)]
    Keepalive {
        /// The connection that registered it, while it is open.
        #[default]
        Connection = "connection",
        /// The daemon, until the peer leaves or the daemon stops.
        Daemon = "daemon",
        /// Only `peer.heartbeat`.
        Manual = "manual",
    }
}
