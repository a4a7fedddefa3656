//! Bounded event queue of one connection, filled by the hub and drained by the session.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lanrage_ipc::event::Snapshot;

use super::{SharedEvent, SubscriptionKey};

/// Limits of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// Number of queued deliveries.
    pub(crate) events: usize,
    /// Bytes of the events on the local socket; `None` for other connections.
    pub(crate) bytes: Option<usize>,
    /// Bytes of the events that wait for any client of the local socket; `None` for other
    /// connections. An empty queue takes an event beyond this limit.
    pub(crate) all_bytes: Option<usize>,
}

/// Item of the queue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Delivery {
    /// An event.
    Event(SubscriptionKey, Arc<SharedEvent>),
    /// The subscription starts afresh from this state.
    Reset(SubscriptionKey, Box<Snapshot>),
    /// The subscription fell behind and gets no events until it is resumed.
    Behind(SubscriptionKey),
}

/// Event queue of a connection, which is its only reader.
#[derive(Debug)]
pub(crate) struct EventQueue {
    waiting: Mutex<Waiting>,
    limits: QueueLimits,
}

#[derive(Debug, Default)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    /// Wakes the reader, which waits for a delivery.
    reader: Option<Waker>,
}

impl EventQueue {
    /// Creates an empty queue.
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self { waiting: Mutex::default(), limits }
    }

    /// Queues an event. Without room, it drops the subscription's events, tells the subscription
    /// that it fell behind, and returns `false`.
    pub(super) fn push_event(&self, key: SubscriptionKey, shared: &Arc<SharedEvent>) -> bool {
        let bytes = self.size(shared);
        let mut waiting = self.lock();
        let room = waiting.deliveries.len() < self.limits.events
            && self.limits.bytes.is_none_or(|most| waiting.bytes + bytes <= most)
            && (waiting.deliveries.is_empty()
                || self.limits.all_bytes.is_none_or(|most| shared.live_bytes() <= most));
        if room {
            waiting.bytes += bytes;
            waiting.push(Delivery::Event(key, shared.clone()));
        } else {
            drop(waiting);
            self.fall_behind(key);
        }
        room
    }

    /// Drops a subscription's events and tells it that it fell behind.
    pub(super) fn fall_behind(&self, key: SubscriptionKey) {
        let mut waiting = self.lock();
        waiting.forget(key, |shared| self.size(shared));
        waiting.push(Delivery::Behind(key));
    }

    /// Queues a reset; it uses no room, since a subscription has at most one.
    pub(super) fn push_reset(&self, key: SubscriptionKey, snapshot: Snapshot) {
        self.lock().push(Delivery::Reset(key, Box::new(snapshot)));
    }

    /// Drops the deliveries of an ended subscription.
    pub(crate) fn forget(&self, key: SubscriptionKey) {
        self.lock().forget(key, |shared| self.size(shared));
    }

    /// True while the queue is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().deliveries.is_empty()
    }

    /// Returns the oldest delivery; waits until there is one.
    pub(crate) async fn next(&self) -> Delivery {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&self, cx: &Context<'_>) -> Poll<Delivery> {
        let mut waiting = self.lock();
        if let Some(delivery) = self.pop(&mut waiting) {
            return Poll::Ready(delivery);
        }
        // An idle connection holds no memory.
        waiting.deliveries = VecDeque::new();
        waiting.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Returns the oldest delivery, if there is one.
    pub(crate) fn take(&self) -> Option<Delivery> {
        self.pop(&mut self.lock())
    }

    fn pop(&self, waiting: &mut Waiting) -> Option<Delivery> {
        let delivery = waiting.deliveries.pop_front()?;
        if let Delivery::Event(_, shared) = &delivery {
            waiting.bytes -= self.size(shared);
        }
        Some(delivery)
    }

    /// Returns the bytes that an event counts for.
    fn size(&self, shared: &SharedEvent) -> usize {
        if self.limits.bytes.is_some() { shared.body().len() } else { 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic ends the process, so nothing sees a broken queue.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, delivery: Delivery) {
        self.deliveries.push_back(delivery);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

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
