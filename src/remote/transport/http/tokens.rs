//! Tokens of this machine's peers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::control::Secret;
use lanrage_ipc::model::PeerId;

use super::api::Token;

/// Tokens of this machine's peers. A registration locks the peer's slot, because concurrent
/// registrations of a peer conflict.
#[derive(Debug, Default)]
pub(super) struct PeerTokens(Mutex<BTreeMap<PeerId, TokenSlot>>);

/// Token of a peer, if it has one.
pub(super) type TokenSlot = Arc<tokio::sync::Mutex<Option<CurrentToken>>>;

/// Token in use.
#[derive(Debug, Clone)]
pub(super) struct CurrentToken {
    /// Text of the token.
    pub(super) token: Secret,
    /// Time of the renewal, after half of the token's lifetime, by this machine's clock.
    renew_at: Option<Timestamp>,
}

impl PeerTokens {
    /// Returns the slot of a peer.
    pub(super) fn slot(&self, peer_id: &PeerId) -> TokenSlot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(peer_id.clone()).or_default().clone()
    }

    /// Returns the peers that have a token, or are being registered.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A registration holds the lock.
        let has_token = |slot: &TokenSlot| slot.try_lock().map_or(true, |token| token.is_some());
        let registered = slots.iter().filter(|(_, slot)| has_token(slot));
        registered.map(|(peer_id, _)| peer_id.clone()).collect()
    }
}

impl CurrentToken {
    /// Creates a token from a registration. `ahead` is the lead of the server's clock over this
    /// machine's.
    pub(super) fn new(fresh: &Token, ahead: SignedDuration, now: Timestamp) -> Self {
        let half = |until: Timestamp| {
            let until = until.checked_sub(ahead).unwrap_or(until);
            now.checked_add(until.duration_since(now) / 2).unwrap_or(until)
        };
        Self { token: fresh.token.clone(), renew_at: fresh.expires_at.map(half) }
    }

    /// Creates a token of unknown age, which is not renewed.
    pub(super) fn of_unknown_age(token: Secret) -> Self {
        Self { token, renew_at: None }
    }

    /// True once the token should be renewed.
    pub(super) fn is_renewal_due(&self, now: Timestamp) -> bool {
        self.renew_at.is_some_and(|at| at <= now)
    }

    /// Postpones the renewal by `pause`. The token stays in use.
    pub(super) fn postpone_renewal(&mut self, pause: SignedDuration, now: Timestamp) {
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
    fn renewal_is_due_after_half_of_the_lifetime() {
        let token = Token { token: "t".to_owned().into(), expires_at: Some(at(24)) };
        let mut current = CurrentToken::new(&token, SignedDuration::from_hours(2), at(0));
        assert!(!current.is_renewal_due(at(10)) && current.is_renewal_due(at(11)));
        current.postpone_renewal(SignedDuration::from_hours(3), at(11));
        assert!(!current.is_renewal_due(at(13)) && current.is_renewal_due(at(14)));
        // An expired token is due at once.
        assert!(CurrentToken::new(&token, SignedDuration::ZERO, at(25)).is_renewal_due(at(25)));
        let old = CurrentToken::of_unknown_age("t".to_owned().into());
        assert!(!old.is_renewal_due(at(1000)));
    }

    #[test]
    fn peers_without_a_token_are_not_listed() {
        let tokens = PeerTokens::default();
        let ann: PeerId = "ann".parse().unwrap();
        let slot = tokens.slot(&ann);
        assert_eq!(tokens.peers(), []);
        *slot.try_lock().unwrap() = Some(CurrentToken::of_unknown_age("t".to_owned().into()));
        assert_eq!(tokens.peers(), [ann]);
    }
}
