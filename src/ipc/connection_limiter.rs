//! Admission of connections: each role and each user has a share of the local socket's connections.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use lanrage_ipc::results::Role;
use lanrage_ipc::{ErrorCode, RpcError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::Limits;
use crate::core::User;

/// Evicted connections that stay open to read the reason. They are no longer admitted, and their
/// descriptors come from the reserve of `config::descriptors`.
const LINGERING: usize = 8;

/// Connection limits of each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoleShares {
    connections: usize,
    operators: usize,
    observers: usize,
    per_user: usize,
    observers_per_user: usize,
}

impl RoleShares {
    /// Returns the shares of the system's daemon, or of a user's own, which has one role.
    ///
    /// The system's daemon reserves a quarter of the connections for the admin, but no more than
    /// one user may have. Operators have at least half of the rest.
    pub(super) fn new(limits: &Limits, is_system: bool) -> Self {
        let Limits { connections, connections_per_uid: per_user, .. } = *limits;
        if !is_system {
            let (operators, observers) = (connections, connections);
            let observers_per_user = per_user;
            return Self { connections, operators, observers, per_user, observers_per_user };
        }
        let shared = connections - connections.div_ceil(4).min(per_user);
        let observers = limits.observers.min(shared / 2);
        Self {
            connections,
            operators: shared - observers,
            observers,
            per_user,
            observers_per_user: limits.observers_per_uid.min(per_user),
        }
    }

    /// Returns the connection limit of a role.
    pub(super) fn of_role(&self, role: Role) -> usize {
        match role {
            Role::Observer | Role::Unknown => self.observers,
            Role::Operator => self.operators,
            Role::Admin => self.connections,
        }
    }

    /// Returns the connection limit of one user in a role.
    pub(super) fn of_user(&self, role: Role) -> usize {
        if role == Role::Observer { self.observers_per_user } else { self.per_user }
    }
}

/// Counts and limits the connections.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionLimiter(Rc<RefCell<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// Admitted connections, by order of admission.
    admitted: BTreeMap<u64, Rc<Entry>>,
    last: u64,
    /// Evicted connections that are still open, in the order of their evictions.
    lingering: VecDeque<(u64, Rc<Entry>)>,
    /// Connections whose role is being looked up.
    undecided: HashMap<User, usize>,
}

#[derive(Debug)]
struct Entry {
    owner: User,
    role: Role,
    last_request: Cell<Instant>,
    evicted: Notify,
    cut_off: Notify,
}

/// Permit of an admitted connection, which counts until it is evicted or dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    limiter: ConnectionLimiter,
    number: u64,
    entry: Rc<Entry>,
}

/// Connection whose role is being looked up; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct Undecided {
    limiter: ConnectionLimiter,
    owner: User,
}

/// Refused connection.
#[derive(Debug)]
pub(super) struct Full {
    /// Error for the client.
    pub(super) error: RpcError,
    /// True if the user's own share is full, false if a common one is.
    pub(super) is_own_share: bool,
}

impl Full {
    fn of_user(most: usize, key: &str) -> Self {
        let message = format!("you have {most} connections, the most a user may have");
        Self { error: refusal(message, key), is_own_share: true }
    }

    fn of_all(most: usize, role: Option<Role>, key: &str) -> Self {
        let whose = match role {
            Some(Role::Observer) => " of observers",
            Some(Role::Operator) => " of operators",
            _ => "",
        };
        let message = format!("there are {most} connections{whose}, the most there may be");
        Self { error: refusal(message, key), is_own_share: false }
    }
}

fn refusal(message: String, key: &str) -> RpcError {
    let hint = format!("close one that is not needed, or have limits.{key} raised");
    RpcError::new(ErrorCode::RateLimited, message).hint(hint)
}

impl ConnectionLimiter {
    /// Returns the number of admitted connections.
    pub(super) fn total(&self) -> usize {
        self.0.borrow().admitted.len()
    }

    /// Counts a connection whose role must be looked up first. At the common limit, a user without
    /// a connection still gets one, up to twice the limit.
    ///
    /// # Errors
    /// The full share.
    pub(super) fn wait(&self, owner: User, shares: &RoleShares) -> Result<Undecided, Full> {
        let RoleShares { connections, per_user, .. } = *shares;
        let mut table = self.0.borrow_mut();
        let total: usize = table.undecided.values().sum();
        let own = table.undecided.get(&owner).copied().unwrap_or_default();
        if own >= per_user {
            return Err(Full::of_user(per_user, "connections_per_uid"));
        }
        if total >= 2 * connections || (total >= connections && own > 0) {
            return Err(Full::of_all(connections, None, "connections"));
        }
        *table.undecided.entry(owner).or_default() += 1;
        Ok(Undecided { limiter: self.clone(), owner })
    }

    /// Admits a connection. If the share of observers is full, the most idle observer of the user
    /// with the most connections is evicted. The caller's own observers are not.
    ///
    /// # Errors
    /// The full share.
    pub(super) fn enter(
        &self,
        owner: User,
        role: Role,
        shares: &RoleShares,
    ) -> Result<ConnectionPermit, Full> {
        let mut table = self.0.borrow_mut();
        let own = table.admitted.values().filter(|entry| entry.owner == owner).count();
        let most = shares.of_user(role);
        if own >= most {
            let is_observer = role == Role::Observer;
            let key = if is_observer { "observers_per_uid" } else { "connections_per_uid" };
            return Err(Full::of_user(most, key));
        }
        // After a reload with a lower limit there may be more connections than it allows.
        let of_role = table.admitted.values().filter(|entry| entry.role == role).count();
        let is_full = match role {
            Role::Admin => table.admitted.len() >= shares.connections,
            _ => of_role >= shares.of_role(role),
        };
        if is_full && (role != Role::Observer || !table.evict_observer(own)) {
            let key = if role == Role::Observer { "observers" } else { "connections" };
            return Err(Full::of_all(shares.of_role(role), Some(role), key));
        }
        table.last += 1;
        let number = table.last;
        let last_request = Cell::new(Instant::now());
        let (evicted, cut_off) = (Notify::new(), Notify::new());
        let entry = Rc::new(Entry { owner, role, last_request, evicted, cut_off });
        table.admitted.insert(number, entry.clone());
        Ok(ConnectionPermit { limiter: self.clone(), number, entry })
    }
}

impl Table {
    /// Evicts the longest idle observer of the user with the most connections, if it has more than
    /// `own`.
    fn evict_observer(&mut self, own: usize) -> bool {
        let observers = || self.admitted.iter().filter(|(_, entry)| entry.role == Role::Observer);
        let mut counts = HashMap::<User, usize>::new();
        observers().for_each(|(_, entry)| *counts.entry(entry.owner).or_default() += 1);
        let most = counts.values().copied().max().unwrap_or_default();
        let victim = observers()
            .filter(|(_, entry)| counts.get(&entry.owner) == Some(&most))
            .min_by_key(|(_, entry)| entry.last_request.get())
            .map(|(number, _)| *number)
            .filter(|_| most > own);
        let evicted = victim.and_then(|number| self.admitted.remove_entry(&number));
        let Some((number, entry)) = evicted else { return false };
        entry.evicted.notify_one();
        self.lingering.push_back((number, entry));
        if self.lingering.len() > LINGERING
            && let Some((_, oldest)) = self.lingering.pop_front()
        {
            oldest.cut_off.notify_one();
        }
        true
    }
}

impl ConnectionPermit {
    /// Notes a request of the client.
    pub(super) fn refresh(&self) {
        self.entry.last_request.set(Instant::now());
    }

    /// Returns the time of the last request, or of the admission.
    pub(super) fn last_request(&self) -> Instant {
        self.entry.last_request.get()
    }

    /// Waits until the connection is evicted.
    pub(super) async fn evicted(&self) {
        self.entry.evicted.notified().await;
    }

    /// Waits until the evicted connection must end at once, because others were evicted after it.
    pub(super) async fn cut_off(&self) {
        self.entry.cut_off.notified().await;
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut table = self.limiter.0.borrow_mut();
        table.admitted.remove(&self.number);
        table.lingering.retain(|(number, _)| *number != self.number);
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        let mut table = self.limiter.0.borrow_mut();
        if let Some(count) = table.undecided.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                table.undecided.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    fn limits(connections: usize, connections_per_uid: usize) -> Limits {
        let observers = 4;
        Limits {
            connections,
            connections_per_uid,
            observers,
            observers_per_uid: 2,
            ..Limits::default()
        }
    }

    #[test]
    fn dropped_permit_frees_its_connection() {
        let (limiter, shares) =
            (ConnectionLimiter::default(), RoleShares::new(&limits(3, 2), false));
        let enter = |user| limiter.enter(User(user), Role::Admin, &shares);
        let one = enter(1).expect("room");
        let _two = enter(1).expect("room");
        assert!(enter(1).is_err());
        let _three = enter(2).expect("room");
        assert!(enter(3).is_err());
        drop(one);
        assert!(enter(3).is_ok());
    }

    #[test]
    fn roles_have_shares_of_the_default_connections() {
        let shares = RoleShares::new(&Limits::default(), true);
        let roles = [Role::Observer, Role::Operator, Role::Admin];
        assert_eq!(roles.map(|role| shares.of_role(role)), [64, 128, 256]);
        assert_eq!(roles.map(|role| shares.of_user(role)), [8, 64, 64]);
        let shares = RoleShares::new(&Limits::default(), false);
        assert_eq!(roles.map(|role| shares.of_role(role)), [256; 3]);
        assert_eq!(roles.map(|role| shares.of_user(role)), [64; 3]);
    }

    #[test]
    fn connection_shares_leave_one_for_the_admin_and_one_for_operators() {
        for connections in 1..300 {
            let shares = RoleShares::new(&limits(connections, 64), true);
            assert!(shares.operators + shares.observers < connections, "{shares:?}");
            assert!(shares.operators >= shares.observers, "{shares:?}");
            assert!(connections == 1 || shares.operators > 0, "{shares:?}");
        }
    }

    #[test]
    fn full_role_leaves_the_shares_of_the_others() {
        let (limiter, shares) =
            (ConnectionLimiter::default(), RoleShares::new(&limits(16, 8), true));
        let mut kept = Vec::new();
        let mut fill = |role, users: std::ops::Range<u32>| {
            let count = kept.len();
            for user in users {
                while let Ok(permit) = limiter.enter(User(user), role, &shares) {
                    kept.push(permit);
                }
            }
            kept.len() - count
        };
        assert_eq!(fill(Role::Observer, 100..102), 4);
        assert_eq!(fill(Role::Operator, 1..9), 8);
        assert_eq!(fill(Role::Admin, 0..1), 4);
    }

    #[test]
    fn full_observer_share_evicts_the_most_idle_of_the_largest_user() {
        let (limiter, shares) =
            (ConnectionLimiter::default(), RoleShares::new(&limits(16, 8), true));
        let enter = |user| limiter.enter(User(user), Role::Observer, &shares);
        let lone = enter(1).expect("room");
        let mut permits = Vec::new();
        for user in [2, 2, 3] {
            permits.push(enter(user).expect("room"));
        }
        let start = Instant::now();
        let idle_since = |permit: &ConnectionPermit, second| {
            permit.entry.last_request.set(start + Duration::from_secs(second));
        };
        idle_since(&lone, 0);
        (1..).zip(&permits).for_each(|(second, permit)| idle_since(permit, second));
        // User 2 has the most: its most idle connection goes, though that of user 1 is idle for
        // longer.
        idle_since(&permits[0], 4);
        let newcomer = enter(4).expect("room is made");
        assert!(permits[1].evicted().now_or_never().is_some());
        assert_eq!(limiter.total(), 4);
        // Each user has one: the most idle of all goes.
        let _another = enter(5).expect("room is made");
        assert!(lone.evicted().now_or_never().is_some());
        // Evicted connections no longer count. A user takes nothing from users with as few.
        drop((lone, newcomer));
        assert_eq!(limiter.total(), 3);
        let _own = enter(4).expect("a place is free");
        assert!(enter(4).is_err_and(|full| !full.is_own_share));
    }

    #[test]
    fn evicted_connections_stay_open_up_to_a_limit() {
        let (limiter, shares) =
            (ConnectionLimiter::default(), RoleShares::new(&limits(16, 8), true));
        let enter = |user| limiter.enter(User(user), Role::Observer, &shares).expect("room");
        // Of the first four, all but the first end by themselves.
        let mut permits: Vec<_> = (0..4).map(enter).collect();
        let mut evicted: Vec<_> = (4..8).map(enter).collect();
        permits.truncate(1);
        evicted.extend((8..8 + LINGERING as u32).map(enter));
        let is_cut_off = |permit: &ConnectionPermit| permit.cut_off().now_or_never().is_some();
        assert!(is_cut_off(&permits[0]), "the oldest");
        let cut_off = evicted.iter().filter(|permit| is_cut_off(permit)).count();
        assert_eq!((limiter.total(), cut_off), (4, 0));
        assert_eq!(limiter.0.borrow().lingering.len(), LINGERING);
        drop((permits, evicted));
        assert!(limiter.0.borrow().lingering.is_empty());
    }

    #[test]
    fn role_lookups_of_one_user_leave_one_for_each_other() {
        let (limiter, shares) =
            (ConnectionLimiter::default(), RoleShares::new(&limits(4, 2), true));
        let wait = |user| limiter.wait(User(user), &shares);
        let kept: Vec<_> = [1, 1, 2, 2].map(|user| wait(user).expect("room")).into();
        assert!(wait(1).is_err_and(|full| full.is_own_share));
        let other = wait(3).expect("a first one");
        assert!(wait(3).is_err_and(|full| !full.is_own_share));
        drop((kept, other));
        assert!(limiter.0.borrow().undecided.is_empty());
    }
}
