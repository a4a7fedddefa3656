//! Actor that distributes events to the subscribers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use actix::prelude::*;
use lanrage_ipc::event::Topic;
use lanrage_ipc::model::PartyId;

use super::{EventQueue, HubCommand, Interest, Publish, SharedEvent, SubscriptionKey};

/// Command lists that may wait for the hub; beyond them, subscribers are told that they lost
/// events.
const MAILBOX: usize = 1024;

/// Event hub.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    subscribers: BTreeMap<SubscriptionKey, Subscriber>,
    /// Subscriptions of one party, by its id.
    narrow: HashMap<PartyId, BTreeSet<SubscriptionKey>>,
    /// Subscriptions of all events of a topic: of all parties, or of a topic without parties.
    wide: HashMap<Topic, BTreeSet<SubscriptionKey>>,
    /// Bytes of the events that wait for subscribers of the local socket.
    live: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Subscriber {
    interest: Interest,
    queue: Arc<EventQueue>,
    /// True while it gets no events, until it is resumed.
    behind: bool,
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

crate::health::answers_ping!(Hub);

impl Handler<Publish> for Hub {
    type Result = ();

    fn handle(&mut self, Publish(hub_commands): Publish, _: &mut Self::Context) {
        for hub_command in hub_commands {
            self.apply(hub_command);
        }
    }
}

impl Hub {
    fn apply(&mut self, hub_command: HubCommand) {
        match hub_command {
            HubCommand::FanOut(event) => {
                self.fan_out(&Arc::new(SharedEvent::new(event, self.live.clone())))
            }
            HubCommand::Attach(key, interest, queue) => {
                if let Some(party_id) = &interest.party_id {
                    self.narrow.entry(party_id.clone()).or_default().insert(key);
                }
                for topic in wide_topics(&interest) {
                    self.wide.entry(topic).or_default().insert(key);
                }
                self.subscribers.insert(key, Subscriber { interest, queue, behind: false });
            }
            HubCommand::Resume(key, snapshot) => {
                if let Some(subscriber) = self.subscribers.get_mut(&key) {
                    subscriber.behind = false;
                    subscriber.queue.push_reset(key, snapshot);
                }
            }
            HubCommand::Detach(key) => self.detach(key),
            HubCommand::Lost => {
                for (key, subscriber) in &mut self.subscribers {
                    if !std::mem::replace(&mut subscriber.behind, true) {
                        subscriber.queue.fall_behind(*key);
                    }
                }
            }
        }
    }

    fn fan_out(&mut self, shared: &Arc<SharedEvent>) {
        let event = shared.event();
        let topic = event.topic();
        if let Some((before, after)) = event.renamed() {
            self.move_narrow(before, after);
        }
        let narrow = event.party_id().and_then(|id| self.narrow.get(id));
        let receivers = self.wide.get(&topic).into_iter().chain(narrow).flatten();
        for key in receivers {
            let Some(subscriber) = self.subscribers.get_mut(key) else { continue };
            if subscriber.behind || !subscriber.interest.covers(topic) {
                continue;
            }
            subscriber.behind = !subscriber.queue.push_event(*key, shared);
        }
    }

    /// Moves the subscribers of a renamed party to its new id.
    fn move_narrow(&mut self, before: &PartyId, after: &PartyId) {
        let keys = self.narrow.remove(before).unwrap_or_default();
        for key in &keys {
            if let Some(subscriber) = self.subscribers.get_mut(key) {
                subscriber.interest.party_id = Some(after.clone());
            }
        }
        if !keys.is_empty() {
            self.narrow.entry(after.clone()).or_default().extend(keys);
        }
    }

    fn detach(&mut self, key: SubscriptionKey) {
        let Some(subscriber) = self.subscribers.remove(&key) else { return };
        for topic in wide_topics(&subscriber.interest) {
            if let Some(keys) = self.wide.get_mut(&topic) {
                keys.remove(&key);
            }
        }
        if let Some(party_id) = subscriber.interest.party_id
            && let Some(keys) = self.narrow.get_mut(&party_id)
        {
            keys.remove(&key);
            if keys.is_empty() {
                self.narrow.remove(&party_id);
            }
        }
    }
}

/// Returns the topics that a subscriber gets all events of.
fn wide_topics(interest: &Interest) -> impl Iterator<Item = Topic> {
    let is_wide = |topic: &Topic| {
        interest.party_id.is_none() || matches!(topic, Topic::Relay | Topic::Connection)
    };
    interest.topics.iter().copied().filter(is_wide)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ConnectionId;
    use crate::events::{Delivery, QueueLimits};
    use lanrage_ipc::event::Event;

    fn attach(
        hub: &mut Hub,
        number: u64,
        topics: &[Topic],
        party: Option<&str>,
    ) -> Arc<EventQueue> {
        let queue =
            Arc::new(EventQueue::new(QueueLimits { events: 10, bytes: None, all_bytes: None }));
        let key = SubscriptionKey { connection: ConnectionId(1), number };
        let party_id = party.map(|id| id.parse().expect("an id"));
        let interest = Interest { topics: topics.to_vec(), party_id };
        hub.apply(HubCommand::Attach(key, interest, queue.clone()));
        queue
    }

    fn events() -> [Event; 2] {
        let (party_id, peer_id) = ("p".parse().expect("an id"), "x".parse().expect("an id"));
        let epoch = "e".parse().expect("an epoch");
        let reason = lanrage_ipc::event::RemovalReason::Left;
        let left = Event::PeerLeft { party_id, peer_id, reason, epoch, seq: 1 };
        [Event::RelayRemoved { relay_id: "r".parse().expect("an id") }, left]
    }

    #[test]
    fn hub_sends_an_event_to_subscribers_of_its_topic_and_party_only() {
        use Topic::{Connection, Party, Peer, Relay};
        let mut hub = Hub::default();
        let cases: [(&[Topic], Option<&str>, [usize; 2]); 6] = [
            (&[Relay, Peer], None, [1, 1]),
            (&[Relay, Peer], Some("p"), [1, 1]),
            (&[Relay, Peer], Some("q"), [1, 0]),
            (&[Peer], Some("p"), [0, 1]),
            (&[Party, Connection], None, [0, 0]),
            (&[Party, Connection], Some("p"), [0, 0]),
        ];
        let queues: Vec<_> = (0..)
            .zip(cases)
            .map(|(number, (topics, party, _))| attach(&mut hub, number, topics, party))
            .collect();
        for (kind, event) in events().into_iter().enumerate() {
            hub.apply(HubCommand::FanOut(event));
            for (queue, (topics, party, expected)) in queues.iter().zip(cases) {
                let count = std::iter::from_fn(|| queue.take()).count();
                assert_eq!(count, expected[kind], "{topics:?} {party:?}");
            }
        }
        for number in 0..6 {
            let key = SubscriptionKey { connection: ConnectionId(1), number };
            hub.apply(HubCommand::Detach(key));
        }
        assert!(hub.subscribers.is_empty() && hub.narrow.is_empty());
        assert!(hub.wide.values().all(BTreeSet::is_empty));
    }

    #[test]
    fn relay_event_visits_no_subscriber_of_other_topics() {
        let mut hub = Hub::default();
        for number in 0..100 {
            attach(&mut hub, number, &[Topic::Peer], Some(&format!("p{number}")));
        }
        let receiver = attach(&mut hub, 100, &[Topic::Relay], Some("p1"));
        assert_eq!(hub.wide.values().map(BTreeSet::len).sum::<usize>(), 1);
        let [relay, _] = events();
        hub.apply(HubCommand::FanOut(relay));
        assert!(matches!(receiver.take(), Some(Delivery::Event(..))));
    }
}
