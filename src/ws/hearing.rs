//! The parties that a connection hears of: those in which one of its peers is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lanrage_ipc::model::{Party, PartyId, Peer, PeerId, PeerInput};
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

/// The result of renewing a subscription.
pub(super) struct Renewed {
    /// The connection's own members of the party.
    pub(super) own: BTreeSet<PeerId>,
    /// True if it is heard from here on, and the client has to be told the party.
    pub(super) is_new: bool,
    /// The subscription to end.
    pub(super) ended: Option<SubscriptionKey>,
}

/// A party, as far as its client was told.
struct Heard {
    number: u64,
    /// The connection's own peers in it.
    own: BTreeSet<PeerId>,
    host_id: PeerId,
    /// The last change that was told; what comes of earlier ones is known already.
    seq: u64,
    /// The change by which its host went, once it has: the party follows.
    ending: Option<u64>,
    /// What each member says of itself.
    members: BTreeMap<PeerId, PeerInput>,
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

    /// Hears of a party by this subscription from its present state on, as the peers that were
    /// members before and newcomers. The later of two subscriptions counts, whichever was answered
    /// first. With no member of its own all stays as it was.
    pub(super) fn renew(
        &mut self,
        key: SubscriptionKey,
        party: &Party,
        newcomers: &[PeerId],
    ) -> Renewed {
        let known = self.parties.get_mut(&party.party_id);
        let mut own = known.as_ref().map(|heard| heard.own.clone()).unwrap_or_default();
        own.extend(newcomers.iter().cloned());
        own.retain(|peer_id| party.peers.contains_key(peer_id));
        match known {
            Some(known) if known.number > key.number => {
                known.own.extend(own.iter().cloned());
                return Renewed { own, is_new: false, ended: Some(key) };
            }
            _ if own.is_empty() => return Renewed { own, is_new: false, ended: Some(key) },
            _ => {}
        }
        let ended = self.end(&party.party_id);
        self.begin(key, party, own.clone());
        Renewed { own, is_new: true, ended }
    }

    fn begin(&mut self, key: SubscriptionKey, party: &Party, own: BTreeSet<PeerId>) {
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

    /// True while a party is heard of.
    pub(super) fn hears(&self, party_id: &PartyId) -> bool {
        self.parties.contains_key(party_id)
    }

    /// True if an event with that number is of a party that is heard, and not told yet: it counts
    /// as told from here on.
    pub(super) fn is_news(&mut self, party_id: &PartyId, seq: Option<u64>) -> bool {
        let Some(heard) = self.parties.get_mut(party_id) else { return false };
        let is_news = seq.is_none_or(|seq| seq > heard.seq);
        heard.seq = heard.seq.max(seq.unwrap_or_default());
        is_news
    }

    /// True for the connection's own members of a party.
    pub(super) fn is_own(&self, party_id: &PartyId, peer_id: &PeerId) -> bool {
        self.parties.get(party_id).is_some_and(|heard| heard.own.contains(peer_id))
    }

    /// Notes what a member says of itself: `true` if that is new, and not of the connection's own.
    pub(super) fn put_member(&mut self, party_id: &PartyId, peer: &Peer) -> bool {
        let Some(heard) = self.parties.get_mut(party_id) else { return false };
        let before = heard.members.insert(peer.info.peer_id.clone(), peer.info.clone());
        before.as_ref() != Some(&peer.info) && !heard.own.contains(&peer.info.peer_id)
    }

    /// A member left by that change: `true` if its party ends.
    pub(super) fn lose_member(&mut self, party_id: &PartyId, peer_id: &PeerId, seq: u64) -> bool {
        let Some(heard) = self.parties.get_mut(party_id) else { return false };
        if *peer_id == heard.host_id {
            heard.ending = Some(seq);
        }
        heard.members.remove(peer_id);
        heard.ending.is_some()
    }

    /// A party has ended: the change by which its host went, if that was told, and the subscription
    /// to end.
    pub(super) fn end_told(
        &mut self,
        party_id: &PartyId,
    ) -> (Option<u64>, Option<SubscriptionKey>) {
        let ending = self.parties.get(party_id).and_then(|heard| heard.ending);
        (ending, self.end(party_id))
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
    fn end(&mut self, party_id: &PartyId) -> Option<SubscriptionKey> {
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
