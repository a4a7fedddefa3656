//! The control server's parties, as the server reported them. Changes are numbered: a gap is
//! detected, and the party's snapshot is requested.

use std::collections::HashMap;
use std::sync::Arc;

use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Epoch, PartyId, PeerId, PeerInput};

use super::{ServerMember, ServerParty};

/// Position in a party's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    /// Epoch in which `seq` counts.
    pub(crate) epoch: Epoch,
    /// Number of the change.
    pub(crate) seq: u64,
}

/// A change of a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A member joined or changed.
    Put(PeerId, ServerMember),
    /// A member left.
    Removed(PeerId),
}

/// Consequence of a message about a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplicaUpdate {
    /// New state of the party.
    Party(Arc<ServerParty>),
    /// The party has ended, or has no local peer any more.
    Gone(RemovalReason),
    /// Changes are missing: the party's snapshot is needed.
    Missing,
    /// No change: the message is old, or about a party without local peers.
    Nothing,
}

/// The server's parties with local peers, as far as the server reported them.
///
/// | message | known epoch, next number | old number | any other number or epoch |
/// |---|---|---|---|
/// | change | applied | ignored | snapshot requested |
/// | snapshot | replaces the known state, with any number | | |
/// | end of the party | applied with any number, if the party is known | | |
/// | position (in an answer) | | ignored | snapshot requested |
#[derive(Debug, Default)]
pub(crate) struct ServerReplica {
    parties: HashMap<PartyId, Known>,
}

#[derive(Debug)]
struct Known {
    party: Arc<ServerParty>,
    at: Point,
    /// True while the snapshot is requested; changes that do not follow are ignored meanwhile.
    lost: bool,
}

impl ServerReplica {
    /// Returns the server's state of a party, if known.
    pub(crate) fn get(&self, party_id: &PartyId) -> Option<&Arc<ServerParty>> {
        self.parties.get(party_id).map(|known| &known.party)
    }

    /// Returns the position up to which a party is known.
    pub(crate) fn point(&self, party_id: &PartyId) -> Option<&Point> {
        self.parties.get(party_id).map(|known| &known.at)
    }

    /// Handles a whole party from the server.
    pub(crate) fn party(&mut self, party: ServerParty, at: Point) -> ReplicaUpdate {
        let party = Arc::new(party);
        let known = Known { party: party.clone(), at, lost: false };
        self.parties.insert(party.party_id.clone(), known);
        ReplicaUpdate::Party(party)
    }

    /// Handles a change of a party from the server.
    pub(crate) fn change(
        &mut self,
        party_id: &PartyId,
        change: Change,
        at: Point,
    ) -> ReplicaUpdate {
        let Some(known) = self.parties.get_mut(party_id) else { return ReplicaUpdate::Nothing };
        if known.at.epoch == at.epoch && at.seq <= known.at.seq {
            return ReplicaUpdate::Nothing;
        }
        if known.lost {
            return ReplicaUpdate::Nothing;
        }
        if known.at.epoch != at.epoch || at.seq != known.at.seq + 1 {
            known.lost = true;
            return ReplicaUpdate::Missing;
        }
        known.at = at;
        let party = Arc::make_mut(&mut known.party);
        match change {
            Change::Put(peer_id, member) => {
                party.members.insert(peer_id, member);
            }
            Change::Removed(peer_id) => {
                party.members.remove(&peer_id);
                if party.host_id == peer_id {
                    // The remaining changes, or the party's end, are reported soon.
                    known.lost = true;
                    return ReplicaUpdate::Missing;
                }
            }
        }
        ReplicaUpdate::Party(known.party.clone())
    }

    /// Removes a party whose end the server reported. The end of an unknown party is ignored: a
    /// request that was sent twice causes such a repetition.
    pub(crate) fn gone(&mut self, party_id: &PartyId, reason: RemovalReason) -> ReplicaUpdate {
        match self.parties.remove(party_id) {
            Some(_) => ReplicaUpdate::Gone(reason),
            None => ReplicaUpdate::Nothing,
        }
    }

    /// Handles a position of a party that the server mentioned.
    pub(crate) fn bookmark(&mut self, party_id: &PartyId, at: &Point) -> ReplicaUpdate {
        let Some(known) = self.parties.get_mut(party_id) else { return ReplicaUpdate::Nothing };
        let is_behind = known.at.epoch != at.epoch || known.at.seq < at.seq;
        if is_behind && !known.lost {
            known.lost = true;
            return ReplicaUpdate::Missing;
        }
        ReplicaUpdate::Nothing
    }

    /// Notes that a request for a party's snapshot was lost or refused. It may be repeated.
    pub(crate) fn ask_again(&mut self, party_id: &PartyId) {
        if let Some(known) = self.parties.get_mut(party_id) {
            known.lost = false;
        }
    }

    /// Handles the server's confirmation of a local member's description, ahead of the change
    /// itself.
    pub(crate) fn confirmed(&mut self, party_id: &PartyId, info: &PeerInput) {
        if let Some(known) = self.parties.get_mut(party_id)
            && let Some(member) = Arc::make_mut(&mut known.party).members.get_mut(&info.peer_id)
        {
            member.info = info.clone();
        }
    }

    /// Handles the server's confirmation of a local member's leave, ahead of the change itself.
    /// After the last local member leaves, the server reports the party no more. Returns true for
    /// that member.
    pub(crate) fn left(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        is_ours: impl Fn(&PeerId) -> bool,
    ) -> bool {
        let Some(known) = self.parties.get_mut(party_id) else { return true };
        let party = Arc::make_mut(&mut known.party);
        party.members.remove(peer_id);
        let last = party.host_id == *peer_id || !party.members.keys().any(is_ours);
        if last {
            self.parties.remove(party_id);
        }
        last
    }
}
