//! Bounded queue of calls that are applied in memory and wait for their commit, in order.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lanrage_ipc::event::{Event, Snapshot};
use lanrage_ipc::model::{Party, PartyId};

use crate::control_plane::ask::AnyReply;
use crate::control_plane::{Ask, Query, Reply};
use crate::core::{Caller, Command, Effect, Ended, Inverse, Outcome, Payer, Write};
use crate::events::HubCommand;

/// Limit of waiting calls: all that clients may have in flight at the same time. While a disk hangs
/// for minutes, clients give up and repeat their requests.
const MOST_WAITING: usize = 16_384;
/// Limit of their memory, as [`Waiting::weight`] counts it.
const MOST_BYTES: usize = 128 << 20;
/// Weight of a row, an event or an answer, with ids, names and a key of usual length.
const ROW: usize = 512;
/// Divisor of both limits for one client: a user, an address, or a /48 of IPv6.
const CLIENTS: usize = 4;
/// Interval between two sweeps of a full queue for abandoned calls.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Applied call.
pub(super) enum Waiting {
    /// Command that changed the state.
    Changed(Box<Changed>),
    /// Command that changed nothing, but whose answer depends on earlier changes.
    Unchanged(Box<Unchanged>),
    /// Query.
    Read(Box<Read>),
}

/// Query, answered in the order of the calls.
pub(super) struct Read {
    /// Its caller.
    pub(super) caller: Caller,
    /// Query whose reply holds the answer; it is repeated if earlier changes are reverted.
    pub(super) query: Query,
    /// Command for the hub once the answer is sent.
    pub(super) hub_command: Option<HubCommand>,
}

/// Command without a durable change. It is refused if earlier changes are reverted: a second
/// execution could change the state for a connection that has closed meanwhile.
pub(super) struct Unchanged {
    /// Reply that holds the answer until all earlier changes are durable.
    pub(super) reply: Reply<Outcome>,
    /// Effect to revert if the command is refused.
    pub(super) effect: Option<Effect>,
}

/// Effect of a command.
pub(super) struct Changed {
    /// Rows to write; the commit takes them.
    pub(super) rows: Vec<Write>,
    /// Inverses of the changes, oldest first.
    pub(super) inverses: Vec<Inverse>,
    /// Parties with new intents for a control server.
    pub(super) dirty: Vec<PartyId>,
    pub(super) effect: Option<Effect>,
    pub(super) events: Vec<Event>,
    /// Connections to end once the changes are durable.
    pub(super) ended: Vec<Ended>,
    /// Reply that holds the outcome.
    pub(super) reply: Reply<Outcome>,
}

/// Number and memory of waiting calls.
#[derive(Default)]
struct Load {
    calls: usize,
    bytes: usize,
}

impl Load {
    /// True if the load reaches that fraction of the limits.
    fn fills(&self, divisor: usize) -> bool {
        self.calls >= MOST_WAITING / divisor || self.bytes >= MOST_BYTES / divisor
    }

    fn add(&mut self, bytes: usize) {
        self.calls += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.calls -= 1;
        self.bytes -= bytes;
    }
}

/// Waiting calls, oldest first.
#[derive(Default)]
pub(super) struct Pending {
    /// Calls with the client that each counts for; an administrator's counts for none.
    calls: VecDeque<(Option<Payer>, Waiting)>,
    /// Number of calls in the running commit.
    committing: Option<usize>,
    all: Load,
    /// Never empty.
    clients: HashMap<Payer, Load>,
    swept: Option<Duration>,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    /// True if one more call of a client may wait. A full queue drops abandoned calls first.
    pub(super) fn has_room(&mut self, client: Option<&Payer>, now: Duration) -> bool {
        let client = client.map(Payer::widest);
        if !self.is_full(client.as_ref()) {
            return true;
        }
        if self.swept.is_none_or(|at| now.saturating_sub(at) >= SWEEP_EVERY) {
            self.swept = Some(now);
            self.sweep();
        }
        !self.is_full(client.as_ref())
    }

    fn is_full(&self, client: Option<&Payer>) -> bool {
        let of_client = client.and_then(|client| self.clients.get(client));
        self.all.fills(1) || of_client.is_some_and(|load| load.fills(CLIENTS))
    }

    pub(super) fn push(&mut self, client: Option<&Payer>, call: Waiting) {
        let (client, bytes) = (client.map(Payer::widest), call.weight());
        self.all.add(bytes);
        if let Some(client) = &client {
            self.clients.entry(client.clone()).or_default().add(bytes);
        }
        self.calls.push_back((client, call));
    }

    /// Removes a call from the counts.
    fn discount(&mut self, client: Option<Payer>, bytes: usize) {
        self.all.remove(bytes);
        if let Some(Entry::Occupied(mut load)) = client.map(|client| self.clients.entry(client)) {
            load.get_mut().remove(bytes);
            if load.get().calls == 0 {
                load.remove();
            }
        }
    }

    /// Begins a commit of all waiting calls. Takes their rows.
    pub(super) fn begin_commit(&mut self) -> Vec<Write> {
        self.committing = Some(self.calls.len());
        let changed = self.calls.iter_mut().filter_map(|(_, call)| match call {
            Waiting::Changed(changed) => Some(changed),
            Waiting::Unchanged(_) | Waiting::Read(_) => None,
        });
        changed.flat_map(|changed| changed.rows.drain(..)).collect()
    }

    /// Removes the calls of the commit that has just ended.
    pub(super) fn end_commit(&mut self) -> Vec<Waiting> {
        let count = self.committing.take().unwrap_or_default();
        let calls: Vec<_> = self.calls.drain(..count).collect();
        calls
            .into_iter()
            .map(|(client, call)| {
                self.discount(client, call.weight());
                call
            })
            .collect()
    }

    /// Removes all calls; no commit runs afterwards.
    pub(super) fn take_all(&mut self) -> Vec<Waiting> {
        (self.committing, self.all) = Default::default();
        self.clients.clear();
        self.calls.drain(..).map(|(_, call)| call).collect()
    }

    /// True if a waiting call needs a commit.
    pub(super) fn holds_changes(&self) -> bool {
        self.calls.iter().any(|(_, call)| matches!(call, Waiting::Changed(_)))
    }

    /// Drops the abandoned calls without an effect.
    fn sweep(&mut self) {
        let committing = self.committing.unwrap_or_default();
        let mut dropped = 0;
        for (at, (client, mut call)) in std::mem::take(&mut self.calls).into_iter().enumerate() {
            if call.is_abandoned() {
                self.discount(client, call.weight());
                dropped += usize::from(at < committing);
            } else {
                self.calls.push_back((client, call));
            }
        }
        if let Some(committing) = &mut self.committing {
            *committing -= dropped;
        }
    }
}

impl Waiting {
    /// Returns the reply that holds the answer.
    pub(super) fn reply(&mut self) -> &mut dyn AnyReply {
        match self {
            Self::Changed(changed) => &mut changed.reply,
            Self::Unchanged(unchanged) => &mut unchanged.reply,
            Self::Read(read) => read.query.reply(),
        }
    }

    /// True for a call without an effect whose caller has given up.
    fn is_abandoned(&mut self) -> bool {
        let has_effect = match self {
            Self::Changed(_) => true,
            Self::Unchanged(unchanged) => unchanged.effect.is_some(),
            Self::Read(read) => read.hub_command.is_some(),
        };
        !has_effect && self.reply().is_closed()
    }

    /// Returns the approximate memory of the call, in bytes.
    fn weight(&self) -> usize {
        match self {
            Self::Changed(changed) => {
                let events = changed.events.iter().map(event_weight).sum::<usize>();
                ROW * changed.inverses.len() + events + outcome_weight(&changed.reply)
            }
            Self::Unchanged(unchanged) => outcome_weight(&unchanged.reply),
            Self::Read(read) => {
                let told = match &read.hub_command {
                    Some(HubCommand::Resume(_, snapshot)) => snapshot_weight(snapshot),
                    _ => ROW,
                };
                told + answer_weight(&read.query)
            }
        }
    }
}

fn party_weight(party: &Party) -> usize {
    ROW * (1 + party.peers.len())
}

fn event_weight(event: &Event) -> usize {
    match event {
        Event::PartyRegistered { party, .. } | Event::PartyUpdated { party, .. } => {
            party_weight(party)
        }
        _ => ROW,
    }
}

fn outcome_weight(reply: &Reply<Outcome>) -> usize {
    match reply.held() {
        Some(Outcome::Party(party)) => party_weight(party),
        _ => ROW,
    }
}

fn snapshot_weight(snapshot: &Snapshot) -> usize {
    let parties = snapshot.parties.iter().flatten().map(party_weight).sum::<usize>();
    ROW + parties + ROW * snapshot.relays.iter().flatten().count()
}

/// Weight of the answer that a query's reply holds.
fn answer_weight(query: &Query) -> usize {
    let parties_weight = |parties: &[Party]| ROW + parties.iter().map(party_weight).sum::<usize>();
    let weight = match query {
        Query::Party(_, reply) => reply.held().map(party_weight),
        Query::Parties { reply, .. } => reply.held().map(|page| parties_weight(&page.parties)),
        Query::ChangedParties(_, _, reply) => reply.held().map(|all| parties_weight(&all.parties)),
        Query::SubscribeAfter { reply, .. } => reply
            .held()
            .map(|(changed, rest)| parties_weight(&changed.parties) + snapshot_weight(rest)),
        Query::Relays(_, reply) => reply.held().map(|relays| ROW * (1 + relays.len())),
        Query::Subscribe { reply, .. } => {
            reply.held().and_then(Option::as_ref).map(snapshot_weight)
        }
        _ => None,
    };
    weight.unwrap_or(ROW)
}

/// True for calls that run even when the queue is full. The number of members, connections and
/// subscriptions bounds them, and refusing them would leak memory.
pub(super) fn is_cleaning_up(ask: &Ask) -> bool {
    match ask {
        Ask::Command(command, _) => {
            matches!(command, Command::Disconnect | Command::Expire | Command::ReleaseMember { .. })
        }
        Ask::Query(Query::Unsubscribe(..) | Query::ConnectionChanged(..)) => true,
        _ => false,
    }
}
