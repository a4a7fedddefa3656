//! Subscriptions of a connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lanrage_ipc::RpcError;
use lanrage_ipc::envelope::{bounded_notification_line, event_head, notification_line};
use lanrage_ipc::event::{ResetParams, Snapshot};
use lanrage_ipc::params::{SubscribeParams, Topic};

use super::budget::Reserved;
use crate::config::Limits;
use crate::core::ConnectionId;
use crate::events::{Delivery, EventQueue, Interest, QueueLimits, SubscriptionKey};

/// Limit of subscriptions of one connection.
const MOST: usize = 32;

/// Subscriptions of one connection, and their common queue.
pub(super) struct Subscriptions {
    connection: ConnectionId,
    last: u64,
    active: BTreeMap<u64, Active>,
    pub(super) queue: Arc<EventQueue>,
    frame_out: usize,
    /// Subscriptions that fell behind. They are reset one at a time: each reset may fill a frame.
    behind: VecDeque<u64>,
    resuming: Option<Resuming>,
    resumes: u64,
}

/// Id of a reset request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resume(u64);

/// Subscription that awaits its reset.
struct Resuming {
    resume: Resume,
    number: u64,
    /// Reserved room for the snapshot.
    _reserved: Option<Reserved>,
}

struct Active {
    interest: Interest,
    /// `seq` of the last event or reset that was sent.
    seq: u64,
}

/// Action for a delivery.
pub(super) enum Due {
    /// Sends a line.
    Send(String),
    /// Sends nothing: the subscription has ended, or awaits its reset.
    Nothing,
}

impl Subscriptions {
    pub(super) fn new(connection: ConnectionId, limits: &Limits) -> Self {
        let bounds = QueueLimits {
            events: limits.queue_events,
            bytes: Some(limits.queue_bytes),
            all_bytes: Some(limits.reply_bytes / 4),
        };
        Self {
            connection,
            last: 0,
            active: BTreeMap::new(),
            queue: Arc::new(EventQueue::new(bounds)),
            frame_out: limits.frame_out,
            behind: VecDeque::new(),
            resuming: None,
            resumes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// Creates a subscription that is not active yet. `pending` is the number of other inactive
    /// ones.
    ///
    /// # Errors
    /// `rate_limited` if the connection has too many.
    pub(super) fn draft(
        &mut self,
        params: &SubscribeParams,
        pending: usize,
    ) -> Result<(SubscriptionKey, Interest), RpcError> {
        if self.active.len() + pending >= MOST {
            let message = format!("this connection has {MOST} subscriptions, the most it may have");
            return Err(RpcError::new(lanrage_ipc::ErrorCode::RateLimited, message)
                .hint("end one with events.unsubscribe first"));
        }
        self.last += 1;
        let topics = params.topics.clone().unwrap_or_else(|| Topic::ALL.to_vec());
        let interest = Interest { topics, party_id: params.party_id.clone() };
        Ok((SubscriptionKey { connection: self.connection, number: self.last }, interest))
    }

    /// Activates a subscription: its events may be sent.
    pub(super) fn activate(&mut self, key: SubscriptionKey, interest: Interest) {
        self.active.insert(key.number, Active { interest, seq: 0 });
    }

    /// Ends the subscription of that name, if there is one.
    pub(super) fn end(&mut self, name: &str) -> Option<SubscriptionKey> {
        let number = name.strip_prefix('s')?.parse().ok()?;
        self.active.remove(&number)?;
        let key = self.key(number);
        self.queue.forget(key);
        self.behind.retain(|behind| *behind != number);
        self.resuming.take_if(|resuming| resuming.number == number);
        Some(key)
    }

    /// Returns the next subscription to reset, unless a reset is awaited.
    pub(super) fn next_resumed(&mut self) -> Option<(Resume, SubscriptionKey, Interest)> {
        if self.resuming.is_some() {
            return None;
        }
        let number = self.behind.pop_front()?;
        let interest = self.active.get(&number)?.interest.clone();
        self.resumes += 1;
        let resume = Resume(self.resumes);
        self.resuming = Some(Resuming { resume, number, _reserved: None });
        Some((resume, self.key(number), interest))
    }

    /// Keeps the room for a reset until it is sent, unless it was sent already.
    pub(super) fn keep(&mut self, resume: Resume, reserved: Reserved) {
        if let Some(resuming) = &mut self.resuming
            && resuming.resume == resume
        {
            resuming._reserved = Some(reserved);
        }
    }

    fn key(&self, number: u64) -> SubscriptionKey {
        SubscriptionKey { connection: self.connection, number }
    }

    /// Ends all subscriptions.
    pub(super) fn end_all(&mut self) -> Vec<SubscriptionKey> {
        let connection = self.connection;
        let numbers = std::mem::take(&mut self.active).into_keys();
        numbers.map(|number| SubscriptionKey { connection, number }).collect()
    }

    /// Returns the action for a delivery.
    pub(super) fn due(&mut self, delivery: Delivery) -> serde_json::Result<Due> {
        let key = match &delivery {
            Delivery::Event(key, _) | Delivery::Reset(key, _) | Delivery::Behind(key) => *key,
        };
        let Some(active) = self.active.get_mut(&key.number) else { return Ok(Due::Nothing) };
        Ok(match delivery {
            Delivery::Event(_, shared) => {
                active.seq += 1;
                if let Some((before, after)) = shared.event().renamed()
                    && active.interest.party_id.as_ref() == Some(before)
                {
                    active.interest.party_id = Some(after.clone());
                }
                let mut line = event_head(&name(key), active.seq);
                line.push_str(shared.body());
                Due::Send(line)
            }
            Delivery::Reset(_, snapshot) => {
                active.seq += 1;
                self.resuming = None;
                Due::Send(reset_line(key, active.seq, *snapshot, self.frame_out)?)
            }
            Delivery::Behind(_) => {
                // A reset in the queue was dropped with the events.
                self.resuming.take_if(|resuming| resuming.number == key.number);
                self.behind.push_back(key.number);
                Due::Nothing
            }
        })
    }
}

/// Returns the name of a subscription on its connection.
pub(super) fn name(key: SubscriptionKey) -> String {
    format!("s{}", key.number)
}

/// Encodes a reset. Above the frame limit it comes without its parties: the client pages.
fn reset_line(
    key: SubscriptionKey,
    seq: u64,
    snapshot: Snapshot,
    frame_out: usize,
) -> serde_json::Result<String> {
    let mut params = ResetParams { subscription: name(key), seq, snapshot };
    if let Some(line) = bounded_notification_line("event.reset", &params, frame_out)? {
        return Ok(line);
    }
    params.snapshot.parties = None;
    notification_line("event.reset", &params)
}
