//! What of the registry outlives the process.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use lanrage_ipc::model::{Keepalive, Name, PartyId, PeerId, PeerInput, Relay, RelayId};

/// Who registered a peer or a relay, and may act for it: a user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u32);

/// A party without its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyRecord {
    /// Its id.
    pub party_id: PartyId,
    /// Its name.
    pub name: Name,
    /// The member whose leaving ends it.
    pub host_id: PeerId,
    /// When it was registered.
    pub created_at: Timestamp,
    /// How many changes it has seen in this epoch.
    pub seq: u64,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// What the peer says of itself.
    pub info: PeerInput,
    /// Its address in the virtual LAN.
    pub virtual_ip: Ipv4Addr,
    /// Who may act for it.
    pub owner: Owner,
    /// Who was asked to refresh `last_seen`.
    pub keepalive: Keepalive,
    /// Its last sign of life. Written behind, as [`Seen`].
    pub last_seen: Timestamp,
}

/// A relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayRecord {
    /// What is told of it.
    pub relay: Relay,
    /// Who may change it.
    pub owner: Owner,
}

/// One row to write: the unit of durable change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Inserts or replaces a party. Its members come after it.
    PutParty(PartyRecord),
    /// Deletes a party that has no members left.
    DeleteParty(PartyId),
    /// Inserts or replaces a member of a party.
    PutMember(PartyId, MemberRecord),
    /// Deletes a member.
    DeleteMember(PartyId, PeerId),
    /// Inserts or replaces a relay.
    PutRelay(RelayRecord),
    /// Deletes a relay.
    DeleteRelay(RelayId),
}

/// A sign of life to write behind: worth no disk flush of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The party.
    pub party_id: PartyId,
    /// The member.
    pub peer_id: PeerId,
    /// When.
    pub at: Timestamp,
}
