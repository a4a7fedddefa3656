//! Tokens are renewed while they are good.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::control::Secret;
use lanrage_ipc::model::PeerId;

use super::pulse::LOOK_AGAIN;
use super::{Lane, Session, Trouble};
use crate::core::{CredentialRecord, Proof, Upstream, UpstreamPart};

/// How long a token waits whose renewal was refused.
const PUT_OFF: SignedDuration = SignedDuration::from_secs(15);

/// A pause after each renewal.
const BREATH: Duration = Duration::from_millis(200);

impl Session {
    /// Has the tokens renewed, each in time, for ever.
    pub(in super::super) async fn renew(self: Rc<Self>) {
        // A token that is not renewed waits a while, and keeps no other waiting.
        let mut put_off = HashMap::new();
        loop {
            let Ok(upstream) = self.upstream(UpstreamPart::Credentials).await else {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            };
            let now = self.around.clock.now().wall;
            let next = self.renewals(upstream, &put_off).min_by_key(|(due, ..)| *due);
            let Some((due, peer_id, token)) = next else {
                self.renewal.notified().await;
                continue;
            };
            let left = due.duration_since(now);
            if left.is_positive() {
                // The machine may sleep meanwhile, and its clock be set: it is looked at again.
                let wait = left.unsigned_abs().min(LOOK_AGAIN);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.renewal.notified() => {}
                }
                continue;
            }
            let key = self.around.keys.next();
            let (token, have) = (Some(token), BTreeMap::new());
            let renewed = self.hello(Some(&peer_id), token, have, &key, Lane::Background).await;
            match renewed {
                Ok(()) => {
                    log::debug!("the token of {peer_id} is renewed");
                    put_off.remove(&peer_id);
                    tokio::time::sleep(BREATH).await;
                }
                Err(Trouble::Refused { code, message }) => {
                    log::warn!("the token of {peer_id} is not renewed: {message} ({code:?})");
                    put_off.insert(peer_id, now.saturating_add(PUT_OFF).unwrap_or(now));
                }
                Err(Trouble::Lost) => return,
            }
        }
    }

    /// The tokens that the server may be shown, and when that is due.
    fn renewals(
        &self,
        upstream: Upstream,
        put_off: &HashMap<PeerId, Timestamp>,
    ) -> impl Iterator<Item = (Timestamp, PeerId, Secret)> {
        let credentials = upstream.credentials.into_iter();
        let credentials = credentials.filter(|known| self.is_greeted(&known.peer_id));
        credentials.filter_map(|CredentialRecord { peer_id, proof, renew_at, .. }| match proof {
            Proof::Token(token) => {
                let due = put_off.get(&peer_id).map_or(renew_at, |until| renew_at.max(*until));
                Some((due, peer_id, token))
            }
            Proof::Claim(_) => None,
        })
    }
}
