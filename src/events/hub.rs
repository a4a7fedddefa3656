//! The actor that knows the subscribers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use actix::prelude::*;
use lanrage_ipc::model::PartyId;

use super::{Bulletin, EventQueue, Interest, News, Publish, SubscriptionKey};

/// Bulletin lists that may wait for the hub; more, and its subscribers are told that they lost
/// some.
const MAILBOX: usize = 1024;

/// The event hub.
#[derive(Debug, Default)]
pub struct Hub {
    subscribers: BTreeMap<SubscriptionKey, Subscriber>,
    /// Those of one party.
    narrow: HashMap<PartyId, BTreeSet<SubscriptionKey>>,
    /// Those of all parties.
    wide: BTreeSet<SubscriptionKey>,
}

#[derive(Debug)]
struct Subscriber {
    interest: Interest,
    queue: Arc<EventQueue>,
    /// Hears nothing until it is resumed.
    behind: bool,
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

crate::answers_ping!(Hub);

impl Handler<Publish> for Hub {
    type Result = ();

    fn handle(&mut self, Publish(bulletins): Publish, _: &mut Self::Context) {
        for bulletin in bulletins {
            self.take_in(bulletin);
        }
    }
}

impl Hub {
    fn take_in(&mut self, bulletin: Bulletin) {
        match bulletin {
            Bulletin::Tell(event) => self.tell(&Arc::new(News::new(event))),
            Bulletin::Attach(key, interest, queue) => {
                match &interest.party_id {
                    Some(party_id) => {
                        self.narrow.entry(party_id.clone()).or_default().insert(key);
                    }
                    None => {
                        self.wide.insert(key);
                    }
                }
                self.subscribers.insert(key, Subscriber { interest, queue, behind: false });
            }
            Bulletin::Resume(key, snapshot) => {
                if let Some(subscriber) = self.subscribers.get_mut(&key) {
                    subscriber.behind = false;
                    subscriber.queue.push_reset(key, snapshot);
                }
            }
            Bulletin::Detach(key) => self.detach(key),
            Bulletin::Lost => {
                for (key, subscriber) in &mut self.subscribers {
                    if !std::mem::replace(&mut subscriber.behind, true) {
                        subscriber.queue.fall_behind(*key);
                    }
                }
            }
        }
    }

    fn tell(&mut self, news: &Arc<News>) {
        let event = news.event();
        let topic = event.topic();
        if let Some((before, after)) = event.renamed() {
            self.move_narrow(before, after);
        }
        let keys: Vec<_> = match event.party_id() {
            Some(id) => self.wide.iter().chain(self.narrow.get(id).into_iter().flatten()).collect(),
            None => self.wide.iter().chain(self.narrow.values().flatten()).collect(),
        };
        for key in keys {
            let Some(subscriber) = self.subscribers.get_mut(key) else { continue };
            if subscriber.behind || !subscriber.interest.covers(topic) {
                continue;
            }
            subscriber.behind = !subscriber.queue.push_event(*key, news);
        }
    }

    /// Who wants to hear of a party goes on hearing of it under its new id.
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
        self.wide.remove(&key);
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
