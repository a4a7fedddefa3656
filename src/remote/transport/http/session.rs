//! State that all requests of a transport share: the server's routes, tokens, polled parties, and
//! the queue of incoming messages.

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
use super::api::{Api, ApiRequest, ApiResponse, Token};
use super::api_error::{ApiError, Cause};
use super::parties::{PartyState, PolledParties};
use super::tokens::{CurrentToken, PeerTokens};
use super::wall_clock::Occasion;
use crate::core::reconcile::{Point, ServerParty};
use crate::core::upstream::{Message, PeerToken};

/// Longest interval of heartbeats over HTTP.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Backoff of a token's renewal after a failed one.
const RENEWAL_BACKOFF: SignedDuration = SignedDuration::from_mins(5);

/// Session with the server over one transport.
pub(super) struct PollSession {
    pub(super) api: Api,
    pub(super) tokens: PeerTokens,
    parties: Mutex<PolledParties>,
    incoming: mpsc::Sender<Incoming>,
    /// Lead of the server's clock over this machine's.
    ahead: SignedDuration,
    /// True if the configuration selects HTTP.
    pub(super) is_chosen: bool,
}

impl PollSession {
    pub(super) fn new(
        api: Api,
        parties: PolledParties,
        incoming: mpsc::Sender<Incoming>,
        ahead: Option<i64>,
        is_chosen: bool,
    ) -> Self {
        let ahead = SignedDuration::from_secs(ahead.unwrap_or_default());
        let (tokens, parties) = (PeerTokens::default(), Mutex::new(parties));
        Self { api, tokens, parties, incoming, ahead, is_chosen }
    }

    /// Locks the parties. The guard is not held across an await.
    pub(super) fn parties(&self) -> MutexGuard<'_, PolledParties> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues something for the driver, which may be gone.
    pub(super) async fn send(&self, incoming: Incoming) {
        self.incoming.send(incoming).await.ok();
    }

    pub(super) async fn send_message(&self, message: Message) {
        self.send(Incoming::Message(message)).await;
    }

    /// Waits until the driver has dropped its end.
    pub(super) async fn closed(&self) {
        self.incoming.closed().await;
    }

    /// Sends a request with a peer's token. A token that the server rejects is replaced once.
    pub(super) async fn send_as(
        &self,
        peer_id: &PeerId,
        request: ApiRequest,
    ) -> Result<ApiResponse, ApiError> {
        let token = self.token(peer_id, None).await?;
        let sent = self.api.send(&request.clone().with_token(token.clone())).await;
        match sent {
            Err(error) if error.has_status(401) => {
                let token = self.token(peer_id, Some(&token)).await?;
                self.api.send(&request.with_token(token)).await
            }
            other => other,
        }
    }

    /// Returns the current token of a peer. Renews it if that is due, and replaces it if the server
    /// has `rejected` it.
    async fn token(&self, peer_id: &PeerId, rejected: Option<&Secret>) -> Result<Secret, ApiError> {
        let slot = self.tokens.slot(peer_id);
        let mut slot = slot.lock().await;
        let now = Timestamp::now();
        let proof = match &mut *slot {
            // A rejected token differs from the current one if another request has replaced it.
            Some(current) if rejected.is_some_and(|rejected| *rejected == current.token) => None,
            Some(current) if !current.is_renewal_due(now) => return Ok(current.token.clone()),
            Some(current) => {
                current.postpone_renewal(RENEWAL_BACKOFF, now);
                Some(current.token.clone())
            }
            None => None,
        };
        let claim = crate::token::fresh_claim()
            .map_err(|error| ApiError::malformed(format!("no random numbers: {error}")))?;
        match (self.api.register_peer(peer_id, proof.as_ref(), Some(&claim), None).await, proof) {
            (Ok(fresh), _) => {
                *slot = Some(CurrentToken::new(&fresh, self.ahead, now));
                let token = fresh.token.clone();
                self.send_welcome(Some((peer_id.clone(), fresh))).await;
                Ok(token)
            }
            (Err(error), Some(proof)) if !error.is_loss() => {
                log::debug!("token not renewed: peer={peer_id} {error}");
                Ok(proof)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Registers the peer of a hello, with the token that is given or current. If the server
    /// rejects the current one, this claims the id instead. If it rejects a given one, the session
    /// has to claim the id: it stores the claim secret first.
    pub(super) async fn register_peer(
        &self,
        peer_id: &PeerId,
        given: Option<Secret>,
        claim: Option<Secret>,
        key: Option<&ReqId>,
    ) -> Result<Token, ApiError> {
        let slot = self.tokens.slot(peer_id);
        let mut slot = slot.lock().await;
        let is_claim = given.is_none();
        let proof = given.or_else(|| slot.as_ref().map(|current| current.token.clone()));
        let claim = claim.as_ref();
        let registered = match self.api.register_peer(peer_id, proof.as_ref(), claim, key).await {
            Err(error) if is_claim && proof.is_some() && error.has_status(401) => {
                self.api.register_peer(peer_id, None, claim, key).await
            }
            other => other,
        };
        match (registered, proof) {
            (Ok(fresh), _) => {
                *slot = Some(CurrentToken::new(&fresh, self.ahead, Timestamp::now()));
                Ok(fresh)
            }
            // The token may still be valid: the next request checks it.
            (Err(error), Some(token)) if error.code == ErrorCode::RateLimited => {
                let mut current = CurrentToken::of_unknown_age(token.clone());
                current.postpone_renewal(RENEWAL_BACKOFF, Timestamp::now());
                *slot = Some(current);
                Ok(Token { token, expires_at: None })
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Reports that the server accepts this daemon, or a peer with its token.
    pub(super) async fn send_welcome(&self, peer: Option<(PeerId, Token)>) {
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
    ) -> Result<PartyState, ApiError> {
        let request = self.api.get(&["parties", party_id.as_str()]);
        let response = match self.send_as(peer_id, request).await {
            Err(error) if error.has_status(500) => {
                return self.fetch_peers(party_id, peer_id, error).await;
            }
            sent => sent?,
        };
        let state = self.decode_party(&response, peer_id, Occasion::Polled).await?;
        self.check_party(state, party_id)
    }

    /// Requests the current members of a party, and adds them to its last state. LANrage's own
    /// server fails to read whole parties.
    async fn fetch_peers(
        &self,
        party_id: &PartyId,
        peer_id: &PeerId,
        error: ApiError,
    ) -> Result<PartyState, ApiError> {
        let Some(last) = self.parties().last_state(party_id) else { return Err(error) };
        let request = self.api.get(&["parties", party_id.as_str(), "peers"]);
        let response = self.send_as(peer_id, request).await?;
        let host_id = &last.party.host_id;
        let peers = response.decode(|body| PeersAnswer::from_json(body, party_id, host_id))?;
        let mut state = PartyState::with_members(&last, peers);
        self.correct_times(&mut state.party, &response, peer_id, Occasion::Polled);
        state.party.created_at = last.party.created_at;
        let words = format!(
            "the server fails to read party {party_id} (500), only its peers are followed: {error}"
        );
        self.send(Incoming::Fault(words)).await;
        Ok(state)
    }

    /// Decodes the party in a response to a request of `peer_id`.
    pub(super) async fn decode_party(
        &self,
        response: &ApiResponse,
        peer_id: &PeerId,
        occasion: Occasion,
    ) -> Result<PartyState, ApiError> {
        let answer = response.decode(PartyAnswer::from_json)?;
        if let Some(first) = answer.rejected.first() {
            let (count, party_id) = (answer.rejected.len(), &answer.party.party_id);
            let words =
                format!("party {party_id}: members are left out: count={count} {}", first.reason);
            self.send_message(Message::Flaw(words)).await;
        }
        let mut state = PartyState::new(answer);
        // A server that numbers changes is this project's: its times need no correction.
        if state.at.is_none() {
            self.correct_times(&mut state.party, response, peer_id, occasion);
        }
        Ok(state)
    }

    /// Converts the times in a response to UTC.
    fn correct_times(
        &self,
        party: &mut ServerParty,
        response: &ApiResponse,
        peer_id: &PeerId,
        occasion: Occasion,
    ) {
        let now = response.date.unwrap_or_else(Timestamp::now);
        self.parties().wall_clock.correct(party, peer_id, occasion, now);
    }

    /// Checks that a response is about the party of the request.
    pub(super) fn check_party(
        &self,
        state: PartyState,
        requested: &PartyId,
    ) -> Result<PartyState, ApiError> {
        if state.party.party_id == *requested {
            return Ok(state);
        }
        let answered = &state.party.party_id;
        Err(ApiError::malformed(format!(
            "asked for party {requested}, it answered with {answered}"
        )))
    }

    /// Reports the state of a party. Returns its position.
    pub(super) async fn report(&self, state: PartyState) -> Point {
        let (at, _) = self.parties().update(&state, Instant::now());
        self.send_message(Message::Party(state.party, at.clone())).await;
        at
    }

    /// Reports the end of a party, if local peers were in it.
    pub(super) async fn end_party(&self, party_id: &PartyId) {
        let was_polled = self.parties().remove(party_id);
        if was_polled {
            self.send_removed(party_id.clone()).await;
        }
    }

    pub(super) async fn send_removed(&self, party_id: PartyId) {
        self.send_message(Message::Removed(party_id, RemovalReason::Removed)).await;
    }

    /// Polls a party, and reports its state if it has changed.
    pub(super) async fn poll(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<(), Loss> {
        match self.fetch(party_id, peer_id).await {
            Ok(state) => {
                let (at, is_changed) = self.parties().update(&state, Instant::now());
                self.send(match is_changed {
                    true => Incoming::Message(Message::Party(state.party, at)),
                    false => Incoming::Alive,
                })
                .await;
            }
            Err(error) if error.is_loss() => return Err(error.into()),
            Err(error) if error.code == ErrorCode::PartyNotFound => {
                self.end_party(party_id).await;
            }
            // The peer id belongs to another owner now.
            Err(error) if error.code == ErrorCode::PermissionDenied => {
                self.parties().remove_peer(party_id, peer_id);
                self.send_message(error.into_message(None)).await;
            }
            Err(error) => {
                log::debug!("party not polled: party={party_id} {error}");
                let least = error.retry_after.unwrap_or_default();
                self.parties().postpone(party_id, least, Instant::now());
                // A server that refuses is alive.
                self.send(match error.cause {
                    Cause::Malformed => Incoming::Message(Message::Garbage(error.message)),
                    _ => Incoming::Alive,
                })
                .await;
            }
        }
        Ok(())
    }
}
