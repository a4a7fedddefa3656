//! Changes of the registry, each with its inverse. The registry changes in no other way.

use lanrage_ipc::event::Event;
use lanrage_ipc::model::{PartyId, PeerId, RelayId};

use super::bounds::member_bytes;
use super::receipts::KeptReceipt;
use super::tokens::Token;
use super::{Keeper, Member, Party, Presence, Registry, Relay};
use crate::core::command::{ConnectionId, Outcome};
use crate::core::record::{
    ChoiceRecord, CredentialRecord, IntentRecord, Owner, PartyRecord, PinRecord, RequestKey, Seen,
    ServerKey, TokenHash, Write,
};
use crate::core::shares::Payer;

/// Effects of a command.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The answer, due once `changes` are durable.
    pub(crate) outcome: Outcome,
    /// Changes to make durable, oldest first; [`Registry::undo`] reverts them.
    pub(crate) changes: Vec<Change>,
    /// Events to publish once `changes` are durable, in this order.
    pub(crate) events: Vec<Event>,
    /// A sign of life to write behind.
    pub(crate) seen: Option<Seen>,
    /// Proofs that end once `changes` are durable.
    pub(crate) ended: Vec<Ended>,
    /// Effect in memory only; [`Registry::revert`] reverts it, before `changes`.
    pub(crate) effect: Option<Effect>,
}

/// An effect that is not stored, and is reverted when the commit fails.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A connection took a peer id.
    Held {
        /// The peer id.
        peer_id: PeerId,
        /// The connection.
        connection: ConnectionId,
        /// Proof by which the connection held it before, if it did.
        before: Option<HoldProof>,
        /// Connection that superseded all older ones of the peer id before.
        taken_alone: Option<ConnectionId>,
    },
    /// Connections stopped holding a peer id.
    Released {
        /// The peer id.
        peer_id: PeerId,
        /// The connections.
        holders: Vec<(ConnectionId, HoldProof)>,
    },
    /// A signal was queued.
    Queued {
        /// Party of both members.
        party_id: PartyId,
        /// Target.
        to: PeerId,
        /// Unique number of the signal.
        number: u64,
    },
    /// Members' offsets were adjusted to a step of the wall clock.
    ClockFollowed {
        /// Minutes by which the clock was set forward.
        minutes: i64,
    },
}

/// Token by which a connection holds a peer id; `None` if it claimed the id without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoldProof(pub(crate) Option<TokenHash>);

/// Proof of a peer that is no longer valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A connection may no longer act for a peer, or receive the events of its parties.
    Connection {
        /// The peer.
        peer_id: PeerId,
        /// The connection.
        connection: ConnectionId,
    },
    /// A token has ended.
    Token(TokenHash),
}

#[cfg(test)]
impl Ended {
    /// Returns the ended connection.
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Connection { connection, .. } => Some(*connection),
            Self::Token(_) => None,
        }
    }
}

/// A change with the row to write and its inverse.
#[derive(Debug)]
pub(crate) struct Change {
    pub(super) write: Write,
    pub(super) inverse: Inverse,
}

/// Inverse of a change.
#[derive(Debug)]
pub(crate) struct Inverse(pub(super) Undo);

/// The previous value of what has changed.
#[derive(Debug)]
pub(super) enum Undo {
    Party(PartyId, Option<PartyRecord>),
    Seq(PartyId, u64),
    Member(PartyId, PeerId, Option<Box<Member>>),
    Relay(RelayId, Option<Box<Relay>>),
    Token(TokenHash, Option<Box<Token>>),
    Receipt(PeerId, RequestKey, Option<Box<KeptReceipt>>),
    Intent(PartyId, PeerId, Option<Box<IntentRecord>>),
    Pin(PartyId, PeerId, Option<Box<PinRecord>>),
    Credential(ServerKey, PeerId, Option<Box<CredentialRecord>>),
    Choice(Box<ChoiceRecord>),
}

impl Change {
    /// Returns the row to write.
    pub(crate) fn write(&self) -> &Write {
        &self.write
    }

    /// Returns the row to write and the inverse.
    pub(crate) fn split(self) -> (Write, Inverse) {
        (self.write, self.inverse)
    }
}

impl From<Change> for Inverse {
    fn from(change: Change) -> Self {
        change.inverse
    }
}

impl Inverse {
    /// Returns the token whose change this reverts.
    pub(crate) fn token(&self) -> Option<TokenHash> {
        match &self.0 {
            Undo::Token(hash, _) => Some(*hash),
            _ => None,
        }
    }

    /// Reverts the change. Signs of life and signals are not part of it: a remaining member keeps
    /// them.
    pub(super) fn undo(self, registry: &mut Registry) {
        match self.0 {
            Undo::Party(id, before) => {
                registry.set_party(&id, before);
            }
            Undo::Seq(id, before) => {
                if let Some(party) = registry.parties.get_mut(&id) {
                    party.record.seq = before;
                }
            }
            Undo::Member(party_id, peer_id, before) => {
                let after = registry.set_member(&party_id, &peer_id, None);
                let mut before = before.map(|member| *member);
                if let (Some(before), Some(after)) = (&mut before, after) {
                    before.seen = after.seen;
                    before.record.last_seen = after.record.last_seen;
                    before.signals = after.signals;
                }
                registry.set_member(&party_id, &peer_id, before);
            }
            Undo::Relay(id, before) => {
                let after = registry.set_relay(&id, None);
                let mut before = before.map(|relay| *relay);
                if let (Some(before), Some(after)) = (&mut before, after) {
                    before.seen = after.seen;
                }
                registry.set_relay(&id, before);
            }
            Undo::Token(hash, before) => {
                registry.set_token(&hash, before.map(|token| *token));
            }
            Undo::Receipt(peer_id, key, before) => {
                registry.receipts.set(&(peer_id, key), before.map(|kept| *kept));
            }
            Undo::Intent(party_id, peer_id, before) => {
                registry.outbox.set_intent(&(party_id, peer_id), before.map(|record| *record));
            }
            Undo::Credential(server, peer_id, before) => {
                registry.outbox.set_credential(&(server, peer_id), before.map(|record| *record));
            }
            Undo::Pin(party_id, peer_id, before) => {
                registry.set_pin(&party_id, &peer_id, before.map(|pin| *pin));
            }
            Undo::Choice(before) => registry.outbox.choice = *before,
        }
    }
}

impl Registry {
    /// Sets or removes a party's record, without its members. Returns the previous record.
    pub(super) fn set_party(
        &mut self,
        id: &PartyId,
        record: Option<PartyRecord>,
    ) -> Option<PartyRecord> {
        if let Some(payer) = record.as_ref().and_then(payer_of) {
            self.party_payers.add(&payer, 1);
        }
        let counted = self.parties.get(id).map_or(0, Party::copied_bytes);
        let before = match (record, self.parties.get_mut(id)) {
            (Some(record), Some(party)) => Some(std::mem::replace(&mut party.record, record)),
            (Some(record), None) => {
                let (members, pins, bytes) = Default::default();
                self.parties.insert(id.clone(), Party { record, members, pins, bytes });
                None
            }
            (None, Some(_)) => self.parties.remove(id).map(|party| party.record),
            (None, None) => None,
        };
        if let Some(payer) = before.as_ref().and_then(payer_of) {
            self.party_payers.remove(&payer, 1);
        }
        self.recount(id, counted);
        before
    }

    /// Sets or removes a member, and updates every index. Returns the previous member.
    pub(super) fn set_member(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        member: Option<Member>,
    ) -> Option<Member> {
        let before = self.swap_member(party_id, peer_id, member);
        self.index_claims(peer_id);
        before
    }

    /// As [`Self::set_member`], without the index of claims. That index depends on the peer's
    /// memberships.
    fn swap_member(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        member: Option<Member>,
    ) -> Option<Member> {
        let party = self.parties.get_mut(party_id)?;
        let counted = party.copied_bytes();
        let before = party.members.remove(peer_id);
        if let Some(before) = &before {
            party.bytes -= member_bytes(&before.record.info);
            self.unindex(party_id, peer_id, before);
        }
        if let Some(member) = member {
            self.index(party_id, peer_id, &member);
            if let Some(party) = self.parties.get_mut(party_id) {
                party.bytes += member_bytes(&member.record.info);
                party.members.insert(peer_id.clone(), member);
            }
        }
        self.recount(party_id, counted);
        before
    }

    /// Changes a member in place, and updates every index. `None` if there is no such member.
    pub(super) fn with_member<T>(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        work: impl FnOnce(&mut Member) -> T,
    ) -> Option<T> {
        let mut member = self.swap_member(party_id, peer_id, None)?;
        let result = work(&mut member);
        self.swap_member(party_id, peer_id, Some(member));
        Some(result)
    }

    fn index(&mut self, party_id: &PartyId, peer_id: &PeerId, member: &Member) {
        self.memberships += 1;
        self.signals_bytes += member.signals_bytes();
        for (payer, bytes) in member.signals_by_payer() {
            self.signal_payers.add(&payer, bytes);
        }
        if let Owner::User(user) = member.record.owner {
            self.membership_payers.add(&Payer::User(user), 1);
        }
        let presence = self.peers.entry(peer_id.clone()).or_insert_with(|| Presence {
            owner: member.record.owner.clone(),
            parties: Default::default(),
        });
        presence.parties.insert(party_id.clone());
        if let Keeper::Connection(connection) = member.keeper {
            let kept = self.kept.get_mut(&connection).unwrap_or(&mut self.orphans);
            kept.insert((party_id.clone(), peer_id.clone()));
        }
        if member.keeper.may_expire() {
            self.silent_members.insert((member.seen, party_id.clone(), peer_id.clone()));
        }
        if let Some(oldest) = member.signals.front() {
            self.waiting_signals.insert((oldest.queued, party_id.clone(), peer_id.clone()));
        }
    }

    fn unindex(&mut self, party_id: &PartyId, peer_id: &PeerId, member: &Member) {
        self.memberships -= 1;
        self.signals_bytes -= member.signals_bytes();
        for (payer, bytes) in member.signals_by_payer() {
            self.signal_payers.remove(&payer, bytes);
        }
        if let Owner::User(user) = member.record.owner {
            self.membership_payers.remove(&Payer::User(user), 1);
        }
        if let Some(presence) = self.peers.get_mut(peer_id) {
            presence.parties.remove(party_id);
            if presence.parties.is_empty() {
                self.peers.remove(peer_id);
            }
        }
        let key = (party_id.clone(), peer_id.clone());
        if let Keeper::Connection(connection) = member.keeper {
            if let Some(kept) = self.kept.get_mut(&connection) {
                kept.remove(&key);
            }
            self.orphans.remove(&key);
        }
        if let Some(oldest) = member.signals.front() {
            self.waiting_signals.remove(&(oldest.queued, key.0.clone(), key.1.clone()));
        }
        self.silent_members.remove(&(member.seen, key.0, key.1));
    }

    /// Sets or removes a relay, and updates its indexes. Returns the previous relay.
    pub(super) fn set_relay(&mut self, id: &RelayId, relay: Option<Relay>) -> Option<Relay> {
        let before = self.relays.remove(id);
        if let Some(before) = &before {
            if let Some(payer) = &before.payer {
                self.relay_payers.remove(payer, 1);
            }
            self.silent_relays.remove(&(before.seen, id.clone()));
            if let Owner::Peer(owner) = &before.record.owner
                && let Some(count) = self.relay_owners.get_mut(owner)
            {
                *count -= 1;
                if *count == 0 {
                    self.relay_owners.remove(owner);
                }
            }
        }
        let owners = [&before, &relay].map(|relay| {
            let owner = relay.as_ref().map(|relay| &relay.record.owner);
            owner
                .and_then(|owner| if let Owner::Peer(id) = owner { Some(id.clone()) } else { None })
        });
        if let Some(relay) = relay {
            if let Some(payer) = &relay.payer {
                self.relay_payers.add(payer, 1);
            }
            if let Owner::Peer(owner) = &relay.record.owner {
                *self.relay_owners.entry(owner.clone()).or_default() += 1;
            }
            self.silent_relays.insert((relay.seen, id.clone()));
            self.relays.insert(id.clone(), relay);
        }
        for owner in owners.into_iter().flatten() {
            self.index_claims(&owner);
        }
        before
    }

    /// Sets or removes a token, and updates every index. Returns the previous token.
    pub(super) fn set_token(&mut self, hash: &TokenHash, token: Option<Token>) -> Option<Token> {
        let peer_id = |token: &Token| token.record.peer_id.clone();
        let put = token.as_ref().map(peer_id);
        let before = self.identities.set(hash, token);
        for peer_id in before.as_ref().map(peer_id).into_iter().chain(put) {
            self.index_claims(&peer_id);
        }
        before
    }

    /// Updates the index of unused claims for the peer's tokens.
    pub(super) fn index_claims(&mut self, peer_id: &PeerId) {
        let is_used = self.peers.contains_key(peer_id)
            || self.relay_owners.contains_key(peer_id)
            || self.identities.holders.contains_key(peer_id);
        self.identities.index_claims(peer_id, is_used);
    }
}

/// Returns the payer of a party.
fn payer_of(record: &PartyRecord) -> Option<Payer> {
    record.address.map(Payer::Address)
}
