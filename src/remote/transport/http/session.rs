//! State that all requests of a transport share: the server, the peers of this machine, their parties,
//! and the queue back to the link.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{ReqId, Secret, ServerFrame};
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::http::answers::PartyAnswer;
use lanrage_ipc::model::{PartyId, PeerId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::{Incoming, Loss};
use super::api::{Answer, Api, Question, Token};
use super::parties::Parties;
use super::refused::{Cause, Refused};
use super::tokens::{Held, Tokens};
use super::wall_clock::Occasion;

/// Longest interval of heartbeats over HTTP, in milliseconds.
const HEARTBEAT_MS: u64 = 30_000;

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

    /// Tells the link something. A link that is gone needs to hear nothing.
    pub(super) async fn say(&self, what: Incoming) {
        self.incoming.send(what).await.ok();
    }

    pub(super) async fn tell(&self, frame: ServerFrame) {
        self.say(Incoming::Frame(Box::new(frame))).await;
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

    /// Tells whom the transport speaks for.
    pub(super) async fn welcome(&self, peer: Option<(PeerId, Token)>) {
        let (peer_id, token) = peer.unzip();
        let (token, expires_at) = token.map(|it| (it.token, it.expires_at)).unzip();
        let welcome = ServerFrame::Welcome {
            session: "http".to_owned(),
            token,
            peer_id,
            token_expires_at: expires_at.flatten(),
            heartbeat_ms: HEARTBEAT_MS,
            epoch: self.parties().epoch(),
        };
        self.tell(welcome).await;
    }

    /// A party as the server has it now.
    pub(super) async fn fetch(
        &self,
        party_id: &PartyId,
        peer_id: &PeerId,
    ) -> Result<PartyAnswer, Refused> {
        let question = self.api.get(&["parties", party_id.as_str()]);
        match self.ask_as(peer_id, question).await {
            Err(refused) if refused.is_status(500) => {
                self.fetch_peers(party_id, peer_id, refused).await
            }
            answer => self.check(self.party(&answer?, peer_id, Occasion::Looked).await?, party_id),
        }
    }

    /// The party as it was last seen, with its members of now. LANrage's own server fails to read
    /// whole parties.
    async fn fetch_peers(
        &self,
        party_id: &PartyId,
        peer_id: &PeerId,
        refused: Refused,
    ) -> Result<PartyAnswer, Refused> {
        let Some(seen) = self.parties().seen(party_id) else { return Err(refused) };
        let question = self.api.get(&["parties", party_id.as_str(), "peers"]);
        let answer = self.ask_as(peer_id, question).await?;
        let read_peers =
            |body: &[u8]| PartyAnswer::from_peers_json(body, party_id.clone(), &seen.party);
        let mut read = answer.read(read_peers)?;
        self.by_wall_clock(&mut read, &answer, peer_id, Occasion::Looked);
        read.party.created_at = seen.party.created_at;
        let words = format!(
            "the server fails to read party {party_id} (500), only its peers are followed: {refused}"
        );
        self.say(Incoming::Fault(words)).await;
        let (virtual_ips, change) = (seen.virtual_ips(), seen.change());
        Ok(PartyAnswer { virtual_ips, change, ..read })
    }

    /// An answer to `peer_id` that holds a party, its times in UTC.
    pub(super) async fn party(
        &self,
        answer: &Answer,
        peer_id: &PeerId,
        occasion: Occasion,
    ) -> Result<PartyAnswer, Refused> {
        let mut read = answer.read(PartyAnswer::from_json)?;
        if let Some(first) = read.rejected.first() {
            let (count, party_id) = (read.rejected.len(), &read.party_id);
            let words =
                format!("party {party_id}: members are left out: count={count} {}", first.reason);
            self.say(Incoming::Flaw(words)).await;
        }
        self.by_wall_clock(&mut read, answer, peer_id, occasion);
        Ok(read)
    }

    fn by_wall_clock(
        &self,
        read: &mut PartyAnswer,
        answer: &Answer,
        peer_id: &PeerId,
        occasion: Occasion,
    ) {
        // This project's server numbers changes, and tells times by the clock that it was shown.
        if read.change.is_none() {
            let now = answer.date.unwrap_or_else(Timestamp::now);
            self.parties().wall_clock.read(&mut read.party, peer_id, occasion, now);
        }
    }

    /// Checks that an answer is about the party of the request.
    pub(super) fn check(
        &self,
        party: PartyAnswer,
        asked: &PartyId,
    ) -> Result<PartyAnswer, Refused> {
        if party.party_id == *asked {
            return Ok(party);
        }
        let message = format!("asked for party {asked}, it answered with {}", party.party_id);
        Err(Refused::nonsense(message))
    }

    /// Tells all of a party. The number of its last change.
    pub(super) async fn show(&self, answer: PartyAnswer) -> Option<u64> {
        let (frame, _) = self.parties().see(answer, Instant::now());
        let seq = match &frame {
            ServerFrame::PartyUpdate { beside, .. } => beside.as_ref().map(|beside| beside.seq),
            _ => None,
        };
        self.tell(frame).await;
        seq
    }

    /// Tells that a party is gone, if this machine's peers were in it.
    pub(super) async fn removed(&self, party_id: &PartyId) {
        let beside = self.parties().forget(party_id);
        if beside.is_some() {
            let (party_id, reason) = (party_id.clone(), RemovalReason::Removed);
            self.tell(ServerFrame::PartyRemoved { party_id, reason, beside }).await;
        }
    }

    /// Looks at a party without being asked, and tells what is new.
    pub(super) async fn look(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<(), Loss> {
        match self.fetch(party_id, peer_id).await {
            Ok(answer) => {
                let (frame, is_news) = self.parties().see(answer, Instant::now());
                match is_news {
                    true => self.tell(frame).await,
                    false => self.say(Incoming::Alive).await,
                }
            }
            Err(refused) if refused.is_loss() => return Err(refused.into()),
            Err(refused) if refused.code == ErrorCode::PartyNotFound => {
                self.removed(party_id).await;
            }
            // The peer's id is somebody else's now.
            Err(refused) if refused.code == ErrorCode::PermissionDenied => {
                self.parties().leave(party_id, peer_id);
                self.tell(refused.into_frame(None)).await;
            }
            Err(refused) => {
                log::debug!("party {party_id} can't be looked at: {refused}");
                let least = refused.retry_after.unwrap_or_default();
                self.parties().put_off(party_id, least, Instant::now());
                // A server that is busy is there.
                self.say(match refused.cause {
                    Cause::Nonsense => Incoming::Garbage(refused.message),
                    _ => Incoming::Alive,
                })
                .await;
            }
        }
        Ok(())
    }
}
