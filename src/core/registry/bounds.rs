//! Bounds on the copies of a control server's parties: the server is not trusted to limit itself.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use lanrage_ipc::model::{Origin, PartyId, PeerId, PeerInput};

use super::transaction::Transaction;
use super::{Applied, Members, Party, Registry};
use crate::core::addresses;
use crate::core::command::{Caller, Now, Outcome, Refusal};
use crate::core::reconcile::{MemberOutcome, ServerMember, ServerParty};
use crate::core::record::{PartyRecord, PinRecord};

/// Memory of a party beside its texts, in bytes: estimate of its maps and indexes.
const PARTY_BYTES: usize = 1024;

/// Memory of a member beside its texts, in bytes: in the registry, its indexes and the session.
const MEMBER_BYTES: usize = 1024;

/// Memory of a pin beside its texts, in bytes.
const PIN_BYTES: usize = 256;

/// Memory of a member, in bytes. Its id is a key of several indexes.
pub(super) fn member_bytes(info: &PeerInput) -> usize {
    let texts = 4 * info.peer_id.as_str().len() + info.name.as_str().len();
    MEMBER_BYTES + texts + info.public_key.as_str().len()
}

/// Memory of a pin, in bytes.
pub(super) fn pin_bytes(pin: &PinRecord) -> usize {
    let keys = [Some(&pin.public_key), pin.replaced_by.as_ref()];
    let keys: usize = keys.into_iter().flatten().map(|key| key.as_str().len()).sum();
    PIN_BYTES + pin.peer_id.as_str().len() + keys
}

fn record_bytes(record: &PartyRecord) -> usize {
    PARTY_BYTES + 2 * record.party_id.as_str().len() + record.name.as_str().len()
}

impl Party {
    /// Memory of the party as a copy, in bytes; 0 for a party of this daemon.
    pub(super) fn copied_bytes(&self) -> usize {
        match self.record.origin {
            Origin::Remote => record_bytes(&self.record) + self.bytes,
            _ => 0,
        }
    }
}

impl Registry {
    /// Drops the copies that exceed the bounds, or have no local peer. A database of an earlier
    /// version may hold any number. Smaller copies are kept first, so a server's large ones go
    /// first. A copy with intents stays.
    pub(crate) fn trim_copies(&mut self, caller: Caller, now: Now) -> Applied {
        let dropped = self.surplus_copies();
        let mut tx = Transaction::new(self, caller, now);
        for party_id in &dropped {
            let members = tx.registry.parties.get(party_id).map(|party| &party.members);
            let members: Vec<_> = members.into_iter().flat_map(Members::keys).cloned().collect();
            for peer_id in members {
                tx.delete_member(party_id, &peer_id);
            }
            tx.delete_party(party_id);
        }
        tx.finish(Outcome::Done)
    }

    fn surplus_copies(&self) -> Vec<PartyId> {
        let copies = self.parties.values().filter(|party| party.record.origin == Origin::Remote);
        let is_free =
            |party: &&Party| self.outbox.of_party(&party.record.party_id).next().is_none();
        let mut copies: Vec<_> = copies.filter(is_free).collect();
        copies.sort_by_key(|party| (party.copied_bytes(), party.record.created_at));
        let mut bytes = self.parties.copies_bytes()
            - copies.iter().map(|one| one.copied_bytes()).sum::<usize>();
        let mut parties: HashMap<&PeerId, usize> = HashMap::new();
        let mut dropped = Vec::new();
        for copy in copies {
            let ours: Vec<_> = copy
                .members
                .iter()
                .filter(|(_, member)| member.is_ours())
                .map(|(id, _)| id)
                .collect();
            // Memberships outside of copies count first.
            let count = |id: &PeerId| {
                let others = self.parties.of_peer(id).map(|(party, _)| party);
                others.filter(|party| party.record.origin != Origin::Remote).count()
            };
            let has_room = ours.iter().all(|id| {
                *parties.entry(id).or_insert_with(|| count(id)) < self.rules.parties_per_peer
            });
            let size = copy.copied_bytes();
            if ours.is_empty() || !has_room || bytes + size > self.rules.copies_bytes {
                dropped.push(copy.record.party_id.clone());
                continue;
            }
            bytes += size;
            for id in ours {
                *parties.entry(id).or_default() += 1;
            }
        }
        dropped
    }
}

impl Transaction<'_> {
    /// Checks that a copy may take over the server's state.
    ///
    /// # Errors
    /// The exceeded bound, or an address that the server may not assign.
    pub(super) fn may_follow(
        &self,
        party_id: &PartyId,
        server: &ServerParty,
        places: &BTreeMap<PeerId, MemberOutcome>,
        machine: &[Ipv4Net],
    ) -> Result<(), Refusal> {
        let (registry, rules) = (&self.registry, &self.registry.rules);
        let known = registry.parties.get(party_id);
        // A copy without its host would remain here while the server is unreachable.
        if !places.contains_key(&server.host_id) {
            let (party_id, host_id) = (party_id.clone(), server.host_id.clone());
            return Err(Refusal::HostAbsent { party_id, host_id });
        }
        if known.is_none() && registry.parties.len() >= rules.parties {
            return Err(Refusal::RegistryFull { what: "parties", limit: rules.parties });
        }
        for (peer_id, place) in places {
            let is_here = known.is_some_and(|party| party.members.contains_key(peer_id));
            if !is_here && !matches!(place, MemberOutcome::Theirs(_)) {
                self.may_enter_another(peer_id)?;
            }
        }
        let (before, after) = (known.map_or(0, Party::copied_bytes), copy_bytes(known, server));
        let limit = rules.copies_bytes;
        if after > before && registry.parties.copies_bytes() - before + after > limit {
            return Err(Refusal::CopiesFull { party_id: party_id.clone(), limit });
        }
        self.check_addresses(party_id, server, machine)
    }

    /// Checks the addresses that a server assigns in a party. They are in the configured subnet, or
    /// all in one private /16 that no interface of this machine is in. An interface with the
    /// virtual address of a local peer belongs to the virtual network itself.
    fn check_addresses(
        &self,
        party_id: &PartyId,
        server: &ServerParty,
        machine: &[Ipv4Net],
    ) -> Result<(), Refusal> {
        let subnet = self.registry.rules.subnet;
        let given = |(id, member): (&PeerId, &ServerMember)| Some((id.clone(), member.virtual_ip?));
        let others = server.members.iter().filter_map(given);
        let others: Vec<_> =
            others.filter(|(_, address)| !addresses::is_host(subnet, *address)).collect();
        let Some((_, first)) = others.first().cloned() else { return Ok(()) };
        let machine: Vec<_> =
            machine.iter().filter(|network| !self.is_own_address(network.addr())).collect();
        let is_allowed = |address: Ipv4Addr| {
            !subnet.contains(&address)
                && addresses::is_private(address)
                && address.octets()[..2] == first.octets()[..2]
                && !machine.iter().any(|network| network.contains(&address))
        };
        match others.into_iter().find(|(_, address)| !is_allowed(*address)) {
            None => Ok(()),
            Some((peer_id, address)) => {
                Err(Refusal::AddressRefused { party_id: party_id.clone(), peer_id, address })
            }
        }
    }

    /// True for the virtual address of a local peer.
    fn is_own_address(&self, address: Ipv4Addr) -> bool {
        let members = self.registry.parties.values().flat_map(|party| party.members.values());
        members.filter(|member| member.is_ours()).any(|one| one.record.virtual_ip == address)
    }
}

/// Memory of a copy after it takes over the server's state, in bytes. Pins of former members stay.
fn copy_bytes(known: Option<&Party>, server: &ServerParty) -> usize {
    let texts = 2 * server.party_id.as_str().len() + server.name.as_str().len();
    let member = |info: &PeerInput| {
        member_bytes(info)
            + PIN_BYTES
            + info.peer_id.as_str().len()
            + info.public_key.as_str().len()
    };
    let members: usize = server.members.values().map(|one| member(&one.info)).sum();
    let pins = known.into_iter().flat_map(|party| party.pins.values());
    let former = pins.filter(|pin| !server.members.contains_key(&pin.peer_id));
    PARTY_BYTES + texts + members + former.map(pin_bytes).sum::<usize>()
}
