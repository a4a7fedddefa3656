//! State that all requests of a transport share: the server, the peers of this machine, their parties,
//! and the queue back to the link.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{ReqId, Secret};
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::http::answers::{PartyAnswer, PeersAnswer};
use lanrage_ipc::model::{PartyId, PeerId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::{Incoming, Loss};
use super::api::{Answer, Api, Question, Token};
use super::parties::{Parties, PartyState};
use super::refused::{Cause, Refused};
use super::tokens::{Held, Tokens};
use super::wall_clock::Occasion;
use crate::core::reconcile::{Point, ServerParty};
use crate::core::upstream::{Message, PeerToken};

/// Longest interval of heartbeats over HTTP.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// A token whose renewal failed is renewed again after this time.
const RENEW_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// One transport's session with the server.
pub(super) struct PollSession {
    pub(super) api: Api,
    pub(super) tokens: Tokens,
    parties: Mutex<Parties>,
    incoming: mpsc::Sender<Incoming>,
    /// Lead of the server's clock over this machine's.
    ahead: SignedDuration,
    /// True where the configuration asks for HTTP.
    pub(super) is_chosen: bool,
}

impl PollSession {
    pub(super) fn new(
        api: Api,
        parties: Parties,
        incoming: mpsc::Sender<Incoming>,
        ahead: Option<i64>,
        is_chosen: bool,
    ) -> Self {
        let ahead = SignedDuration::from_secs(ahead.unwrap_or_default());
        let (tokens, parties) = (Tokens::default(), Mutex::new(parties));
        Self { api, tokens, parties, incoming, ahead, is_chosen }
    }

    /// The parties; never held while anything is waited for.
    pub(super) fn parties(&self) -> MutexGuard<'_, Parties> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends something to the driver, which may be gone.
    pub(super) async fn send(&self, incoming: Incoming) {
        self.incoming.send(incoming).await.ok();
    }

    pub(super) async fn send_message(&self, message: Message) {
        self.send(Incoming::Message(message)).await;
    }

    /// Ends when the link is gone.
    pub(super) async fn left_alone(&self) {
        self.incoming.closed().await;
    }

    /// Asks as a peer. A token that the server does not know any more is replaced once.
    pub(super) async fn ask_as(
        &self,
        peer_id: &PeerId,
        question: Question,
    ) -> Result<Answer, Refused> {
        let token = self.token(peer_id, None).await?;
        let asked = self.api.ask(&question.clone().bearing(token.clone())).await;
        match asked {
            Err(refused) if refused.is_status(401) => {
                let token = self.token(peer_id, Some(&token)).await?;
                self.api.ask(&question.bearing(token)).await
            }
            other => other,
        }
    }

    /// Returns the token of a peer: the one that is kept, unless its renewal is due or it is `useless`.
    async fn token(&self, peer_id: &PeerId, useless: Option<&Secret>) -> Result<Secret, Refused> {
        let slot = self.tokens.slot(peer_id);
        let mut slot = slot.lock().await;
        let now = Timestamp::now();
        let proof = match &mut *slot {
            // Another request may have replaced it already.
            Some(held) if useless.is_some_and(|useless| *useless == held.token) => None,
            Some(held) if !held.is_due(now) => return Ok(held.token.clone()),
            Some(held) => {
                held.put_off(RENEW_AGAIN, now);
                Some(held.token.clone())
            }
            None => None,
        };
        let claim = crate::token::fresh_claim()
            .map_err(|error| Refused::nonsense(format!("no random numbers: {error}")))?;
        match (self.api.register_peer(peer_id, proof.as_ref(), Some(&claim), None).await, proof) {
            (Ok(fresh), _) => {
                *slot = Some(Held::new(&fresh, self.ahead, now));
                let token = fresh.token.clone();
                self.welcome(Some((peer_id.clone(), fresh))).await;
                Ok(token)
            }
            (Err(refused), Some(proof)) if !refused.is_loss() => {
                log::debug!("the token of {peer_id} is not renewed: {refused}");
                Ok(proof)
            }
            (Err(refused), _) => Err(refused),
        }
    }

    /// Takes a peer as the link's first word about it: with the token that is given or held, if it
    /// is still good for that. That a given one is not is for the link to know, which keeps a
    /// secret for the claim before it is made.
    pub(super) async fn introduce(
        &self,
        peer_id: &PeerId,
        given: Option<Secret>,
        claim: Option<Secret>,
        name: Option<&ReqId>,
    ) -> Result<Token, Refused> {
        let slot = self.tokens.slot(peer_id);
        let mut slot = slot.lock().await;
        let is_claim = given.is_none();
        let proof = given.or_else(|| slot.as_ref().map(|held| held.token.clone()));
        let claim = claim.as_ref();
        let registered = match self.api.register_peer(peer_id, proof.as_ref(), claim, name).await {
            Err(refused) if is_claim && proof.is_some() && refused.is_status(401) => {
                self.api.register_peer(peer_id, None, claim, name).await
            }
            other => other,
        };
        match (registered, proof) {
            (Ok(fresh), _) => {
                *slot = Some(Held::new(&fresh, self.ahead, Timestamp::now()));
                Ok(fresh)
            }
            // Whether it is good will show when it is used.
            (Err(refused), Some(token)) if refused.code == ErrorCode::RateLimited => {
                let mut held = Held::old(token.clone());
                held.put_off(RENEW_AGAIN, Timestamp::now());
                *slot = Some(held);
                Ok(Token { token, expires_at: None })
            }
            (Err(refused), _) => Err(refused),
        }
    }

    /// Reports that the server accepts this daemon, or a peer with its token.
    pub(super) async fn welcome(&self, peer: Option<(PeerId, Token)>) {
        let token = peer.map(|(peer_id, Token { token, expires_at })| PeerToken {
            peer_id,
            token,
            expires_at,
        });
        let epoch = self.parties().epoch();
        self.send_message(Message::Welcome { epoch, heartbeat: HEARTBEAT, token }).await;
    }

    /// Requests the current state of a party.
    pub(super) async fn fetch(
        &self,
        party_id: &PartyId,
        peer_id: &PeerId,
    ) -> Result<PartyState, Refused> {
        let question = self.api.get(&["parties", party_id.as_str()]);
        match self.ask_as(peer_id, question).await {
            Err(refused) if refused.is_status(500) => {
                self.fetch_peers(party_id, peer_id, refused).await
            }
            answer => self.check(self.party(&answer?, peer_id, Occasion::Looked).await?, party_id),
        }
    }

    /// Requests the current members of a party, for its state as it was last seen. LANrage's own
    /// server fails to read whole parties.
    async fn fetch_peers(
        &self,
        party_id: &PartyId,
        peer_id: &PeerId,
        refused: Refused,
    ) -> Result<PartyState, Refused> {
        let Some(seen) = self.parties().seen(party_id) else { return Err(refused) };
        let question = self.api.get(&["parties", party_id.as_str(), "peers"]);
        let answer = self.ask_as(peer_id, question).await?;
        let host_id = &seen.party.host_id;
        let peers = answer.read(|body| PeersAnswer::from_json(body, party_id, host_id))?;
        let mut state = PartyState::with_members(&seen, peers);
        self.by_wall_clock(&mut state.party, &answer, peer_id, Occasion::Looked);
        state.party.created_at = seen.party.created_at;
        let words = format!(
            "the server fails to read party {party_id} (500), only its peers are followed: {refused}"
        );
        self.send(Incoming::Fault(words)).await;
        Ok(state)
    }

    /// Decodes an answer to `peer_id` that holds a party.
    pub(super) async fn party(
        &self,
        answer: &Answer,
        peer_id: &PeerId,
        occasion: Occasion,
    ) -> Result<PartyState, Refused> {
        let read = answer.read(PartyAnswer::from_json)?;
        if let Some(first) = read.rejected.first() {
            let (count, party_id) = (read.rejected.len(), &read.party.party_id);
            let words =
                format!("party {party_id}: members are left out: count={count} {}", first.reason);
            self.send_message(Message::Flaw(words)).await;
        }
        let mut state = PartyState::new(read);
        // This project's server numbers changes, and states times by the clock that it was shown.
        if state.at.is_none() {
            self.by_wall_clock(&mut state.party, answer, peer_id, occasion);
        }
        Ok(state)
    }

    fn by_wall_clock(
        &self,
        party: &mut ServerParty,
        answer: &Answer,
        peer_id: &PeerId,
        occasion: Occasion,
    ) {
        let now = answer.date.unwrap_or_else(Timestamp::now);
        self.parties().wall_clock.read(party, peer_id, occasion, now);
    }

    /// Checks that an answer is about the party of the request.
    pub(super) fn check(
        &self,
        state: PartyState,
        requested: &PartyId,
    ) -> Result<PartyState, Refused> {
        if state.party.party_id == *requested {
            return Ok(state);
        }
        let answered = &state.party.party_id;
        Err(Refused::nonsense(format!("asked for party {requested}, it answered with {answered}")))
    }

    /// Reports the state of a party. Returns its position.
    pub(super) async fn show(&self, state: PartyState) -> Point {
        let (at, _) = self.parties().see(&state, Instant::now());
        self.send_message(Message::Party(state.party, at.clone())).await;
        at
    }

    /// Reports the end of a party, if local peers were in it.
    pub(super) async fn removed(&self, party_id: &PartyId) {
        let was_watched = self.parties().forget(party_id);
        if was_watched {
            self.send_removed(party_id.clone()).await;
        }
    }

    pub(super) async fn send_removed(&self, party_id: PartyId) {
        self.send_message(Message::Removed(party_id, RemovalReason::Removed)).await;
    }

    /// Polls a party, and reports a new state.
    pub(super) async fn look(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<(), Loss> {
        match self.fetch(party_id, peer_id).await {
            Ok(state) => {
                let (at, is_news) = self.parties().see(&state, Instant::now());
                self.send(match is_news {
                    true => Incoming::Message(Message::Party(state.party, at)),
                    false => Incoming::Alive,
                })
                .await;
            }
            Err(refused) if refused.is_loss() => return Err(refused.into()),
            Err(refused) if refused.code == ErrorCode::PartyNotFound => {
                self.removed(party_id).await;
            }
            // The peer's id is somebody else's now.
            Err(refused) if refused.code == ErrorCode::PermissionDenied => {
                self.parties().leave(party_id, peer_id);
                self.send_message(refused.into_message(None)).await;
            }
            Err(refused) => {
                log::debug!("party {party_id} can't be looked at: {refused}");
                let least = refused.retry_after.unwrap_or_default();
                self.parties().put_off(party_id, least, Instant::now());
                // A server that is busy is there.
                self.send(match refused.cause {
                    Cause::Nonsense => Incoming::Message(Message::Garbage(refused.message)),
                    _ => Incoming::Alive,
                })
                .await;
            }
        }
        Ok(())
    }
}
