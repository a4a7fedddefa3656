//! What becomes of a party when the control server's truth and this machine's meet: one pure
//! function, [`reconcile`].
//!
//! It compares states, not logs: what a peer of this machine is here and what it is there tell
//! what the server has to be asked, so that asking twice, or again after anything was lost, leads
//! to the same end. An *intent* only says that a difference is meant, and how to call the request.
//!
//! | the server has | here is | then |
//! |---|---|---|
//! | a party of that id with another host | a party registered meanwhile | it is registered; the server refuses; it gets another id |
//! | | a copy of another party | removed; ours that came in unasked leave |
//! | no such party, or none of ours in it | a party registered meanwhile | it is registered under its id |
//! | | a party of this daemon alone | nothing |
//! | | a copy, on return, its host ours and there | registered anew under its id |
//! | | a copy, on return, guests of ours there | they join; refused, they are removed, and with the last of them the copy |
//! | | a copy, none of ours there, or the server told its end | removed |
//! | a party that is here, or that a peer of ours asked for | | as the lines below say |
//! | any other party | | not followed; members of ours leave it |
//! | a member of ours | that it left meanwhile | it leaves there, unless it joined anew; on return under another name |
//! | | the same member, saying something else | what it says here stays, and the server is told |
//! | | no such member, and a request of it under way | it is one here, saying what it asked |
//! | | no such member | it leaves there: it did not ask |
//! | not our member | a member that joined meanwhile, or, on return, one that is there | it joins |
//! | | any other member of ours | removed: the server said so |
//! | any member of others | anything | as the server has it |
//! | addresses, name, host | anything | as the server has it |

mod replica;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Keepalive, Name, PartyId, PeerId, PeerInput};

pub(crate) use replica::{Change, Point, ReplicaUpdate, ServerReplica};
pub(crate) use rules::{
    Intent, LocalMember, LocalParty, MemberOutcome, PartyOutcome, ReconcileInput, reconcile,
};

use super::command::{Caller, Refusal};
use super::record::{OpKind, RequestKey};

/// A party as the control server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerParty {
    /// Its id.
    pub(crate) party_id: PartyId,
    /// Its name.
    pub(crate) name: Name,
    /// The member whose leaving ends it; always one of `members`.
    pub(crate) host_id: PeerId,
    /// When it was registered.
    pub(crate) created_at: Timestamp,
    /// Its members.
    pub(crate) members: BTreeMap<PeerId, ServerMember>,
}

/// A member as the control server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerMember {
    /// What it says of itself.
    pub(crate) info: PeerInput,
    /// Its address in the virtual LAN, where the server gives addresses.
    pub(crate) virtual_ip: Option<Ipv4Addr>,
    /// When it last gave a sign of life.
    pub(crate) last_seen: Timestamp,
    /// Whether what keeps it alive still does.
    pub(crate) connected: bool,
}

/// Why the server's truth is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The daemon is back on the server: what was done meanwhile is to be told, on both sides.
    Return,
    /// The server told of a change while the daemon was there.
    News,
    /// The server told that the party has ended, while the daemon was there.
    Gone(RemovalReason),
}

/// A request that the server is about to answer, or answers with this very truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// The peer it is for.
    pub(crate) peer_id: PeerId,
    /// What it is.
    pub(crate) what: InFlightKind,
}

/// Into a party, or within it, or out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InFlightKind {
    /// It registers the party, or joins it.
    Enters {
        /// Who asked: whose connection keeps it alive, and whose it is.
        caller: Caller,
        /// Who refreshes its sign of life.
        keepalive: Keepalive,
        /// True for a registration, false for a join.
        registers: bool,
        /// Description that the local program gave of the peer.
        info: PeerInput,
    },
    /// It registers the party, or joins it, as it was noted before.
    Comes,
    /// It leaves.
    Leaves,
    /// It stays, and says something else of itself.
    Updates,
}

/// Checks the host of a party with which the control server answers the registration by a peer.
///
/// # Errors
/// A [`Refusal::HostRefused`] if the host is another peer.
pub(crate) fn check_registered(
    registered_by: &PeerId,
    party_id: &PartyId,
    host_id: &PeerId,
) -> Result<(), Refusal> {
    if registered_by == host_id {
        return Ok(());
    }
    Err(Refusal::HostRefused { party_id: party_id.clone(), host_id: host_id.clone() })
}

/// Something that the control server is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MembershipOp {
    /// What to call the request, however often it is made.
    pub(crate) key: RequestKey,
    /// The party.
    pub(crate) party_id: PartyId,
    /// What to ask.
    pub(crate) body: OpBody,
}

/// What a control server may be asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OpBody {
    /// Create the party.
    Register {
        /// Its name.
        name: Name,
        /// Its host.
        host: PeerInput,
    },
    /// Take a member in.
    Join(PeerInput),
    /// Take what a member says of itself.
    Update(PeerInput),
    /// Let a member go.
    Leave(PeerId),
}

impl OpBody {
    /// How it lets its peer in or out.
    pub(crate) fn in_flight_kind(&self) -> Option<InFlightKind> {
        match self {
            Self::Register { .. } | Self::Join(_) => Some(InFlightKind::Comes),
            Self::Leave(_) => Some(InFlightKind::Leaves),
            Self::Update(_) => None,
        }
    }

    /// What it tells the server.
    pub(in crate::core) fn kind(&self) -> OpKind {
        match self {
            Self::Register { .. } => OpKind::Register,
            Self::Join(_) => OpKind::Join,
            Self::Update(_) => OpKind::Update,
            Self::Leave(_) => OpKind::Leave,
        }
    }

    /// The peer that it is for.
    pub(crate) fn peer_id(&self) -> &PeerId {
        match self {
            Self::Register { host: peer, .. } | Self::Join(peer) | Self::Update(peer) => {
                &peer.peer_id
            }
            Self::Leave(peer_id) => peer_id,
        }
    }
}
