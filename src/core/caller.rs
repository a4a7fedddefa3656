//! Callers of commands, and the time at which they call.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lanrage_ipc::model::PeerId;

use super::address::AddressKey;
use super::record::User;
use super::shares::Payer;

/// Time of a command, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Wall clock, for display: may jump.
    pub(crate) wall: Timestamp,
    /// Elapsed time since some fixed instant, for timeouts. Never goes back; counts the machine's
    /// sleep.
    pub(crate) elapsed: Duration,
}

impl Now {
    /// Age of an instant of the wall clock. An instant in the future has age 0: the clock was set
    /// back.
    pub(crate) fn age_of(self, since: Timestamp) -> Duration {
        Duration::try_from(self.wall.duration_since(since)).unwrap_or_default()
    }

    /// Wall clock time of an instant of `elapsed`, rounded to whole milliseconds from now. A past
    /// instant counts as now.
    pub(crate) fn wall_at(self, instant: Duration) -> Timestamp {
        let left = instant.saturating_sub(self.elapsed);
        let left = Duration::new(left.as_secs(), left.subsec_millis() * 1_000_000);
        self.wall.checked_add(left).unwrap_or(Timestamp::MAX)
    }
}

/// Id of a client's connection, unique for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// Caller of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Proof of identity that the caller gave.
    pub(crate) principal: Principal,
    /// Connection of the caller.
    pub(crate) connection: ConnectionId,
    /// Network address of the caller; `None` for programs of this machine and for this program.
    pub(crate) address: Option<AddressKey>,
}

impl Caller {
    /// Payer of what the command adds; `None` for an administrator and for this program.
    pub(crate) fn payer(&self) -> Option<Payer> {
        match self.principal {
            Principal::User { admin: true, .. } => None,
            Principal::User { user, .. } => Some(Payer::User(user)),
            Principal::Peers(_) | Principal::RelayKey => self.address.map(Payer::Address),
        }
    }

    /// User of this machine, if the caller is a local user.
    pub(crate) fn user(&self) -> Option<User> {
        match self.principal {
            Principal::User { user, .. } => Some(user),
            Principal::Peers(_) | Principal::RelayKey => None,
        }
    }
}

/// Mode in which a connection holds a peer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The connection does not hold it.
    No,
    /// Held while the connection is open. Memberships that another connection kept alive pass to
    /// this one.
    Shared,
    /// As `Shared`, and older connections may never act for the peer again, even by messages that
    /// are still in flight.
    Alone,
}

/// Proof of identity that a caller gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// A user of this machine, as the system states it.
    User {
        /// Uid of the user.
        user: User,
        /// True for an administrator, who is not bound by ownership.
        admin: bool,
    },
    /// Only these peers, proven by their tokens or by a claim of the connection.
    Peers(Arc<[PeerId]>),
    /// A caller with the relay key.
    RelayKey,
}
