//! One command at work.

use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::model::{PartyId, PeerId};

use super::changes::{Applied, Change};
use super::party::Entrant;
use super::{Party, Registry};
use crate::core::command::{Caller, Command, Now, Outcome, Refusal};
use crate::core::record::Seen;

/// One command at work: gathers what it changes and tells.
pub(super) struct Transaction<'a> {
    pub(super) registry: &'a mut Registry,
    pub(super) caller: Caller,
    pub(super) now: Now,
    pub(super) changes: Vec<Change>,
    pub(super) events: Vec<Event>,
    pub(super) seen: Option<Seen>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(registry: &'a mut Registry, caller: Caller, now: Now) -> Self {
        Self { registry, caller, now, changes: Vec::new(), events: Vec::new(), seen: None }
    }

    /// Does what a command asks, if the caller may.
    pub(super) fn perform(&mut self, command: Command) -> Result<Outcome, Refusal> {
        self.authorize(&command)?;
        Ok(match command {
            Command::Register { party_id, name, host, keepalive, utc_offset } => {
                self.register(party_id, name, Entrant { info: host, keepalive, utc_offset })?
            }
            Command::Join { party_id, peer, keepalive, utc_offset } => {
                self.join(party_id, Entrant { info: peer, keepalive, utc_offset })?
            }
            Command::Leave { party_id, peer_id } => self.leave(&party_id, &peer_id)?,
            Command::Update { party_id, peer, utc_offset } => {
                self.update(&party_id, peer, utc_offset)?
            }
            Command::Heartbeat { party_id, peer_id } => self.heartbeat(&party_id, &peer_id)?,
            Command::SendSignal { party_id, from, to, data } => {
                self.send_signal(&party_id, from, &to, data)?
            }
            Command::PollSignals { party_id, peer_id, room } => {
                self.poll_signals(&party_id, &peer_id, room)?
            }
            Command::RegisterRelay { relay_id, public_ip, port, region, capacity } => {
                self.register_relay(relay_id, public_ip, port, region, capacity)?
            }
            Command::Import { parties, mode } => self.import(parties, mode),
            Command::Claim { peer_id, proof, issue, hold } => {
                self.claim(peer_id, proof, issue, hold)?
            }
            Command::Disconnect => self.disconnect(),
            Command::Expire => self.expire(),
        })
    }

    pub(super) fn finish(self, outcome: Outcome) -> Applied {
        Applied { outcome, changes: self.changes, events: self.events, seen: self.seen }
    }

    pub(super) fn party(&self, id: &PartyId) -> Result<&Party, Refusal> {
        self.registry.parties.get(id).ok_or_else(|| Refusal::PartyNotFound(id.clone()))
    }

    /// Counts a change of a party, and returns its number.
    pub(super) fn bump(&mut self, party_id: &PartyId) -> u64 {
        let Some(party) = self.registry.parties.get(party_id) else { return 0 };
        let mut record = party.record.clone();
        record.seq += 1;
        let seq = record.seq;
        self.put_party(record);
        seq
    }

    /// Tells that a member changed.
    pub(super) fn tell_updated(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        let seq = self.bump(party_id);
        if let Ok(peer) = self.registry.peer(party_id, peer_id, self.now) {
            let epoch = self.registry.epoch.clone();
            let party_id = party_id.clone();
            self.events.push(Event::PeerUpdated { party_id, peer, epoch, seq });
        }
    }

    /// Takes a member out and tells it.
    pub(super) fn remove_member(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        reason: RemovalReason,
    ) {
        self.delete_member(party_id, peer_id);
        let seq = self.bump(party_id);
        self.events.push(Event::PeerLeft {
            party_id: party_id.clone(),
            peer_id: peer_id.clone(),
            reason,
            epoch: self.registry.epoch.clone(),
            seq,
        });
    }

    /// Takes a whole party out and tells it: the host first, then the others, then the party.
    pub(super) fn remove_party(
        &mut self,
        party_id: &PartyId,
        host_reason: RemovalReason,
        guest_reason: RemovalReason,
        party_reason: RemovalReason,
    ) {
        let Some(party) = self.registry.parties.get(party_id) else { return };
        let host_id = party.record.host_id.clone();
        let guests: Vec<_> = party.members.keys().filter(|id| **id != host_id).cloned().collect();
        self.remove_member(party_id, &host_id, host_reason);
        for guest in guests {
            self.remove_member(party_id, &guest, guest_reason);
        }
        let seq = self.bump(party_id);
        self.delete_party(party_id);
        self.events.push(Event::PartyRemoved {
            party_id: party_id.clone(),
            reason: party_reason,
            epoch: self.registry.epoch.clone(),
            seq,
        });
    }
}
