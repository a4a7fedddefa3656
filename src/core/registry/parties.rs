//! Table of the parties, with its indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use lanrage_ipc::model::{PartyId, PeerId};
use slab::Slab;

use super::hash_index::HashIndex;
use super::{Member, Party};

/// All parties. Each has a slot, by which the indexes name it. A slot of a removed party is used
/// again.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Parties {
    slots: Slab<Party>,
    /// Slots in the order of the ids.
    ordered: BTreeMap<PartyId, u32>,
    /// Slot of each party, by id.
    by_id: HashIndex,
    /// Slots of the parties of each peer.
    by_peer: HashIndex,
    /// Parties with members that may expire, by [`Party::looked_at`].
    silent: BTreeSet<(Duration, u32)>,
    /// Memory of the copies of a control server's parties, in bytes.
    copies_bytes: usize,
}

impl Parties {
    fn slot(&self, id: &PartyId) -> Option<u32> {
        let has_id = |slot: &u32| self.at(*slot).is_some_and(|party| party.record.party_id == *id);
        self.by_id.slots(id).find(has_id)
    }

    fn at(&self, slot: u32) -> Option<&Party> {
        self.slots.get(slot as usize)
    }

    /// Returns a party.
    pub(super) fn get(&self, id: &PartyId) -> Option<&Party> {
        self.at(self.slot(id)?)
    }

    /// Changes a party in place, but no member enters or leaves, and none becomes silent.
    pub(super) fn with_party<T>(
        &mut self,
        id: &PartyId,
        work: impl FnOnce(&mut Party) -> T,
    ) -> Option<T> {
        self.change(self.slot(id)?, work)
    }

    /// Changes the party in a slot, and counts its memory again.
    fn change<T>(&mut self, slot: u32, work: impl FnOnce(&mut Party) -> T) -> Option<T> {
        let party = self.slots.get_mut(slot as usize)?;
        let before = party.copied_bytes();
        let result = work(party);
        self.copies_bytes = self.copies_bytes + party.copied_bytes() - before;
        Some(result)
    }

    /// Memory of the copies of a control server's parties, in bytes.
    pub(super) fn copies_bytes(&self) -> usize {
        self.copies_bytes
    }

    /// True if the party exists.
    pub(super) fn contains_key(&self, id: &PartyId) -> bool {
        self.slot(id).is_some()
    }

    /// Number of parties.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the parties by id, after that one.
    pub(super) fn after<'a>(
        &'a self,
        id: Option<&str>,
    ) -> impl Iterator<Item = &'a Party> + use<'a> {
        let range = (id.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        self.ordered.range::<str, _>(range).filter_map(|(_, slot)| self.at(*slot))
    }

    /// Returns the parties by id.
    pub(super) fn values(&self) -> impl Iterator<Item = &Party> {
        self.after(None)
    }

    /// Returns the parties with their ids, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PartyId, &Party)> {
        self.values().map(|party| (&party.record.party_id, party))
    }

    /// Returns the ids, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PartyId> {
        self.ordered.keys()
    }

    /// Returns the memberships of a peer, in no order.
    pub(super) fn of_peer<'a>(
        &'a self,
        peer_id: &'a PeerId,
    ) -> impl Iterator<Item = (&'a Party, &'a Member)> {
        let parties = self.by_peer.slots(peer_id).filter_map(|slot| self.at(slot));
        parties.filter_map(|party| Some((party, party.members.get(peer_id)?)))
    }

    /// Adds a party, which has no members and whose id no other one has.
    pub(super) fn insert(&mut self, party: Party) {
        let id = party.record.party_id.clone();
        self.copies_bytes += party.copied_bytes();
        let slot = self.slots.insert(party) as u32;
        self.by_id.insert(&id, slot);
        self.ordered.insert(id, slot);
    }

    /// Removes a party, with the members that it still has.
    pub(super) fn remove(&mut self, id: &PartyId) -> Option<Party> {
        let slot = self.slot(id)?;
        let party = self.slots.try_remove(slot as usize)?;
        self.copies_bytes -= party.copied_bytes();
        self.by_id.remove(id, slot);
        self.ordered.remove(id);
        party.members.keys().for_each(|peer_id| self.by_peer.remove(peer_id, slot));
        if let Some(looked_at) = party.looked_at {
            self.silent.remove(&(looked_at, slot));
        }
        Some(party)
    }

    /// Sets or removes a member. Returns the previous one.
    pub(super) fn set_member(
        &mut self,
        id: &PartyId,
        peer_id: &PeerId,
        member: Option<Box<Member>>,
    ) -> Option<Box<Member>> {
        let slot = self.slot(id)?;
        let is_put = member.is_some();
        let silent = member.as_ref().filter(|member| member.keeper.may_expire());
        let seen = silent.map(|member| member.seen);
        let before = self.change(slot, |party| {
            party.bytes += member.as_ref().map_or(0, |member| member.bytes());
            let before = match member {
                Some(member) => party.members.insert(member),
                None => party.members.remove(peer_id),
            };
            party.bytes -= before.as_ref().map_or(0, |before| before.bytes());
            before
        })?;
        seen.into_iter().for_each(|seen| self.look_at(slot, seen));
        match (before.is_some(), is_put) {
            (false, true) => self.by_peer.insert(peer_id, slot),
            (true, false) => self.by_peer.remove(peer_id, slot),
            _ => {}
        }
        before
    }

    /// Changes a member in place.
    pub(super) fn with_member<T>(
        &mut self,
        id: &PartyId,
        peer_id: &PeerId,
        work: impl FnOnce(&mut Member) -> T,
    ) -> Option<T> {
        let slot = self.slot(id)?;
        let (result, seen) = self.change(slot, |party| {
            let member = party.members.get_mut(peer_id)?;
            party.bytes -= member.bytes();
            let result = work(member);
            party.bytes += member.bytes();
            Some((result, member.keeper.may_expire().then_some(member.seen)))
        })??;
        seen.into_iter().for_each(|seen| self.look_at(slot, seen));
        Some(result)
    }

    /// Notes that a party has a silent member with that last sign of life. A later sign of life
    /// needs no note.
    fn look_at(&mut self, slot: u32, seen: Duration) {
        let Some(party) = self.slots.get_mut(slot as usize) else { return };
        if party.looked_at.is_some_and(|noted| noted <= seen) {
            return;
        }
        if let Some(noted) = party.looked_at.replace(seen) {
            self.silent.remove(&(noted, slot));
        }
        self.silent.insert((seen, slot));
    }

    /// Returns the members whose last sign of life is due, oldest first, for removal: a further call
    /// does not return them again.
    pub(super) fn take_due(
        &mut self,
        is_due: impl Fn(Duration) -> bool,
    ) -> Vec<(Duration, PartyId, PeerId)> {
        let mut due = Vec::new();
        while let Some((noted, slot)) = self.silent.first().copied()
            && is_due(noted)
        {
            self.silent.pop_first();
            let Some(party) = self.slots.get_mut(slot as usize) else { continue };
            party.looked_at = None;
            let mut next = None;
            for member in party.members.values().filter(|member| member.keeper.may_expire()) {
                if is_due(member.seen) {
                    let party_id = party.record.party_id.clone();
                    due.push((member.seen, party_id, member.peer_id().clone()));
                } else {
                    next = Some(next.map_or(member.seen, |next| member.seen.min(next)));
                }
            }
            next.into_iter().for_each(|seen| self.look_at(slot, seen));
        }
        due.sort_unstable();
        due
    }

    /// Spreads the looks at the parties over the time until their silent members are due. After a
    /// restart all members count as seen at the same time.
    pub(super) fn spread_looks(&mut self, timeout: Duration) {
        const STEPS: u32 = 1024;
        let noted: Vec<_> = self.silent.iter().copied().collect();
        for (noted, slot) in noted {
            let earlier = timeout / STEPS * (slot % STEPS);
            self.look_at(slot, noted.saturating_sub(earlier));
        }
    }

    /// Makes room for further parties and memberships.
    pub(super) fn reserve(&mut self, parties: usize, memberships: usize) {
        self.slots.reserve(parties);
        self.by_id.reserve(parties);
        self.by_peer.reserve(memberships);
    }
}

#[cfg(test)]
impl PartialEq for Parties {
    fn eq(&self, other: &Self) -> bool {
        self.values().eq(other.values())
    }
}

#[cfg(test)]
impl Parties {
    /// Checks that the indexes agree with the parties.
    pub(super) fn check(&self) {
        let mut memberships = 0;
        for (slot, party) in &self.slots {
            let slot = slot as u32;
            let id = &party.record.party_id;
            assert_eq!((self.slot(id), self.ordered.get(id)), (Some(slot), Some(&slot)));
            let silent = party.members.values().filter(|member| member.keeper.may_expire());
            let oldest = silent.map(|member| member.seen).min();
            let noted = self.silent.iter().filter(|(_, other)| *other == slot);
            let noted: Vec<_> = noted.map(|(noted, _)| *noted).collect();
            assert_eq!(noted, party.looked_at.into_iter().collect::<Vec<_>>(), "{id}");
            let is_covered = oldest.is_none_or(|oldest| noted.iter().any(|noted| *noted <= oldest));
            assert!(is_covered, "{id} is looked at too late: {noted:?} {oldest:?}");
            for (peer_id, member) in party.members.iter() {
                assert_eq!(peer_id, member.peer_id());
                let mut of_peer = self.of_peer(peer_id);
                assert!(of_peer.any(|(party, _)| party.record.party_id == *id), "{peer_id}");
                memberships += 1;
            }
            assert!(party.members.keys().is_sorted_by(|a, b| a < b), "{id}");
        }
        let counts = [self.ordered.len(), self.by_id.len(), self.by_peer.len()];
        assert_eq!(counts, [self.len(), self.len(), memberships]);
    }
}

#[cfg(test)]
impl std::ops::Index<&PartyId> for Parties {
    type Output = Party;

    fn index(&self, id: &PartyId) -> &Party {
        self.get(id).unwrap_or_else(|| panic!("{id} is not there"))
    }
}
