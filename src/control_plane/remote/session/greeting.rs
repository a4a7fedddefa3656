//! Who is who: each peer of this machine is greeted on each connection, by the token that proves
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{Bookmark, ClientFrame, IDLE, Secret, TAKEOVER};
use lanrage_ipc::model::{Name, PartyId, PeerId};

use super::asking::is_no_verdict;
use super::{Lane, Session, Times, Trouble, idle};
use crate::control_plane::Failure;
use crate::core::reconcile::Occasion;
use crate::core::{Command, CredentialRecord, Proof, Upstream, UpstreamPart, User};

/// Peers that one connection speaks for; the server takes no more.
const MOST_PEERS: usize = 64;

/// Those among them that are in no party as far as is known here, and perhaps are there: the
/// answer that told so may be lost.
const FORMER_PEERS: usize = 8;

/// The first wait of a peer whose greeting was refused, and the longest.
const FIRST_REGREETING: Duration = Duration::from_secs(1);
const LONGEST_REGREETING: Duration = Duration::from_secs(60);

/// How long a credential may be good for something after its renewal was due, or its claim made: a
/// token lasts for a day where the server has no other rule, and until then the id is locked to
/// who can't show it.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What is left of a token that seems to have expired already.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(2);

/// A token of which the server does not say how long it is good.
const UNKNOWN_TTL: SignedDuration = SignedDuration::from_hours(12);

impl Session {
    /// Greets the server, for every peer of this machine that is in one of its parties or was,
    /// and compares what it has with what is here.
    ///
    /// # Errors
    /// [`Trouble`]: the server lets no peer of this machine in, or not the daemon itself.
    pub(in super::super) async fn begin(self: &Rc<Self>) -> Result<(), Trouble> {
        // All that was noted is looked at by the time the server may be asked.
        self.around.outbox.take();
        let upstream = self.look_up(UpstreamPart::All).await?;
        let peers = self.known_peers(&upstream).await;
        self.idle.replace(idle::idle_peers(&upstream));
        if peers.is_empty() {
            self.hello(None, None, BTreeMap::new(), Lane::Background).await?;
        }
        let greetings = peers.iter().map(|peer_id| {
            let have = bookmarks(&upstream, peer_id);
            self.greet_again(peer_id, &upstream, have)
        });
        let mut is_let_in = peers.is_empty();
        let mut refused = None;
        for (peer_id, greeted) in peers.iter().zip(futures_util::future::join_all(greetings).await)
        {
            match greeted {
                Ok(()) => is_let_in = true,
                Err(Trouble::Refused { code, message }) => {
                    self.warn(format_args!(
                        "peer {peer_id} is not ours on the server: {message} ({code:?})"
                    ));
                    is_let_in |= !refuses_the_daemon(code);
                    refused = Some(Trouble::Refused { code, message });
                }
                Err(Trouble::Lost) => return Err(Trouble::Lost),
            }
        }
        if let Some(refused) = refused.filter(|_| !is_let_in) {
            return Err(refused);
        }
        self.compare_absent().await;
        Ok(())
    }

    /// A part of what this machine has to do with the server. Without it the session ends.
    pub(super) async fn look_up(&self, part: UpstreamPart) -> Result<Upstream, Trouble> {
        self.upstream(part).await.map_err(|failure| self.stumbled(&failure))
    }

    fn stumbled(&self, failure: &Failure) -> Trouble {
        self.stumble(failure);
        Trouble::Lost
    }

    /// The peers to greet: those in parties first. A credential that is good for nothing any more
    /// is forgotten.
    async fn known_peers(&self, upstream: &Upstream) -> Vec<PeerId> {
        let members: BTreeSet<_> = upstream.memberships.iter().map(|one| &one.peer_id).collect();
        let mut peers: Vec<_> = members.iter().copied().cloned().collect();
        let now = self.around.clock.now().wall;
        // The latest first: what was lost was lost of late.
        let mut credentials: Vec<_> = upstream.credentials.iter().collect();
        credentials.sort_by_key(|credential| std::cmp::Reverse(credential.renew_at));
        for credential in credentials {
            let CredentialRecord { peer_id, renew_at, .. } = credential;
            if members.contains(peer_id) {
                continue;
            }
            if upstream.leaves.iter().any(|(_, leaving)| leaving == peer_id) {
                peers.insert(0, peer_id.clone());
            } else if now.duration_since(*renew_at) < GOOD_FOR {
                peers.push(peer_id.clone());
            } else {
                self.forget(peer_id).await;
            }
        }
        let leaving: BTreeSet<_> = upstream.leaves.iter().map(|(_, peer_id)| peer_id).collect();
        let needed = members.len() + leaving.len();
        // Former ones take no place that new ones may want.
        let former = FORMER_PEERS.min((MOST_PEERS / 2).saturating_sub(needed));
        peers.truncate(needed + former);
        if peers.len() > MOST_PEERS {
            log::warn!("{} peers are too many for one connection", peers.len());
            peers.truncate(MOST_PEERS);
        }
        peers
    }

    pub(super) async fn forget(&self, peer_id: &PeerId) {
        let forget = Command::Forget(self.server.clone(), peer_id.clone());
        if let Err(failure) = self.command(forget).await {
            log::warn!("the credential of {peer_id} could not be forgotten: {failure}");
        }
    }

    /// Makes sure that the server takes this connection's word for a peer: by its token, or by
    /// taking the id, where it is nobody's. The token that comes of it is kept before anything is
    /// done in the peer's name.
    ///
    /// # Errors
    /// [`Trouble`]: refused when the id is somebody else's.
    pub(in super::super) async fn greet(
        &self,
        peer_id: &PeerId,
        caller: Option<User>,
        lane: Lane,
    ) -> Result<(), Trouble> {
        if self.is_greeted(peer_id) {
            return Ok(());
        }
        let turn = self.greeting(peer_id);
        let _turn = turn.lock().await;
        if self.is_greeted(peer_id) {
            return Ok(());
        }
        if self.greeted.borrow().len() >= MOST_PEERS {
            return self.make_room().await;
        }
        let upstream = self.look_up(UpstreamPart::Peer(peer_id.clone())).await?;
        self.introduce(peer_id, caller, &upstream, BTreeMap::new(), lane).await
    }

    /// The same for who comes back with copies of parties, also where a request was faster: by
    /// what was known before, unless that has shown something else.
    async fn greet_again(
        &self,
        peer_id: &PeerId,
        before: &Upstream,
        have: BTreeMap<PartyId, Bookmark>,
    ) -> Result<(), Trouble> {
        let turn = self.greeting(peer_id);
        let _turn = turn.lock().await;
        if !self.is_greeted(peer_id) {
            return self.introduce(peer_id, None, before, have, Lane::Background).await;
        }
        let upstream = self.look_up(UpstreamPart::Peer(peer_id.clone())).await?;
        self.introduce(peer_id, None, &upstream, have, Lane::Background).await
    }

    /// Returns the wait before a peer is greeted again whose id another owner has. Each wait is
    /// twice the one before. `None` for a peer whose greeting was not refused last.
    pub(super) fn greets_again_in(&self, peer_id: &PeerId) -> Option<Duration> {
        let refused = self.refused_greetings.borrow().get(peer_id).copied()?;
        Some((FIRST_REGREETING * (1 << (refused.clamp(1, 8) - 1))).min(LONGEST_REGREETING))
    }

    pub(super) fn is_greeted(&self, peer_id: &PeerId) -> bool {
        self.greeted.borrow().contains(peer_id)
    }

    pub(super) fn greeting(&self, peer_id: &PeerId) -> Rc<tokio::sync::Mutex<()>> {
        self.greetings.borrow_mut().entry(peer_id.clone()).or_default().clone()
    }

    /// A connection speaks for every peer that it ever greeted: one that has greeted too many
    /// makes way for another, which greets those that are in parties.
    async fn make_room(&self) -> Result<(), Trouble> {
        let upstream = self.look_up(UpstreamPart::All).await?;
        let members: BTreeSet<_> = upstream.memberships.iter().map(|one| &one.peer_id).collect();
        if members.len() >= MOST_PEERS {
            let message = format!(
                "{} peers of this daemon are in parties there, the most that it may have: let one leave first",
                members.len()
            );
            return Err(Trouble::Refused { code: ErrorCode::RateLimited, message });
        }
        self.make_way("too many peers came and went on one connection");
        Err(Trouble::Lost)
    }

    async fn introduce(
        &self,
        peer_id: &PeerId,
        caller: Option<User>,
        upstream: &Upstream,
        have: BTreeMap<PartyId, Bookmark>,
        lane: Lane,
    ) -> Result<(), Trouble> {
        let (proof, owner) = self.known(peer_id, caller, upstream)?;
        let by_token = match proof {
            Some(token @ Proof::Token(_)) => {
                match self.hello(Some(peer_id), Some(token), have.clone(), lane).await {
                    // The server may have lost it, or it has expired and the id is nobody's.
                    Err(Trouble::Refused { code: ErrorCode::PermissionDenied, .. }) => None,
                    other => Some(other),
                }
            }
            Some(Proof::Claim(claim)) if claim.is_claim() => {
                let claim = Some(Proof::Claim(claim));
                Some(self.hello(Some(peer_id), claim, have.clone(), lane).await)
            }
            Some(Proof::Claim(_)) | None => None,
        };
        let greeted = match by_token {
            Some(greeted) => greeted,
            None => {
                let claim = Proof::Claim(self.new_claim(peer_id, owner).await?);
                self.hello(Some(peer_id), Some(claim), have, lane).await
            }
        };
        match &greeted {
            Ok(()) => {
                self.greeted.borrow_mut().insert(peer_id.clone());
                self.refused_greetings.borrow_mut().remove(peer_id);
            }
            Err(Trouble::Refused { code: ErrorCode::PermissionDenied, .. }) => {
                *self.refused_greetings.borrow_mut().entry(peer_id.clone()).or_default() += 1;
                self.forget(peer_id).await;
            }
            Err(_) => {}
        }
        greeted
    }

    /// What proves a peer, if anything does, and for whom its token is kept from now on: whose it
    /// is already, or else the caller.
    ///
    /// # Errors
    /// [`Trouble::Refused`] when it is nobody's and no user of this machine asks.
    pub(super) fn known(
        &self,
        peer_id: &PeerId,
        caller: Option<User>,
        upstream: &Upstream,
    ) -> Result<(Option<Proof>, User), Trouble> {
        let known = upstream.credentials.iter().find(|known| known.peer_id == *peer_id);
        let member = upstream.memberships.iter().find(|member| member.peer_id == *peer_id);
        // An admin may act for a peer, and does not make it their own by that.
        let owner = known.map(|known| known.owner).or(member.map(|member| member.owner));
        let Some(owner) = owner.or(caller) else {
            let message = format!("peer {peer_id} is no user's of this machine");
            return Err(Trouble::Refused { code: ErrorCode::PermissionDenied, message });
        };
        self.owners.borrow_mut().insert(peer_id.clone(), owner);
        Ok((known.map(|known| known.proof.clone()), owner))
    }

    /// Chooses a claim secret, and keeps it before the claim is made: whatever becomes of the
    /// answer, the claim can be repeated.
    pub(super) async fn new_claim(&self, peer_id: &PeerId, owner: User) -> Result<Secret, Trouble> {
        let claim = crate::token::fresh_claim().map_err(|error| {
            let words = format!("the system gives no random numbers: {error}");
            self.stumbled(&Failure::Store(words))
        })?;
        let credential = CredentialRecord {
            server: self.server.clone(),
            peer_id: peer_id.clone(),
            proof: Proof::Claim(claim.clone()),
            renew_at: self.around.clock.now().wall,
            owner,
        };
        let kept = self.command(Command::Keep(credential)).await;
        kept.map_err(|failure| self.stumbled(&failure))?;
        Ok(claim)
    }

    /// Says a peer to the server: by its token, or by a claim, which takes an id that is nobody's
    /// or that this very claim took before.
    pub(super) async fn hello(
        &self,
        peer_id: Option<&PeerId>,
        proof: Option<Proof>,
        have: BTreeMap<PartyId, Bookmark>,
        lane: Lane,
    ) -> Result<(), Trouble> {
        let name = |text: &str| text.parse::<Name>().ok();
        let (token, claim) = match proof {
            Some(Proof::Token(token)) => (Some(token), None),
            Some(Proof::Claim(claim)) => (None, Some(claim)),
            None => (None, None),
        };
        let is_idle = peer_id.is_some_and(|peer_id| self.idle.borrow().contains(peer_id));
        let idle = is_idle.then_some(IDLE);
        let frame = ClientFrame::Hello {
            version: name(env!("CARGO_PKG_VERSION")),
            client: name("lanragectl-d"),
            peer_id: peer_id.cloned(),
            token,
            claim,
            caps: ["lanragectl", TAKEOVER].into_iter().chain(idle).filter_map(name).collect(),
            have,
        };
        self.ask(frame, &self.around.keys.next(), lane).await.map(drop)
    }

    /// The server welcomed a peer, and gave it a token.
    pub(super) async fn keep_token(
        &self,
        peer_id: PeerId,
        token: Secret,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Failure> {
        if token.expose().len() > Secret::LONGEST_TOKEN {
            self.warn(format_args!("a token of the control server is too long: peer={peer_id}"));
            return Ok(());
        }
        let Times { now, ahead } = self.times();
        let ahead = SignedDuration::from_secs(ahead);
        let left = expires_at.map_or(UNKNOWN_TTL, |at| at.duration_since(now) - ahead);
        // One that looks expired as it comes shows that the clocks differ, and no more; the server's
        // may have been set forward, too.
        let left = if left.is_positive() { left.min(GOOD_FOR) } else { CLOCKS_DIFFER };
        // When half of it is over, the server gives a fresh one.
        let wait = left * 6 / 10;
        let renew_at = now.checked_add(wait).unwrap_or(now);
        let owner = self.owners.borrow().get(&peer_id).copied();
        let Some(owner) = owner else {
            log::debug!("the server welcomed {peer_id}, whom nobody greeted");
            return Ok(());
        };
        let due = self.around.clock.elapsed() + wait.unsigned_abs();
        self.renewals.borrow_mut().insert(peer_id.clone(), due);
        let server = self.server.clone();
        let proof = Proof::Token(token);
        let credential = CredentialRecord { server, peer_id, proof, renew_at, owner };
        self.command(Command::Keep(credential)).await?;
        self.renewal.notify_one();
        Ok(())
    }

    /// Compares the parties that the server did not mention: there are none of ours in them there.
    pub(super) async fn compare_absent(self: &Rc<Self>) {
        let Ok(upstream) = self.upstream(UpstreamPart::All).await else { return };
        let mut parties: BTreeSet<PartyId> = upstream.outbox;
        parties.extend(upstream.memberships.into_iter().map(|one| one.party_id));
        for party_id in parties {
            if self.shadow.borrow().get(&party_id).is_none() {
                self.compare(&party_id, None, Occasion::Return).await;
            }
        }
    }
}

/// True for a refused greeting that is neither about the peer, whose id another owner has, nor
/// about the moment.
fn refuses_the_daemon(code: ErrorCode) -> bool {
    code != ErrorCode::PermissionDenied && !is_no_verdict(code)
}

/// What the server is told of the copies in which a peer is, or was until it left without the
/// server. That always tells a party that the peer is in; only an HTTP server has to be asked for
/// each.
fn bookmarks(upstream: &Upstream, peer_id: &PeerId) -> BTreeMap<PartyId, Bookmark> {
    let is_in = upstream.memberships.iter().map(|one| (&one.party_id, &one.peer_id));
    let was_in = upstream.leaves.iter().map(|(party_id, peer_id)| (party_id, peer_id));
    let parties = is_in.chain(was_in).filter(|(_, id)| *id == peer_id);
    let bookmark = |party_id: &PartyId| {
        Some((party_id.clone(), Bookmark { epoch: "none".parse().ok()?, seq: 0 }))
    };
    parties.filter_map(|(party_id, _)| bookmark(party_id)).collect()
}
