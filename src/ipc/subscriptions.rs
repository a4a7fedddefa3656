//! A connection's subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use lanrage_ipc::RpcError;
use lanrage_ipc::envelope::{event_head, notification_line};
use lanrage_ipc::event::{ResetParams, Snapshot};
use lanrage_ipc::params::{SubscribeParams, Topic};

use crate::config::Limits;
use crate::core::ConnectionId;
use crate::events::{Delivery, EventQueue, Interest, QueueLimits, SubscriptionKey};

/// More of one connection would be of no use to anyone.
const MOST: usize = 32;

/// The subscriptions of one connection and the queue that they share.
pub(super) struct Subscriptions {
    connection: ConnectionId,
    last: u64,
    active: BTreeMap<u64, Active>,
    pub(super) queue: Arc<EventQueue>,
    frame_out: usize,
}

struct Active {
    interest: Interest,
    /// Of the last event or reset that was sent.
    seq: u64,
}

/// What to do with a delivery.
pub(super) enum Due {
    /// Send these lines.
    Send(String),
    /// Ask for a fresh start.
    Resume(SubscriptionKey, Interest),
    /// Nothing: its subscription has ended.
    Nothing,
}

impl Subscriptions {
    pub(super) fn new(connection: ConnectionId, limits: &Limits) -> Self {
        let bounds = QueueLimits { events: limits.queue_events, bytes: Some(limits.queue_bytes) };
        Self {
            connection,
            last: 0,
            active: BTreeMap::new(),
            queue: Arc::new(EventQueue::new(bounds)),
            frame_out: limits.frame_out,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// A new subscription; not yet active. `pending` is the number of those that were drafted before
    /// and are not active yet.
    ///
    /// # Errors
    /// When there are too many.
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

    /// From here on its events may be sent.
    pub(super) fn activate(&mut self, key: SubscriptionKey, interest: Interest) {
        self.active.insert(key.number, Active { interest, seq: 0 });
    }

    /// Ends the subscription of that name, if there is one.
    pub(super) fn end(&mut self, name: &str) -> Option<SubscriptionKey> {
        let number = name.strip_prefix('s')?.parse().ok()?;
        self.active.remove(&number)?;
        let key = SubscriptionKey { connection: self.connection, number };
        self.queue.forget(key);
        Some(key)
    }

    /// Ends all of them.
    pub(super) fn end_all(&mut self) -> Vec<SubscriptionKey> {
        let connection = self.connection;
        let numbers = std::mem::take(&mut self.active).into_keys();
        numbers.map(|number| SubscriptionKey { connection, number }).collect()
    }

    /// What a delivery means for the client.
    pub(super) fn due(&mut self, delivery: Delivery) -> serde_json::Result<Due> {
        let key = match &delivery {
            Delivery::Event(key, _) | Delivery::Reset(key, _) | Delivery::Behind(key) => *key,
        };
        let Some(active) = self.active.get_mut(&key.number) else { return Ok(Due::Nothing) };
        Ok(match delivery {
            Delivery::Event(_, news) => {
                active.seq += 1;
                if let Some((before, after)) = news.event().renamed()
                    && active.interest.party_id.as_ref() == Some(before)
                {
                    active.interest.party_id = Some(after.clone());
                }
                let mut line = event_head(&name(key), active.seq);
                line.push_str(news.body());
                Due::Send(line)
            }
            Delivery::Reset(_, snapshot) => {
                active.seq += 1;
                Due::Send(reset_line(key, active.seq, *snapshot, self.frame_out)?)
            }
            Delivery::Behind(_) => Due::Resume(key, active.interest.clone()),
        })
    }
}

/// The name of a subscription on its connection.
pub(super) fn name(key: SubscriptionKey) -> String {
    format!("s{}", key.number)
}

/// A reset whose snapshot passes the limit comes without its parties: the client pages.
fn reset_line(
    key: SubscriptionKey,
    seq: u64,
    snapshot: Snapshot,
    frame_out: usize,
) -> serde_json::Result<String> {
    let mut params = ResetParams { subscription: name(key), seq, snapshot };
    let line = notification_line("event.reset", &params)?;
    if line.len() <= frame_out {
        return Ok(line);
    }
    params.snapshot.parties = None;
    notification_line("event.reset", &params)
}
