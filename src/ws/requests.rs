//! Requests of the clients.

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{AckResult, ClientFrame, ReqId};
use lanrage_ipc::lanrage::input::PeerForm;
use lanrage_ipc::model::{Epoch, Keepalive, PartyId, PeerId, PeerInput, UtcOffset};

use super::conversation::{Conversation, internal_error};
use super::render::{self, Rejection};
use crate::control_plane::{Ask, Query};
use crate::core::{Alive, Command, Idempotency, Receipt, RequestKey, command};
use crate::random_id::random_party_id;

/// Content of an `ack`.
pub(super) struct Reply {
    pub(super) epoch: Epoch,
    pub(super) seq: Option<u64>,
    pub(super) result: AckResult,
}

impl Conversation {
    /// Processes a frame.
    pub(super) async fn dispatch(
        &self,
        frame: ClientFrame,
        req_id: Option<&ReqId>,
    ) -> Result<Reply, Rejection> {
        match frame {
            ClientFrame::Hello { peer_id, token, claim, caps, have, .. } => {
                self.handle_hello(peer_id, token, claim, &caps, have).await
            }
            ClientFrame::RegisterParty { party_id, name, host_peer } => {
                let names_party = party_id.is_some();
                let party_id = match party_id {
                    Some(party_id) => party_id,
                    None => new_party_id()?,
                };
                let (host, utc_offset) = self.ensure_claimed(host_peer).await?;
                let keepalive = Keepalive::Connection;
                let peer_id = host.peer_id.clone();
                let id = party_id.clone();
                let command = Command::Register { party_id: id, name, host, keepalive, utc_offset };
                let key = idempotency(req_id, names_party);
                self.enter(command, key, party_id, peer_id).await
            }
            ClientFrame::JoinParty { party_id, peer } => {
                let (peer, utc_offset) = self.ensure_claimed(peer).await?;
                let keepalive = Keepalive::Connection;
                let peer_id = peer.peer_id.clone();
                let id = party_id.clone();
                let command = Command::Join { party_id: id, peer, keepalive, utc_offset };
                self.enter(command, idempotency(req_id, true), party_id, peer_id).await
            }
            ClientFrame::LeaveParty { party_id, peer_id } => {
                let command =
                    Command::Leave { party_id: party_id.clone(), peer_id: peer_id.clone() };
                let left = self.command(command, idempotency(req_id, true)).await;
                if left.is_err() {
                    self.release_member(party_id.clone(), peer_id.clone()).await;
                }
                let reply = left?;
                let gone = self.subscriptions.borrow_mut().forget_own(&party_id, &peer_id);
                self.unsubscribe(gone).await;
                Ok(reply)
            }
            ClientFrame::UpdatePeer { party_id, peer } => {
                let utc_offset = self.offset(&peer);
                let command = Command::Update { party_id, peer: peer.info, utc_offset };
                self.command(command, idempotency(req_id, true)).await
            }
            ClientFrame::Heartbeat { party_id, peer_id } => self.heartbeat(party_id, peer_id).await,
            ClientFrame::Signal { party_id, from_peer_id: from, to_peer_id: to, signal_data } => {
                let command = Command::SendSignal { party_id, from, to, data: signal_data };
                self.command(command, idempotency(req_id, true)).await
            }
            ClientFrame::Sync { party_id, .. } => self.sync(&party_id).await,
            ClientFrame::ListRelays { region } => {
                if req_id.is_none() || !self.format.get().additions {
                    let message = "req_id: needed, since the relays come in the ack; and caps";
                    return Err(Rejection::new(ErrorCode::InvalidParams, message));
                }
                // Held until the reply is in the connection's send queue, which has a bound.
                let _room = self.server.http.reserve_relays(self.handle.address_key()).await?;
                let relays = self.ask(|reply| Query::Relays(region, reply)).await?;
                Ok(self.reply(None, AckResult::Relays { relays }))
            }
        }
    }

    /// Runs a command for one of the connection's peers.
    async fn command(
        &self,
        command: Command,
        key: Option<Idempotency>,
    ) -> Result<Reply, Rejection> {
        let Some(key) = key else {
            // Only an `ack` shows the outcome, and only a request with an idempotency key gets one.
            self.ask(|reply| Ask::Command(command, reply)).await?;
            return Ok(self.reply(None, AckResult::Empty {}));
        };
        let Receipt { epoch, seq, done } = self.ask(command.once(key)).await?;
        Ok(Reply { epoch, seq: Some(seq), result: render::result(done) })
    }

    /// Processes a heartbeat.
    async fn heartbeat(&self, party_id: PartyId, peer_id: PeerId) -> Result<Reply, Rejection> {
        let (party, peer) = (party_id.clone(), peer_id.clone());
        let heartbeat = command!(Heartbeat { party_id: party, peer_id: peer });
        let Alive { expires_in, seq, utc_offset } = self.ask(heartbeat).await?;
        if !self.subscriptions.borrow().is_subscribed(&party_id) {
            // A returning LANrage client sends nothing else about its parties or its wall clock.
            self.set_utc_offset(utc_offset);
            self.subscribe_members(&party_id, &[peer_id]).await?;
        }
        let expires_in_ms = u64::try_from(expires_in.as_millis()).unwrap_or(u64::MAX);
        Ok(self.reply(Some(seq), AckResult::Alive { expires_in_ms }))
    }

    /// Registers a party or joins one; the answer is the whole party.
    async fn enter(
        &self,
        command: Command,
        key: Option<Idempotency>,
        party_id: PartyId,
        peer_id: PeerId,
    ) -> Result<Reply, Rejection> {
        let reply = self.command(command, key).await?;
        // A repeated request gets its first answer, also where the server chose the id.
        let party_id = match &reply.result {
            AckResult::Entered { party_id, .. } => party_id,
            _ => &party_id,
        };
        self.subscribe_members(party_id, &[peer_id]).await?;
        Ok(reply)
    }

    /// Makes sure that the connection may speak for a peer; an unowned peer id is claimed.
    async fn ensure_claimed(
        &self,
        form: PeerForm,
    ) -> Result<(PeerInput, Option<UtcOffset>), Rejection> {
        let utc_offset = self.offset(&form);
        let is_own = self.peers.borrow().contains(&form.info.peer_id);
        if !is_own {
            let claimed = self.claim(form.info.peer_id.clone(), None, None).await?;
            if self.format.get().additions {
                self.send_welcome(Some(claimed));
            }
        }
        Ok((form.info, utc_offset))
    }

    /// Returns the offset of the client's wall clock, if known, and uses it for times from here on.
    fn offset(&self, form: &PeerForm) -> Option<UtcOffset> {
        let utc_offset = form.offset(self.server.http.clock.now().wall);
        self.set_utc_offset(utc_offset);
        utc_offset
    }

    async fn sync(&self, party_id: &PartyId) -> Result<Reply, Rejection> {
        let party = self.ask(|reply| Query::Party(party_id.clone(), reply)).await?;
        let own: Vec<PeerId> = {
            let peers = self.peers.borrow();
            party.peers.keys().filter(|id| peers.contains(*id)).cloned().collect()
        };
        if own.is_empty() {
            let message = format!("none of this connection's peers is in party {party_id}");
            return Err(Rejection::new(ErrorCode::NotAMember, message));
        }
        self.subscribe_members(party_id, &own).await?;
        Ok(self.reply(Some(party.seq), AckResult::Empty {}))
    }
}

/// Idempotency key of a request that its client names.
fn idempotency(req_id: Option<&ReqId>, names_party: bool) -> Option<Idempotency> {
    let key = RequestKey(req_id?.key().into());
    Some(Idempotency { key, names_party, refuses_reuse: false })
}

/// Describes a frame for the log, without its secrets and long values.
pub(super) fn summary(frame: &ClientFrame) -> String {
    let party = frame.party_id().map(|party_id| format!(" party_id={party_id}"));
    let peer = frame.peer_id().map(|peer_id| format!(" peer_id={peer_id}"));
    format!("{}{}{}", frame.kind(), party.unwrap_or_default(), peer.unwrap_or_default())
}

fn new_party_id() -> Result<PartyId, Rejection> {
    random_party_id().map_err(|error| {
        log::error!("no party id chosen: {error:#}");
        internal_error()
    })
}
