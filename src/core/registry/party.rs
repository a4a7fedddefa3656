//! Registration, join, leave, update and heartbeat.

use std::net::Ipv4Addr;

use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::model::{Keepalive, Name, Origin, PartyId, PeerId, PeerInput, UtcOffset};

use super::transaction::{Entrant, Transaction};
use super::{Keeper, Member};
use crate::core::addresses;
use crate::core::command::{Now, Outcome, Principal, Refusal};
use crate::core::outcome::{self, Alive};
use crate::core::record::{MemberRecord, Owner, PartyRecord, Seen};

impl Transaction<'_> {
    pub(super) fn register(
        &mut self,
        party_id: PartyId,
        name: Name,
        host: Entrant,
    ) -> Result<Outcome, Refusal> {
        if self.registry.parties.contains_key(&party_id) {
            return Err(Refusal::PartyExists(party_id));
        }
        self.has_room_for(&party_id, &host.info.peer_id)?;
        let limit = self.registry.rules.peers_per_party;
        let full = Refusal::PartyFull { party_id: party_id.clone(), limit };
        let address = addresses::host(self.registry.rules.subnet).ok_or(full)?;
        self.put_party(PartyRecord {
            party_id: party_id.clone(),
            name,
            host_id: host.info.peer_id.clone(),
            created_at: self.now.wall,
            seq: 1,
            origin: Origin::Local,
            address: self.caller.address,
        });
        let keeper = self.keeper(host.keepalive);
        let record = self.new_record(host, address);
        self.put_member(&party_id, record, keeper);
        let party = self.registry.party(&party_id, self.now)?;
        let (epoch, seq) = (party.epoch.clone(), party.seq);
        self.events.push(Event::PartyRegistered { party, epoch, seq });
        Ok(self.entered(party_id))
    }

    /// Returns the outcome of an entry. `finish` replaces it by the party in its final state.
    fn entered(&mut self, party_id: PartyId) -> Outcome {
        self.entered = Some(party_id);
        Outcome::Done
    }

    /// Checks that there is room for the party, and for the peer in it, unless they exist already.
    pub(super) fn has_room_for(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<(), Refusal> {
        match self.registry.parties.get(party_id) {
            None => {
                self.room_for_party()?;
                self.may_enter_another(peer_id)
            }
            Some(party) if party.members.contains_key(peer_id) => Ok(()),
            Some(_) => self.may_enter_another(peer_id),
        }
    }

    pub(super) fn join(&mut self, party_id: PartyId, peer: Entrant) -> Result<Outcome, Refusal> {
        let party = self.party(&party_id)?;
        let peer_id = peer.info.peer_id.clone();
        if party.members.contains_key(&peer_id) {
            let kept = (peer.keepalive, self.keeper(peer.keepalive));
            self.replace_member(&party_id, peer.info, Some(kept), peer.utc_offset)?;
        } else {
            let (limit, count) = (self.registry.rules.peers_per_party, party.members.len());
            if count >= limit {
                return Err(Refusal::PartyFull { party_id, limit });
            }
            let taken = party.members.values().map(|member| member.record.virtual_ip);
            let address = addresses::free(self.registry.rules.subnet, count, taken);
            let full = || Refusal::PartyFull { party_id: party_id.clone(), limit: count };
            let address = address.ok_or_else(full)?;
            self.may_enter_another(&peer_id)?;
            let keeper = self.keeper(peer.keepalive);
            let record = self.new_record(peer, address);
            self.put_member(&party_id, record, keeper);
            let seq = self.bump(&party_id);
            let peer = self.registry.peer(&party_id, &peer_id, self.now)?;
            let epoch = self.registry.epoch.clone();
            self.events.push(Event::PeerJoined { party_id: party_id.clone(), peer, epoch, seq });
        }
        Ok(self.entered(party_id))
    }

    pub(super) fn leave(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
    ) -> Result<Outcome, Refusal> {
        use RemovalReason::{HostLeft, Left};
        let party = self.party(party_id)?;
        if !party.members.contains_key(peer_id) {
            let (party_id, peer_id) = (party_id.clone(), peer_id.clone());
            return Err(Refusal::NotAMember { party_id, peer_id });
        }
        let party_deleted = party.record.host_id == *peer_id;
        if party_deleted {
            self.remove_party(party_id, Left, HostLeft, HostLeft);
        } else {
            self.remove_member(party_id, peer_id, Left);
            self.drop_if_deserted(party_id);
        }
        Ok(Outcome::Left(outcome::Left { party_deleted }))
    }

    pub(super) fn update(
        &mut self,
        party_id: &PartyId,
        peer: PeerInput,
        utc_offset: Option<UtcOffset>,
    ) -> Result<Outcome, Refusal> {
        self.member(party_id, &peer.peer_id)?;
        let peer_id = peer.peer_id.clone();
        self.replace_member(party_id, peer, None, utc_offset)?;
        Ok(Outcome::Peer(self.registry.peer(party_id, &peer_id, self.now)?))
    }

    pub(super) fn heartbeat(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
    ) -> Result<Outcome, Refusal> {
        let utc_offset = self.member(party_id, peer_id)?.record.utc_offset;
        let utc_offset = self.registry.offset_at(utc_offset, self.now);
        self.touch(party_id, peer_id);
        let expires_in = self.registry.rules.peer_timeout;
        let seq = self.party(party_id)?.record.seq;
        Ok(Outcome::Alive(Alive { expires_in, seq, utc_offset }))
    }

    /// Ends the keepalive of all members that the caller's connection kept alive.
    pub(super) fn disconnect(&mut self) -> Outcome {
        for peer_id in self.registry.identities.release(self.caller.connection) {
            self.registry.index_claims(&peer_id);
        }
        // The connection stays closed, even if the resulting changes are undone.
        let kept = self.registry.kept.remove(&self.caller.connection).unwrap_or_default();
        for (party_id, peer_id) in kept {
            self.silence(&party_id, &peer_id);
        }
        Outcome::Done
    }

    /// Ends the caller's keepalive of one member. Its other members stay alive.
    pub(super) fn release_member(&mut self, party_id: &PartyId, peer_id: &PeerId) -> Outcome {
        let keeper = Keeper::Connection(self.caller.connection);
        if self.member(party_id, peer_id).is_ok_and(|member| member.keeper == keeper) {
            self.silence(party_id, peer_id);
        }
        Outcome::Done
    }

    /// Ends the keepalive of a member.
    pub(super) fn silence(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        if let Ok(member) = self.member(party_id, peer_id) {
            let record = MemberRecord { last_seen: self.now.wall, ..member.record.clone() };
            self.put_member(party_id, record, Keeper::Nothing);
            self.publish_member(party_id, peer_id, None);
        }
    }

    pub(super) fn member(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<&Member, Refusal> {
        self.party(party_id)?.members.get(peer_id).ok_or_else(|| Refusal::PeerNotFound {
            party_id: party_id.clone(),
            peer_id: peer_id.clone(),
        })
    }

    /// Returns the keeper of a member that enters on the caller's connection.
    pub(super) fn keeper(&mut self, keepalive: Keepalive) -> Keeper {
        let connection = self.caller.connection;
        match keepalive {
            Keepalive::Connection => {
                self.registry.kept.entry(connection).or_default();
                Keeper::Connection(connection)
            }
            Keepalive::Daemon => Keeper::Daemon,
            Keepalive::Manual => Keeper::Heartbeats,
        }
    }

    pub(super) fn may_enter_another(&self, peer_id: &PeerId) -> Result<(), Refusal> {
        let limit = self.registry.rules.parties_per_peer;
        if self.registry.parties.of_peer(peer_id).count() >= limit {
            return Err(Refusal::TooManyParties { peer_id: peer_id.clone(), limit });
        }
        self.room_for_membership()
    }

    pub(super) fn new_record(&self, entrant: Entrant, virtual_ip: Ipv4Addr) -> MemberRecord {
        let Entrant { info, keepalive, utc_offset } = entrant;
        // A peer has one owner in all its parties, even if an administrator acts for it.
        let known = self.registry.owner_of(&info.peer_id, self.now);
        let owner = known.unwrap_or_else(|| match &self.caller.principal {
            Principal::User { user, .. } => Owner::User(*user),
            Principal::Peers(_) | Principal::RelayKey => Owner::Peer(info.peer_id.clone()),
        });
        let last_seen = self.now.wall;
        let address = self.caller.address;
        MemberRecord { info, virtual_ip, owner, keepalive, utc_offset, last_seen, address }
    }

    /// Replaces a member. Differences are made durable; visible ones are published. The keeper
    /// stays unless another one is given.
    fn replace_member(
        &mut self,
        party_id: &PartyId,
        info: PeerInput,
        kept: Option<(Keepalive, Keeper)>,
        utc_offset: Option<UtcOffset>,
    ) -> Result<(), Refusal> {
        let before = self.member(party_id, &info.peer_id)?;
        let kept_before = (before.record.keepalive, before.keeper);
        let kept = kept.unwrap_or(kept_before);
        let shows = before.record.info != info
            || (kept_before.1 == Keeper::Nothing) != (kept.1 == Keeper::Nothing);
        let peer_id = info.peer_id.clone();
        let utc_offset = utc_offset.or(before.record.utc_offset);
        if !shows && kept == kept_before && utc_offset == before.record.utc_offset {
            self.touch(party_id, &peer_id);
            return Ok(());
        }
        let (keepalive, keeper) = kept;
        let last_seen = self.now.wall;
        let record =
            MemberRecord { info, keepalive, utc_offset, last_seen, ..before.record.clone() };
        self.put_member(party_id, record, keeper);
        if shows {
            self.publish_member(party_id, &peer_id, None);
        }
        Ok(())
    }

    /// Notes a sign of life, which is not a durable change.
    fn touch(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        let Now { wall: at, elapsed } = self.now;
        self.registry.with_member(party_id, peer_id, |member| {
            member.seen = elapsed;
            member.record.last_seen = at;
        });
        self.seen = Some(Seen { party_id: party_id.clone(), peer_id: peer_id.clone(), at });
    }
}
