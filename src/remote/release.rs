//! Release of a local peer: it leaves its parties on the server, too, and its tokens there are
//! revoked.

use std::rc::Rc;

use lanrage_ipc::model::PeerId;
use tokio::time::Instant;

use super::actor::RemoteDispatcher;
use super::mutation::Request;
use crate::control_plane::{Ask, Failure};
use crate::core::{Caller, Command, Proof, Revoked, UpstreamPart, command};

impl RemoteDispatcher {
    /// Releases a peer in the registry, and on the server if that is online. Otherwise the leaves
    /// become intents, and the token on the server expires. The returned counts include the tokens
    /// that were revoked on the server, and each party once.
    pub(super) async fn release(
        self: &Rc<Self>,
        caller: Caller,
        peer_id: PeerId,
    ) -> Result<Revoked, Failure> {
        let begun = Instant::now();
        let release = Command::Release { peer_id: peer_id.clone() };
        self.context.local.ask(caller.clone(), |reply| Ask::Plan(release, reply)).await?;
        let upstream = self.upstream(UpstreamPart::Peer(peer_id.clone())).await?;
        // Concurrently, so that a silent server costs one timeout only.
        let leaves = upstream.memberships.into_iter().filter_map(|membership| {
            let (party_id, peer_id) = (membership.party_id, membership.peer_id);
            let leave = Command::Leave { party_id: party_id.clone(), peer_id };
            let request = Request::of(&caller, &leave, &self.context.keys)?;
            Some(async move {
                let left = self.in_order(&party_id, self.mutate(request)).await;
                left.inspect_err(|failure| {
                    log::warn!("released peer did not leave: party={party_id} {failure}");
                })
            })
        });
        let leaves = futures_util::future::join_all(leaves).await;
        let left = leaves.iter().filter(|left| left.is_ok()).count();
        let token =
            upstream.credentials.into_iter().find_map(|credential| match credential.proof {
                Proof::Token(token) => Some(token),
                Proof::Claim(_) => None,
            });
        let revoked = match (self.current.online(), token) {
            (Some(session), Some(token)) => {
                let revoked = session.in_time(begun, session.revoke(&peer_id, &token)).await;
                if let (Some(Some(_)), Some(server)) = (revoked, upstream.choice.server) {
                    let forget = Command::ForgetCredential(server, peer_id.clone());
                    self.apply(self.context.itself.clone(), forget).await?;
                }
                revoked.flatten().unwrap_or_default()
            }
            _ => 0,
        };
        let local = self.context.local.ask(caller, command!(Release { peer_id })).await?;
        let tokens = local.tokens.saturating_add(usize::try_from(revoked).unwrap_or(0));
        Ok(Revoked { tokens, parties: local.parties + left, ..local })
    }
}
