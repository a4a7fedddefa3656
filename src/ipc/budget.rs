//! Memory budget of replies and events that wait for clients, over all connections.
//!
//! A connection is charged for its unwritten bytes and for the room that it reserved for replies.
//! While one of its shares is used up, none of its requests is taken. Long replies are encoded in
//! turns.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use lanrage_ipc::results::Role;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use crate::config::Limits;
use crate::core::User;
use crate::fair_turns::{FairTurns, Turn};

/// Bytes that a connection may always use, so that clients that do not read block no one.
const FLOOR: usize = 16 * 1024;
/// Room for events beside the longest reply.
const EVENTS: usize = 128 * 1024;
/// Bytes of an observer's connection: it gets short replies, and a shared document.
const OBSERVER: usize = 64 * 1024;

/// Counts the bytes of all connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    used: RefCell<Used>,
    freed: Notify,
    /// Turns of the long replies, one at a time: a short one waits for no more than that.
    turns: FairTurns<User>,
}

impl Default for Shared {
    fn default() -> Self {
        let (used, freed) = Default::default();
        Self { used, freed, turns: FairTurns::new(1) }
    }
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    roles: BTreeMap<Role, usize>,
    users: HashMap<User, usize>,
}

/// Byte limits of a connection, its user, its role and all connections.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    connection: usize,
    user: usize,
    role: usize,
    total: usize,
}

impl Bounds {
    fn new(limits: &Limits, role: Role, is_system: bool) -> Self {
        let connection = limits.frame_out + EVENTS;
        let total = limits.reply_bytes.max(2 * connection);
        match role {
            Role::Operator if is_system => {
                Self { connection, user: (total / 4).max(connection), role: total / 4 * 3, total }
            }
            Role::Observer | Role::Unknown => {
                Self { connection: OBSERVER, user: total / 64, role: total / 16, total }
            }
            _ => Self { connection, user: total, role: total, total },
        }
    }
}

/// Account of a connection in the budget, until it is dropped.
#[derive(Debug)]
pub(super) struct Account {
    budget: Budget,
    owner: User,
    role: Role,
    bounds: Bounds,
    used: Cell<usize>,
    outgoing: Cell<usize>,
    /// Lock of the connection's long replies, which are encoded one after the other.
    long: Arc<Mutex<()>>,
}

/// Bytes reserved for a reply, until this is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    account: Rc<Account>,
    bytes: usize,
    turn: Option<ReplyTurn>,
}

/// Turn to encode a long reply, until this is dropped. Users take turns, and so do the connections
/// of each user.
#[derive(Debug)]
pub(super) struct ReplyTurn {
    _all: Turn,
    _connection: OwnedMutexGuard<()>,
}

impl Reserved {
    /// Keeps the turn for as long as the room.
    pub(super) fn keep(&mut self, turn: ReplyTurn) {
        self.turn = Some(turn);
    }
}

impl Account {
    pub(super) fn new(
        budget: &Budget,
        owner: User,
        role: Role,
        limits: &Limits,
        is_system: bool,
    ) -> Self {
        let bounds = Bounds::new(limits, role, is_system);
        let (used, outgoing, long) = Default::default();
        Self { budget: budget.clone(), owner, role, bounds, used, outgoing, long }
    }

    /// True if that many further bytes fit.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let Bounds { connection, user, role, total } = self.bounds;
        let mine = self.used.get() + bytes;
        if mine <= FLOOR {
            return true;
        }
        let used = self.budget.0.used.borrow();
        let of_user = used.users.get(&self.owner).copied().unwrap_or_default();
        let of_role = used.roles.get(&self.role).copied().unwrap_or_default();
        mine <= connection
            && of_user + bytes <= user
            && of_role + bytes <= role
            && used.total + bytes <= total
    }

    /// Sets the number of unwritten bytes.
    pub(super) fn set_outgoing(&self, bytes: usize) {
        let before = self.outgoing.replace(bytes);
        if before != bytes {
            self.change(before, bytes);
        }
    }

    /// Waits until any connection frees bytes.
    pub(super) async fn freed(&self) {
        self.budget.0.freed.notified().await;
    }

    /// Reserves bytes for a reply, if there is room.
    pub(super) fn try_reserve(self: &Rc<Self>, bytes: usize) -> Option<Reserved> {
        self.has_room(bytes).then(|| {
            self.change(0, bytes);
            Reserved { account: self.clone(), bytes, turn: None }
        })
    }

    /// Reserves bytes for a reply; waits for room.
    pub(super) async fn reserve(self: &Rc<Self>, bytes: usize) -> Reserved {
        loop {
            let freed = self.budget.0.freed.notified();
            if let Some(reserved) = self.try_reserve(bytes) {
                return reserved;
            }
            freed.await;
        }
    }

    /// Waits for the turn of a long reply.
    pub(super) async fn acquire_turn(&self) -> ReplyTurn {
        let connection = self.long.clone().lock_owned().await;
        ReplyTurn { _all: self.acquire_user_turn().await, _connection: connection }
    }

    /// Waits for the user's turn to do work that no request waits for.
    pub(super) async fn acquire_user_turn(&self) -> Turn {
        self.budget.0.turns.acquire(self.owner).await
    }

    fn change(&self, before: usize, after: usize) {
        let mut used = self.budget.0.used.borrow_mut();
        let replaced = |count: usize| count - before + after;
        self.used.set(replaced(self.used.get()));
        used.total = replaced(used.total);
        let Used { users, roles, .. } = &mut *used;
        for count in [users.entry(self.owner).or_default(), roles.entry(self.role).or_default()] {
            *count = replaced(*count);
        }
        if users.get(&self.owner) == Some(&0) {
            users.remove(&self.owner);
        }
        if after < before {
            self.budget.0.freed.notify_waiters();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set_outgoing(0);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.account.change(self.bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn account(budget: &Budget, owner: u32, role: Role, is_system: bool) -> Rc<Account> {
        let limits = Limits { frame_out: MIB, reply_bytes: 16 * MIB, ..Limits::default() };
        Rc::new(Account::new(budget, User(owner), role, &limits, is_system))
    }

    #[test]
    fn connection_keeps_its_floor_when_the_budget_is_used_up() {
        let budget = Budget::default();
        let others: Vec<_> = (0..8).map(|_| account(&budget, 1, Role::Admin, false)).collect();
        others.iter().for_each(|other| other.set_outgoing(2 * MIB));
        let late = account(&budget, 1, Role::Admin, false);
        assert!(late.has_room(FLOOR));
        assert!(!late.has_room(FLOOR + 1));
        late.set_outgoing(FLOOR);
        assert!(!late.has_room(1));
        drop(others);
        assert!(late.has_room(MIB));
        drop(late);
        let used = budget.0.used.borrow();
        assert_eq!(used.total, 0);
        assert!(used.users.is_empty());
    }

    #[test]
    fn budget_bounds_each_connection_user_and_role() {
        let budget = Budget::default();
        let fill = |owner: u32, role: Role| {
            let account = account(&budget, owner, role, true);
            let mut bytes = 0;
            while account.has_room(FLOOR) {
                bytes += FLOOR;
                account.set_outgoing(bytes);
            }
            (bytes, account)
        };
        let mut all = Vec::new();
        let mut of_user = |owner, role, connections| {
            let filled = (0..connections).map(|_| {
                let (bytes, account) = fill(owner, role);
                all.push(account);
                bytes
            });
            filled.sum::<usize>()
        };
        assert_eq!(of_user(1, Role::Observer, 1), OBSERVER);
        // Beyond the share a connection has its floor.
        assert!(of_user(1, Role::Observer, 7) <= 256 * 1024 - OBSERVER + 7 * FLOOR);
        for operator in 10..14 {
            assert!(of_user(operator, Role::Operator, 4) <= 4 * MIB + 4 * FLOOR);
        }
        assert!(of_user(0, Role::Admin, 1) >= MIB, "the admin still has a connection's share");
    }

    #[test]
    fn reservation_waits_for_room() {
        let budget = Budget::default();
        let account = account(&budget, 1, Role::Admin, false);
        account.set_outgoing(EVENTS);
        let first = account.reserve(MIB).now_or_never().expect("room");
        let mut second = Box::pin(account.reserve(MIB));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert!(second.as_mut().now_or_never().is_some());
        account.set_outgoing(0);
        assert_eq!(account.used.get(), 0);
    }
}
