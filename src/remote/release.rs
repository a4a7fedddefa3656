//! Releasing a peer of this machine: it leaves the parties on the server, too, and its token there
//! ends.

use std::rc::Rc;

use lanrage_ipc::model::PeerId;
use tokio::time::Instant;

use super::actor::RemoteDispatcher;
use super::mutation::Request;
use crate::control_plane::{Ask, Failure};
use crate::core::{Caller, Command, Proof, Revoked, UpstreamPart, command};

impl RemoteDispatcher {
    /// Releases a peer: on the server as far as it can be reached, and here in any case. While the
    /// server can't be reached, leaving waits for it, and the token ends by its age. The counts in
    /// the answer include the tokens that ended on the server, and each party once.
    pub(super) async fn release(
        self: &Rc<Self>,
        caller: Caller,
        peer_id: PeerId,
    ) -> Result<Revoked, Failure> {
        let begun = Instant::now();
        let release = Command::Release { peer_id: peer_id.clone() };
        self.context.local.ask(caller.clone(), |reply| Ask::Plan(release, reply)).await?;
        let upstream = self.upstream(UpstreamPart::Peer(peer_id.clone())).await?;
        // At once: a server that is silent is waited for once.
        let leaves = upstream.memberships.into_iter().filter_map(|membership| {
            let (party_id, peer_id) = (membership.party_id, membership.peer_id);
            let leave = Command::Leave { party_id: party_id.clone(), peer_id };
            let request = Request::of(&caller, &leave, &self.context.keys)?;
            Some(async move {
                let left = self.in_order(&party_id, self.mutate(request)).await;
                left.inspect_err(|failure| {
                    log::warn!("a released peer does not leave: party={party_id} {failure}");
                })
            })
        });
        let leaves = futures_util::future::join_all(leaves).await;
        let left = leaves.iter().filter(|left| left.is_ok()).count();
        let token = upstream.credentials.into_iter().find_map(|known| match known.proof {
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
        let here = self.context.local.ask(caller, command!(Release { peer_id })).await?;
        let tokens = here.tokens.saturating_add(usize::try_from(revoked).unwrap_or(0));
        Ok(Revoked { tokens, parties: here.parties + left, ..here })
    }
}
