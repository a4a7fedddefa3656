//! Renewal of tokens before they expire.

use std::collections::BTreeMap;
use std::time::Duration;

use lanrage_ipc::control::Secret;
use lanrage_ipc::model::PeerId;

use super::output::{Purpose, Timer};
use super::pace::Lane;
use super::requests::RequestError;
use super::session::Session;
use crate::core::{CredentialRecord, Failure, Proof, Upstream};

/// Upper bound of a wait for a wall clock time: the clock may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Wait before the next renewal of a token whose renewal was refused.
const PUT_OFF: Duration = Duration::from_secs(15);

/// Pause after each renewal.
const PAUSE: Duration = Duration::from_millis(200);

impl Session {
    /// Renews the token that is due first, or waits until it is due.
    pub(super) fn renew(&mut self, upstream: Result<Upstream, Failure>) {
        let Ok(upstream) = upstream else { return self.set_timer(Timer::Renewal, LOOK_AGAIN) };
        let credentials = upstream.credentials.into_iter();
        let renewals = credentials.filter_map(|credential| self.renewal(credential));
        // Without a credential, the next stored token sets the timer.
        let Some((due, peer_id, token)) = renewals.min_by_key(|(due, ..)| *due) else { return };
        let left = due.saturating_sub(self.now.elapsed);
        if !left.is_zero() {
            return self.set_timer(Timer::Renewal, left.min(LOOK_AGAIN));
        }
        self.auth.is_renewing = true;
        let (proof, purpose) = (Some(Proof::Token(token)), Purpose::Renewal(peer_id.clone()));
        self.hello(Some(&peer_id), proof, BTreeMap::new(), Lane::Background, purpose);
    }

    /// Returns the due time of a token, by elapsed time: it is due once either clock says so. The
    /// wall clock may have been set. It alone counts for a token from before this connection.
    fn renewal(&self, credential: CredentialRecord) -> Option<(Duration, PeerId, Secret)> {
        let CredentialRecord { peer_id, proof, renew_at, .. } = credential;
        let Proof::Token(token) = proof else { return None };
        if !self.auth.is_greeted(&peer_id) {
            return None;
        }
        let left = Duration::try_from(renew_at.duration_since(self.now.wall)).unwrap_or_default();
        let by_wall = self.now.elapsed.saturating_add(left);
        let due = self.auth.renewals.get(&peer_id).map_or(by_wall, |due| by_wall.min(*due));
        // A refused renewal waits without delaying others.
        let not_before = self.auth.put_off.get(&peer_id).copied().unwrap_or_default();
        Some((due.max(not_before), peer_id, token))
    }

    pub(super) fn renewed(&mut self, peer_id: PeerId, result: Result<(), RequestError>) {
        self.auth.is_renewing = false;
        match result {
            Ok(()) => {
                log::debug!("the token of {peer_id} is renewed");
                self.auth.put_off.remove(&peer_id);
                self.set_timer(Timer::Renewal, PAUSE);
            }
            Err(RequestError::Refused { code, message }) => {
                self.warn(format_args!(
                    "the token of {peer_id} is not renewed: {message} ({code:?})"
                ));
                self.auth.put_off.insert(peer_id, self.now.elapsed + PUT_OFF);
                self.set_timer(Timer::Renewal, Duration::ZERO);
            }
            Err(RequestError::Lost) => {}
        }
    }
}
