//! Peers that nothing on this machine keeps alive: the connection speaks for them, and does not
//! keep them alive either.

use std::collections::{BTreeMap, HashSet};

use lanrage_ipc::model::PeerId;

use super::{Carrier, Lane, Session};
use crate::core::{Proof, Upstream, UpstreamPart};

impl Session {
    /// Tells the server which peers something keeps alive, where that has changed: the connection
    /// keeps alive no others.
    pub(super) async fn tell_idle(&self, live: &HashSet<PeerId>) {
        // Over HTTP heartbeats alone keep a peer alive.
        if self.carrier == Carrier::Http {
            return;
        }
        let is_entering = |peer_id: &PeerId| {
            let passages = self.passages.borrow();
            passages.values().flatten().any(|one| one.in_flight.peer_id == *peer_id)
        };
        let greeted = self.greeted.borrow().clone();
        for peer_id in greeted.into_iter().filter(|peer_id| !is_entering(peer_id)) {
            let is_idle = !live.contains(&peer_id);
            if self.idle.borrow().contains(&peer_id) == is_idle {
                continue;
            }
            let Ok(upstream) = self.look_up(UpstreamPart::Peer(peer_id.clone())).await else {
                return;
            };
            let proof = upstream.credentials.into_iter().next().map(|known| known.proof);
            let Some(token @ Proof::Token(_)) = proof.filter(|_| !upstream.memberships.is_empty())
            else {
                continue;
            };
            if is_idle {
                self.idle.borrow_mut().insert(peer_id.clone());
            } else {
                self.idle.borrow_mut().remove(&peer_id);
            }
            let (have, lane) = (BTreeMap::new(), Lane::Background);
            // Without this answer the peer stays as it was on the server, and expires here.
            let told = self.hello(Some(&peer_id), Some(token), have, lane).await;
            log::debug!("idle peer told: peer={peer_id} idle={is_idle} result={told:?}");
        }
    }
}

/// The members that nothing keeps alive in any party.
pub(super) fn idle_peers(upstream: &Upstream) -> HashSet<PeerId> {
    let members = upstream.memberships.iter();
    let live: HashSet<_> = members.clone().filter(|one| one.live).map(|one| &one.peer_id).collect();
    members.map(|one| &one.peer_id).filter(|peer_id| !live.contains(peer_id)).cloned().collect()
}
