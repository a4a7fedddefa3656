//! Fan-out of events: the hub encodes each event once and queues it for every interested
//! subscriber. It waits for none of them.

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

/// Key of a subscription: its connection and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubscriptionKey {
    /// Connection of the subscriber.
    pub(crate) connection: ConnectionId,
    /// Number that counts up on the connection.
    pub(crate) number: u64,
}

/// Filter of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Topics of the wanted events.
    pub(crate) topics: Vec<Topic>,
    /// Only party whose events are wanted; relay and connection events have no party.
    pub(crate) party_id: Option<PartyId>,
}

impl Interest {
    /// True if the topic is wanted.
    pub(crate) fn covers(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }
}

/// Command for the hub, in the order of the changes.
#[derive(Debug)]
pub(crate) enum HubCommand {
    /// Sends an event to all interested subscribers.
    FanOut(Event),
    /// Adds a subscriber, which gets all later events.
    Attach(SubscriptionKey, Interest, Arc<EventQueue>),
    /// Resumes a subscriber that fell behind, from this snapshot.
    Resume(SubscriptionKey, Snapshot),
    /// Removes a subscriber.
    Detach(SubscriptionKey),
    /// Says that commands were lost: all subscribers have fallen behind.
    Lost,
}

/// Commands for the hub, oldest first.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Publish(pub(crate) Vec<HubCommand>);
