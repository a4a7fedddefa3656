//! The rules by which this machine's state of a party and the control server's are reconciled: one
//! pure function, [`reconcile`].
//!
//! The function compares states, not logs. The differences between both states of a local peer
//! determine the requests to the server. Repeating a request, or reconciling again after any loss,
//! therefore leads to the same result. An *intent* only records that a difference is intended, and
//! the idempotency key of its request.
//!
//! | on the server | here | result |
//! |---|---|---|
//! | a party of that id with another host | a party registered offline | it is registered; the server refuses; it gets another id |
//! | | a copy of another party | removed; local members that never asked to enter leave |
//! | no such party, or no local peer in it | a party registered offline | it is registered under its id |
//! | | a party of this daemon alone | unchanged |
//! | | after a reconnect, a copy with a live local host | registered anew under its id |
//! | | after a reconnect, a copy with live local guests | they join; a refused guest is removed, and the copy with the last one |
//! | | a copy without live local peers, or the server reported its end | removed |
//! | a party that is here, or that a local peer asked for | | by the rows below |
//! | any other party | | not followed; local members leave it |
//! | a local member | left offline | leaves there, unless it joined anew; after a reconnect under another key |
//! | | the same member with another description | the local description stays and is sent |
//! | | no member, with a request in flight | becomes a member with the requested description |
//! | | no member | leaves there: it did not ask |
//! | no such local member | a member that joined offline or, after a reconnect, a live one | joins |
//! | | any other local member | removed: the server removed it |
//! | any member from elsewhere | any state | taken over from the server |
//! | addresses, name, host | any state | taken over from the server |

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

/// State of a party on the control server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerParty {
    /// Its id.
    pub(crate) party_id: PartyId,
    /// Its name.
    pub(crate) name: Name,
    /// The member whose leave ends the party; always in `members`.
    pub(crate) host_id: PeerId,
    /// Time of the registration.
    pub(crate) created_at: Timestamp,
    /// Its members.
    pub(crate) members: BTreeMap<PeerId, ServerMember>,
}

/// State of a member on the control server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerMember {
    /// The member's description of itself.
    pub(crate) info: PeerInput,
    /// Virtual address, where the server assigns addresses.
    pub(crate) virtual_ip: Option<Ipv4Addr>,
    /// Time of the last sign of life.
    pub(crate) last_seen: Timestamp,
    /// True while its keepalive lasts.
    pub(crate) connected: bool,
}

/// Occasion of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// First comparison after a reconnect: changes of both sides are exchanged.
    Return,
    /// The server reported a change while the daemon was connected.
    News,
    /// The server reported the end of the party while the daemon was connected.
    Gone(RemovalReason),
}

/// A request in flight, or one that the server answers with this very state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// Peer of the request.
    pub(crate) peer_id: PeerId,
    /// Effect of the request on the membership.
    pub(crate) what: InFlightKind,
}

/// Effect of a request in flight on its peer's membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InFlightKind {
    /// A client's registration or join.
    Enters {
        /// The client: owner of the peer, whose connection may keep it alive.
        caller: Caller,
        /// Keepalive of the member.
        keepalive: Keepalive,
        /// True for a registration, false for a join.
        registers: bool,
        /// Description of the peer that the client gave.
        info: PeerInput,
    },
    /// Registration or join of an intent.
    Comes,
    /// Leave.
    Leaves,
    /// Update of the peer's description.
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

/// Operation to request from the control server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MembershipOp {
    /// Idempotency key, the same for each repetition.
    pub(crate) key: RequestKey,
    /// The party.
    pub(crate) party_id: PartyId,
    /// Kind and content of the operation.
    pub(crate) body: OpBody,
}

/// Content of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OpBody {
    /// Creates the party.
    Register {
        /// Name of the party.
        name: Name,
        /// Host of the party.
        host: PeerInput,
    },
    /// Adds a member.
    Join(PeerInput),
    /// Changes a member's description.
    Update(PeerInput),
    /// Removes a member.
    Leave(PeerId),
}

impl OpBody {
    /// Returns the effect of the operation on its peer's membership; `None` for an update.
    pub(crate) fn in_flight_kind(&self) -> Option<InFlightKind> {
        match self {
            Self::Register { .. } | Self::Join(_) => Some(InFlightKind::Comes),
            Self::Leave(_) => Some(InFlightKind::Leaves),
            Self::Update(_) => None,
        }
    }

    /// Returns the kind of intent that the operation carries out.
    pub(in crate::core) fn kind(&self) -> OpKind {
        match self {
            Self::Register { .. } => OpKind::Register,
            Self::Join(_) => OpKind::Join,
            Self::Update(_) => OpKind::Update,
            Self::Leave(_) => OpKind::Leave,
        }
    }

    /// Returns the peer of the operation.
    pub(crate) fn peer_id(&self) -> &PeerId {
        match self {
            Self::Register { host: peer, .. } | Self::Join(peer) | Self::Update(peer) => {
                &peer.peer_id
            }
            Self::Leave(peer_id) => peer_id,
        }
    }
}
