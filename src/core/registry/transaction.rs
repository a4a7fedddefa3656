//! Execution of one command.

use std::collections::BTreeMap;

use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::model::{Keepalive, KeyChange, PartyId, PeerId, PeerInput, RelayId, UtcOffset};

use super::changes::{Applied, Change, Effect, Ended, Inverse, Undo};
use super::outbox::PartySummary;
use super::receipts::KeptReceipt;
use super::tokens::Token;
use super::{Keeper, Member, Party, Registry, Relay};
use crate::core::command::{Caller, Command, Now, Outcome, Refusal};
use crate::core::record::{
    ChoiceRecord, CredentialRecord, IntentRecord, MemberRecord, PartyRecord, PinRecord,
    ReceiptRecord, RequestKey, Seen, ServerKey, TokenHash, Write,
};

/// A peer that enters a party.
pub(super) struct Entrant {
    pub(super) info: PeerInput,
    pub(super) keepalive: Keepalive,
    pub(super) utc_offset: Option<UtcOffset>,
}

/// Execution of one command: collects its changes and events.
pub(super) struct Transaction<'a> {
    pub(super) registry: &'a mut Registry,
    pub(super) caller: Caller,
    pub(super) now: Now,
    pub(super) changes: Vec<Change>,
    pub(super) events: Vec<Event>,
    pub(super) seen: Option<Seen>,
    pub(super) effect: Option<Effect>,
    pub(super) ended: Vec<Ended>,
    /// Party to show in the outcome.
    pub(super) entered: Option<PartyId>,
    /// Summaries of the touched parties before the command.
    pub(super) summaries: BTreeMap<PartyId, Option<PartySummary>>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(registry: &'a mut Registry, caller: Caller, now: Now) -> Self {
        Self {
            registry,
            caller,
            now,
            changes: Vec::new(),
            events: Vec::new(),
            seen: None,
            effect: None,
            ended: Vec::new(),
            entered: None,
            summaries: BTreeMap::new(),
        }
    }

    /// Executes a command, if the caller may.
    pub(super) fn perform(&mut self, command: Command) -> Result<Outcome, Refusal> {
        self.authorize(&command)?;
        Ok(match command {
            Command::Register { party_id, name, host, keepalive, utc_offset } => {
                let id = party_id.clone();
                let utc_offset = self.noted_offset(utc_offset);
                let entrant = Entrant { info: host, keepalive, utc_offset };
                let registered = self.register(party_id, name, entrant)?;
                self.carry_newcomer(&id);
                registered
            }
            Command::Join { party_id, peer, keepalive, utc_offset } => {
                let utc_offset = self.noted_offset(utc_offset);
                self.join(party_id, Entrant { info: peer, keepalive, utc_offset })?
            }
            Command::Leave { party_id, peer_id } => self.leave(&party_id, &peer_id)?,
            Command::Update { party_id, peer, utc_offset } => {
                self.update(&party_id, peer, self.noted_offset(utc_offset))?
            }
            Command::Heartbeat { party_id, peer_id } => {
                let alive = self.heartbeat(&party_id, &peer_id)?;
                self.note_reattached(&peer_id);
                alive
            }
            Command::SendSignal { party_id, from, to, data } => {
                self.send_signal(&party_id, from, &to, data)?
            }
            Command::PollSignals { party_id, peer_id, room } => {
                self.poll_signals(&party_id, &peer_id, room)?
            }
            Command::RegisterRelay(relay) => self.register_relay(relay)?,
            Command::Import { parties, mode } => self.import(parties, mode),
            Command::Claim { peer_id, proof, issue, hold, claim } => {
                self.claim(peer_id, proof, issue, hold, claim)?
            }
            Command::Revoke { peer_id, keep } => Outcome::Revoked(self.revoke(&peer_id, keep)),
            Command::Release { peer_id } => Outcome::Revoked(self.release(&peer_id)),
            Command::Reattach { peer_id } => self.reattach(&peer_id),
            Command::ReleaseMember { party_id, peer_id } => {
                self.release_member(&party_id, &peer_id)
            }
            Command::Withdraw { party_id, peer_id } => self.withdraw(&party_id, &peer_id),
            Command::Disconnect => self.disconnect(),
            Command::Expire => self.expire(),
            Command::Reconcile { party_id, server, occasion, in_flight, machine } => {
                let server = server.as_deref();
                let reconciled =
                    self.reconcile(&party_id, server, occasion, &in_flight, &machine)?;
                Outcome::Reconciled(reconciled)
            }
            Command::Refused { party_id, peer_id, key, code, spare } => {
                Outcome::Operations(self.refused(&party_id, &peer_id, &key, code, spare)?)
            }
            Command::Rename { from, to } => self.rename(&from, &to)?,
            Command::RefreshLastSeen(party_id) => self.refresh_last_seen(&party_id),
            Command::Deliver { party_id, from, to, data } => {
                self.deliver(&party_id, from, &to, data)?
            }
            Command::Trust { party_id, peer_id, public_key } => {
                self.trust(&party_id, &peer_id, public_key)?
            }
            Command::Follow { server, configured } => self.follow(server, configured),
            Command::NoteEpoch(server, epoch) => self.note_epoch(&server, epoch),
            Command::StoreCredential(credential) => self.store_credential(credential),
            Command::ForgetCredential(server, peer_id) => self.forget_credential(&server, &peer_id),
        })
    }

    pub(super) fn finish(mut self, mut outcome: Outcome) -> Applied {
        self.publish_summaries();
        if outcome == Outcome::Done
            && let Some(Ok(party)) =
                self.entered.take().map(|id| self.registry.party(&id, self.now))
        {
            outcome = Outcome::Party(party);
        }
        let Self { changes, events, seen, effect, ended, .. } = self;
        Applied { outcome, changes, events, seen, effect, ended }
    }

    pub(super) fn party(&self, id: &PartyId) -> Result<&Party, Refusal> {
        self.registry.parties.get(id).ok_or_else(|| Refusal::PartyNotFound(id.clone()))
    }

    /// Increments a party's sequence number, and returns it.
    pub(super) fn bump(&mut self, party_id: &PartyId) -> u64 {
        let bumped = self.registry.parties.with_party(party_id, |party| {
            party.record.seq += 1;
            party.record.clone()
        });
        let Some(record) = bumped else { return 0 };
        let seq = record.seq;
        self.change(Write::PutParty(record), Undo::Seq(party_id.clone(), seq - 1));
        seq
    }

    /// Publishes a member's change, with the change of its key.
    pub(super) fn publish_member(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        key_changed: Option<KeyChange>,
    ) {
        let seq = self.bump(party_id);
        if let Ok(peer) = self.registry.peer(party_id, peer_id, self.now) {
            let epoch = self.registry.epoch.clone();
            let party_id = party_id.clone();
            self.events.push(Event::PeerUpdated { party_id, peer, key_changed, epoch, seq });
        }
    }

    /// Removes a member and publishes it.
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

    /// Removes a party and publishes it: the host first, then the guests, then the party.
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

/// Setters: each applies a change and records its row and its inverse.
impl Transaction<'_> {
    fn change(&mut self, write: Write, undo: Undo) {
        self.changes.push(Change { write, inverse: Inverse(undo) });
    }

    pub(super) fn put_party(&mut self, record: PartyRecord) {
        self.note_summary(&record.party_id);
        let id = record.party_id.clone();
        let before = self.registry.set_party(&id, Some(record.clone()));
        self.change(Write::PutParty(record), Undo::Party(id, before));
    }

    pub(super) fn delete_party(&mut self, id: &PartyId) {
        let pins = self.registry.parties.get(id).map(|party| &party.pins);
        let pins: Vec<_> = pins.into_iter().flat_map(BTreeMap::keys).cloned().collect();
        for peer_id in pins {
            self.delete_pin(id, &peer_id);
        }
        let before = self.registry.set_party(id, None);
        self.change(Write::DeleteParty(id.clone()), Undo::Party(id.clone(), before));
    }

    /// Sets a member, seen now. A member that is replaced keeps its signals.
    pub(super) fn put_member(&mut self, party_id: &PartyId, record: MemberRecord, keeper: Keeper) {
        let peer_id = record.info.peer_id.clone();
        let seen = self.now.elapsed;
        let mut before = self.registry.replace_member(party_id, &peer_id, &record, keeper, seen);
        let says_else = before.as_ref().is_some_and(|before| before.record.info != record.info);
        if before.is_none() {
            let member = Member::new(record.clone(), keeper, seen);
            before = self.registry.set_member(party_id, &peer_id, Some(member));
        }
        let undo = Undo::Member(party_id.clone(), peer_id.clone(), before);
        self.change(Write::PutMember(party_id.clone(), record), undo);
        if says_else {
            self.rename_intent(party_id, &peer_id);
        }
    }

    pub(super) fn delete_member(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        let before = self.registry.set_member(party_id, peer_id, None);
        let undo = Undo::Member(party_id.clone(), peer_id.clone(), before);
        self.change(Write::DeleteMember(party_id.clone(), peer_id.clone()), undo);
    }

    pub(super) fn put_pin(&mut self, pin: PinRecord) {
        let (party_id, peer_id) = (pin.party_id.clone(), pin.peer_id.clone());
        let before = self.registry.set_pin(&party_id, &peer_id, Some(pin.clone()));
        let undo = Undo::Pin(party_id, peer_id, before.map(Box::new));
        self.change(Write::PutPin(pin), undo);
    }

    pub(super) fn delete_pin(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        let before = self.registry.set_pin(party_id, peer_id, None);
        let (party_id, peer_id) = (party_id.clone(), peer_id.clone());
        let write = Write::DeletePin(party_id.clone(), peer_id.clone());
        let undo = Undo::Pin(party_id, peer_id, before.map(Box::new));
        self.change(write, undo);
    }

    pub(super) fn put_relay(&mut self, relay: Relay) {
        let id = relay.record.relay.relay_id.clone();
        let write = Write::PutRelay(relay.record.clone());
        let before = self.registry.set_relay(&id, Some(relay));
        self.change(write, Undo::Relay(id, before.map(Box::new)));
    }

    pub(super) fn delete_relay(&mut self, id: &RelayId) {
        let before = self.registry.set_relay(id, None);
        self.change(Write::DeleteRelay(id.clone()), Undo::Relay(id.clone(), before.map(Box::new)));
    }

    pub(super) fn put_token(&mut self, token: Token) {
        let hash = token.record.hash;
        let write = Write::PutToken(token.record.clone());
        let before = self.registry.set_token(&hash, Some(token)).map(Box::new);
        self.change(write, Undo::Token(hash, before));
    }

    pub(super) fn delete_token(&mut self, hash: &TokenHash) {
        let before = self.registry.set_token(hash, None).map(Box::new);
        self.change(Write::DeleteToken(*hash), Undo::Token(*hash, before));
        self.ended.push(Ended::Token(*hash));
    }

    pub(super) fn put_receipt(&mut self, record: ReceiptRecord) {
        let (peer_id, key) = (record.peer_id.clone(), record.key.clone());
        let id = (peer_id.clone(), key.clone());
        let kept = KeptReceipt::new(record.clone(), self.caller.payer(), self.now);
        let before = self.registry.receipts.set(&id, Some(kept));
        let undo = Undo::Receipt(peer_id, key, before.map(Box::new));
        self.change(Write::PutReceipt(record), undo);
    }

    pub(super) fn delete_receipt(&mut self, id: &(PeerId, RequestKey)) {
        let before = self.registry.receipts.set(id, None);
        let (peer_id, key) = id.clone();
        let write = Write::DeleteReceipt(peer_id.clone(), key.clone());
        let undo = Undo::Receipt(peer_id, key, before.map(Box::new));
        self.change(write, undo);
    }

    pub(super) fn put_intent(&mut self, record: IntentRecord) {
        self.note_summary(&record.party_id);
        let (party_id, peer_id) = (record.party_id.clone(), record.peer_id.clone());
        let key = (party_id.clone(), peer_id.clone());
        let before = self.registry.outbox.set_intent(&key, Some(record.clone()));
        let undo = Undo::Intent(party_id, peer_id, before.map(Box::new));
        self.change(Write::PutIntent(record), undo);
    }

    pub(super) fn delete_intent(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        self.note_summary(party_id);
        let (party_id, peer_id) = (party_id.clone(), peer_id.clone());
        let before = self.registry.outbox.set_intent(&(party_id.clone(), peer_id.clone()), None);
        if before.is_some() {
            let write = Write::DeleteIntent(party_id.clone(), peer_id.clone());
            let undo = Undo::Intent(party_id, peer_id, before.map(Box::new));
            self.change(write, undo);
        }
    }

    pub(super) fn put_credential(&mut self, record: CredentialRecord) {
        let (server, peer_id) = (record.server.clone(), record.peer_id.clone());
        let key = (server.clone(), peer_id.clone());
        let before = self.registry.outbox.set_credential(&key, Some(record.clone()));
        let undo = Undo::Credential(server, peer_id, before.map(Box::new));
        self.change(Write::PutCredential(record), undo);
    }

    pub(super) fn delete_credential(&mut self, server: &ServerKey, peer_id: &PeerId) {
        let key = (server.clone(), peer_id.clone());
        if let Some(before) = self.registry.outbox.set_credential(&key, None) {
            let (server, peer_id) = key;
            let write = Write::DeleteCredential(server.clone(), peer_id.clone());
            let undo = Undo::Credential(server, peer_id, Some(Box::new(before)));
            self.change(write, undo);
        }
    }

    pub(super) fn put_choice(&mut self, choice: ChoiceRecord) {
        let write = match choice == ChoiceRecord::default() {
            true => Write::DeleteChoice,
            false => Write::PutChoice(choice.clone()),
        };
        let before = std::mem::replace(&mut self.registry.outbox.choice, choice);
        self.change(write, Undo::Choice(Box::new(before)));
    }
}
