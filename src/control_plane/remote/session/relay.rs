//! Announcing a relay, for which there is a route and no frame. The connection does not speak for
//! it: a token is enough, of which there may be any number.

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::Secret;
use lanrage_ipc::model::PeerId;

use super::{Session, Trouble};
use crate::control_plane::remote::transport::http::{Api, Cause, Refused, Token};
use crate::core::{CredentialRecord, Proof, RelayInput, Upstream, UpstreamPart, User};

impl Session {
    /// Announces a relay as the peer of its id: whoever proves to be that may change it.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(in super::super) async fn announce(
        &self,
        relay: &RelayInput,
        caller: Option<User>,
    ) -> Result<(), Trouble> {
        let Ok(peer_id) = relay.relay_id.as_str().parse::<PeerId>() else {
            return Err(Trouble::Lost);
        };
        let turn = self.greeting(&peer_id);
        let _turn = turn.lock().await;
        let api = self.api();
        let part = UpstreamPart::Peer(peer_id.clone());
        let upstream = self.upstream(part).await.map_err(|_| Trouble::Lost)?;
        let (proof, owner) = self.known(&peer_id, caller, &upstream)?;
        let token = match proof {
            Some(Proof::Token(token)) => self.fresh(&api, &peer_id, token, &upstream).await?,
            claim => self.take(&api, &peer_id, claim, owner).await?,
        };
        match api.register_relay(&token, relay).await {
            // The server has lost the token, or it has expired and the id is nobody's.
            Err(refused) if refused.is_status(401) => {
                let token = self.take(&api, &peer_id, None, owner).await?;
                api.register_relay(&token, relay).await.map_err(troubled)
            }
            announced => announced.map_err(troubled),
        }
    }

    /// Takes an id that is nobody's, or that this very claim took before. Its token is kept.
    async fn take(
        &self,
        api: &Api,
        peer_id: &PeerId,
        claim: Option<Proof>,
        owner: User,
    ) -> Result<Secret, Trouble> {
        let claim = match claim {
            Some(Proof::Claim(claim)) if claim.is_claim() => claim,
            _ => self.new_claim(peer_id, owner).await?,
        };
        match api.register_peer(peer_id, None, Some(&claim), None).await {
            Ok(token) => self.keep(peer_id, token).await,
            Err(refused) => {
                if refused.code == ErrorCode::PermissionDenied {
                    self.forget(peer_id).await;
                }
                // Its words may not say whose id it is.
                let message = format!("{peer_id}: {}", refused.message);
                Err(troubled(Refused { message, ..refused }))
            }
        }
    }

    /// The token, or one in its place where it is due to be renewed.
    async fn fresh(
        &self,
        api: &Api,
        peer_id: &PeerId,
        token: Secret,
        upstream: &Upstream,
    ) -> Result<Secret, Trouble> {
        let now = self.around.clock.now().wall;
        let is_due = |known: &CredentialRecord| known.peer_id == *peer_id && known.renew_at <= now;
        if !upstream.credentials.iter().any(is_due) {
            return Ok(token);
        }
        match api.register_peer(peer_id, Some(&token), None, None).await {
            Ok(fresh) => self.keep(peer_id, fresh).await,
            Err(refused) => {
                log::debug!("the token of {peer_id} is not renewed: {refused}");
                Ok(token)
            }
        }
    }

    async fn keep(&self, peer_id: &PeerId, token: Token) -> Result<Secret, Trouble> {
        let Token { token, expires_at } = token;
        let kept = self.keep_token(peer_id.clone(), token.clone(), expires_at).await;
        kept.map(|()| token).map_err(|_| Trouble::Lost)
    }

    /// Ends the tokens of a peer on the server, and forgets the one that is kept. Returns
    /// the number that ended. An older server can't end them. A connection that speaks for the peer
    /// ends, too, and makes way for another one.
    pub(in super::super) async fn revoke(&self, peer_id: &PeerId, token: &Secret) -> u64 {
        self.revokes.set(self.is_greeted(peer_id));
        match self.api().revoke(token).await {
            Ok(revoked) => {
                self.forget(peer_id).await;
                revoked
            }
            Err(refused) => {
                self.revokes.set(false);
                log::warn!("the tokens of {peer_id} end by their age: {refused}");
                0
            }
        }
    }

    /// The server's routes, whose connections are kept.
    fn api(&self) -> Api {
        self.api.borrow_mut().get_or_insert_with(|| Api::new(&self.target)).clone()
    }
}

fn troubled(refused: Refused) -> Trouble {
    let Refused { code, message, cause, .. } = refused;
    match cause {
        Cause::Unreachable | Cause::Unanswered | Cause::Foreign => Trouble::Lost,
        _ => Trouble::Refused { code, message },
    }
}
