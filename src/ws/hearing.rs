//! The parties that a connection hears of: those in which one of its peers is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lanrage_ipc::model::{Party, PartyId, PeerId, PeerInput};
use lanrage_ipc::params::Topic;

use crate::core::ConnectionId;
use crate::events::{EventQueue, Interest, QueueLimits, SubscriptionKey};

/// What a connection hears.
pub(super) struct Hearing {
    connection: ConnectionId,
    last: u64,
    parties: BTreeMap<PartyId, Heard>,
    by_number: HashMap<u64, PartyId>,
    pub(super) queue: Arc<EventQueue>,
}

/// A party, as far as its client was told.
pub(super) struct Heard {
    number: u64,
    /// The connection's own peers in it.
    pub(super) own: BTreeSet<PeerId>,
    pub(super) host_id: PeerId,
    /// The last change that was told; what comes of earlier ones is known already.
    pub(super) seq: u64,
    /// The change by which its host went, once it has: the party follows.
    pub(super) ending: Option<u64>,
    /// What each member says of itself.
    pub(super) members: BTreeMap<PeerId, PeerInput>,
}

impl Hearing {
    pub(super) fn new(connection: ConnectionId, events: usize) -> Self {
        let queue = EventQueue::new(QueueLimits { events, bytes: None });
        Self {
            connection,
            last: 0,
            parties: BTreeMap::new(),
            by_number: HashMap::new(),
            queue: Arc::new(queue),
        }
    }

    /// A subscription to a party that is not heard yet.
    pub(super) fn draft(&mut self, party_id: &PartyId) -> (SubscriptionKey, Interest) {
        self.last += 1;
        let topics = vec![Topic::Party, Topic::Peer, Topic::Signal];
        (self.key(self.last), Interest { topics, party_id: Some(party_id.clone()) })
    }

    /// Its events are heard from here on.
    pub(super) fn begin(&mut self, key: SubscriptionKey, party: &Party, own: BTreeSet<PeerId>) {
        let heard = Heard {
            number: key.number,
            own,
            host_id: party.host_id.clone(),
            seq: 0,
            ending: None,
            members: BTreeMap::new(),
        };
        self.by_number.insert(key.number, party.party_id.clone());
        self.parties.insert(party.party_id.clone(), heard);
    }

    pub(super) fn get(&mut self, party_id: &PartyId) -> Option<&mut Heard> {
        self.parties.get_mut(party_id)
    }

    /// All that is heard of.
    pub(super) fn party_ids(&self) -> Vec<PartyId> {
        self.parties.keys().cloned().collect()
    }

    /// The party that a subscription is about, unless it has ended.
    pub(super) fn party_of(&self, key: SubscriptionKey) -> Option<PartyId> {
        self.by_number.get(&key.number).cloned()
    }

    /// All of a party is told now.
    pub(super) fn told(&mut self, party: &Party) {
        if let Some(heard) = self.parties.get_mut(&party.party_id) {
            heard.seq = party.seq;
            let members = party.peers.iter();
            heard.members = members.map(|(id, peer)| (id.clone(), peer.info.clone())).collect();
        }
    }

    /// One of the connection's peers is no member any more. With the last of them the party is
    /// heard no more: the subscription to end.
    pub(super) fn forget_own(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
    ) -> Option<SubscriptionKey> {
        let heard = self.parties.get_mut(party_id)?;
        heard.own.remove(peer_id);
        if heard.own.is_empty() { self.end(party_id) } else { None }
    }

    /// A party is heard no more: the subscription to end.
    pub(super) fn end(&mut self, party_id: &PartyId) -> Option<SubscriptionKey> {
        let heard = self.parties.remove(party_id)?;
        self.by_number.remove(&heard.number);
        let key = self.key(heard.number);
        self.queue.forget(key);
        Some(key)
    }

    /// Nothing is heard any more: the subscriptions to end.
    pub(super) fn end_all(&mut self) -> Vec<SubscriptionKey> {
        self.by_number.clear();
        let parties = std::mem::take(&mut self.parties).into_values();
        parties.map(|heard| self.key(heard.number)).collect()
    }

    fn key(&self, number: u64) -> SubscriptionKey {
        SubscriptionKey { connection: self.connection, number }
    }
}
