//! Requests of the session as calls of the server's routes, and their answers as messages.

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
use super::parties::{PartyState, named};
use super::refused::Refused;
use super::session::PollSession;
use super::wall_clock::Occasion;
use crate::core::reconcile::{ServerParty, check_registered};
use crate::core::upstream::{Acked, Message, RequestResult};

impl PollSession {
    /// Does what a frame asks, and tells what came of it.
    ///
    /// # Errors
    /// A server that is out of reach: the outcome is unknown.
    pub(super) async fn serve(&self, inbound: Inbound) -> Result<(), Loss> {
        let Inbound { mut frame, req_id } = inbound;
        let party_id = named(&mut frame).cloned();
        match self.act(frame, req_id.as_ref()).await {
            Ok(()) => Ok(()),
            Err(refused) if refused.is_loss() => Err(refused.into()),
            Err(refused) => {
                if let Some(party_id) = party_id {
                    self.heed(&refused, &party_id).await;
                }
                self.send_message(refused.into_message(req_id)).await;
                Ok(())
            }
        }
    }

    /// Takes from a refusal what it shows of the party.
    async fn heed(&self, refused: &Refused, party_id: &PartyId) {
        match refused.code {
            ErrorCode::PartyNotFound => self.removed(party_id).await,
            ErrorCode::PeerNotFound | ErrorCode::NotAMember => {
                self.parties().hurry(party_id, Instant::now());
            }
            _ => {}
        }
    }

    async fn act(&self, frame: ClientFrame, req_id: Option<&ReqId>) -> Result<(), Refused> {
        let acked = match frame {
            ClientFrame::Hello { peer_id, token, claim, have, .. } => {
                self.greet(peer_id, token, claim, have, req_id).await?
            }
            ClientFrame::RegisterParty { party_id, name, host_peer } => {
                self.register(party_id, name, host_peer, req_id).await?
            }
            ClientFrame::JoinParty { party_id, peer } => {
                self.enter(&party_id, peer, req_id).await?
            }
            ClientFrame::UpdatePeer { party_id, peer } => {
                self.must_be_member(&party_id, &peer.info.peer_id).await?;
                // Without a key: each update counts, not the first one alone.
                self.enter(&party_id, peer, None).await?
            }
            ClientFrame::LeaveParty { party_id, peer_id } => {
                return self.leave(&party_id, &peer_id, req_id).await;
            }
            ClientFrame::Heartbeat { party_id, peer_id } => {
                self.heartbeat(&party_id, &peer_id).await?
            }
            ClientFrame::Sync { party_id, have } => self.sync(&party_id, have).await?,
            ClientFrame::ListRelays { region } => self.relays(region).await?,
            ClientFrame::Signal { .. } => {
                return Err(Refused::here(ErrorCode::ServerRejected, self.no_signals()));
            }
        };
        self.answer(req_id, acked).await;
        Ok(())
    }

    /// Why no signal is sent.
    fn no_signals(&self) -> String {
        let why = match self.is_chosen {
            true => "this daemon speaks HTTP, as remote.transport says: set it to \"auto\"",
            false => "the server has none, or a proxy does not let it pass",
        };
        format!("signals need a WebSocket to the control server, and {why}")
    }

    async fn answer(&self, req_id: Option<&ReqId>, acked: Acked) {
        if let Some(req_id) = req_id.cloned() {
            self.send_message(Message::Answer { req_id, result: Ok(acked) }).await;
        }
    }

    async fn greet(
        &self,
        peer_id: Option<PeerId>,
        token: Option<Secret>,
        claim: Option<Secret>,
        have: BTreeMap<PartyId, Bookmark>,
        req_id: Option<&ReqId>,
    ) -> Result<Acked, Refused> {
        let Some(peer_id) = peer_id else {
            if token.is_some() {
                let message = "peer_id: needed with a token, since this server has no WebSocket";
                return Err(Refused::here(ErrorCode::InvalidParams, message));
            }
            self.welcome(None).await;
            return Ok(Acked::done(None));
        };
        let token = self.introduce(&peer_id, token, claim, req_id).await?;
        // Parties have the server's epoch for the welcome. The welcome has the token, which must
        // reach the session even if a party fails.
        let mut looks = Vec::new();
        let mut failed = None;
        for (party_id, bookmark) in have {
            self.parties().remember(&party_id, &bookmark);
            match self.fetch(&party_id, &peer_id).await {
                Ok(state) => looks.push((party_id, Some(state))),
                Err(refused) if refused.code == ErrorCode::PartyNotFound => {
                    looks.push((party_id, None));
                }
                Err(refused) => {
                    failed = Some(refused);
                    break;
                }
            }
        }
        for state in looks.iter().filter_map(|(_, state)| state.as_ref()) {
            self.parties().learn_epoch(state);
        }
        self.welcome(Some((peer_id.clone(), token))).await;
        for (party_id, state) in looks {
            self.catch_up(&peer_id, party_id, state).await;
        }
        failed.map_or_else(|| Ok(Acked::done(None)), Err)
    }

    /// Reports a party of which a returning peer has a copy.
    async fn catch_up(&self, peer_id: &PeerId, party_id: PartyId, state: Option<PartyState>) {
        let is_in = state.as_ref().is_some_and(|state| state.has(peer_id));
        if is_in {
            self.parties().enter(&party_id, peer_id, Instant::now());
        }
        let is_watched = self.parties().own(&party_id).is_some();
        match state {
            Some(state) if is_watched => {
                self.show(state).await;
            }
            _ => {
                self.parties().forget(&party_id);
                self.send_removed(party_id).await;
            }
        }
    }

    async fn register(
        &self,
        asked: Option<PartyId>,
        name: Name,
        host: PeerForm,
        req_id: Option<&ReqId>,
    ) -> Result<Acked, Refused> {
        let peer_id = host.info.peer_id.clone();
        let body = RegisterPartyBody { name, host: told_now(host) };
        let question = self.api.post(&["parties"]).body(&body)?.named(req_id);
        let asked_for = self.ask_as(&peer_id, question).await;
        let answer = asked_for.map_err(Refused::of_registration)?;
        let state = self.party(&answer, &peer_id, Occasion::Registered).await?;
        let ServerParty { party_id, host_id, .. } = &state.party;
        check_registered(&peer_id, party_id, host_id)
            .map_err(|refusal| Refused::nonsense(refusal.to_string()))?;
        if let Some(from) = asked.filter(|asked| asked != party_id) {
            let to = party_id.clone();
            self.parties().rename(from.clone(), to.clone());
            self.send_message(Message::Renamed { from, to }).await;
        }
        Ok(self.entered(&peer_id, state).await)
    }

    /// Joins a party, or tells it what has changed of a member.
    async fn enter(
        &self,
        party_id: &PartyId,
        peer: PeerForm,
        req_id: Option<&ReqId>,
    ) -> Result<Acked, Refused> {
        let peer_id = peer.info.peer_id.clone();
        let body = Join { party_id, peer_info: told_now(peer) };
        let question = self.api.post(&["parties", party_id.as_str(), "join"]).body(&body)?;
        let answer = self.ask_as(&peer_id, question.repeatable().named(req_id)).await?;
        let state = self.party(&answer, &peer_id, Occasion::Joined).await?;
        Ok(self.entered(&peer_id, self.check(state, party_id)?).await)
    }

    /// Reports the party that a peer has entered, and polls it from now on.
    async fn entered(&self, peer_id: &PeerId, state: PartyState) -> Acked {
        self.parties().enter(&state.party.party_id, peer_id, Instant::now());
        Acked::done(Some(self.show(state).await))
    }

    /// Updating is joining again, which must not bring back who was removed.
    async fn must_be_member(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<(), Refused> {
        if self.parties().own(party_id).is_some_and(|own| own.contains(peer_id)) {
            return Ok(());
        }
        if self.fetch(party_id, peer_id).await?.has(peer_id) {
            return Ok(());
        }
        let message = format!("peer {peer_id} is not known in party {party_id}");
        Err(Refused::here(ErrorCode::PeerNotFound, message))
    }

    async fn leave(
        &self,
        party_id: &PartyId,
        peer_id: &PeerId,
        req_id: Option<&ReqId>,
    ) -> Result<(), Refused> {
        let route = ["parties", party_id.as_str(), "peers", peer_id.as_str()];
        let answer = self.ask_as(peer_id, self.api.delete(&route).named(req_id)).await?;
        let StatusAnswer { status } = answer.read(StatusAnswer::from_json)?;
        let other = self.parties().leave(party_id, peer_id);
        let party_deleted = status == LeaveStatus::PartyDeleted;
        let acked = Acked { at: None, result: RequestResult::Left { party_deleted } };
        self.answer(req_id, acked).await;
        // The request is answered already; a failure from here on is no answer to it.
        let Some(other) = other else { return Ok(()) };
        match self.fetch(party_id, &other).await {
            Ok(answer) => {
                self.show(answer).await;
                Ok(())
            }
            Err(refused) if refused.is_loss() => Err(refused),
            Err(refused) => {
                self.heed(&refused, party_id).await;
                self.parties().hurry(party_id, Instant::now());
                Ok(())
            }
        }
    }

    async fn heartbeat(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<Acked, Refused> {
        let route = ["parties", party_id.as_str(), "peers", peer_id.as_str(), "heartbeat"];
        self.ask_as(peer_id, self.api.post(&route).repeatable()).await?;
        let mut parties = self.parties();
        parties.enter(party_id, peer_id, Instant::now());
        Ok(Acked::done(parties.point(party_id)))
    }

    async fn sync(&self, party_id: &PartyId, have: Option<Bookmark>) -> Result<Acked, Refused> {
        if let Some(have) = &have {
            self.parties().remember(party_id, have);
        }
        let own = self.parties().own(party_id).and_then(|own| own.first().cloned());
        let peer_id = match own {
            Some(own) => own,
            None => self.somebody()?,
        };
        let state = self.fetch(party_id, &peer_id).await?;
        let members: Vec<_> = self.tokens.peers().into_iter().filter(|id| state.has(id)).collect();
        for peer_id in &members {
            self.parties().enter(party_id, peer_id, Instant::now());
        }
        let is_watched = self.parties().own(party_id).is_some();
        let at = if is_watched { Some(self.show(state).await) } else { None };
        if members.is_empty() {
            let message = format!("none of this daemon's peers is in party {party_id}");
            return Err(Refused::here(ErrorCode::NotAMember, message));
        }
        Ok(Acked::done(at))
    }

    async fn relays(&self, region: Option<Name>) -> Result<Acked, Refused> {
        let question = match &region {
            Some(region) => self.api.get(&["relays", region.as_str()]),
            None => self.api.get(&["relays"]),
        };
        let answer = self.ask_as(&self.somebody()?, question).await?;
        let RelaysAnswer { relays, rejected } = answer.read(RelaysAnswer::from_json)?;
        if rejected > 0 {
            let words = format!("relays that can't be understood are left out: count={rejected}");
            self.send_message(Message::Flaw(words)).await;
        }
        Ok(Acked { at: None, result: RequestResult::Relays(Ok(relays)) })
    }

    /// A peer to ask as, where any will do.
    fn somebody(&self) -> Result<PeerId, Refused> {
        let message = "this server answers none but its peers: register or join a party first";
        let refused = || Refused::here(ErrorCode::PermissionDenied, message);
        self.tokens.peers().into_iter().next().ok_or_else(refused)
    }
}

/// Body of a join.
#[derive(Serialize)]
struct Join<'a> {
    party_id: &'a PartyId,
    peer_info: PeerForm,
}

/// Returns the description of a peer, with the present time in UTC: a server answers with times of
/// the zone that it infers from this.
fn told_now(peer: PeerForm) -> PeerForm {
    let local = TimeZone::UTC.to_datetime(Timestamp::now());
    PeerForm { last_seen: Some(LastSeen { local, offset: Some(Offset::UTC) }), ..peer }
}
