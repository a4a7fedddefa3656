//! Turns of long work: clients take turns, so that each waits for a piece of work of each other
//! one at most, and short work waits for the pieces that run.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Rounds of the event loop before each turn: a short request needs about as many from its bytes to
/// its reply.
const ROUNDS: usize = 6;

/// Queues of clients that wait for their turns.
#[derive(Debug)]
pub(crate) struct FairTurns<K> {
    all: Arc<Semaphore>,
    /// The queue of each client that has work.
    clients: Mutex<HashMap<K, Weak<Queue<()>>>>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _all: Option<OwnedSemaphorePermit>,
    _client: OwnedMutexGuard<()>,
}

impl<K: Eq + Hash> FairTurns<K> {
    /// Returns turns of which so many run at once.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), clients: Mutex::default() }
    }

    /// Waits for a turn of a client, which has one at a time. Where no turn runs it comes at once.
    pub(crate) async fn turn(&self, client: K) -> Turn {
        let queue = self.queue(client);
        if let Ok(client) = queue.clone().try_lock_owned()
            && let Ok(all) = self.all.clone().try_acquire_owned()
        {
            return Turn { _all: Some(all), _client: client };
        }
        let client = queue.lock_owned().await;
        // The semaphore is never closed.
        let all = self.all.clone().acquire_owned().await.ok();
        // The runtime looks for input each time: short requests that came meanwhile go before.
        for _ in 0..ROUNDS {
            tokio::task::yield_now().await;
        }
        Turn { _all: all, _client: client }
    }

    fn queue(&self, client: K) -> Arc<Queue<()>> {
        // A panic ends the process: no one sees what it left.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = clients.get(&client).and_then(Weak::upgrade) {
            return queue;
        }
        clients.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::default();
        clients.insert(client, Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Waits as long as it can without anything else happening.
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
        let running = turns.turn('a').await;
        let mut waiting: Vec<_> =
            ['a', 'a', 'a', 'b', 'c'].map(|client| (client, Box::pin(turns.turn(client)))).into();
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
        drop(running);
        turns.turn('d').await;
        assert_eq!(turns.clients.lock().expect("no panic").len(), 1);
    }

    #[actix::test]
    async fn a_turn_that_is_given_up_blocks_nobody() {
        let turns = FairTurns::new(1);
        let running = turns.turn('a').await;
        let mut given_up = Box::pin(turns.turn('b'));
        assert!(settle(&mut given_up).await.is_none());
        let mut next = Box::pin(turns.turn('b'));
        assert!(settle(&mut next).await.is_none());
        drop(given_up);
        drop(running);
        assert!(settle(&mut next).await.is_some());
    }
}
