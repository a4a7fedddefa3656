//! The link's frames as requests, and their answers as the frames that a server with a WebSocket
//! would send, in its order.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{
    AckResult, Beside, Bookmark, ClientFrame, Inbound, ReqId, Secret, ServerFrame,
};
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::http::RegisterPartyBody;
use lanrage_ipc::http::answers::{PartyAnswer, RelaysAnswer, StatusAnswer};
use lanrage_ipc::lanrage::input::PeerForm;
use lanrage_ipc::model::{LastSeen, Name, PartyId, PeerId, RawJson};
use serde::Serialize;
use tokio::time::Instant;

use super::super::{Incoming, Loss};
use super::parties::named;
use super::refused::Refused;
use super::session::PollSession;
use super::wall_clock::Occasion;
use crate::core::reconcile::check_registered;

/// Contents of an `ack`.
struct Reply {
    seq: Option<u64>,
    result: AckResult,
}

impl Reply {
    fn empty() -> Self {
        Self { seq: None, result: AckResult::Empty {} }
    }
}

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
                self.tell(refused.into_frame(req_id)).await;
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
        let reply = match frame {
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
                // What it says counts each time, and not what was said first.
                let entered = self.enter(&party_id, peer, None).await?;
                Reply { result: AckResult::Empty {}, ..entered }
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
        self.ack(req_id, reply).await;
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

    async fn ack(&self, req_id: Option<&ReqId>, Reply { seq, result }: Reply) {
        if let Some(req_id) = req_id.cloned() {
            let (epoch, result) = (self.parties().epoch(), RawJson::encode(&result));
            self.tell(ServerFrame::Ack { req_id, epoch, seq, result }).await;
        }
    }

    async fn greet(
        &self,
        peer_id: Option<PeerId>,
        token: Option<Secret>,
        claim: Option<Secret>,
        have: BTreeMap<PartyId, Bookmark>,
        req_id: Option<&ReqId>,
    ) -> Result<Reply, Refused> {
        let Some(peer_id) = peer_id else {
            if token.is_some() {
                let message = "peer_id: needed with a token, since this server has no WebSocket";
                return Err(Refused::here(ErrorCode::InvalidParams, message));
            }
            self.welcome(None).await;
            return Ok(Reply::empty());
        };
        let token = self.introduce(&peer_id, token, claim, req_id).await?;
        // A party is what tells the server's epoch, which the welcome has; and the welcome has the
        // token, which must not be lost whatever becomes of the rest.
        let mut looks = Vec::new();
        let mut failed = None;
        for (party_id, bookmark) in have {
            self.parties().remember(&party_id, &bookmark);
            match self.fetch(&party_id, &peer_id).await {
                Ok(answer) => looks.push((party_id, bookmark, Some(answer))),
                Err(refused) if refused.code == ErrorCode::PartyNotFound => {
                    looks.push((party_id, bookmark, None));
                }
                Err(refused) => {
                    failed = Some(refused);
                    break;
                }
            }
        }
        for (_, _, answer) in &looks {
            self.parties().learn_epoch(answer.as_ref());
        }
        self.welcome(Some((peer_id.clone(), token))).await;
        for (party_id, bookmark, answer) in looks {
            self.catch_up(&peer_id, party_id, bookmark, answer).await;
        }
        failed.map_or_else(|| Ok(Reply::empty()), Err)
    }

    /// Tells a peer that comes back of a party that it has a copy of.
    async fn catch_up(
        &self,
        peer_id: &PeerId,
        party_id: PartyId,
        Bookmark { epoch, seq }: Bookmark,
        answer: Option<PartyAnswer>,
    ) {
        let is_in = answer.as_ref().is_some_and(|answer| answer.has(peer_id));
        if is_in {
            self.parties().enter(&party_id, peer_id, Instant::now());
        }
        let is_watched = self.parties().own(&party_id).is_some();
        match answer {
            Some(answer) if is_watched => {
                self.show(answer).await;
            }
            _ => {
                self.parties().forget(&party_id);
                let beside = Some(Beside::new(epoch, seq, []));
                let reason = RemovalReason::Removed;
                self.tell(ServerFrame::PartyRemoved { party_id, reason, beside }).await;
            }
        }
    }

    async fn register(
        &self,
        asked: Option<PartyId>,
        name: Name,
        host: PeerForm,
        req_id: Option<&ReqId>,
    ) -> Result<Reply, Refused> {
        let peer_id = host.info.peer_id.clone();
        let body = RegisterPartyBody { name, host: told_now(host) };
        let question = self.api.post(&["parties"]).body(&body)?.named(req_id);
        let asked_for = self.ask_as(&peer_id, question).await;
        let answer = asked_for.map_err(Refused::of_registration)?;
        let answer = self.party(&answer, &peer_id, Occasion::Registered).await?;
        let host_id = answer.party.host_id.parse();
        let host_id = host_id.map_err(|rule| Refused::nonsense(format!("host_id: {rule}")))?;
        check_registered(&peer_id, &answer.party_id, &host_id)
            .map_err(|refusal| Refused::nonsense(refusal.to_string()))?;
        if let Some(from) = asked.filter(|asked| *asked != answer.party_id) {
            let to = answer.party_id.clone();
            self.parties().rename(from.clone(), to.clone());
            self.say(Incoming::Renamed { from, to }).await;
        }
        Ok(self.entered(&peer_id, answer).await)
    }

    /// Joins a party, or tells it what has changed of a member.
    async fn enter(
        &self,
        party_id: &PartyId,
        peer: PeerForm,
        req_id: Option<&ReqId>,
    ) -> Result<Reply, Refused> {
        let peer_id = peer.info.peer_id.clone();
        let body = Join { party_id, peer_info: told_now(peer) };
        let question = self.api.post(&["parties", party_id.as_str(), "join"]).body(&body)?;
        let answer = self.ask_as(&peer_id, question.repeatable().named(req_id)).await?;
        let answer = self.party(&answer, &peer_id, Occasion::Joined).await?;
        let answer = self.check(answer, party_id)?;
        Ok(self.entered(&peer_id, answer).await)
    }

    /// A peer is in a party now: it is told, and looked at from now on.
    async fn entered(&self, peer_id: &PeerId, answer: PartyAnswer) -> Reply {
        let party_id = answer.party_id.clone();
        let virtual_ip = answer.virtual_ips.get(peer_id).copied();
        self.parties().enter(&party_id, peer_id, Instant::now());
        let seq = self.show(answer).await;
        Reply { seq, result: AckResult::Entered { party_id, virtual_ip } }
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
        self.ack(req_id, Reply { seq: None, result: AckResult::Left { status } }).await;
        // It is answered already: what this comes to is no answer to it.
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

    async fn heartbeat(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<Reply, Refused> {
        let route = ["parties", party_id.as_str(), "peers", peer_id.as_str(), "heartbeat"];
        self.ask_as(peer_id, self.api.post(&route).repeatable()).await?;
        let mut parties = self.parties();
        parties.enter(party_id, peer_id, Instant::now());
        Ok(Reply { seq: parties.seq(party_id), result: AckResult::Empty {} })
    }

    async fn sync(&self, party_id: &PartyId, have: Option<Bookmark>) -> Result<Reply, Refused> {
        if let Some(have) = &have {
            self.parties().remember(party_id, have);
        }
        let own = self.parties().own(party_id).and_then(|own| own.first().cloned());
        let peer_id = match own {
            Some(own) => own,
            None => self.somebody()?,
        };
        let answer = match self.fetch(party_id, &peer_id).await {
            Ok(answer) => answer,
            Err(refused) => {
                let is_watched = self.parties().own(party_id).is_some();
                if refused.code == ErrorCode::PartyNotFound && !is_watched {
                    let beside = have.map(|have| Beside::new(have.epoch, have.seq, []));
                    let (party_id, reason) = (party_id.clone(), RemovalReason::Removed);
                    self.tell(ServerFrame::PartyRemoved { party_id, reason, beside }).await;
                }
                return Err(refused);
            }
        };
        let members: Vec<_> = self.tokens.peers().into_iter().filter(|id| answer.has(id)).collect();
        for peer_id in &members {
            self.parties().enter(party_id, peer_id, Instant::now());
        }
        let is_watched = self.parties().own(party_id).is_some();
        let seq = if is_watched { self.show(answer).await } else { None };
        if members.is_empty() {
            let message = format!("none of this daemon's peers is in party {party_id}");
            return Err(Refused::here(ErrorCode::NotAMember, message));
        }
        Ok(Reply { seq, result: AckResult::Empty {} })
    }

    async fn relays(&self, region: Option<Name>) -> Result<Reply, Refused> {
        let question = match &region {
            Some(region) => self.api.get(&["relays", region.as_str()]),
            None => self.api.get(&["relays"]),
        };
        let answer = self.ask_as(&self.somebody()?, question).await?;
        let RelaysAnswer { relays, rejected } = answer.read(RelaysAnswer::from_json)?;
        if rejected > 0 {
            let words = format!("relays that can't be understood are left out: count={rejected}");
            self.say(Incoming::Flaw(words)).await;
        }
        Ok(Reply { seq: None, result: AckResult::Relays { relays } })
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
