//! Removal of expired entries. The work is proportional to the expired entries, and to the members
//! of their parties. Each round takes an entry out of its index, so the loops end in any case.

use std::collections::VecDeque;
use std::time::Duration;

use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::model::{PartyId, PeerId};

use super::QueuedSignal;
use super::transaction::Transaction;
use crate::core::command::Outcome;

impl Transaction<'_> {
    pub(super) fn expire(&mut self) -> Outcome {
        self.follow_clock();
        self.silence_orphans();
        self.expire_signals();
        self.expire_tokens();
        self.expire_receipts();
        if self.now.elapsed >= self.registry.rules.grace_until {
            self.expire_members();
            self.expire_relays();
        }
        Outcome::Done
    }

    fn silence_orphans(&mut self) {
        while let Some((party_id, peer_id)) = self.registry.orphans.pop_first() {
            self.silence(&party_id, &peer_id);
        }
    }

    fn expire_members(&mut self) {
        let (timeout, now) = (self.registry.rules.peer_timeout, self.now.elapsed);
        let expired = self.registry.parties.take_due(|seen| due(seen, timeout, now));
        for (_, party_id, peer_id) in expired {
            self.expire_member(&party_id, &peer_id);
        }
    }

    /// Removes an expired member. For a party on a control server, its leave is noted as an intent.
    fn expire_member(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        use RemovalReason::{Expired, HostLeft};
        let Ok(member) = self.member(party_id, peer_id) else { return };
        if member.is_ours() {
            self.intend_to_leave(party_id, peer_id);
        }
        match self.registry.parties.get(party_id) {
            Some(party) if party.record.host_id == *peer_id => {
                self.take_leave(party_id);
                self.forget_entries(party_id);
                self.remove_party(party_id, Expired, HostLeft, Expired);
            }
            _ => self.remove_member(party_id, peer_id, Expired),
        }
    }

    fn expire_relays(&mut self) {
        let (timeout, now) = (self.registry.rules.relay_timeout, self.now.elapsed);
        while let Some((seen, _)) = self.registry.silent_relays.first()
            && due(*seen, timeout, now)
            && let Some((_, relay_id)) = self.registry.silent_relays.pop_first()
        {
            self.delete_relay(&relay_id);
            self.events.push(Event::RelayRemoved { relay_id });
        }
    }

    fn expire_signals(&mut self) {
        let (ttl, now) = (self.registry.rules.signal_ttl, self.now.elapsed);
        while let Some((queued, ..)) = self.registry.waiting_signals.first()
            && due(*queued, ttl, now)
            && let Some((_, party_id, peer_id)) = self.registry.waiting_signals.pop_first()
        {
            self.registry.with_member(&party_id, &peer_id, |member| {
                drop_stale(&mut member.signals, ttl, now);
            });
        }
    }
}

/// True once `since` is at least `timeout` ago. Any timeout is valid.
fn due(since: Duration, timeout: Duration, now: Duration) -> bool {
    now.saturating_sub(since) >= timeout
}

/// Removes expired signals from a queue.
pub(super) fn drop_stale(signals: &mut VecDeque<QueuedSignal>, ttl: Duration, now: Duration) {
    while signals.front().is_some_and(|signal| due(signal.queued, ttl, now)) {
        signals.pop_front();
    }
}
