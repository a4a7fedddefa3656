//! Tokens of the peers that this machine speaks for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::control::Secret;
use lanrage_ipc::model::PeerId;

use super::api::Token;

/// The tokens of this machine's peers. Who gets one for a peer holds its slot meanwhile: two that
/// did so at the same time would stand in each other's way.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<BTreeMap<PeerId, Slot>>);

/// A peer's token, where there is one.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Held>>>;

/// A token that is in use.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Its text.
    pub(super) token: Secret,
    /// Time at which half of its life is over, by this machine's clock.
    renew_at: Option<Timestamp>,
}

impl Tokens {
    pub(super) fn slot(&self, peer_id: &PeerId) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(peer_id.clone()).or_default().clone()
    }

    /// The peers that this machine speaks for.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A locked slot belongs to a peer that is about to get a token.
        let is_held = |slot: &Slot| slot.try_lock().map_or(true, |held| held.is_some());
        let held = slots.iter().filter(|(_, slot)| is_held(slot));
        held.map(|(peer_id, _)| peer_id.clone()).collect()
    }
}

impl Held {
    /// A fresh one of a server whose clock is `ahead` of this machine's.
    pub(super) fn new(fresh: &Token, ahead: SignedDuration, now: Timestamp) -> Self {
        let half = |until: Timestamp| {
            let until = until.checked_sub(ahead).unwrap_or(until);
            now.checked_add(until.duration_since(now) / 2).unwrap_or(until)
        };
        Self { token: fresh.token.clone(), renew_at: fresh.expires_at.map(half) }
    }

    /// One of unknown age.
    pub(super) fn old(token: Secret) -> Self {
        Self { token, renew_at: None }
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.renew_at.is_some_and(|at| at <= now)
    }

    /// Its renewal failed: it is good for a while, and renewed again after `pause`.
    pub(super) fn put_off(&mut self, pause: SignedDuration, now: Timestamp) {
        self.renew_at = now.checked_add(pause).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        noon + SignedDuration::from_hours(hours)
    }

    #[test]
    fn a_token_is_due_when_half_of_its_life_is_over() {
        let token = Token { token: "t".to_owned().into(), expires_at: Some(at(24)) };
        let mut held = Held::new(&token, SignedDuration::from_hours(2), at(0));
        assert!(!held.is_due(at(10)) && held.is_due(at(11)));
        held.put_off(SignedDuration::from_hours(3), at(11));
        assert!(!held.is_due(at(13)) && held.is_due(at(14)));
        // One that has expired by this clock is due at once.
        assert!(Held::new(&token, SignedDuration::ZERO, at(25)).is_due(at(25)));
        assert!(!Held::old("t".to_owned().into()).is_due(at(1000)));
    }

    #[test]
    fn a_peer_without_a_token_is_nobody() {
        let tokens = Tokens::default();
        let ann: PeerId = "ann".parse().unwrap();
        let slot = tokens.slot(&ann);
        assert_eq!(tokens.peers(), []);
        *slot.try_lock().unwrap() = Some(Held::old("t".to_owned().into()));
        assert_eq!(tokens.peers(), [ann]);
    }
}
