//! Replica of the server's parties, and the requests in flight that change them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{PartyId, PeerId};

use crate::core::reconcile::{
    Change, InFlight, InFlightKind, Point, ReplicaUpdate, ServerParty, ServerReplica,
};
use crate::core::{Refusal, Upstream};

/// Upper bound of the members of a server's party: many times more than any game's.
pub(super) const MOST_MEMBERS: usize = 1024;

/// Upper bound of the remembered declined parties. Each was requested by a local peer.
const MOST_DECLINED: usize = 4096;

/// Upper bound of the remembered renames: requests under an old id are sent within moments.
const MOST_RENAMES: usize = 64;

/// Parties of the server.
#[derive(Debug, Default)]
pub(super) struct Replica {
    pub(super) parties: ServerReplica,
    /// Parties with a copy here, as far as known.
    pub(super) copies: HashSet<PartyId>,
    /// Parties that were compared with the server's on this connection.
    pub(super) met: HashSet<PartyId>,
    /// Parties whose snapshot is requested.
    pub(super) syncing: HashSet<PartyId>,
    /// Elapsed time from which another snapshot of a party may be requested.
    pub(super) next_sync: HashMap<PartyId, Duration>,
    /// Parties that exceed a bound of this daemon, with the refusal. Their copies stay unchanged.
    pub(super) declined: HashMap<PartyId, Refusal>,
    /// Fault of the last unintelligible message since a client's last entry.
    pub(super) not_understood: Option<String>,
    /// Requested and chosen ids of renamed parties, oldest first.
    renames: VecDeque<(PartyId, PartyId)>,
    /// Requests in flight by which peers enter, change or leave parties.
    entries: HashMap<PartyId, Vec<Entry>>,
    next_entry: u64,
    /// Remaining comparisons before the session goes on to the replay.
    pub(super) absent: usize,
}

/// A request in flight by which a peer enters, changes or leaves a party.
#[derive(Debug)]
struct Entry {
    id: EntryId,
    in_flight: InFlight,
    /// True once the server's state of the party, with the peer in it, is processed here.
    is_stated: bool,
}

/// Number of an [`Entry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryId(u64);

impl Replica {
    /// Notes the parties with a copy here.
    pub(super) fn note_copies(&mut self, upstream: &Upstream) {
        self.copies.extend(upstream.memberships.iter().map(|one| one.party_id.clone()));
        self.copies.extend(upstream.outbox.iter().cloned());
    }

    /// Drops a party that has no copy here.
    pub(super) fn drop_party(&mut self, party_id: &PartyId) {
        self.met.remove(party_id);
        self.parties.gone(party_id, RemovalReason::Removed);
    }

    /// Returns the exceeded bound of a party that is not followed.
    pub(super) fn declined(&self, party_id: &PartyId) -> Option<&Refusal> {
        self.declined.get(party_id)
    }

    pub(super) fn note_declined(&mut self, party_id: PartyId, refusal: Refusal) {
        if self.declined.len() < MOST_DECLINED {
            self.declined.insert(party_id, refusal);
        }
    }

    /// Returns the id that the server chose for a party that was registered under `party_id`.
    pub(super) fn renamed_to(&self, party_id: &PartyId) -> Option<&PartyId> {
        self.renames.iter().rev().find(|(from, _)| from == party_id).map(|(_, to)| to)
    }

    pub(super) fn note_rename(&mut self, from: PartyId, to: PartyId) {
        if self.renames.len() == MOST_RENAMES {
            self.renames.pop_front();
        }
        if let Some(moved) = self.entries.remove(&from) {
            self.entries.entry(to.clone()).or_default().extend(moved);
        }
        self.renames.push_back((from, to));
    }

    /// Notes a request in flight by which a peer enters, changes or leaves a party.
    pub(super) fn enter(&mut self, party_id: &PartyId, in_flight: InFlight) -> EntryId {
        let id = EntryId(self.next_entry);
        self.next_entry += 1;
        let entry = Entry { id, in_flight, is_stated: false };
        self.entries.entry(party_id.clone()).or_default().push(entry);
        id
    }

    /// Removes an answered request. The party may have another id by now.
    pub(super) fn remove_entry(&mut self, id: EntryId) {
        self.entries.retain(|_, entries| {
            entries.retain(|entry| entry.id != id);
            !entries.is_empty()
        });
    }

    /// True once the server's state of the party is processed, with the peer among its members.
    pub(super) fn is_stated(&self, id: EntryId) -> bool {
        self.entries.values().flatten().any(|entry| entry.id == id && entry.is_stated)
    }

    /// True while a client's request for the peer to enter any party is in flight.
    pub(super) fn has_entry(&self, peer_id: &PeerId) -> bool {
        self.entries.values().flatten().any(|entry| entry.in_flight.peer_id == *peer_id)
    }

    /// True while a client's request for the peer to enter the party is in flight.
    pub(super) fn enters(&self, party_id: &PartyId, peer_id: &PeerId) -> bool {
        let mut entries = self.entries.get(party_id).into_iter().flatten();
        entries.any(|Entry { in_flight: one, .. }| {
            one.peer_id == *peer_id && matches!(one.what, InFlightKind::Enters { .. })
        })
    }

    pub(super) fn in_flight(&self, party_id: &PartyId) -> Vec<InFlight> {
        let entries = self.entries.get(party_id).into_iter().flatten();
        entries.map(|entry| entry.in_flight.clone()).collect()
    }

    pub(super) fn note_stated(&mut self, party_id: &PartyId, server: &ServerParty) {
        for entry in self.entries.get_mut(party_id).into_iter().flatten() {
            entry.is_stated |= server.members.contains_key(&entry.in_flight.peer_id);
        }
    }

    pub(super) fn change(
        &mut self,
        party_id: &PartyId,
        change: Change,
        at: Point,
    ) -> Result<ReplicaUpdate, String> {
        let known = self.parties.get(party_id);
        if known.is_some_and(|party| party.members.len() >= MOST_MEMBERS)
            && matches!(change, Change::Put(..))
        {
            return Err(format!("party {party_id} has more than {MOST_MEMBERS} members"));
        }
        Ok(self.parties.change(party_id, change, at))
    }
}
