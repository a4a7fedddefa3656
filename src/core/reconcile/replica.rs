//! What the control server has told of its parties: its changes come numbered, so that one that is
//! missing is found, and then the party is asked for anew.

use std::collections::HashMap;
use std::sync::Arc;

use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Epoch, PartyId, PeerId, PeerInput};

use super::{ServerMember, ServerParty};

/// Where in a party's history something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    /// The stretch of history that `seq` counts in.
    pub(crate) epoch: Epoch,
    /// The number of the change.
    pub(crate) seq: u64,
}

/// A change of a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A member came, or says something else.
    Put(PeerId, ServerMember),
    /// A member went.
    Removed(PeerId),
}

/// What is to be done about something that the server told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplicaUpdate {
    /// The party is like this now.
    Party(Arc<ServerParty>),
    /// The party is no more, or none of ours is in it.
    Gone(RemovalReason),
    /// Something is missing: the party is to be asked for.
    Missing,
    /// Nothing: it is known, or of a party that nobody here is in.
    Nothing,
}

/// The server's parties that peers of this machine are in, as far as the server told.
///
/// | what comes | of the known epoch, the next number | an old number | any other number or epoch |
/// |---|---|---|---|
/// | a change | is taken in | is passed over | the party is asked for |
/// | a party | takes the place of what was known, whatever its number | | |
/// | its end | is taken in, whatever its number, if the party is known | | |
/// | a bookmark (of an answer) | | is passed over | the party is asked for |
#[derive(Debug, Default)]
pub(crate) struct ServerReplica {
    parties: HashMap<PartyId, Known>,
}

#[derive(Debug)]
struct Known {
    party: Arc<ServerParty>,
    at: Point,
    /// Whether the party was asked for, and what came meanwhile leads nowhere.
    lost: bool,
}

impl ServerReplica {
    /// The party as the server has it, if it is known.
    pub(crate) fn get(&self, party_id: &PartyId) -> Option<&Arc<ServerParty>> {
        self.parties.get(party_id).map(|known| &known.party)
    }

    /// How far what is known of a party goes.
    pub(crate) fn point(&self, party_id: &PartyId) -> Option<&Point> {
        self.parties.get(party_id).map(|known| &known.at)
    }

    /// The server told a whole party.
    pub(crate) fn party(&mut self, party: ServerParty, at: Point) -> ReplicaUpdate {
        let party = Arc::new(party);
        let known = Known { party: party.clone(), at, lost: false };
        self.parties.insert(party.party_id.clone(), known);
        ReplicaUpdate::Party(party)
    }

    /// The server told a change of a party.
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
                    // What is left of it is told soon, or its end is.
                    known.lost = true;
                    return ReplicaUpdate::Missing;
                }
            }
        }
        ReplicaUpdate::Party(known.party.clone())
    }

    /// Removes a party whose end the server stated. The end of a party outside this replica is no
    /// news: it repeats an earlier statement, which a request that was sent twice causes.
    pub(crate) fn gone(&mut self, party_id: &PartyId, reason: RemovalReason) -> ReplicaUpdate {
        match self.parties.remove(party_id) {
            Some(_) => ReplicaUpdate::Gone(reason),
            None => ReplicaUpdate::Nothing,
        }
    }

    /// The server mentioned how far a party is.
    pub(crate) fn bookmark(&mut self, party_id: &PartyId, at: &Point) -> ReplicaUpdate {
        let Some(known) = self.parties.get_mut(party_id) else { return ReplicaUpdate::Nothing };
        let is_behind = known.at.epoch != at.epoch || known.at.seq < at.seq;
        if is_behind && !known.lost {
            known.lost = true;
            return ReplicaUpdate::Missing;
        }
        ReplicaUpdate::Nothing
    }

    /// The question for a party was lost, or refused: it may be asked for again.
    pub(crate) fn ask_again(&mut self, party_id: &PartyId) {
        if let Some(known) = self.parties.get_mut(party_id) {
            known.lost = false;
        }
    }

    /// The server has confirmed what a member of ours says of itself, before it told the change.
    pub(crate) fn confirmed(&mut self, party_id: &PartyId, info: &PeerInput) {
        if let Some(known) = self.parties.get_mut(party_id)
            && let Some(member) = Arc::make_mut(&mut known.party).members.get_mut(&info.peer_id)
        {
            member.info = info.clone();
        }
    }

    /// The server has confirmed that a member of ours left, before it told the change. With the
    /// last of them nothing of the party is told any more. Returns whether it was the last.
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
