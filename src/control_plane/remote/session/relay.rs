//! Announcing a relay, for which there is a route and no frame.

use lanrage_ipc::model::PeerId;
use lanrage_ipc::params::RelayRegisterParams;

use super::{Session, Trouble};
use crate::control_plane::remote::transport::http::{Api, Cause, Refused};
use crate::core::{Proof, User};

impl Session {
    /// Announces a relay as the peer of its id: whoever proves to be that may change it.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(in super::super) async fn announce(
        &self,
        relay: RelayRegisterParams,
        owner: User,
    ) -> Result<(), Trouble> {
        let Ok(peer_id) = relay.relay_id.as_str().parse::<PeerId>() else {
            return Err(Trouble::Lost);
        };
        self.greet(&peer_id, owner).await?;
        let upstream = self.upstream().await.map_err(|_| Trouble::Lost)?;
        let credential = upstream.credentials.into_iter().find(|known| known.peer_id == peer_id);
        let Some(Proof::Token(token)) = credential.map(|known| known.proof) else {
            return Err(Trouble::Lost);
        };
        let api = Api::new(&self.target).map_err(troubled)?;
        api.register_relay(&token, &relay).await.map_err(troubled)
    }
}

fn troubled(refused: Refused) -> Trouble {
    let Refused { code, message, cause, .. } = refused;
    match cause {
        Cause::Unreachable | Cause::Unanswered => Trouble::Lost,
        _ => Trouble::Refused { code, message },
    }
}
