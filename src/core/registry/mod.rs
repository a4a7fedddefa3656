//! The state machine: parties, their members, relays and signals.

mod bounds;
mod changes;
mod copies;
mod deferred;
mod expiry;
mod following;
mod identities;
mod import;
mod offsets;
mod outbox;
mod party;
mod pins;
mod queries;
mod receipt_ranking;
mod receipts;
mod relay;
mod room;
mod signal;
#[cfg(test)]
mod tests;
mod tokens;
mod transaction;
mod upstream;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use lanrage_ipc::model::{Epoch, Keepalive, Origin, PartyId, PeerId, RelayId, SignalData};

pub(crate) use changes::{Applied, Change, Effect, Ended};
pub(crate) use queries::{Filter, least_bytes};

use super::clock_steps::ClockSteps;
use super::command::{Caller, Command, ConnectionId, Now, Refusal};
use super::record::{
    ChoiceRecord, MemberRecord, Owner, PartyRecord, PinRecord, RelayRecord, Write,
};
use super::request::Idempotency;
use super::rules::Rules;
use super::shares::{Payer, Tally};
use outbox::PendingIntents;
use receipts::{KeptReceipt, Receipts};
use tokens::{Identities, Token};
use transaction::Transaction;

/// The truth about parties. Every index over it is kept by `set_party`, `set_member` and
/// `set_relay` alone.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(crate) struct Registry {
    rules: Rules,
    epoch: Epoch,
    parties: BTreeMap<PartyId, Party>,
    relays: BTreeMap<RelayId, Relay>,
    /// Where each peer is, and whose it is.
    peers: HashMap<PeerId, Presence>,
    /// What each open connection keeps alive; one that has closed is not in here.
    kept: HashMap<ConnectionId, BTreeSet<(PartyId, PeerId)>>,
    /// Members whose connection has closed, but the change that says so was undone.
    orphans: BTreeSet<(PartyId, PeerId)>,
    /// Members that nothing keeps alive, by their last sign of life.
    silent_members: BTreeSet<(Duration, PartyId, PeerId)>,
    /// Number of relays, by peer.
    relay_owners: HashMap<PeerId, usize>,
    /// Relays, by their last sign of life.
    silent_relays: BTreeSet<(Duration, RelayId)>,
    /// Members with signals waiting, by the age of the oldest.
    waiting_signals: BTreeSet<(Duration, PartyId, PeerId)>,
    identities: Identities,
    receipts: Receipts,
    outbox: PendingIntents,
    /// How many requests were named, since the program began.
    named: u64,
    /// Steps of the wall clock that members' offsets do not count yet.
    clock: ClockSteps,
    /// Signals queued since the program began.
    signals_queued: u64,
    memberships: usize,
    /// Parties, by the address that registered them.
    party_payers: Tally,
    /// Memberships, by the user of this machine whose peer it is.
    membership_payers: Tally,
    /// Relays, by the address that announced them.
    relay_payers: Tally,
    /// Bytes of waiting signals, by their sender, and by where that is.
    signal_payers: Tally,
    /// Bytes of the signals that wait, with what is around them.
    signals_bytes: usize,
    /// Bytes of the copies of a control server's parties.
    copies_bytes: usize,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
struct Party {
    record: PartyRecord,
    members: BTreeMap<PeerId, Member>,
    /// Keys of members from other machines, those that left among them.
    pins: BTreeMap<PeerId, PinRecord>,
    /// Bytes of the members and pins.
    bytes: usize,
}

#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq))]
struct Member {
    record: MemberRecord,
    keeper: Keeper,
    /// When it last gave a sign of life, on the clock of [`Now::elapsed`].
    seen: Duration,
    signals: VecDeque<QueuedSignal>,
}

#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq))]
struct QueuedSignal {
    /// See [`Effect::Queued`].
    number: u64,
    from: PeerId,
    data: SignalData,
    sent_at: Timestamp,
    queued: Duration,
    /// Pays for it beside its sender.
    payer: Option<Payer>,
}

#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq))]
struct Relay {
    record: RelayRecord,
    seen: Duration,
    /// Pays for it. After a restart nobody does, until the relay is announced again.
    payer: Option<Payer>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
struct Presence {
    owner: Owner,
    parties: BTreeSet<PartyId>,
}

/// What keeps a member alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    Connection(ConnectionId),
    Daemon,
    /// Its own heartbeats, as agreed.
    Heartbeats,
    /// Its own heartbeats, because its connection or its daemon is gone.
    Nothing,
    /// A control server, which says whether what keeps it alive there still does.
    Server {
        connected: bool,
    },
}

impl Keeper {
    /// After a restart no connection is left, and the daemon that promised is another.
    fn after_restart(member: &MemberRecord, origin: Option<Origin>) -> Self {
        match member.keepalive {
            _ if member.owner == Owner::Elsewhere && origin == Some(Origin::Remote) => {
                Self::Server { connected: false }
            }
            Keepalive::Manual => Self::Heartbeats,
            Keepalive::Connection | Keepalive::Daemon => Self::Nothing,
        }
    }

    /// Whether a member that is kept so is seen at any time.
    fn is_constant(self) -> bool {
        matches!(self, Self::Connection(_) | Self::Daemon)
    }

    /// Whether what keeps a member alive that is kept so still does.
    fn is_connected(self) -> bool {
        !matches!(self, Self::Nothing | Self::Server { connected: false })
    }

    /// Whether a member that is kept so goes when it is silent for too long.
    fn may_expire(self) -> bool {
        matches!(self, Self::Heartbeats | Self::Nothing)
    }
}

impl Registry {
    /// An empty registry in a given stretch of history.
    pub(crate) fn new(rules: Rules, epoch: Epoch) -> Self {
        Self {
            rules,
            epoch,
            parties: BTreeMap::new(),
            relays: BTreeMap::new(),
            relay_owners: HashMap::new(),
            peers: HashMap::new(),
            kept: HashMap::new(),
            orphans: BTreeSet::new(),
            silent_members: BTreeSet::new(),
            silent_relays: BTreeSet::new(),
            waiting_signals: BTreeSet::new(),
            identities: Identities::default(),
            receipts: Receipts::default(),
            outbox: PendingIntents::default(),
            named: 0,
            clock: ClockSteps::default(),
            signals_queued: 0,
            memberships: 0,
            party_payers: Tally::default(),
            membership_payers: Tally::default(),
            relay_payers: Tally::default(),
            signal_payers: Tally::default(),
            signals_bytes: 0,
            copies_bytes: 0,
        }
    }

    /// Takes in what was stored. All count as seen at `now`: how long they were silent while
    /// nobody listened says nothing about them.
    pub(crate) fn restore(&mut self, rows: impl IntoIterator<Item = Write>, now: Now) {
        for row in rows {
            match row {
                Write::PutParty(record) => {
                    self.set_party(&record.party_id.clone(), Some(record));
                }
                Write::PutMember(party_id, record) => {
                    let party = self.parties.get(&party_id);
                    let origin = party.map(|party| party.record.origin);
                    let keeper = Keeper::after_restart(&record, origin);
                    let peer_id = record.info.peer_id.clone();
                    let member =
                        Member { record, keeper, seen: now.elapsed, signals: VecDeque::new() };
                    self.set_member(&party_id, &peer_id, Some(member));
                }
                Write::PutRelay(record) => {
                    let relay_id = record.relay.relay_id.clone();
                    self.set_relay(
                        &relay_id,
                        Some(Relay { record, seen: now.elapsed, payer: None }),
                    );
                }
                Write::DeleteParty(id) => {
                    self.set_party(&id, None);
                }
                Write::DeleteMember(party_id, peer_id) => {
                    self.set_member(&party_id, &peer_id, None);
                }
                Write::DeleteRelay(id) => {
                    self.set_relay(&id, None);
                }
                Write::PutToken(record) => {
                    let token = Token::restored(record, now);
                    self.set_token(&token.record.hash.clone(), Some(token));
                }
                Write::DeleteToken(hash) => {
                    self.set_token(&hash, None);
                }
                Write::PutReceipt(record) => {
                    let key = (record.peer_id.clone(), record.key.clone());
                    let payer = self.payer_of_peer(&record.peer_id);
                    self.receipts.set(&key, Some(KeptReceipt::new(record, payer, now)));
                }
                Write::DeleteReceipt(peer_id, key) => {
                    self.receipts.set(&(peer_id, key), None);
                }
                Write::PutIntent(record) => {
                    let key = (record.party_id.clone(), record.peer_id.clone());
                    self.outbox.set_intent(&key, Some(record));
                }
                Write::DeleteIntent(party_id, peer_id) => {
                    self.outbox.set_intent(&(party_id, peer_id), None);
                }
                Write::PutCredential(record) => {
                    let key = (record.server.clone(), record.peer_id.clone());
                    self.outbox.set_credential(&key, Some(record));
                }
                Write::DeleteCredential(server, peer_id) => {
                    self.outbox.set_credential(&(server, peer_id), None);
                }
                Write::PutPin(pin) => {
                    let (party_id, peer_id) = (pin.party_id.clone(), pin.peer_id.clone());
                    self.set_pin(&party_id, &peer_id, Some(pin));
                }
                Write::DeletePin(party_id, peer_id) => {
                    self.set_pin(&party_id, &peer_id, None);
                }
                Write::PutChoice(choice) => self.outbox.choice = choice,
                Write::DeleteChoice => self.outbox.choice = ChoiceRecord::default(),
            }
        }
    }

    /// Watches for steps of the wall clock from here on.
    pub(crate) fn watch_clock(&mut self, now: Now) {
        self.clock = ClockSteps::start(now);
    }

    /// Changes the bounds from here on; what exceeds them already stays.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// The stretch of history that sequence numbers count in.
    pub(crate) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Does what a command asks.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub(crate) fn apply(
        &mut self,
        command: Command,
        caller: Caller,
        now: Now,
    ) -> Result<Applied, Refusal> {
        let mut tx = Transaction::new(self, caller, now);
        let outcome = tx.perform(command)?;
        Ok(tx.finish(outcome))
    }

    /// As [`Registry::apply`], but a request that its peer made before, under the same key, is not
    /// done again: the answer is the receipt of the first time.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub(crate) fn apply_once(
        &mut self,
        idempotency: Idempotency,
        command: Command,
        caller: Caller,
        now: Now,
    ) -> Result<Applied, Refusal> {
        let mut tx = Transaction::new(self, caller, now);
        let outcome = tx.once(idempotency, command)?;
        Ok(tx.finish(outcome))
    }

    /// Takes changes back. They must be the newest ones, all of them since some point, given as
    /// they were made.
    pub(crate) fn undo(&mut self, changes: impl DoubleEndedIterator<Item = Change>) {
        for change in changes.rev() {
            change.undo(self);
        }
    }

    /// Takes an effect back. It must be the newest, of a command whose changes are still there. A
    /// connection that has closed meanwhile and a signal that was polled stay as they are.
    pub(crate) fn revert(&mut self, effect: Effect) {
        match effect {
            Effect::Held { peer_id, connection, before, taken_alone } => {
                self.identities.unhold(&peer_id, connection, before, taken_alone);
                self.index_claims(&peer_id);
            }
            Effect::Released { peer_id, holders } => {
                self.identities.take_again(&peer_id, holders);
                self.index_claims(&peer_id);
            }
            Effect::Queued { party_id, to, number } => {
                self.with_member(&party_id, &to, |member| {
                    member.signals.retain(|signal| signal.number != number);
                });
            }
            Effect::ClockFollowed { minutes } => self.clock.follow(-minutes),
        }
    }
}
