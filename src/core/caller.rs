//! Callers of commands, and the time at which they call.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lanrage_ipc::model::PeerId;

use super::address::AddressKey;
use super::record::User;
use super::shares::Payer;

/// The time of a command, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// For people: may jump.
    pub(crate) wall: Timestamp,
    /// For timeouts: time since some fixed instant, never goes back, counts the machine's sleep.
    pub(crate) elapsed: Duration,
}

impl Now {
    /// The time since an instant of the wall clock. One that lies ahead counts as now: the clock
    /// was set back.
    pub(crate) fn age_of(self, since: Timestamp) -> Duration {
        Duration::try_from(self.wall.duration_since(since)).unwrap_or_default()
    }

    /// The wall clock's time at an instant of `elapsed`, in whole milliseconds from now. An instant
    /// that has passed counts as now.
    pub(crate) fn wall_at(self, instant: Duration) -> Timestamp {
        let left = instant.saturating_sub(self.elapsed);
        let left = Duration::new(left.as_secs(), left.subsec_millis() * 1_000_000);
        self.wall.checked_add(left).unwrap_or(Timestamp::MAX)
    }
}

/// Names a client's connection for as long as the process lives; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// Who commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// What they showed of who they are.
    pub(crate) principal: Principal,
    /// The connection that they speak on.
    pub(crate) connection: ConnectionId,
    /// The address that they come from; `None` for programs of this machine, and for this program.
    pub(crate) address: Option<AddressKey>,
}

impl Caller {
    /// Pays for what the command adds; `None` for an administrator and for this program.
    pub(crate) fn payer(&self) -> Option<Payer> {
        match self.principal {
            Principal::User { admin: true, .. } => None,
            Principal::User { user, .. } => Some(Payer::User(user)),
            Principal::Peers(_) | Principal::RelayKey => self.address.map(Payer::Address),
        }
    }

    /// The user of this machine who it is, if it is one.
    pub(crate) fn user(&self) -> Option<User> {
        match self.principal {
            Principal::User { user, .. } => Some(user),
            Principal::Peers(_) | Principal::RelayKey => None,
        }
    }
}

/// How a connection takes a peer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Not at all.
    No,
    /// For as long as it is open. What was kept alive by a connection is by this one from now on.
    Shared,
    /// The same, and no connection that was opened before it speaks for the peer ever again: what
    /// it sent may still come.
    Alone,
}

/// What a caller showed of who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// A user of this machine: the system says so.
    User {
        /// Which.
        user: User,
        /// Whether ownership doesn't bind them.
        admin: bool,
    },
    /// These peers and no others, by their tokens or by a claim of the connection.
    Peers(Arc<[PeerId]>),
    /// Somebody with the relay key.
    RelayKey,
}
