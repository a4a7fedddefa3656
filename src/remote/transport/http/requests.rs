//! Execution of the session's requests: calls of the server's routes, and the messages that answer
//! them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{Bookmark, ClientFrame, Inbound, ReqId, Secret};
use lanrage_ipc::http::RegisterPartyBody;
use lanrage_ipc::http::answers::{RelaysAnswer, StatusAnswer};
use lanrage_ipc::lanrage::input::PeerForm;
use lanrage_ipc::model::{LastSeen, Name, PartyId, PeerId};
use lanrage_ipc::results::LeaveStatus;
use serde::Serialize;
use tokio::time::Instant;

use super::super::Loss;
use super::api_error::ApiError;
use super::parties::{PartyState, existing_party_id};
use super::session::PollSession;
use super::wall_clock::Occasion;
use crate::core::reconcile::{ServerParty, check_registered};
use crate::core::upstream::{Acked, Message, RequestResult};

impl PollSession {
    /// Executes the request in a frame, and reports its result.
    ///
    /// # Errors
    /// The [`Loss`] of the connection: the outcome is unknown.
    pub(super) async fn handle(&self, inbound: Inbound) -> Result<(), Loss> {
        let Inbound { mut frame, req_id } = inbound;
        let party_id = existing_party_id(&mut frame).cloned();
        match self.execute(frame, req_id.as_ref()).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_loss() => Err(error.into()),
            Err(error) => {
                if let Some(party_id) = party_id {
                    self.apply_refusal(&error, &party_id).await;
                }
                self.send_message(error.into_message(req_id)).await;
                Ok(())
            }
        }
    }

    /// Applies a refusal to the polled party: it ends the party, or polls it soon.
    async fn apply_refusal(&self, error: &ApiError, party_id: &PartyId) {
        match error.code {
            ErrorCode::PartyNotFound => self.end_party(party_id).await,
            ErrorCode::PeerNotFound | ErrorCode::NotAMember => {
                self.parties().poll_soon(party_id, Instant::now());
            }
            _ => {}
        }
    }

    async fn execute(&self, frame: ClientFrame, req_id: Option<&ReqId>) -> Result<(), ApiError> {
        let acked = match frame {
            ClientFrame::Hello { peer_id, token, claim, have, .. } => {
                self.hello(peer_id, token, claim, have, req_id).await?
            }
            ClientFrame::RegisterParty { party_id, name, host_peer } => {
                self.register(party_id, name, host_peer, req_id).await?
            }
            ClientFrame::JoinParty { party_id, peer } => self.join(&party_id, peer, req_id).await?,
            ClientFrame::UpdatePeer { party_id, peer } => {
                self.require_member(&party_id, &peer.info.peer_id).await?;
                // Without a key: a repeated update applies its own data, not that of the first one.
                self.join(&party_id, peer, None).await?
            }
            ClientFrame::LeaveParty { party_id, peer_id } => {
                return self.leave(&party_id, &peer_id, req_id).await;
            }
            ClientFrame::Heartbeat { party_id, peer_id } => {
                self.heartbeat(&party_id, &peer_id).await?
            }
            ClientFrame::Sync { party_id, have } => self.sync(&party_id, have).await?,
            ClientFrame::ListRelays { region } => self.list_relays(region).await?,
            ClientFrame::Signal { .. } => {
                return Err(ApiError::local(ErrorCode::ServerRejected, self.signals_unsupported()));
            }
        };
        self.acknowledge(req_id, acked).await;
        Ok(())
    }

    /// Returns the message that refuses a signal.
    fn signals_unsupported(&self) -> String {
        let why = match self.is_chosen {
            true => "this daemon speaks HTTP, as remote.transport says: set it to \"auto\"",
            false => "the server has none, or a proxy does not let it pass",
        };
        format!("signals need a WebSocket to the control server, and {why}")
    }

    /// Answers a request that has an id.
    async fn acknowledge(&self, req_id: Option<&ReqId>, acked: Acked) {
        if let Some(req_id) = req_id.cloned() {
            self.send_message(Message::Answer { req_id, result: Ok(acked) }).await;
        }
    }

    async fn hello(
        &self,
        peer_id: Option<PeerId>,
        token: Option<Secret>,
        claim: Option<Secret>,
        have: BTreeMap<PartyId, Bookmark>,
        req_id: Option<&ReqId>,
    ) -> Result<Acked, ApiError> {
        let Some(peer_id) = peer_id else {
            if token.is_some() {
                let message = "peer_id: needed with a token, since this server has no WebSocket";
                return Err(ApiError::local(ErrorCode::InvalidParams, message));
            }
            self.send_welcome(None).await;
            return Ok(Acked::done(None));
        };
        let token = self.register_peer(&peer_id, token, claim, req_id).await?;
        // The parties are requested before the welcome, which states the epoch that they report.
        // The welcome is sent even if a request fails, because it carries the token.
        let mut states = Vec::new();
        let mut failed = None;
        for (party_id, bookmark) in have {
            self.parties().note_bookmark(&party_id, &bookmark);
            match self.fetch(&party_id, &peer_id).await {
                Ok(state) => states.push((party_id, Some(state))),
                Err(error) if error.code == ErrorCode::PartyNotFound => {
                    states.push((party_id, None));
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        for state in states.iter().filter_map(|(_, state)| state.as_ref()) {
            self.parties().note_epoch(state);
        }
        self.send_welcome(Some((peer_id.clone(), token))).await;
        for (party_id, state) in states {
            self.report_party(&peer_id, party_id, state).await;
        }
        failed.map_or_else(|| Ok(Acked::done(None)), Err)
    }

    /// Reports a party of which a returning peer has a replica.
    async fn report_party(&self, peer_id: &PeerId, party_id: PartyId, state: Option<PartyState>) {
        let is_member = state.as_ref().is_some_and(|state| state.has_member(peer_id));
        if is_member {
            self.parties().add_peer(&party_id, peer_id, Instant::now());
        }
        let is_polled = self.parties().local_peers(&party_id).is_some();
        match state {
            Some(state) if is_polled => {
                self.report(state).await;
            }
            _ => {
                self.parties().remove(&party_id);
                self.send_removed(party_id).await;
            }
        }
    }

    async fn register(
        &self,
        requested: Option<PartyId>,
        name: Name,
        host: PeerForm,
        req_id: Option<&ReqId>,
    ) -> Result<Acked, ApiError> {
        let peer_id = host.info.peer_id.clone();
        let body = RegisterPartyBody { name, host: with_current_time(host) };
        let request = self.api.post(&["parties"]).with_body(&body)?.with_key(req_id);
        let sent = self.send_as(&peer_id, request).await;
        let response = sent.map_err(ApiError::for_registration)?;
        let state = self.decode_party(&response, &peer_id, Occasion::Registered).await?;
        let ServerParty { party_id, host_id, .. } = &state.party;
        check_registered(&peer_id, party_id, host_id)
            .map_err(|refusal| ApiError::malformed(refusal.to_string()))?;
        if let Some(from) = requested.filter(|requested| requested != party_id) {
            let to = party_id.clone();
            self.parties().add_rename(from.clone(), to.clone());
            self.send_message(Message::Renamed { from, to }).await;
        }
        Ok(self.note_joined(&peer_id, state).await)
    }

    /// Joins a party, or updates a member.
    async fn join(
        &self,
        party_id: &PartyId,
        peer: PeerForm,
        req_id: Option<&ReqId>,
    ) -> Result<Acked, ApiError> {
        let peer_id = peer.info.peer_id.clone();
        let body = JoinBody { party_id, peer_info: with_current_time(peer) };
        let request = self.api.post(&["parties", party_id.as_str(), "join"]).with_body(&body)?;
        let response = self.send_as(&peer_id, request.idempotent().with_key(req_id)).await?;
        let state = self.decode_party(&response, &peer_id, Occasion::Joined).await?;
        Ok(self.note_joined(&peer_id, self.check_party(state, party_id)?).await)
    }

    /// Reports the party that a peer has joined, and polls it from now on.
    async fn note_joined(&self, peer_id: &PeerId, state: PartyState) -> Acked {
        self.parties().add_peer(&state.party.party_id, peer_id, Instant::now());
        Acked::done(Some(self.report(state).await))
    }

    /// Checks that a peer is a member. An update uses the route of a join, which would add a
    /// removed member again.
    async fn require_member(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<(), ApiError> {
        if self.parties().local_peers(party_id).is_some_and(|peers| peers.contains(peer_id)) {
            return Ok(());
        }
        if self.fetch(party_id, peer_id).await?.has_member(peer_id) {
            return Ok(());
        }
        let message = format!("peer {peer_id} is not known in party {party_id}");
        Err(ApiError::local(ErrorCode::PeerNotFound, message))
    }

    async fn leave(
        &self,
        party_id: &PartyId,
        peer_id: &PeerId,
        req_id: Option<&ReqId>,
    ) -> Result<(), ApiError> {
        let route = ["parties", party_id.as_str(), "peers", peer_id.as_str()];
        let response = self.send_as(peer_id, self.api.delete(&route).with_key(req_id)).await?;
        let StatusAnswer { status } = response.decode(StatusAnswer::from_json)?;
        let other = self.parties().remove_peer(party_id, peer_id);
        let party_deleted = status == LeaveStatus::PartyDeleted;
        let acked = Acked { at: None, result: RequestResult::Left { party_deleted } };
        self.acknowledge(req_id, acked).await;
        // The leave is acknowledged: an error of this request does not concern it.
        let Some(other) = other else { return Ok(()) };
        match self.fetch(party_id, &other).await {
            Ok(state) => {
                self.report(state).await;
                Ok(())
            }
            Err(error) if error.is_loss() => Err(error),
            Err(error) => {
                self.apply_refusal(&error, party_id).await;
                self.parties().poll_soon(party_id, Instant::now());
                Ok(())
            }
        }
    }

    async fn heartbeat(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<Acked, ApiError> {
        let route = ["parties", party_id.as_str(), "peers", peer_id.as_str(), "heartbeat"];
        self.send_as(peer_id, self.api.post(&route).idempotent()).await?;
        let mut parties = self.parties();
        parties.add_peer(party_id, peer_id, Instant::now());
        Ok(Acked::done(parties.point(party_id)))
    }

    async fn sync(&self, party_id: &PartyId, have: Option<Bookmark>) -> Result<Acked, ApiError> {
        if let Some(have) = &have {
            self.parties().note_bookmark(party_id, have);
        }
        let member = self.parties().local_peers(party_id).and_then(|peers| peers.first().cloned());
        let peer_id = match member {
            Some(member) => member,
            None => self.any_peer()?,
        };
        let state = self.fetch(party_id, &peer_id).await?;
        let peers = self.tokens.peers().into_iter();
        let members: Vec<_> = peers.filter(|peer_id| state.has_member(peer_id)).collect();
        for peer_id in &members {
            self.parties().add_peer(party_id, peer_id, Instant::now());
        }
        let is_polled = self.parties().local_peers(party_id).is_some();
        let at = if is_polled { Some(self.report(state).await) } else { None };
        if members.is_empty() {
            let message = format!("none of this daemon's peers is in party {party_id}");
            return Err(ApiError::local(ErrorCode::NotAMember, message));
        }
        Ok(Acked::done(at))
    }

    async fn list_relays(&self, region: Option<Name>) -> Result<Acked, ApiError> {
        let request = match &region {
            Some(region) => self.api.get(&["relays", region.as_str()]),
            None => self.api.get(&["relays"]),
        };
        let response = self.send_as(&self.any_peer()?, request).await?;
        let RelaysAnswer { relays, rejected } = response.decode(RelaysAnswer::from_json)?;
        if rejected > 0 {
            let words = format!("relays that can't be understood are left out: count={rejected}");
            self.send_message(Message::Flaw(words)).await;
        }
        Ok(Acked { at: None, result: RequestResult::Relays(Ok(relays)) })
    }

    /// Returns a peer with a token, for requests that any peer may make.
    fn any_peer(&self) -> Result<PeerId, ApiError> {
        let message = "this server answers none but its peers: register or join a party first";
        let error = || ApiError::local(ErrorCode::PermissionDenied, message);
        self.tokens.peers().into_iter().next().ok_or_else(error)
    }
}

/// Body of a join.
#[derive(Serialize)]
struct JoinBody<'a> {
    party_id: &'a PartyId,
    peer_info: PeerForm,
}

/// Sets the peer's time to now, in UTC: the server states times in the offset of this one.
fn with_current_time(peer: PeerForm) -> PeerForm {
    let local = TimeZone::UTC.to_datetime(Timestamp::now());
    PeerForm { last_seen: Some(LastSeen { local, offset: Some(Offset::UTC) }), ..peer }
}
