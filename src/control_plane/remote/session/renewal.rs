//! Tokens are renewed while they are good.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use lanrage_ipc::control::Secret;
use lanrage_ipc::model::PeerId;

use super::pulse::LOOK_AGAIN;
use super::{Lane, Session, Trouble};
use crate::core::{CredentialRecord, Now, Proof, Upstream, UpstreamPart};

/// How long a token waits whose renewal was refused.
const PUT_OFF: Duration = Duration::from_secs(15);

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
            let now = self.around.clock.now();
            let next = self.renewals(upstream, now, &put_off).min_by_key(|(due, ..)| *due);
            let Some((due, peer_id, token)) = next else {
                self.renewal.notified().await;
                continue;
            };
            let left = due.saturating_sub(now.elapsed);
            if !left.is_zero() {
                // The machine may sleep meanwhile, and its clock be set: it is looked at again.
                tokio::select! {
                    () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
                    () = self.renewal.notified() => {}
                }
                continue;
            }
            let (token, have) = (Some(Proof::Token(token)), BTreeMap::new());
            let renewed = self.hello(Some(&peer_id), token, have, Lane::Background).await;
            match renewed {
                Ok(()) => {
                    log::debug!("the token of {peer_id} is renewed");
                    put_off.remove(&peer_id);
                    tokio::time::sleep(BREATH).await;
                }
                Err(Trouble::Refused { code, message }) => {
                    self.warn(format_args!(
                        "the token of {peer_id} is not renewed: {message} ({code:?})"
                    ));
                    put_off.insert(peer_id, now.elapsed + PUT_OFF);
                }
                Err(Trouble::Lost) => return,
            }
        }
    }

    /// The tokens that the server may be shown, and when that is due by elapsed time. A token is
    /// due when either clock says so: the wall clock may have been set, and counts alone for a token
    /// from before this connection.
    pub(super) fn renewals(
        &self,
        upstream: Upstream,
        now: Now,
        put_off: &HashMap<PeerId, Duration>,
    ) -> impl Iterator<Item = (Duration, PeerId, Secret)> {
        let credentials = upstream.credentials.into_iter();
        let credentials = credentials.filter(|known| self.is_greeted(&known.peer_id));
        credentials.filter_map(move |CredentialRecord { peer_id, proof, renew_at, .. }| {
            let Proof::Token(token) = proof else { return None };
            let left = Duration::try_from(renew_at.duration_since(now.wall)).unwrap_or_default();
            let by_wall = now.elapsed.saturating_add(left);
            let due = self.renewals.borrow().get(&peer_id).map_or(by_wall, |due| by_wall.min(*due));
            let not_before = put_off.get(&peer_id).copied().unwrap_or_default();
            Some((due.max(not_before), peer_id, token))
        })
    }
}
