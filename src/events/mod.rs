//! Who hears what: the hub takes events in and puts each, encoded once, into the queue of every
//! subscriber whose interest it meets. Nobody is waited for.

mod hub;
mod queue;
mod shared_event;

use std::sync::Arc;

use actix::prelude::*;
use lanrage_ipc::event::{Event, Snapshot, Topic};
use lanrage_ipc::model::PartyId;

use crate::core::ConnectionId;

pub(crate) use hub::Hub;
pub(crate) use queue::{Delivery, EventQueue, QueueLimits};
pub(crate) use shared_event::{SharedEvent, WireFormat};

/// Names a subscription: the connection and its own number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubscriptionKey {
    /// Whose it is.
    pub(crate) connection: ConnectionId,
    /// Counts up on the connection.
    pub(crate) number: u64,
}

/// What a subscriber wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interest {
    /// About these.
    pub(crate) topics: Vec<Topic>,
    /// Of this party only, where it is about a party at all.
    pub(crate) party_id: Option<PartyId>,
}

impl Interest {
    /// Whether it wants to hear about a topic.
    pub(crate) fn covers(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }
}

/// Something for the hub to do, in the order in which it happened.
#[derive(Debug)]
pub(crate) enum HubCommand {
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
pub(crate) struct Publish(pub(crate) Vec<HubCommand>);
