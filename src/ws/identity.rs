//! Identity of a connection: its hello, and the peer ids that it claims.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{AckResult, Bookmark, IDLE, Secret, ServerFrame, TAKEOVER};
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Name, PartyId, PeerId, UtcOffset};

use super::conversation::{Conversation, no_random_numbers};
use super::render::{self, Rejection};
use super::requests::Reply;
use crate::control_plane::{Ask, Failure};
use crate::core::{self, Hold, Identity, Refusal, TokenHash, command};
use crate::events::WireFormat;
use crate::token::{self, Token};

/// Longest interval between two signs of life that clients are told, in milliseconds.
const HEARTBEAT_MS: u64 = 30_000;

/// Limit of peers of one connection: those of one machine.
const MOST_PEERS: usize = 64;

/// Valid token of a hello, with its owner.
pub(super) struct ProvenToken {
    identity: Identity,
    token: Secret,
    hash: TokenHash,
}

/// Peer that the connection speaks for from now on.
pub(super) struct ClaimedPeer {
    identity: Identity,
    /// Token for the next connection.
    token: Option<Secret>,
}

impl Conversation {
    /// Processes a hello: the first, or a further one for another peer.
    pub(super) async fn handle_hello(
        &self,
        peer_id: Option<PeerId>,
        token: Option<Secret>,
        claim: Option<Secret>,
        caps: &[Name],
        have: BTreeMap<PartyId, Bookmark>,
    ) -> Result<Reply, Rejection> {
        self.extend_format(!caps.is_empty());
        let format = self.format.get();
        let takes_over = caps.iter().any(|cap| cap.as_str() == TAKEOVER);
        self.takes_over.set(self.takes_over.get() || takes_over);
        self.handle.note_hello(format.additions);
        let permit = self.server.begin_greeting(self.handle.address_key()).await;
        let proof = match token {
            Some(token) => Some(self.authenticate(token, peer_id.as_ref()).await?),
            None => None,
        };
        let peer_id = proof.as_ref().map(|proof| proof.identity.peer_id.clone()).or(peer_id);
        let shows_nothing = proof.is_none() && !format.additions;
        let claimed = match peer_id {
            Some(peer_id) => match self.claim(peer_id.clone(), proof, claim).await {
                Err(taken) if shows_nothing && taken.code == ErrorCode::PermissionDenied => {
                    self.note_reattaching(peer_id.clone());
                    self.reattach(peer_id).await?;
                    None
                }
                claimed => Some(claimed?),
            },
            None => None,
        };
        let identity = claimed.as_ref().map(|claimed| claimed.identity.clone());
        if let Some(identity) = &identity
            && caps.iter().any(|cap| cap.as_str() == IDLE)
        {
            self.release_memberships(identity).await?;
        }
        drop(permit);
        if self.format.get().additions {
            self.send_welcome(claimed);
        }
        if let Some(identity) = identity {
            self.catch_up(identity, have).await?;
        }
        Ok(self.reply(None, AckResult::Empty {}))
    }

    /// Stops keeping the peer's memberships alive by this connection.
    async fn release_memberships(&self, identity: &Identity) -> Result<(), Rejection> {
        for party_id in identity.parties.clone() {
            let peer_id = identity.peer_id.clone();
            self.ask(command!(ReleaseMember { party_id, peer_id })).await?;
        }
        Ok(())
    }

    async fn authenticate(
        &self,
        token: Secret,
        peer_id: Option<&PeerId>,
    ) -> Result<ProvenToken, Rejection> {
        let hash = token::hash(token.expose().as_bytes());
        let identity = self.ask(|reply| Ask::AuthenticateClaim(hash, reply)).await?;
        if peer_id.is_some_and(|peer_id| *peer_id != identity.peer_id) {
            let message = "token: it does not match peer_id";
            return Err(Rejection::new(ErrorCode::PermissionDenied, message));
        }
        Ok(ProvenToken { identity, token, hash })
    }

    /// Claims a peer id: an unowned one, or that of a token. A client that can store a token gets
    /// one if it has none, or one that expires soon.
    pub(super) async fn claim(
        &self,
        peer_id: PeerId,
        proof: Option<ProvenToken>,
        claim: Option<Secret>,
    ) -> Result<ClaimedPeer, Rejection> {
        let is_new = self.begin_claim(&peer_id)?;
        let claimed = self.claim_now(peer_id.clone(), proof, claim).await;
        if is_new {
            self.claiming.borrow_mut().remove(&peer_id);
        }
        claimed
    }

    /// Marks a peer as being claimed. Returns `false` if the connection already speaks for it.
    fn begin_claim(&self, peer_id: &PeerId) -> Result<bool, Rejection> {
        let (peers, mut claiming) = (self.peers.borrow(), self.claiming.borrow_mut());
        if peers.contains(peer_id) {
            return Ok(false);
        }
        if peers.len() + claiming.len() >= MOST_PEERS {
            let message = format!("this connection speaks for {MOST_PEERS} peers, the most it may");
            return Err(Rejection::new(ErrorCode::RateLimited, message));
        }
        Ok(claiming.insert(peer_id.clone()))
    }

    async fn claim_now(
        &self,
        peer_id: PeerId,
        proof: Option<ProvenToken>,
        claim: Option<Secret>,
    ) -> Result<ClaimedPeer, Rejection> {
        if proof.is_none() {
            let admitted =
                self.server.http.admit_registration(self.handle.address, Some(&peer_id)).await;
            admitted.map_err(|wait| Rejection::too_often("peer ids are taken too often", wait))?;
        }
        let lasts = proof.as_ref().is_some_and(|proof| self.lasts(proof.identity.expires_at));
        let fresh = match self.format.get().additions && !lasts {
            true => Some(Token::fresh().map_err(no_random_numbers)?),
            false => None,
        };
        let takes_over = self.takes_over.get();
        let command = command!(Claim {
            peer_id,
            proof: proof.as_ref().map(|proof| proof.hash),
            issue: fresh.as_ref().map(Token::hash),
            hold: if takes_over { Hold::Alone } else { Hold::Shared },
            claim: claim.as_ref().map(token::claim_hash),
        });
        let core::Claimed { identity, is_issued } = self.ask(command).await?;
        self.reattaching.borrow_mut().remove(&identity.peer_id);
        self.peers.borrow_mut().insert(identity.peer_id.clone());
        self.server.hold(identity.peer_id.clone(), self.handle.id);
        if takes_over {
            self.server.displace(&identity.peer_id, self.handle.id);
        }
        self.set_utc_offset(identity.utc_offset);
        let shown = proof.map(|proof| proof.token);
        let token = fresh.filter(|_| is_issued).map(Token::into_secret).or(shown);
        Ok(ClaimedPeer { identity, token })
    }

    /// Drops the peers that another connection took over, and the subscriptions of parties without
    /// other own members.
    pub(super) async fn forget_lost_peers(&self) {
        if !self.handle.take_lost_peer() {
            return;
        }
        let lost: Vec<_> = {
            let mut peers = self.peers.borrow_mut();
            peers
                .extract_if(.., |peer_id| !self.server.speaks_for(peer_id, self.handle.id))
                .collect()
        };
        let party_ids = self.subscriptions.borrow().party_ids();
        for (party_id, peer_id) in party_ids.iter().flat_map(|id| lost.iter().map(move |p| (id, p)))
        {
            let gone = self.subscriptions.borrow_mut().forget_own(party_id, peer_id);
            self.unsubscribe(gone).await;
        }
    }

    /// Sets the wall clock for times in frames, if it is known.
    pub(super) fn set_utc_offset(&self, utc_offset: Option<UtcOffset>) {
        if utc_offset.is_some() {
            self.format.set(WireFormat { utc_offset, ..self.format.get() });
        }
    }

    /// Notes that the client claims to return as a peer.
    fn note_reattaching(&self, peer_id: PeerId) {
        let mut reattaching = self.reattaching.borrow_mut();
        if reattaching.len() < MOST_PEERS {
            reattaching.insert(peer_id);
        }
    }

    /// True if a token lasts for at least half of the lifetime of a fresh one.
    fn lasts(&self, expires_at: Option<Timestamp>) -> bool {
        let half = self.server.http.settings().auth.token_ttl / 2;
        let until = self.server.http.clock.now().wall.checked_add(half).unwrap_or(Timestamp::MAX);
        expires_at.is_some_and(|expires_at| expires_at >= until)
    }

    pub(super) fn send_welcome(&self, claimed: Option<ClaimedPeer>) {
        let (identity, token) = claimed.map(|c| (c.identity, c.token)).unzip();
        let (peer_id, token_expires_at) = identity.map(|i| (i.peer_id, i.expires_at)).unzip();
        let timeout = self.server.settings().peer_timeout.as_millis();
        let timeout = u64::try_from(timeout).unwrap_or(u64::MAX);
        self.send(&ServerFrame::Welcome {
            session: format!("c{}", self.handle.id.0),
            token: token.flatten(),
            peer_id,
            token_expires_at: token_expires_at.flatten(),
            // Three attempts fit into the timeout.
            heartbeat_ms: HEARTBEAT_MS.min((timeout / 3).max(1)),
            epoch: self.server.epoch.clone(),
        });
    }

    /// Resumes the membership of a returning LANrage client. Such clients store no token and send
    /// only their peer id. The connection stands in for heartbeats, and is subscribed to the peer's
    /// parties.
    async fn reattach(&self, peer_id: PeerId) -> Result<(), Rejection> {
        let taken = Refusal::PeerTaken(peer_id.clone());
        let identity = match self.ask(command!(Reattach { peer_id: peer_id.clone() })).await {
            Ok(identity) => identity,
            Err(Failure::Refused(_)) => return Err(Failure::Refused(taken).into()),
            Err(failure) => return Err(failure.into()),
        };
        if identity.parties.is_empty() {
            return Err(Failure::Refused(taken).into());
        }
        self.set_utc_offset(identity.utc_offset);
        for party_id in identity.parties {
            let is_subscribed = self.subscriptions.borrow().is_subscribed(&party_id);
            if !is_subscribed {
                self.subscribe_members(&party_id, std::slice::from_ref(&peer_id)).await?;
            }
        }
        Ok(())
    }

    /// Retries the return of peers. The server may learn only later that the client's previous
    /// connection was cut.
    pub(super) async fn retry_reattach(&self) {
        let reattaching = self.reattaching.borrow().clone();
        for peer_id in reattaching {
            if let Err(rejection) = self.reattach(peer_id).await {
                log::debug!("{:?}: reattach refused: {}", self.handle.id, rejection.message);
            }
        }
    }

    /// Releases a member whose LANrage client leaves after a return. Without a proof it can't
    /// leave, but its connection no longer keeps the member alive, and its subscription ends.
    pub(super) async fn release_member(&self, party_id: PartyId, peer_id: PeerId) {
        if !self.reattaching.borrow_mut().remove(&peer_id) {
            return;
        }
        let gone = self.subscriptions.borrow_mut().forget_own(&party_id, &peer_id);
        self.unsubscribe(gone).await;
        if let Err(failure) = self.ask(command!(ReleaseMember { party_id, peer_id })).await {
            log::debug!("{:?}: member not released: {failure}", self.handle.id);
        }
    }

    /// Sends a returning peer its parties, and the removal of those that are gone and that it has
    /// copies of.
    async fn catch_up(
        &self,
        identity: Identity,
        have: BTreeMap<PartyId, Bookmark>,
    ) -> Result<(), Rejection> {
        let Identity { peer_id, parties, .. } = identity;
        for party_id in parties {
            // The client asked for all parties, so they are sent as fast as it reads.
            self.handle.room().await;
            let _permit = self.server.begin_greeting(self.handle.address_key()).await;
            self.subscribe_members(&party_id, std::slice::from_ref(&peer_id)).await?;
        }
        // A party may have ended just now.
        let format = self.format.get();
        for (party_id, bookmark) in have {
            let is_gone = !self.subscriptions.borrow().is_subscribed(&party_id);
            if format.additions && is_gone {
                self.handle.room().await;
                let extensions = render::extensions(format, &bookmark.epoch, bookmark.seq);
                let reason = RemovalReason::Removed;
                self.send(&ServerFrame::PartyRemoved { party_id, reason, extensions });
            }
        }
        Ok(())
    }
}
