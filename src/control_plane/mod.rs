//! Control planes: actors that answer [`Call`]s. A frontend holds a [`ControlPlane`], a handle that
//! hides which of them answers.
//!
//! | file | |
//! |---|---|
//! | `ask` | requests, each with its typed reply |
//! | `local` | the control plane around the registry |
//! | `dirty_parties` | dirty set: parties with changes, registry to link and discovery file |
//! | `ending` | connections that may no longer speak for a peer, registry to WebSockets |
//!
//! The control plane in front of a control server is [`crate::remote`].

mod ask;
pub(crate) mod dirty_parties;
pub(crate) mod ending;
pub(crate) mod local;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::dev::RecipientRequest;
use actix::prelude::*;
use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::model::{Connection, Epoch, Party};

pub(crate) use ask::{Ask, IntoAsk, Query, Reply};

pub(crate) use crate::core::Failure;
use crate::core::{Caller, Command, ConnectionId, DirtySet};
use crate::store::{BackupError, Recovery};

/// Numbers the connections of a program, over all frontends; 0 is the program itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<AtomicU64>);

impl Connections {
    /// Returns a number that no other connection has.
    pub(crate) fn next(&self) -> ConnectionId {
        ConnectionId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Request with its caller.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Call {
    /// The caller.
    pub(crate) caller: Caller,
    /// The request.
    pub(crate) ask: Ask,
}

/// Handle of a control plane.
#[derive(Debug, Clone)]
pub(crate) struct ControlPlane(Recipient<Call>);

impl ControlPlane {
    /// Creates the handle of an actor.
    pub(crate) fn new(actor: Recipient<Call>) -> Self {
        Self(actor)
    }

    /// Sends a request at once, and waits for its answer. A request whose caller gives up before
    /// the control plane takes it is not executed.
    ///
    /// # Errors
    /// The failure of the control plane; [`Failure::Stopping`] when it takes no requests.
    pub(crate) fn ask<T, R: IntoAsk<T>>(
        &self,
        caller: Caller,
        request: R,
    ) -> impl Future<Output = Result<T, Failure>> + use<T, R> {
        let (reply, answer) = Reply::channel();
        let taken = self.forward(Call { caller, ask: request.into_ask(reply) });
        async move {
            taken.await.ok();
            // Only a command can have an outcome of another type.
            answer.await.unwrap_or(Err(Failure::Stopping))?.try_into().map_err(|other| {
                log::error!("answer of another request's type: {other:?}");
                Failure::Mistake
            })
        }
    }

    /// Sends a request as [`ControlPlane::ask`] does, with a time limit.
    ///
    /// # Errors
    /// The errors of [`ControlPlane::ask`]; [`Failure::TimedOut`] after `patience`.
    pub(crate) async fn ask_within<T>(
        &self,
        patience: Duration,
        caller: Caller,
        request: impl IntoAsk<T>,
    ) -> Result<T, Failure> {
        let answer = tokio::time::timeout(patience, self.ask(caller, request)).await;
        answer.unwrap_or(Err(Failure::TimedOut(patience)))
    }

    /// Sends a call at once; the future ends when the control plane has taken the call.
    pub(crate) fn forward(&self, call: Call) -> RecipientRequest<Call> {
        self.0.send(call)
    }

    /// Sends a command without waiting for its outcome. Returns false when the mailbox is full.
    pub(crate) fn try_command(&self, caller: Caller, command: Command) -> bool {
        self.0.try_send(Call { caller, ask: Ask::Command(command, Reply::channel().0) }).is_ok()
    }
}

/// Page of parties.
#[derive(Debug)]
pub(crate) struct Page {
    /// The parties.
    pub(crate) parties: Vec<Party>,
    /// True if there are more.
    pub(crate) more: bool,
}

/// Changes of parties that were read before.
#[derive(Debug)]
pub(crate) struct ChangedParties {
    /// Parties that may have changed.
    pub(crate) stale: DirtySet,
    /// Present state of these parties; a removed one is missing.
    pub(crate) parties: Vec<Party>,
}

/// Published state of the connection to the control server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionStatus {
    /// State without the time of the next attempt.
    pub(crate) connection: Connection,
    /// Time of the next attempt, on the clock of [`Now::elapsed`](crate::core::Now::elapsed).
    pub(crate) retry_at: Option<Duration>,
}

impl ConnectionStatus {
    /// Returns the connection as it is shown at an instant of that clock.
    pub(crate) fn at(&self, elapsed: Duration) -> Connection {
        let left = self.retry_at.map(|at| at.saturating_sub(elapsed).as_millis());
        let retry_in_ms = left.map(|left| u64::try_from(left).unwrap_or(u64::MAX));
        Connection { retry_in_ms, ..self.connection.clone() }
    }
}

/// Status of a control plane.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// Epoch of the state.
    pub(crate) epoch: Epoch,
    /// Number of parties.
    pub(crate) parties: u64,
    /// Number of memberships.
    pub(crate) peers: u64,
    /// Number of relays.
    pub(crate) relays: u64,
    /// Number of tokens.
    pub(crate) tokens: u64,
    /// Counters since the start.
    pub(crate) counters: Counters,
    /// Status of the store.
    pub(crate) store: StoreStatus,
    /// Connection to the control server.
    pub(crate) connection: Connection,
}

/// Status of the store.
#[derive(Debug, Clone)]
pub(crate) struct StoreStatus {
    /// Database file.
    pub(crate) path: PathBuf,
    /// Number of changes that are not written yet.
    pub(crate) pending: usize,
    /// Duration of the last commit; `None` before the first.
    pub(crate) last_commit: Option<Duration>,
    /// Error of the last commit; `None` while commits succeed.
    pub(crate) last_error: Option<String>,
    /// Damage found at the start, with its recovery.
    pub(crate) recovery: Option<Recovery>,
}

/// Counters of a control plane since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Durable commits.
    pub(crate) commits: u64,
    /// Failed commits.
    pub(crate) commit_failures: u64,
    /// Expired peers.
    pub(crate) peers_expired: u64,
    /// Parties ended by the expiry of their host.
    pub(crate) parties_expired: u64,
    /// Expired relays.
    pub(crate) relays_expired: u64,
}

impl Counters {
    /// Counts the expiries among events.
    pub(crate) fn count(&mut self, events: &[Event]) {
        use RemovalReason::Expired;
        for event in events {
            match event {
                Event::PeerLeft { reason: Expired, .. } => self.peers_expired += 1,
                Event::PartyRemoved { reason: Expired, .. } => self.parties_expired += 1,
                Event::RelayRemoved { .. } => self.relays_expired += 1,
                _ => {}
            }
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error.blames_destination() {
            true => Self::BackupPath(error.to_string()),
            false => Self::Store(error.to_string()),
        }
    }
}
