//! The parties that a connection hears of: those in which one of its peers is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use lanrage_ipc::event::Topic;
use lanrage_ipc::model::{Party, PartyId, Peer, PeerId, PeerInput};
use tokio::time::Instant;

use crate::core::ConnectionId;
use crate::events::{EventQueue, Interest, QueueLimits, SubscriptionKey};

/// What a connection hears.
pub(super) struct PartySubscriptions {
    connection: ConnectionId,
    last: u64,
    parties: BTreeMap<PartyId, PartySubscription>,
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
struct PartySubscription {
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
    updates: Updates,
}

/// Changed members, of which a client without additions is told by the whole party.
#[derive(Debug, Clone, Copy, Default)]
struct Updates {
    /// Time of the last such telling.
    told_at: Option<Instant>,
    /// Time of the next one, while a change is not told.
    due_at: Option<Instant>,
}

impl PartySubscriptions {
    pub(super) fn new(connection: ConnectionId, events: usize) -> Self {
        let queue = EventQueue::new(QueueLimits { events, bytes: None, all_bytes: None });
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
        let mut own =
            known.as_ref().map(|subscription| subscription.own.clone()).unwrap_or_default();
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
        let updates = known.map(|known| known.updates).unwrap_or_default();
        let ended = self.end(&party.party_id);
        self.begin(key, party, own.clone(), updates);
        Renewed { own, is_new: true, ended }
    }

    fn begin(
        &mut self,
        key: SubscriptionKey,
        party: &Party,
        own: BTreeSet<PeerId>,
        updates: Updates,
    ) {
        let subscription = PartySubscription {
            number: key.number,
            own,
            host_id: party.host_id.clone(),
            seq: 0,
            ending: None,
            members: BTreeMap::new(),
            updates,
        };
        self.by_number.insert(key.number, party.party_id.clone());
        self.parties.insert(party.party_id.clone(), subscription);
    }

    /// True while a party is heard of.
    pub(super) fn is_subscribed(&self, party_id: &PartyId) -> bool {
        self.parties.contains_key(party_id)
    }

    /// True if an event with that number is of a party that is heard, and not told yet: it counts
    /// as told from here on.
    pub(super) fn is_unsent(&mut self, party_id: &PartyId, seq: Option<u64>) -> bool {
        let Some(subscription) = self.parties.get_mut(party_id) else { return false };
        let is_unsent = seq.is_none_or(|seq| seq > subscription.seq);
        subscription.seq = subscription.seq.max(seq.unwrap_or_default());
        is_unsent
    }

    /// True for the connection's own members of a party.
    pub(super) fn is_own(&self, party_id: &PartyId, peer_id: &PeerId) -> bool {
        self.parties.get(party_id).is_some_and(|subscription| subscription.own.contains(peer_id))
    }

    /// Notes what a member says of itself: `true` if that is new, and not of the connection's own.
    pub(super) fn put_member(&mut self, party_id: &PartyId, peer: &Peer) -> bool {
        let Some(subscription) = self.parties.get_mut(party_id) else { return false };
        let before = subscription.members.insert(peer.info.peer_id.clone(), peer.info.clone());
        before.as_ref() != Some(&peer.info) && !subscription.own.contains(&peer.info.peer_id)
    }

    /// A member changed, of which the client is told by the whole party: at once if that was not
    /// told so for `interval`, else when that is over.
    pub(super) fn schedule_update(&mut self, party_id: &PartyId, now: Instant, interval: Duration) {
        let Some(subscription) = self.parties.get_mut(party_id) else { return };
        let due_at =
            subscription.updates.told_at.map_or(now, |told_at| now.max(told_at + interval));
        subscription.updates.due_at.get_or_insert(due_at);
    }

    /// Time of the next party to tell because a member changed.
    pub(super) fn next_update(&self) -> Option<Instant> {
        self.parties.values().filter_map(|subscription| subscription.updates.due_at).min()
    }

    /// The parties to tell now because members changed. They count as told.
    pub(super) fn take_due_updates(&mut self, now: Instant) -> Vec<PartyId> {
        let is_due = |subscription: &PartySubscription| {
            subscription.updates.due_at.is_some_and(|due_at| due_at <= now)
        };
        let due = self.parties.iter_mut().filter(|(_, subscription)| is_due(subscription));
        let taken = due.map(|(party_id, subscription)| {
            subscription.updates = Updates { told_at: Some(now), due_at: None };
            party_id.clone()
        });
        taken.collect()
    }

    /// A member left by that change: `true` if its party ends.
    pub(super) fn lose_member(&mut self, party_id: &PartyId, peer_id: &PeerId, seq: u64) -> bool {
        let Some(subscription) = self.parties.get_mut(party_id) else { return false };
        if *peer_id == subscription.host_id {
            subscription.ending = Some(seq);
        }
        subscription.members.remove(peer_id);
        subscription.ending.is_some()
    }

    /// A party has ended: the change by which its host went, if that was told, and the subscription
    /// to end.
    pub(super) fn end_told(
        &mut self,
        party_id: &PartyId,
    ) -> (Option<u64>, Option<SubscriptionKey>) {
        let ending = self.parties.get(party_id).and_then(|subscription| subscription.ending);
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
        if let Some(subscription) = self.parties.get_mut(&party.party_id) {
            subscription.seq = party.seq;
            subscription.updates.due_at = None;
            let members = party.peers.iter();
            subscription.members =
                members.map(|(id, peer)| (id.clone(), peer.info.clone())).collect();
        }
    }

    /// One of the connection's peers is no member any more. With the last of them the party is
    /// heard no more: the subscription to end.
    pub(super) fn forget_own(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
    ) -> Option<SubscriptionKey> {
        let subscription = self.parties.get_mut(party_id)?;
        subscription.own.remove(peer_id);
        if subscription.own.is_empty() { self.end(party_id) } else { None }
    }

    /// A party is heard no more: the subscription to end.
    fn end(&mut self, party_id: &PartyId) -> Option<SubscriptionKey> {
        let subscription = self.parties.remove(party_id)?;
        self.by_number.remove(&subscription.number);
        let key = self.key(subscription.number);
        self.queue.forget(key);
        Some(key)
    }

    /// Nothing is heard any more: the subscriptions to end.
    pub(super) fn end_all(&mut self) -> Vec<SubscriptionKey> {
        self.by_number.clear();
        let parties = std::mem::take(&mut self.parties).into_values();
        parties.map(|subscription| self.key(subscription.number)).collect()
    }

    fn key(&self, number: u64) -> SubscriptionKey {
        SubscriptionKey { connection: self.connection, number }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lanrage_ipc::model::{Origin, Sync};

    use super::*;

    fn party() -> Party {
        Party {
            party_id: "lan".parse().expect("an id"),
            name: "LAN".parse().expect("a name"),
            host_id: "alice".parse().expect("an id"),
            created_at: Timestamp::UNIX_EPOCH,
            peers: BTreeMap::new(),
            origin: Origin::Local,
            sync: Sync::Synced,
            epoch: "e".parse().expect("an epoch"),
            seq: 1,
        }
    }

    #[test]
    fn changed_members_are_told_at_once_and_then_once_a_second() {
        let (mut subscriptions, party) = (PartySubscriptions::new(ConnectionId(1), 8), party());
        subscriptions.begin(subscriptions.key(1), &party, BTreeSet::new(), Updates::default());
        let (start, interval) = (Instant::now(), Duration::from_secs(1));
        let at = |millis| start + Duration::from_millis(millis);
        let mut told = Vec::new();
        for millis in (0..3000).step_by(100) {
            subscriptions.schedule_update(&party.party_id, at(millis), interval);
            if !subscriptions.take_due_updates(at(millis)).is_empty() {
                told.push(millis);
            }
        }
        assert_eq!(told, [0, 1000, 2000]);
        assert_eq!(subscriptions.next_update(), Some(at(3000)));
        // The next subscription to the party goes on from there.
        let updates = subscriptions.parties[&party.party_id].updates;
        subscriptions.begin(subscriptions.key(2), &party, BTreeSet::new(), updates);
        assert_eq!(subscriptions.next_update(), Some(at(3000)));
        // Whoever is told all of it needs no more.
        subscriptions.told(&party);
        assert_eq!(subscriptions.next_update(), None);
        subscriptions.schedule_update(&party.party_id, at(5000), interval);
        assert_eq!(subscriptions.take_due_updates(at(5000)), [party.party_id]);
    }
}
