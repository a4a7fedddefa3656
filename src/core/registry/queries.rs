//! Queries of the registry.

use std::collections::BTreeMap;

use lanrage_ipc::model::{self, Name, PartyId, Peer, PeerId, PeerInput};

use super::{Member, Party, Registry};
use crate::core::command::{Now, Refusal};
use crate::core::record::Seen;

/// Lower bounds of the JSON of a party, a member and a relay in any format, in bytes.
const PARTY_BYTES: usize = 80;
const MEMBER_BYTES: usize = 160;
const RELAY_BYTES: usize = 100;

/// Returns a lower bound of the JSON of so many parties with so many members, in bytes.
pub(crate) fn least_bytes(parties: usize, members: usize) -> usize {
    PARTY_BYTES * parties + MEMBER_BYTES * members
}

/// Filter of parties.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    /// Only this party.
    pub(crate) party_id: Option<PartyId>,
}

impl Registry {
    /// Returns a party.
    ///
    /// # Errors
    /// [`Refusal::PartyNotFound`].
    pub(crate) fn party(&self, id: &PartyId, now: Now) -> Result<model::Party, Refusal> {
        let party = self.parties.get(id).ok_or_else(|| Refusal::PartyNotFound(id.clone()))?;
        Ok(self.show(party, now))
    }

    /// Returns a member.
    ///
    /// # Errors
    /// [`Refusal::PartyNotFound`], [`Refusal::PeerNotFound`].
    pub(crate) fn peer(
        &self,
        party_id: &PartyId,
        peer_id: &PeerId,
        now: Now,
    ) -> Result<Peer, Refusal> {
        let party =
            self.parties.get(party_id).ok_or_else(|| Refusal::PartyNotFound(party_id.clone()))?;
        let member = party.members.get(peer_id).ok_or_else(|| Refusal::PeerNotFound {
            party_id: party_id.clone(),
            peer_id: peer_id.clone(),
        })?;
        Ok(party.show_member(member, now))
    }

    /// Returns the parties that match a filter, by id, starting after `after`.
    pub(crate) fn parties<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&str>,
        now: Now,
    ) -> impl Iterator<Item = model::Party> + 'a {
        let one = filter.party_id.as_ref().and_then(|id| self.parties.get(id));
        let all = filter.party_id.is_none().then(|| self.parties.after(after));
        let parties = one.into_iter().chain(all.into_iter().flatten());
        parties.map(move |party| self.show(party, now))
    }

    /// Returns the first parties after `after`, and true if there are more. At most `limit`, and at
    /// most as many as may fit into `room` bytes of JSON plus one.
    pub(crate) fn page(
        &self,
        after: Option<&str>,
        limit: usize,
        room: usize,
        now: Now,
    ) -> (Vec<model::Party>, bool) {
        let mut parties = self.parties.after(after).peekable();
        let (mut page, mut used) = (Vec::new(), 0);
        while let Some(party) = parties.peek() {
            used += least_bytes(1, party.members.len());
            if page.len() >= limit || (used > room && !page.is_empty()) {
                break;
            }
            page.push(self.show(party, now));
            parties.next();
        }
        (page, parties.peek().is_some())
    }

    /// Returns a lower bound of the JSON of the matching parties, in bytes, at almost no cost.
    pub(crate) fn least_bytes(&self, filter: &Filter) -> usize {
        match &filter.party_id {
            None => least_bytes(self.parties.len(), self.memberships),
            Some(id) => self.parties.get(id).map_or(0, |party| least_bytes(1, party.members.len())),
        }
    }

    /// Returns a lower bound of the JSON of all relays, in bytes.
    pub(crate) fn least_bytes_of_relays(&self) -> usize {
        RELAY_BYTES * self.relays.len()
    }

    /// True if the party exists.
    pub(crate) fn has_party(&self, id: &PartyId) -> bool {
        self.parties.contains_key(id)
    }

    /// Returns all relays, or those of one region, by region and id.
    pub(crate) fn relays(&self, region: Option<&Name>) -> Vec<model::Relay> {
        let relays = self.relays.values().map(|relay| &relay.record.relay);
        let mut relays: Vec<_> =
            relays.filter(|relay| region.is_none_or(|name| relay.region == *name)).collect();
        // Relays are iterated by id, and the sort is stable.
        relays.sort_by(|a, b| a.region.cmp(&b.region));
        relays.into_iter().cloned().collect()
    }

    /// Returns the members that need no sign of life of their own, as seen now.
    pub(crate) fn kept_alive(&self, now: Now) -> impl Iterator<Item = Seen> {
        let members = self.parties.iter().flat_map(|(id, party)| {
            party.members.iter().map(move |(peer_id, member)| (id, peer_id, member))
        });
        members.filter(|(.., member)| member.keeper.is_constant()).map(
            move |(party_id, peer_id, _)| Seen {
                party_id: party_id.clone(),
                peer_id: peer_id.clone(),
                at: now.wall,
            },
        )
    }

    /// Number of parties.
    pub(crate) fn party_count(&self) -> usize {
        self.parties.len()
    }

    /// Number of memberships.
    pub(crate) fn peer_count(&self) -> usize {
        self.memberships
    }

    /// Number of relays.
    pub(crate) fn relay_count(&self) -> usize {
        self.relays.len()
    }

    fn show(&self, party: &Party, now: Now) -> model::Party {
        let peers: BTreeMap<_, _> = party
            .members
            .iter()
            .map(|(id, member)| (id.clone(), party.show_member(member, now)))
            .collect();
        let record = &party.record;
        model::Party {
            party_id: record.party_id.clone(),
            name: record.name.clone(),
            host_id: record.host_id.clone(),
            created_at: record.created_at,
            peers,
            origin: record.origin,
            sync: self.outbox.sync(&record.party_id),
            epoch: self.epoch.clone(),
            seq: record.seq,
        }
    }
}

impl Party {
    fn show_member(&self, member: &Member, now: Now) -> Peer {
        // Members with a constant keepalive count as seen at each read.
        let kept = member.keeper.is_constant();
        let (public_key, key_changed) = self.key_of(member);
        Peer {
            info: PeerInput { public_key, ..member.record.info.clone() },
            virtual_ip: member.record.virtual_ip,
            last_seen: if kept { now.wall } else { member.record.last_seen },
            connected: member.keeper.is_connected(),
            key_changed,
        }
    }
}
