//! Registering, joining, leaving, updating, and signs of life.

use std::collections::{HashSet, VecDeque};
use std::net::Ipv4Addr;

use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::model::{Keepalive, Name, PartyId, PeerId, PeerInput};

use super::changes::Transaction;
use super::{Keeper, Member};
use crate::core::addresses;
use crate::core::command::{Outcome, Refusal};
use crate::core::record::{MemberRecord, PartyRecord, Seen};

impl Transaction<'_> {
    pub(super) fn register(
        &mut self,
        party_id: PartyId,
        name: Name,
        host: PeerInput,
        keepalive: Keepalive,
    ) -> Result<Outcome, Refusal> {
        let limit = self.registry.rules.parties;
        if self.registry.parties.contains_key(&party_id) {
            return Err(Refusal::PartyExists(party_id));
        }
        if self.registry.parties.len() >= limit {
            return Err(Refusal::RegistryFull { what: "parties", limit });
        }
        self.may_act_for(&host.peer_id)?;
        self.may_enter_another(&host.peer_id)?;
        let limit = self.registry.rules.peers_per_party;
        let full = Refusal::PartyFull { party_id: party_id.clone(), limit };
        let address = addresses::host(self.registry.rules.subnet).ok_or(full)?;
        self.put_party(PartyRecord {
            party_id: party_id.clone(),
            name,
            host_id: host.peer_id.clone(),
            created_at: self.now.wall,
            seq: 1,
        });
        let keeper = Keeper::new(keepalive, self.caller.connection);
        let member = self.new_member(host, address, keepalive, keeper);
        self.put_member(&party_id, member);
        let party = self.registry.party(&party_id, self.now)?;
        let (epoch, seq) = (party.epoch.clone(), party.seq);
        self.events.push(Event::PartyRegistered { party: party.clone(), epoch, seq });
        Ok(Outcome::Party(party))
    }

    pub(super) fn join(
        &mut self,
        party_id: PartyId,
        peer: PeerInput,
        keepalive: Keepalive,
    ) -> Result<Outcome, Refusal> {
        let party = self.party(&party_id)?;
        self.may_act_for(&peer.peer_id)?;
        let peer_id = peer.peer_id.clone();
        let keeper = Keeper::new(keepalive, self.caller.connection);
        if let Some(member) = party.members.get(&peer_id) {
            let mut member = member.clone();
            member.record.keepalive = keepalive;
            member.keeper = keeper;
            self.replace_member(&party_id, member, peer);
        } else {
            let limit = self.registry.rules.peers_per_party;
            let full = Refusal::PartyFull { party_id: party_id.clone(), limit };
            if party.members.len() >= limit {
                return Err(full);
            }
            let taken: HashSet<Ipv4Addr> =
                party.members.values().map(|member| member.record.virtual_ip).collect();
            let address = addresses::guest(self.registry.rules.subnet, &taken).ok_or(full)?;
            self.may_enter_another(&peer_id)?;
            let member = self.new_member(peer, address, keepalive, keeper);
            self.put_member(&party_id, member);
            let seq = self.bump(&party_id);
            let peer = self.registry.peer(&party_id, &peer_id, self.now)?;
            let epoch = self.registry.epoch.clone();
            self.events.push(Event::PeerJoined { party_id: party_id.clone(), peer, epoch, seq });
        }
        Ok(Outcome::Party(self.registry.party(&party_id, self.now)?))
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
        self.may_act_for(peer_id)?;
        if party_deleted {
            self.remove_party(party_id, Left, HostLeft, HostLeft);
        } else {
            self.remove_member(party_id, peer_id, Left);
        }
        Ok(Outcome::Left { party_deleted })
    }

    pub(super) fn update(
        &mut self,
        party_id: &PartyId,
        peer: PeerInput,
    ) -> Result<Outcome, Refusal> {
        let member = self.member(party_id, &peer.peer_id)?.clone();
        self.may_act_for(&peer.peer_id)?;
        let peer_id = peer.peer_id.clone();
        self.replace_member(party_id, member, peer);
        Ok(Outcome::Peer(self.registry.peer(party_id, &peer_id, self.now)?))
    }

    pub(super) fn heartbeat(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
    ) -> Result<Outcome, Refusal> {
        let member = self.member(party_id, peer_id)?.clone();
        self.may_act_for(peer_id)?;
        self.touch(party_id, member);
        Ok(Outcome::Alive(self.registry.rules.peer_timeout))
    }

    /// What the caller's connection kept alive is silent from now on.
    pub(super) fn disconnect(&mut self) -> Outcome {
        let kept = self.registry.kept.get(&self.caller.connection).cloned().unwrap_or_default();
        for (party_id, peer_id) in kept {
            if let Ok(member) = self.member(&party_id, &peer_id) {
                let mut member = member.clone();
                member.keeper = Keeper::Nothing;
                member.seen = self.now.elapsed;
                member.record.last_seen = self.now.wall;
                self.put_member(&party_id, member);
                self.tell_updated(&party_id, &peer_id);
            }
        }
        Outcome::Done
    }

    fn member(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<&Member, Refusal> {
        self.party(party_id)?.members.get(peer_id).ok_or_else(|| Refusal::PeerNotFound {
            party_id: party_id.clone(),
            peer_id: peer_id.clone(),
        })
    }

    pub(super) fn may_enter_another(&self, peer_id: &PeerId) -> Result<(), Refusal> {
        let limit = self.registry.rules.parties_per_peer;
        match self.registry.peers.get(peer_id) {
            Some(presence) if presence.parties.len() >= limit => {
                Err(Refusal::TooManyParties { peer_id: peer_id.clone(), limit })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn new_member(
        &self,
        info: PeerInput,
        virtual_ip: Ipv4Addr,
        keepalive: Keepalive,
        keeper: Keeper,
    ) -> Member {
        // A peer has one owner in all its parties, also where an admin acts for it.
        let known = self.registry.peers.get(&info.peer_id);
        let owner = known.map_or(self.caller.owner, |presence| presence.owner);
        let last_seen = self.now.wall;
        Member {
            record: MemberRecord { info, virtual_ip, owner, keepalive, last_seen },
            keeper,
            seen: self.now.elapsed,
            signals: VecDeque::new(),
        }
    }

    /// Puts a member in place of what it was: durably where it differs, told where it shows.
    fn replace_member(&mut self, party_id: &PartyId, mut member: Member, info: PeerInput) {
        let peer_id = info.peer_id.clone();
        let Ok(before) = self.member(party_id, &peer_id) else { return };
        let shows = before.record.info != info
            || (before.keeper == Keeper::Nothing) != (member.keeper == Keeper::Nothing);
        let differs = shows || before.record.keepalive != member.record.keepalive;
        if !differs {
            return self.touch(party_id, member);
        }
        member.record.info = info;
        member.record.last_seen = self.now.wall;
        member.seen = self.now.elapsed;
        self.put_member(party_id, member);
        if shows {
            self.tell_updated(party_id, &peer_id);
        }
    }

    /// Notes a sign of life, which is worth no change.
    fn touch(&mut self, party_id: &PartyId, mut member: Member) {
        member.seen = self.now.elapsed;
        member.record.last_seen = self.now.wall;
        let (party_id, peer_id) = (party_id.clone(), member.record.info.peer_id.clone());
        self.registry.set_member(&party_id, &peer_id, Some(member));
        self.seen = Some(Seen { party_id, peer_id, at: self.now.wall });
    }
}
