//! The state machine of parties, members, relays and signals.

mod bounds;
mod changes;
mod copies;
mod deferred;
mod expiry;
mod following;
mod hash_index;
mod identities;
mod import;
mod members;
mod offsets;
mod outbox;
mod parties;
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
mod token_table;
mod tokens;
mod transaction;
mod upstream;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use lanrage_ipc::model::{Epoch, Keepalive, Origin, PartyId, PeerId, RelayId, SignalData};

pub(crate) use changes::{Applied, Change, Effect, Ended, Inverse};
pub(crate) use queries::{Filter, least_bytes};

use super::clock_steps::ClockSteps;
use super::command::{Caller, Command, ConnectionId, Now, Refusal};
use super::record::{
    ChoiceRecord, MemberRecord, Owner, PartyRecord, PinRecord, RelayRecord, Write,
};
use super::request::Idempotency;
use super::rules::Rules;
use super::shares::{Payer, Tally};
use members::Members;
use outbox::PendingIntents;
use parties::Parties;
use receipts::{KeptReceipt, Receipts};
use tokens::{Identities, Token};
use transaction::Transaction;

/// State of all parties and relays. Only `set_party`, `set_member`, `with_member` and `set_relay`
/// update its indexes.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(crate) struct Registry {
    rules: Rules,
    epoch: Epoch,
    parties: Parties,
    relays: BTreeMap<RelayId, Relay>,
    /// Members that each open connection keeps alive.
    kept: HashMap<ConnectionId, BTreeSet<(PartyId, PeerId)>>,
    /// Members whose connection has closed, where the resulting change was undone.
    orphans: BTreeSet<(PartyId, PeerId)>,
    /// Number of relays, by peer.
    relay_owners: HashMap<PeerId, usize>,
    /// Relays, by last sign of life.
    silent_relays: BTreeSet<(Duration, RelayId)>,
    /// Members with waiting signals, by the age of the oldest signal.
    waiting_signals: BTreeSet<(Duration, PartyId, PeerId)>,
    identities: Identities,
    receipts: Receipts,
    outbox: PendingIntents,
    /// Idempotency keys that were generated since the start.
    named: u64,
    /// Detects steps of the wall clock that members' offsets do not include yet.
    clock: ClockSteps,
    /// Signals queued since the start.
    signals_queued: u64,
    memberships: usize,
    /// Number of parties, by the address that registered them.
    party_payers: Tally,
    /// Number of memberships, by the local user that owns the peer.
    membership_payers: Tally,
    /// Number of relays, by the address that announced them.
    relay_payers: Tally,
    /// Bytes of waiting signals, by sender and by the sender's client.
    signal_payers: Tally,
    /// Bytes of all waiting signals, with their envelopes.
    signals_bytes: usize,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Party {
    record: PartyRecord,
    members: Members,
    /// Pinned keys of members and former members from other machines.
    pins: BTreeMap<PeerId, PinRecord>,
    /// Memory of the members and pins, in bytes.
    bytes: usize,
    /// Lower bound of the last signs of life of the members that may expire. Signs of life leave it
    /// unchanged, so that they change no index; the expiry looks at the party and corrects it.
    looked_at: Option<Duration>,
}

impl Party {
    /// Returns a party without members.
    fn new(record: PartyRecord) -> Self {
        let (members, pins, bytes, looked_at) = Default::default();
        Self { record, members, pins, bytes, looked_at }
    }
}

#[cfg(test)]
impl PartialEq for Party {
    fn eq(&self, other: &Self) -> bool {
        let parts = |party: &Self| (party.record.clone(), party.pins.clone(), party.bytes);
        parts(self) == parts(other) && self.members == other.members
    }
}

#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq))]
struct Member {
    record: MemberRecord,
    keeper: Keeper,
    /// Time of the last sign of life, on the clock of [`Now::elapsed`].
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
    /// Payer beside the sender.
    payer: Option<Payer>,
}

#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq))]
struct Relay {
    record: RelayRecord,
    seen: Duration,
    /// Payer of the relay. After a restart there is none until the relay is announced again.
    payer: Option<Payer>,
}

impl Member {
    /// Returns a member without signals.
    fn new(record: MemberRecord, keeper: Keeper, seen: Duration) -> Box<Self> {
        Box::new(Self { record, keeper, seen, signals: VecDeque::new() })
    }

    /// Memory of the member as a part of a copy, in bytes.
    fn bytes(&self) -> usize {
        bounds::member_bytes(&self.record.info)
    }
}

/// Keeper of a member: the source of its signs of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    Connection(ConnectionId),
    Daemon,
    /// Its own heartbeats, as agreed.
    Heartbeats,
    /// Its own heartbeats, because its connection or its daemon is gone.
    Nothing,
    /// A control server, which states whether the keepalive there lasts.
    Server {
        connected: bool,
    },
}

impl Keeper {
    /// Returns the keeper after a restart: all connections and promises of the old daemon are gone.
    fn after_restart(member: &MemberRecord, origin: Option<Origin>) -> Self {
        match member.keepalive {
            _ if member.owner == Owner::Elsewhere && origin == Some(Origin::Remote) => {
                Self::Server { connected: false }
            }
            Keepalive::Manual => Self::Heartbeats,
            Keepalive::Connection | Keepalive::Daemon => Self::Nothing,
        }
    }

    /// True if the member counts as seen at any time.
    fn is_constant(self) -> bool {
        matches!(self, Self::Connection(_) | Self::Daemon)
    }

    /// True while the keepalive lasts.
    fn is_connected(self) -> bool {
        !matches!(self, Self::Nothing | Self::Server { connected: false })
    }

    /// True if the member expires when it is silent.
    fn may_expire(self) -> bool {
        matches!(self, Self::Heartbeats | Self::Nothing)
    }
}

impl Registry {
    /// Returns an empty registry in an epoch.
    pub(crate) fn new(rules: Rules, epoch: Epoch) -> Self {
        Self {
            rules,
            epoch,
            parties: Parties::default(),
            relays: BTreeMap::new(),
            relay_owners: HashMap::new(),
            kept: HashMap::new(),
            orphans: BTreeSet::new(),
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
        }
    }

    /// Makes room for that many parties, memberships and tokens to restore.
    pub(crate) fn reserve(&mut self, parties: usize, memberships: usize, tokens: usize) {
        self.parties.reserve(parties, memberships);
        self.identities.tokens.reserve(tokens);
    }

    /// Loads the stored rows. All entries count as seen at `now`: the time while the program was
    /// down says nothing about them.
    #[cfg(test)]
    pub(crate) fn restore(&mut self, rows: impl IntoIterator<Item = Write>, now: Now) {
        rows.into_iter().for_each(|row| self.restore_row(row, now));
        self.end_restore();
    }

    /// Ends the restoring of rows.
    pub(crate) fn end_restore(&mut self) {
        self.parties.spread_looks(self.rules.peer_timeout);
    }

    /// Loads a stored row. Its entry counts as seen at `now`: the time while the program was down
    /// says nothing about it. [`Registry::end_restore`] follows the last row.
    pub(crate) fn restore_row(&mut self, row: Write, now: Now) {
        match row {
            Write::PutParty(record) => {
                self.set_party(&record.party_id.clone(), Some(record));
            }
            Write::PutMember(party_id, record) => {
                let party = self.parties.get(&party_id);
                let origin = party.map(|party| party.record.origin);
                let keeper = Keeper::after_restart(&record, origin);
                let peer_id = record.info.peer_id.clone();
                let member = Member::new(record, keeper, now.elapsed);
                self.set_member(&party_id, &peer_id, Some(member));
            }
            Write::PutRelay(record) => {
                let relay_id = record.relay.relay_id.clone();
                self.set_relay(&relay_id, Some(Relay { record, seen: now.elapsed, payer: None }));
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

    /// Starts to watch for steps of the wall clock.
    pub(crate) fn watch_clock(&mut self, now: Now) {
        self.clock = ClockSteps::start(now);
    }

    /// Changes the bounds. Entries that exceed them already stay.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Returns the epoch in which sequence numbers count.
    pub(crate) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Executes a command.
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

    /// As [`Registry::apply`], under an idempotency key. A repeated request is not executed again:
    /// its outcome is the receipt of the first time.
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

    /// Reverts changes. They must be the newest ones, all since some point, in the order in which
    /// they were made.
    pub(crate) fn undo(&mut self, changes: impl DoubleEndedIterator<Item: Into<Inverse>>) {
        for change in changes.rev() {
            change.into().undo(self);
        }
    }

    /// Reverts an effect. It must be the newest, and the changes of its command must not be undone
    /// yet. A closed connection stays closed, and a polled signal stays polled.
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
