//! Fair order among clients. Each client has the same number of permits of a scarce resource. Long
//! work takes turns: each client waits for at most one piece of work of every other one. Short work
//! waits for the running pieces only.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Rounds of the event loop before each turn: a short request needs about as many from its bytes to
/// its reply.
const ROUNDS: usize = 6;

/// Number of clients below which no idle ones are removed.
const FEW: usize = 64;

/// Permits of clients; each client has the same number.
#[derive(Debug)]
pub(crate) struct ClientPermits<K> {
    each: usize,
    clients: Mutex<Clients<K>>,
}

/// Semaphores of the clients that have or await a permit.
#[derive(Debug)]
struct Clients<K> {
    permits: HashMap<K, Weak<Semaphore>>,
    /// Number of clients at which idle ones are removed.
    most: usize,
}

/// Permit, until it is dropped.
#[derive(Debug)]
pub(crate) struct ClientPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl<K: Eq + Hash> ClientPermits<K> {
    /// Creates that many permits for each client.
    pub(crate) fn new(each: usize) -> Self {
        let clients = Clients { permits: HashMap::new(), most: FEW };
        Self { each, clients: Mutex::new(clients) }
    }

    /// Waits for a permit of a client.
    pub(crate) async fn acquire(&self, client: K) -> ClientPermit {
        // The semaphore is never closed.
        ClientPermit { _permit: self.of(client).acquire_owned().await.ok() }
    }

    /// Returns the semaphore of a client.
    fn of(&self, client: K) -> Arc<Semaphore> {
        // A panic ends the process, so nothing sees a broken table.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permits) = clients.permits.get(&client).and_then(Weak::upgrade) {
            return permits;
        }
        if clients.permits.len() >= clients.most {
            clients.permits.retain(|_, permits| permits.strong_count() > 0);
            clients.most = FEW.max(2 * clients.permits.len());
        }
        let permits = Arc::new(Semaphore::new(self.each));
        clients.permits.insert(client, Arc::downgrade(&permits));
        permits
    }
}

/// Turns of clients, each of which has one at a time.
#[derive(Debug)]
pub(crate) struct FairTurns<K> {
    all: Arc<Semaphore>,
    clients: ClientPermits<K>,
}

/// Turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _all: Option<OwnedSemaphorePermit>,
    _client: ClientPermit,
}

impl<K: Eq + Hash> FairTurns<K> {
    /// Creates turns of which that many run concurrently.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), clients: ClientPermits::new(1) }
    }

    /// Waits for a client's turn; a client has one at a time. Without running turns it comes at
    /// once.
    pub(crate) async fn acquire(&self, client: K) -> Turn {
        let permits = self.clients.of(client);
        if let Ok(permit) = permits.clone().try_acquire_owned()
            && let Ok(all) = self.all.clone().try_acquire_owned()
        {
            return Turn { _all: Some(all), _client: ClientPermit { _permit: Some(permit) } };
        }
        let permit = permits.acquire_owned().await.ok();
        // The semaphore is never closed.
        let all = self.all.clone().acquire_owned().await.ok();
        // The runtime polls for input each time: short requests that came meanwhile go first.
        for _ in 0..ROUNDS {
            tokio::task::yield_now().await;
        }
        Turn { _all: all, _client: ClientPermit { _permit: permit } }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Yields to everything else that is ready.
    async fn settle(turn: &mut (impl Future<Output = Turn> + Unpin)) -> Option<Turn> {
        for _ in 0..2 * ROUNDS {
            if let Some(turn) = turn.now_or_never() {
                return Some(turn);
            }
            tokio::task::yield_now().await;
        }
        None
    }

    #[actix::test]
    async fn clients_take_turns() {
        let turns = FairTurns::new(1);
        let running = turns.acquire('a').await;
        let mut waiting: Vec<_> = ['a', 'a', 'a', 'b', 'c']
            .map(|client| (client, Box::pin(turns.acquire(client))))
            .into();
        for (_, turn) in &mut waiting {
            assert!(settle(turn).await.is_none());
        }
        let mut running = Some(running);
        let mut order = String::new();
        while !waiting.is_empty() {
            running.take();
            for at in 0..waiting.len() {
                let (client, turn) = &mut waiting[at];
                if let Some(turn) = settle(turn).await {
                    order.push(*client);
                    running = Some(turn);
                    drop(waiting.remove(at));
                    break;
                }
            }
        }
        assert_eq!(order, "bcaaa");
    }

    #[actix::test]
    async fn each_client_has_its_own_permits() {
        let permits = ClientPermits::new(2);
        let taken = [permits.acquire(1).await, permits.acquire(1).await];
        let mut third = Box::pin(permits.acquire(1));
        assert!((&mut third).now_or_never().is_none());
        assert!(permits.acquire(2).now_or_never().is_some());
        drop(taken);
        assert!(third.now_or_never().is_some());
    }

    #[actix::test]
    async fn idle_clients_are_removed() {
        let permits = ClientPermits::new(1);
        let kept = permits.acquire(0).await;
        for client in 1..10_000 {
            permits.acquire(client).await;
        }
        assert!(permits.clients.lock().expect("no panic").permits.len() <= FEW);
        assert!(permits.acquire(0).now_or_never().is_none());
        drop(kept);
    }

    #[actix::test]
    async fn a_cancelled_turn_blocks_no_client() {
        let turns = FairTurns::new(1);
        let running = turns.acquire('a').await;
        let mut given_up = Box::pin(turns.acquire('b'));
        assert!(settle(&mut given_up).await.is_none());
        let mut next = Box::pin(turns.acquire('b'));
        assert!(settle(&mut next).await.is_none());
        drop(given_up);
        drop(running);
        assert!(settle(&mut next).await.is_some());
    }
}
