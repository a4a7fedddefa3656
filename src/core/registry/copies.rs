//! Copies of a control server's parties.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;

use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::model::{Keepalive, Origin, PartyId, PeerId, PeerInput};

use super::transaction::Transaction;
use super::{Keeper, Member, Members};
use crate::core::addresses;
use crate::core::reconcile::{InFlight, InFlightKind, MemberOutcome, ServerMember, ServerParty};
use crate::core::record::{MemberRecord, Owner, PartyRecord};

impl Transaction<'_> {
    /// Makes the copy of a party equal to the server's state.
    pub(super) fn follow_server(
        &mut self,
        party_id: &PartyId,
        server: &ServerParty,
        places: BTreeMap<PeerId, MemberOutcome>,
        in_flight: &[InFlight],
    ) {
        let known = self.registry.parties.get(party_id).map(|party| &party.record);
        let is_new = known.is_none();
        let record = PartyRecord {
            party_id: party_id.clone(),
            name: server.name.clone(),
            host_id: server.host_id.clone(),
            created_at: server.created_at,
            seq: known.map_or(1, |known| known.seq),
            origin: Origin::Remote,
            address: None,
        };
        if known != Some(&record) {
            self.put_party(record);
        }
        let members = self.registry.parties.get(party_id).map(|party| &party.members);
        let gone: Vec<_> = members
            .into_iter()
            .flat_map(Members::iter)
            .filter(|(id, _)| !places.contains_key(*id))
            .map(|(id, member)| (id.clone(), member.is_ours()))
            .collect();
        for (peer_id, is_ours) in gone {
            let leaves =
                |one: &InFlight| one.peer_id == peer_id && one.what == InFlightKind::Leaves;
            let reason = match is_ours && !in_flight.iter().any(leaves) {
                true => RemovalReason::Removed,
                false => RemovalReason::Left,
            };
            self.remove_member(party_id, &peer_id, reason);
        }
        let mut addresses = Addresses::of(server);
        for (peer_id, place) in places {
            self.put_place(party_id, &peer_id, &place, &mut addresses, in_flight, is_new);
        }
        if is_new && let Ok(party) = self.registry.party(party_id, self.now) {
            let (epoch, seq) = (party.epoch.clone(), party.seq);
            self.events.push(Event::PartyRegistered { party, epoch, seq });
        }
    }

    /// Sets a member as its server states it. Publishes the change unless the party is new.
    fn put_place(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        place: &MemberOutcome,
        addresses: &mut Addresses,
        in_flight: &[InFlight],
        is_new: bool,
    ) {
        let before = self.member(party_id, peer_id).ok().cloned();
        let known_address = before.as_ref().map(|member| member.record.virtual_ip);
        let subnet = self.registry.rules.subnet;
        let is_host = self.party(party_id).is_ok_and(|party| party.record.host_id == *peer_id);
        let virtual_ip = addresses.given.get(peer_id).copied();
        let virtual_ip = virtual_ip.or_else(|| addresses.free(known_address, is_host, subnet));
        // No address is free here: the party on the server is full, so the server will refuse the
        // peer.
        let Some(virtual_ip) = virtual_ip.or(known_address) else { return };
        let (record, keeper) = match place {
            MemberOutcome::Theirs(server) => their_record(server, virtual_ip),
            MemberOutcome::Ours(info) => {
                let kept = self.kept_for(peer_id, in_flight);
                self.our_record(before.as_ref(), info.clone(), virtual_ip, kept)
            }
            MemberOutcome::OursAhead | MemberOutcome::OursAlone => {
                let Some(before) = &before else { return };
                let record = MemberRecord { virtual_ip, ..before.record.clone() };
                (record, before.keeper)
            }
        };
        let key_changed = match place {
            MemberOutcome::Theirs(server) => {
                let is_same = |one: &Member| one.record.info.public_key == server.info.public_key;
                let changed = self.pin(party_id, peer_id, &server.info.public_key);
                changed.filter(|_| !before.as_ref().is_some_and(is_same))
            }
            _ => None,
        };
        let Some(before) = before else {
            self.put_member(party_id, record, keeper);
            if !is_new {
                let seq = self.bump(party_id);
                if let Ok(peer) = self.registry.peer(party_id, peer_id, self.now) {
                    let (party_id, epoch) = (party_id.clone(), self.registry.epoch.clone());
                    self.events.push(Event::PeerJoined { party_id, peer, epoch, seq });
                }
            }
            if key_changed.is_some() {
                self.publish_member(party_id, peer_id, key_changed);
            }
            return;
        };
        let shows = record.info != before.record.info
            || record.virtual_ip != before.record.virtual_ip
            || keeper.is_connected() != before.keeper.is_connected();
        let durable = MemberRecord { last_seen: before.record.last_seen, ..record.clone() };
        if shows || durable != before.record || keeper != before.keeper {
            self.put_member(party_id, record, keeper);
        } else if matches!(place, MemberOutcome::Theirs(_)) {
            self.registry.with_member(party_id, peer_id, |member| {
                member.record.last_seen = record.last_seen;
            });
        }
        if shows {
            self.publish_member(party_id, peer_id, key_changed);
        }
    }

    /// Returns the keepalive, keeper and owner of an entering peer, if its request is in flight.
    fn kept_for(
        &mut self,
        peer_id: &PeerId,
        in_flight: &[InFlight],
    ) -> Option<(Keepalive, Keeper, Owner)> {
        let mut passages = in_flight.iter().filter(|one| one.peer_id == *peer_id);
        let (caller, keepalive) = passages.find_map(|one| match &one.what {
            InFlightKind::Enters { caller, keepalive, .. } => Some((caller, keepalive)),
            _ => None,
        })?;
        let own = std::mem::replace(&mut self.caller, caller.clone());
        let keeper = self.keeper(*keepalive);
        let owner = self.caller_as_owner();
        self.caller = own;
        Some((*keepalive, keeper, owner?))
    }

    /// Returns the record of a local member, with its own description. Without a request nothing
    /// keeps it alive until it is claimed.
    fn our_record(
        &self,
        before: Option<&Member>,
        info: PeerInput,
        virtual_ip: Ipv4Addr,
        kept: Option<(Keepalive, Keeper, Owner)>,
    ) -> (MemberRecord, Keeper) {
        let ours = before.filter(|member| member.is_ours());
        let credential = || self.registry.outbox.owner_of(&info.peer_id).map(Owner::User);
        let (keepalive, keeper, owner) = match (kept, ours) {
            (Some((keepalive, keeper, caller)), ours) => {
                let owner = ours.map(|member| member.record.owner.clone());
                (keepalive, keeper, owner.or_else(credential).unwrap_or(caller))
            }
            (None, Some(member)) => {
                (member.record.keepalive, member.keeper, member.record.owner.clone())
            }
            (None, None) => {
                let owner = credential().unwrap_or(Owner::Elsewhere);
                (Keepalive::Connection, Keeper::Nothing, owner)
            }
        };
        let last_seen = self.now.wall;
        let utc_offset = ours.and_then(|member| member.record.utc_offset);
        let address = None;
        let record =
            MemberRecord { info, virtual_ip, owner, keepalive, utc_offset, last_seen, address };
        (record, keeper)
    }
}

/// Addresses that a server assigned in a party, and the free ones.
struct Addresses {
    /// Address that the server assigned to each member.
    given: HashMap<PeerId, Ipv4Addr>,
    taken: HashSet<Ipv4Addr>,
}

impl Addresses {
    /// Collects the addresses. If members share one, the host has precedence, then the first
    /// member.
    fn of(server: &ServerParty) -> Self {
        let (mut given, mut taken) = (HashMap::new(), HashSet::new());
        let host = server.members.get_key_value(&server.host_id);
        for (peer_id, member) in host.into_iter().chain(&server.members) {
            if let Some(address) = member.virtual_ip
                && !given.contains_key(peer_id)
                && taken.insert(address)
            {
                given.insert(peer_id.clone(), address);
            }
        }
        Self { given, taken }
    }

    /// Returns an address for a member without one from the server: its previous one if free.
    fn free(
        &mut self,
        known: Option<Ipv4Addr>,
        is_host: bool,
        subnet: ipnet::Ipv4Net,
    ) -> Option<Ipv4Addr> {
        let known = known.filter(|address| !self.taken.contains(address));
        let host =
            addresses::host(subnet).filter(|address| is_host && !self.taken.contains(address));
        let address = known.or(host).or_else(|| addresses::guest(subnet, &self.taken))?;
        self.taken.insert(address);
        Some(address)
    }
}

fn their_record(server: &ServerMember, virtual_ip: Ipv4Addr) -> (MemberRecord, Keeper) {
    let record = MemberRecord {
        info: server.info.clone(),
        virtual_ip,
        owner: Owner::Elsewhere,
        keepalive: Keepalive::Manual,
        utc_offset: None,
        last_seen: server.last_seen,
        address: None,
    };
    (record, Keeper::Server { connected: server.connected })
}
