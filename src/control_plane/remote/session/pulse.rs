//! Signs of life for this machine's peers.

use std::rc::Rc;
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::ClientFrame;
use lanrage_ipc::model::{PartyId, PeerId};

use super::{Carrier, Lane, Session, Trouble};
use crate::control_plane::remote::transport::dial;
use crate::core::reconcile::{Heard, Point};
use crate::core::{Command, Upstream, UpstreamPart};

/// How long at most a timer waits that goes by the wall clock.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(15);

impl Session {
    /// Gives signs of life for all peers that something keeps alive, at once and then every so
    /// often, for ever.
    pub(in super::super) async fn beat(self: Rc<Self>) {
        loop {
            match self.upstream(UpstreamPart::Live).await {
                Ok(Upstream { memberships: live, .. }) => {
                    let peers = live.iter().map(|one| one.peer_id.clone()).collect();
                    let live = live.into_iter();
                    let known =
                        live.filter(|one| self.shadow.borrow().get(&one.party_id).is_some());
                    let beats: Vec<_> =
                        known.map(|one| self.clone().beat_for(one.party_id, one.peer_id)).collect();
                    futures_util::future::join_all(beats).await;
                    self.tell_idle(&peers).await;
                }
                Err(failure) => log::warn!("no signs of life were given: {failure}"),
            }
            tokio::time::sleep(self.heartbeat.get()).await;
        }
    }

    /// Makes way for a connection over a WebSocket, where there is none and one is wanted. It is
    /// looked for every so often.
    pub(in super::super) async fn look_for_websocket(self: Rc<Self>, every: Duration) {
        if self.carrier != Carrier::Http || self.target.carrier != Carrier::Auto {
            return;
        }
        dial::await_websocket(&self.target, every).await;
        self.make_way("the server has a WebSocket now");
    }

    /// A sign of life. The answer says how far the party is: what was lost shows.
    async fn beat_for(self: Rc<Self>, party_id: PartyId, peer_id: PeerId) {
        let greeted = self.is_greeted(&peer_id) && self.carrier == Carrier::Ws;
        let frame = ClientFrame::Heartbeat { party_id: party_id.clone(), peer_id };
        match self.ask(frame, &self.around.keys.next(), Lane::Background).await {
            Ok(acked) => self.seen(party_id, acked).await,
            Err(Trouble::Refused {
                code: ErrorCode::PartyNotFound | ErrorCode::PeerNotFound | ErrorCode::NotAMember,
                ..
            }) => self.clone().sync(party_id).await,
            // It was welcome on this connection.
            Err(Trouble::Refused { code: ErrorCode::PermissionDenied, message }) if greeted => {
                self.displaced(&message);
            }
            Err(Trouble::Refused { code, message }) => {
                self.warn(format_args!(
                    "party {party_id}: a sign of life is refused: {message} ({code:?})"
                ));
            }
            Err(Trouble::Lost) => {}
        }
    }

    /// The server mentioned how far a party is.
    pub(in super::super) async fn seen(self: &Rc<Self>, party_id: PartyId, acked: super::Acked) {
        let Some(at) = acked.at else { return };
        let at = Point { epoch: at.epoch, seq: at.seq };
        let heard = self.shadow.borrow_mut().bookmark(&party_id, &at);
        if heard != Heard::Nothing {
            return self.follow(party_id, heard).await;
        }
        let is_same = self.shadow.borrow().point(&party_id) == Some(&at);
        if is_same && let Err(failure) = self.command(Command::Vouch(party_id)).await {
            log::debug!("a sign of life could not be taken in: {failure}");
        }
    }
}
