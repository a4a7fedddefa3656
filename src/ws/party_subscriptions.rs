//! Subscriptions of a connection: to the parties with one of its peers as a member.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lanrage_ipc::event::Topic;
use lanrage_ipc::model::{Party, PartyId, Peer, PeerId, PeerInput};
use tokio::time::Instant;

use crate::core::ConnectionId;
use crate::events::{EventQueue, Interest, QueueLimits, SubscriptionKey};

/// Party subscriptions of a connection.
pub(super) struct PartySubscriptions {
    connection: ConnectionId,
    last: u64,
    parties: BTreeMap<PartyId, PartySubscription>,
    by_number: HashMap<u64, PartyId>,
    pub(super) queue: Arc<EventQueue>,
}

/// Result of renewing a subscription.
pub(super) struct Renewed {
    /// The connection's own members of the party.
    pub(super) own: BTreeSet<PeerId>,
    /// True if the subscription is in force, and the client has to be sent the party.
    pub(super) is_new: bool,
    /// Subscription to end.
    pub(super) ended: Option<SubscriptionKey>,
}

/// State of a party as its client was told it.
struct PartySubscription {
    number: u64,
    /// Members that the connection speaks for.
    own: BTreeSet<PeerId>,
    host_id: PeerId,
    /// Creation time; another one is that of another party with the id.
    created_at: Timestamp,
    /// `seq` of the last change that was sent; earlier changes are skipped.
    seq: u64,
    /// `seq` of the change by which the host left; the removal of the party follows.
    ending: Option<u64>,
    /// Party as the client was last sent it; `None` for a client with `caps`.
    sent: Option<Arc<Party>>,
    /// Members that joined since.
    joined: BTreeMap<PeerId, PeerInput>,
    updates: Updates,
}

/// Pending update of changed members, for a client without `caps`: it is sent the whole party.
#[derive(Debug, Clone, Copy, Default)]
struct Updates {
    /// Time of the last such update.
    sent_at: Option<Instant>,
    /// Time of the next one, while a change is unsent.
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

    /// Creates the key and interest of a new subscription to a party.
    pub(super) fn draft(&mut self, party_id: &PartyId) -> (SubscriptionKey, Interest) {
        self.last += 1;
        let topics = vec![Topic::Party, Topic::Peer, Topic::Signal];
        (self.key(self.last), Interest { topics, party_id: Some(party_id.clone()) })
    }

    /// Replaces the subscription to a party, for the present own members and the newcomers. The
    /// later of two subscriptions wins, whichever was answered first. Without own members in the
    /// party, nothing changes.
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
            created_at: party.created_at,
            seq: 0,
            ending: None,
            sent: None,
            joined: BTreeMap::new(),
            updates,
        };
        self.by_number.insert(key.number, party.party_id.clone());
        self.parties.insert(party.party_id.clone(), subscription);
    }

    /// True while the connection is subscribed to a party.
    pub(super) fn is_subscribed(&self, party_id: &PartyId) -> bool {
        self.parties.contains_key(party_id)
    }

    /// True if a change of a subscribed party is unsent. It counts as sent from here on.
    pub(super) fn is_unsent(&mut self, party_id: &PartyId, seq: Option<u64>) -> bool {
        let Some(subscription) = self.parties.get_mut(party_id) else { return false };
        let is_unsent = seq.is_none_or(|seq| seq > subscription.seq);
        subscription.seq = subscription.seq.max(seq.unwrap_or_default());
        is_unsent
    }

    /// True if the connection speaks for that member of a party.
    pub(super) fn is_own(&self, party_id: &PartyId, peer_id: &PeerId) -> bool {
        self.parties.get(party_id).is_some_and(|subscription| subscription.own.contains(peer_id))
    }

    /// Notes that the client is sent a new member.
    pub(super) fn add_member(&mut self, party_id: &PartyId, peer: &Peer) {
        if let Some(subscription) = self.parties.get_mut(party_id) {
            subscription.joined.insert(peer.info.peer_id.clone(), peer.info.clone());
        }
    }

    /// True if the client was sent another description of a member, and it is not its own.
    pub(super) fn is_news(&self, party_id: &PartyId, peer: &Peer) -> bool {
        let Some(subscription) = self.parties.get(party_id) else { return false };
        let peer_id = &peer.info.peer_id;
        let sent = || Some(&subscription.sent.as_ref()?.peers.get(peer_id)?.info);
        let known = subscription.joined.get(peer_id).or_else(sent);
        known != Some(&peer.info) && !subscription.own.contains(peer_id)
    }

    /// Returns the `seq` of the last change that was sent.
    pub(super) fn seq_of(&self, party_id: &PartyId) -> Option<u64> {
        self.parties.get(party_id).map(|subscription| subscription.seq)
    }

    /// Marks a later snapshot of a subscribed party as sent. Returns `false` if it is of another
    /// party with the id, or of one without own members; then nothing changes.
    pub(super) fn follow(&mut self, party: &Arc<Party>) -> bool {
        let Some(subscription) = self.parties.get_mut(&party.party_id) else { return false };
        let is_member = |peer_id: &PeerId| party.peers.contains_key(peer_id);
        if subscription.created_at != party.created_at || !subscription.own.iter().any(is_member) {
            return false;
        }
        subscription.own.retain(is_member);
        self.mark_sent(party, false);
        true
    }

    /// Schedules an update of changed members: at once, or `interval` after the last one.
    pub(super) fn schedule_update(&mut self, party_id: &PartyId, now: Instant, interval: Duration) {
        let Some(subscription) = self.parties.get_mut(party_id) else { return };
        let due_at =
            subscription.updates.sent_at.map_or(now, |sent_at| now.max(sent_at + interval));
        subscription.updates.due_at.get_or_insert(due_at);
    }

    /// Returns the time of the next update of changed members.
    pub(super) fn next_update(&self) -> Option<Instant> {
        self.parties.values().filter_map(|subscription| subscription.updates.due_at).min()
    }

    /// Returns the parties whose update is due, and marks them as sent.
    pub(super) fn take_due_updates(&mut self, now: Instant) -> Vec<PartyId> {
        let is_due = |subscription: &PartySubscription| {
            subscription.updates.due_at.is_some_and(|due_at| due_at <= now)
        };
        let due = self.parties.iter_mut().filter(|(_, subscription)| is_due(subscription));
        let taken = due.map(|(party_id, subscription)| {
            subscription.updates = Updates { sent_at: Some(now), due_at: None };
            party_id.clone()
        });
        taken.collect()
    }

    /// Removes a member that left by that change. Returns `true` if its party ends.
    pub(super) fn lose_member(&mut self, party_id: &PartyId, peer_id: &PeerId, seq: u64) -> bool {
        let Some(subscription) = self.parties.get_mut(party_id) else { return false };
        if *peer_id == subscription.host_id {
            subscription.ending = Some(seq);
        }
        subscription.joined.remove(peer_id);
        subscription.ending.is_some()
    }

    /// Ends the subscription to a removed party. Returns the change by which its host left, if that
    /// was sent, and the subscription to end.
    pub(super) fn end_removed(
        &mut self,
        party_id: &PartyId,
    ) -> (Option<u64>, Option<SubscriptionKey>) {
        let ending = self.parties.get(party_id).and_then(|subscription| subscription.ending);
        (ending, self.end(party_id))
    }

    /// Returns the ids of all subscribed parties.
    pub(super) fn party_ids(&self) -> Vec<PartyId> {
        self.parties.keys().cloned().collect()
    }

    /// Returns the party of a subscription, unless that has ended.
    pub(super) fn party_of(&self, key: SubscriptionKey) -> Option<PartyId> {
        self.by_number.get(&key.number).cloned()
    }

    /// Marks all of a party as sent. For a client without `caps`, later changes are compared with
    /// it.
    pub(super) fn mark_sent(&mut self, party: &Arc<Party>, additions: bool) {
        if let Some(subscription) = self.parties.get_mut(&party.party_id) {
            subscription.seq = party.seq;
            subscription.updates.due_at = None;
            subscription.sent = (!additions).then(|| party.clone());
            subscription.joined.clear();
        }
    }

    /// Removes an own member. Returns the subscription to end if it was the last one.
    pub(super) fn forget_own(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
    ) -> Option<SubscriptionKey> {
        let subscription = self.parties.get_mut(party_id)?;
        subscription.own.remove(peer_id);
        if subscription.own.is_empty() { self.end(party_id) } else { None }
    }

    /// Removes a party. Returns the subscription to end.
    fn end(&mut self, party_id: &PartyId) -> Option<SubscriptionKey> {
        let subscription = self.parties.remove(party_id)?;
        self.by_number.remove(&subscription.number);
        let key = self.key(subscription.number);
        self.queue.forget(key);
        Some(key)
    }

    /// Removes all parties. Returns the subscriptions to end.
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
pub(super) mod tests {
    use lanrage_ipc::model::{Origin, Sync};

    use super::*;

    /// Returns a party without members.
    pub(in crate::ws) fn party() -> Party {
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
    fn changed_member_is_sent_at_once_and_then_once_a_second() {
        let (mut subscriptions, party) = (PartySubscriptions::new(ConnectionId(1), 8), party());
        subscriptions.begin(subscriptions.key(1), &party, BTreeSet::new(), Updates::default());
        let (start, interval) = (Instant::now(), Duration::from_secs(1));
        let at = |millis| start + Duration::from_millis(millis);
        let mut sent = Vec::new();
        for millis in (0..3000).step_by(100) {
            subscriptions.schedule_update(&party.party_id, at(millis), interval);
            if !subscriptions.take_due_updates(at(millis)).is_empty() {
                sent.push(millis);
            }
        }
        assert_eq!(sent, [0, 1000, 2000]);
        assert_eq!(subscriptions.next_update(), Some(at(3000)));
        // The next subscription to the party keeps the schedule.
        let updates = subscriptions.parties[&party.party_id].updates;
        subscriptions.begin(subscriptions.key(2), &party, BTreeSet::new(), updates);
        assert_eq!(subscriptions.next_update(), Some(at(3000)));
        // A whole party replaces the pending update.
        let party = Arc::new(party);
        subscriptions.mark_sent(&party, false);
        assert_eq!(subscriptions.next_update(), None);
        subscriptions.schedule_update(&party.party_id, at(5000), interval);
        assert_eq!(subscriptions.take_due_updates(at(5000)), std::slice::from_ref(&party.party_id));
    }
}
