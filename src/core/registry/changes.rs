//! Changes of the registry, each with its inverse. The registry changes in no other way.

use std::collections::VecDeque;
use std::time::Duration;

use lanrage_ipc::event::Event;
use lanrage_ipc::model::{PartyId, PeerId, RelayId};

use super::receipts::KeptReceipt;
use super::tokens::Token;
use super::{Keeper, Member, Party, Registry, Relay};
use crate::core::command::{ConnectionId, Outcome};
use crate::core::record::{
    ChoiceRecord, CredentialRecord, IntentRecord, MemberRecord, Owner, PartyRecord, PinRecord,
    RequestKey, Seen, ServerKey, TokenHash, User, Write,
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
                registry.parties.with_party(&id, |party| party.record.seq = before);
            }
            Undo::Member(party_id, peer_id, mut before) => {
                let after = registry.set_member(&party_id, &peer_id, None);
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
        let before = match record {
            None => self.parties.remove(id).map(|party| party.record),
            Some(record) if self.parties.contains_key(id) => {
                let replace = |party: &mut Party| std::mem::replace(&mut party.record, record);
                self.parties.with_party(id, replace)
            }
            Some(record) => {
                self.parties.insert(Party::new(record));
                None
            }
        };
        if let Some(payer) = before.as_ref().and_then(payer_of) {
            self.party_payers.remove(&payer, 1);
        }
        before
    }

    /// Sets or removes a member, and updates every index. Returns the previous member.
    pub(super) fn set_member(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        member: Option<Box<Member>>,
    ) -> Option<Box<Member>> {
        if !self.parties.contains_key(party_id) {
            return None;
        }
        let after = member.as_deref().map(Marks::of);
        let before = self.parties.set_member(party_id, peer_id, member);
        let marks = before.as_deref().map(Marks::of);
        let is_other = marks.is_some() != after.is_some();
        self.index(party_id, peer_id, marks, after);
        if is_other {
            self.index_claims(peer_id);
        }
        before
    }

    /// Changes a member in place, and updates every index. `None` if there is no such member.
    pub(super) fn with_member<T>(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        work: impl FnOnce(&mut Member) -> T,
    ) -> Option<T> {
        let (result, before, after) = self.parties.with_member(party_id, peer_id, |member| {
            let before = Marks::of(member);
            let result = work(member);
            (result, before, Marks::of(member))
        })?;
        self.index(party_id, peer_id, Some(before), Some(after));
        Some(result)
    }

    /// Replaces the record of a member, which stays in its place. Returns the previous member,
    /// without signals; `None` if there is no such member.
    pub(super) fn replace_member(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        record: &MemberRecord,
        keeper: Keeper,
        seen: Duration,
    ) -> Option<Box<Member>> {
        self.with_member(party_id, peer_id, |member| {
            Box::new(Member {
                record: std::mem::replace(&mut member.record, record.clone()),
                keeper: std::mem::replace(&mut member.keeper, keeper),
                seen: std::mem::replace(&mut member.seen, seen),
                signals: VecDeque::new(),
            })
        })
    }

    /// Updates the indexes for a change of a member.
    fn index(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        before: Option<Marks>,
        after: Option<Marks>,
    ) {
        if before == after {
            return;
        }
        let key = || (party_id.clone(), peer_id.clone());
        if let Some(marks) = before {
            self.memberships -= 1;
            if let Some(user) = marks.user {
                self.membership_payers.remove(&Payer::User(user), 1);
            }
            if let Keeper::Connection(connection) = marks.keeper {
                if let Some(kept) = self.kept.get_mut(&connection) {
                    kept.remove(&key());
                }
                self.orphans.remove(&key());
            }
            if let Some(signals) = marks.signals {
                self.signals_bytes -= signals.bytes;
                self.waiting_signals.remove(&(signals.oldest, party_id.clone(), peer_id.clone()));
                for (payer, bytes) in signals.by_payer {
                    self.signal_payers.remove(&payer, bytes);
                }
            }
        }
        if let Some(marks) = after {
            self.memberships += 1;
            if let Some(user) = marks.user {
                self.membership_payers.add(&Payer::User(user), 1);
            }
            if let Keeper::Connection(connection) = marks.keeper {
                let kept = self.kept.get_mut(&connection).unwrap_or(&mut self.orphans);
                kept.insert(key());
            }
            if let Some(signals) = marks.signals {
                self.signals_bytes += signals.bytes;
                self.waiting_signals.insert((signals.oldest, party_id.clone(), peer_id.clone()));
                for (payer, bytes) in signals.by_payer {
                    self.signal_payers.add(&payer, bytes);
                }
            }
        }
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
        let is_used = self.is_in_a_party(peer_id)
            || self.relay_owners.contains_key(peer_id)
            || self.identities.holders.contains_key(peer_id);
        self.identities.index_claims(peer_id, is_used);
    }
}

/// State of a member that the indexes depend on.
#[derive(PartialEq, Eq)]
struct Marks {
    /// Local user that owns the peer.
    user: Option<User>,
    keeper: Keeper,
    signals: Option<SignalMarks>,
}

/// Waiting signals of a member.
#[derive(PartialEq, Eq)]
struct SignalMarks {
    oldest: Duration,
    bytes: usize,
    by_payer: Vec<(Payer, usize)>,
}

impl Marks {
    fn of(member: &Member) -> Self {
        let user = match member.record.owner {
            Owner::User(user) => Some(user),
            _ => None,
        };
        let signals = member.signals.front().map(|oldest| SignalMarks {
            oldest: oldest.queued,
            bytes: member.signals_bytes(),
            by_payer: member.signals_by_payer().collect(),
        });
        Self { user, keeper: member.keeper, signals }
    }
}

/// Returns the payer of a party.
fn payer_of(record: &PartyRecord) -> Option<Payer> {
    record.address.map(Payer::Address)
}
