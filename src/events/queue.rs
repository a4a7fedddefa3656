//! One connection's queue of events, bounded; shared by the hub, which fills it, and the session.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lanrage_ipc::event::Snapshot;
use tokio::sync::Notify;

use super::{SharedEvent, SubscriptionKey};

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// Events.
    pub(crate) events: usize,
    /// Their size in bytes on the local socket; none where they don't go there.
    pub(crate) bytes: Option<usize>,
    /// Bytes of the events that wait for any client; none where they don't go there. A client
    /// for whom nothing waits gets its event all the same.
    pub(crate) all_bytes: Option<usize>,
}

/// What a session takes out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Delivery {
    /// An event.
    Event(SubscriptionKey, Arc<SharedEvent>),
    /// The subscription starts afresh from this state.
    Reset(SubscriptionKey, Box<Snapshot>),
    /// The subscription fell behind and hears nothing until it is resumed.
    Behind(SubscriptionKey),
}

/// The queue.
#[derive(Debug)]
pub(crate) struct EventQueue {
    waiting: Mutex<Waiting>,
    filled: Notify,
    limits: QueueLimits,
}

#[derive(Debug, Default)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
}

impl EventQueue {
    /// An empty queue.
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self { waiting: Mutex::default(), filled: Notify::new(), limits }
    }

    /// Adds an event. When there is no room, what waits of its subscription is dropped, and the
    /// subscription is told that it fell behind: `false`.
    pub(super) fn push_event(&self, key: SubscriptionKey, shared: &Arc<SharedEvent>) -> bool {
        let bytes = self.size(shared);
        let mut waiting = self.lock();
        let room = waiting.deliveries.len() < self.limits.events
            && self.limits.bytes.is_none_or(|most| waiting.bytes + bytes <= most)
            && (waiting.deliveries.is_empty()
                || self.limits.all_bytes.is_none_or(|most| shared.live_bytes() <= most));
        if room {
            waiting.bytes += bytes;
            waiting.deliveries.push_back(Delivery::Event(key, shared.clone()));
            self.filled.notify_one();
        } else {
            drop(waiting);
            self.fall_behind(key);
        }
        room
    }

    /// Drops what waits of a subscription and tells it that it fell behind.
    pub(super) fn fall_behind(&self, key: SubscriptionKey) {
        let mut waiting = self.lock();
        waiting.forget(key, |shared| self.size(shared));
        waiting.deliveries.push_back(Delivery::Behind(key));
        self.filled.notify_one();
    }

    /// Adds a fresh start; it counts as nothing, for there is at most one of a subscription.
    pub(super) fn push_reset(&self, key: SubscriptionKey, snapshot: Snapshot) {
        self.lock().deliveries.push_back(Delivery::Reset(key, Box::new(snapshot)));
        self.filled.notify_one();
    }

    /// Drops what waits of a subscription that has ended.
    pub(crate) fn forget(&self, key: SubscriptionKey) {
        self.lock().forget(key, |shared| self.size(shared));
    }

    /// True while nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().deliveries.is_empty()
    }

    /// The oldest delivery; waits until there is one.
    pub(crate) async fn next(&self) -> Delivery {
        loop {
            if let Some(delivery) = self.take() {
                return delivery;
            }
            self.filled.notified().await;
        }
    }

    /// The oldest delivery, if there is one.
    pub(crate) fn take(&self) -> Option<Delivery> {
        let mut waiting = self.lock();
        let delivery = waiting.deliveries.pop_front()?;
        if let Delivery::Event(_, shared) = &delivery {
            waiting.bytes -= self.size(shared);
        }
        Some(delivery)
    }

    /// What an event counts for.
    fn size(&self, shared: &SharedEvent) -> usize {
        if self.limits.bytes.is_some() { shared.body().len() } else { 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic ends the process: no one sees the queue after it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn forget(&mut self, gone: SubscriptionKey, size: impl Fn(&SharedEvent) -> usize) {
        self.deliveries.retain(|delivery| match delivery {
            Delivery::Event(key, shared) if *key == gone => {
                self.bytes -= size(shared);
                false
            }
            Delivery::Event(..) => true,
            Delivery::Reset(key, _) | Delivery::Behind(key) => *key != gone,
        });
    }
}
