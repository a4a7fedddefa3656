//! Who hears what: the hub takes events in and puts each, encoded once, into the queue of every
//! subscriber whose interest it meets. Nobody is waited for.

mod hub;
mod news;
mod queue;

use std::sync::Arc;

use actix::prelude::*;
use lanrage_ipc::event::{Event, Snapshot, Topic};
use lanrage_ipc::model::PartyId;

use crate::core::ConnectionId;

pub use hub::Hub;
pub use news::{Manner, News};
pub use queue::{Delivery, EventQueue, QueueLimits};

/// Names a subscription: the connection and its own number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionKey {
    /// Whose it is.
    pub connection: ConnectionId,
    /// Counts up on the connection.
    pub number: u64,
}

/// What a subscriber wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// About these.
    pub topics: Vec<Topic>,
    /// Of this party only, where it is about a party at all.
    pub party_id: Option<PartyId>,
}

impl Interest {
    /// Whether it wants to hear about a topic.
    pub fn covers(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }
}

/// Something for the hub to do, in the order in which it happened.
#[derive(Debug)]
pub enum Bulletin {
    /// Tell it to all who want to hear.
    Tell(Event),
    /// A new subscriber, who hears all that comes after.
    Attach(SubscriptionKey, Interest, Arc<EventQueue>),
    /// A subscriber that fell behind and starts afresh from this state.
    Resume(SubscriptionKey, Snapshot),
    /// A subscriber less.
    Detach(SubscriptionKey),
    /// Bulletins were lost: all subscribers have fallen behind.
    Lost,
}

/// Bulletins for the hub, oldest first.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Publish(pub Vec<Bulletin>);
