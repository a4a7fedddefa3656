//! Greeting of local peers: each proves its id on each connection, by its token or by a claim.
//!
//! A claim takes an id without an owner. Its secret is stored before it is sent, so that a claim
//! can be repeated if its answer is lost. The resulting token is stored before any other request
//! for the peer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{Bookmark, ClientFrame, IDLE, Secret, TAKEOVER};
use lanrage_ipc::model::{Name, PartyId, PeerId};

use super::auth::GOOD_FOR;
use super::clients::ClientId;
use super::frames;
use super::keepalive;
use super::output::{LookUp, Purpose, Then};
use super::pace::Lane;
use super::replica::EntryId;
use super::requests::{RequestError, is_no_verdict};
use super::session::Session;
use crate::core::reconcile::MembershipOp;
use crate::core::upstream::link::Loss;
use crate::core::{Command, CredentialRecord, Failure, Proof, Upstream, UpstreamPart, User};

/// Upper bound of the peers that are greeted on one connection; a server accepts no more.
const MOST_PEERS: usize = 64;

/// Upper bound of greeted peers without a party here. On the server they may have one, since the
/// answer to an entry may have been lost.
const FORMER_PEERS: usize = 8;

/// A greeting.
#[derive(Debug)]
pub(super) struct Greeting {
    /// User who becomes the owner if the peer has none.
    caller: Option<User>,
    lane: Lane,
    /// Known positions of parties, whose state the server is to report.
    have: BTreeMap<PartyId, Bookmark>,
    /// True once a token was sent: after its refusal another proof is tried.
    by_token: bool,
    owner: Option<User>,
    pub(super) then: Greeted,
}

/// Purpose of a greeting.
#[derive(Debug)]
pub(super) enum Greeted {
    /// Start of the session.
    Begin,
    /// An operation that waits for the greeting.
    MembershipOp(MembershipOp, Option<EntryId>),
    /// A client's request that waits for the greeting.
    Client(ClientId),
    /// Announcement of a relay as the peer, in place of a greeting.
    Relay(ClientId),
}

/// Results of the first greetings.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    pending: usize,
    is_let_in: bool,
    refused: Option<String>,
}

impl Session {
    /// Sends the greetings of all local peers that are or were in parties of the server.
    pub(super) fn begin(&mut self, upstream: Upstream) {
        self.auth.epoch_before.clone_from(&upstream.choice.epoch);
        self.auth.idle = keepalive::idle_peers(&upstream);
        self.replica.note_copies(&upstream);
        let peers = self.known_peers(&upstream);
        let pending = peers.len().max(1);
        self.auth.beginning = Some(Beginning { pending, ..Beginning::default() });
        if peers.is_empty() {
            return self.hello(None, None, BTreeMap::new(), Lane::Background, Purpose::Anonymous);
        }
        for peer_id in peers {
            let have = bookmarks(&upstream, &peer_id);
            let (caller, lane, then) = (None, Lane::Background, Greeted::Begin);
            let greeting = Greeting { caller, lane, have, by_token: false, owner: None, then };
            self.auth.greetings.entry(peer_id.clone()).or_default().push_back(greeting);
            self.introduce(&peer_id, &upstream);
        }
    }

    /// Returns the peers to greet: members first. Credentials that can't be valid any more are
    /// deleted.
    fn known_peers(&mut self, upstream: &Upstream) -> Vec<PeerId> {
        let members: BTreeSet<_> = upstream.memberships.iter().map(|one| &one.peer_id).collect();
        let mut peers: Vec<_> = members.iter().copied().cloned().collect();
        // The latest come first: a lost answer is probably a recent one.
        let mut credentials: Vec<_> = upstream.credentials.iter().collect();
        credentials.sort_by_key(|credential| Reverse(credential.renew_at));
        for CredentialRecord { peer_id, renew_at, .. } in credentials {
            if members.contains(peer_id) {
                continue;
            }
            if upstream.leaves.iter().any(|(_, leaving)| leaving == peer_id) {
                peers.insert(0, peer_id.clone());
            } else if self.now.wall.duration_since(*renew_at) < GOOD_FOR {
                peers.push(peer_id.clone());
            } else {
                self.forget(peer_id);
            }
        }
        let leaving: BTreeSet<_> = upstream.leaves.iter().map(|(_, peer_id)| peer_id).collect();
        let needed = members.len() + leaving.len();
        // Former peers take no place that new peers may need.
        let former = FORMER_PEERS.min((MOST_PEERS / 2).saturating_sub(needed));
        peers.truncate(needed + former);
        if peers.len() > MOST_PEERS {
            log::warn!("too many peers for one connection: peers={}", peers.len());
            peers.truncate(MOST_PEERS);
        }
        peers
    }

    /// Makes sure that a peer is greeted on this connection, and continues with `then`.
    pub(super) fn greet(
        &mut self,
        peer_id: &PeerId,
        caller: Option<User>,
        lane: Lane,
        then: Greeted,
    ) {
        if self.auth.is_greeted(peer_id) {
            return self.go_on(peer_id, then, Ok(()));
        }
        self.wait_for_turn_in(lane, peer_id, caller, then);
    }

    /// Queues a client's request behind the peer's greeting in flight.
    pub(super) fn wait_for_turn(&mut self, peer_id: &PeerId, caller: Option<User>, then: Greeted) {
        self.wait_for_turn_in(Lane::Asked, peer_id, caller, then);
    }

    fn wait_for_turn_in(
        &mut self,
        lane: Lane,
        peer_id: &PeerId,
        caller: Option<User>,
        then: Greeted,
    ) {
        let greeting =
            Greeting { caller, lane, have: BTreeMap::new(), by_token: false, owner: None, then };
        let turns = self.auth.greetings.entry(peer_id.clone()).or_default();
        turns.push_back(greeting);
        if turns.len() == 1 {
            self.begin_greeting(peer_id);
        }
    }

    fn begin_greeting(&mut self, peer_id: &PeerId) {
        let peer_id = peer_id.clone();
        let greets = !matches!(self.auth.current(&peer_id), Some(Greeted::Relay(_)));
        match greets && self.auth.greeted.len() >= MOST_PEERS {
            true => self.look_up(UpstreamPart::All, LookUp::Room(peer_id)),
            false => self.look_up(UpstreamPart::Peer(peer_id.clone()), LookUp::Peer(peer_id)),
        }
    }

    /// Ends the connection, which is greeted as too many peers. The next connection greets only
    /// current members.
    pub(super) fn make_room(&mut self, peer_id: &PeerId, upstream: &Upstream) {
        let members: BTreeSet<_> = upstream.memberships.iter().map(|one| &one.peer_id).collect();
        if members.len() < MOST_PEERS {
            return self.yield_connection("too many peers came and went on one connection");
        }
        let message = format!(
            "{} peers of this daemon are in parties there, the most that it may have: let one leave first",
            members.len()
        );
        let refused = RequestError::Refused { code: ErrorCode::RateLimited, message };
        self.end_turn(peer_id, Err(refused));
    }

    fn current_greeting(&mut self, peer_id: &PeerId) -> Option<&mut Greeting> {
        self.auth.greetings.get_mut(peer_id)?.front_mut()
    }

    /// Greets a peer by its proof if there is one, or else by a claim.
    pub(super) fn introduce(&mut self, peer_id: &PeerId, upstream: &Upstream) {
        let Some(greeting) = self.current_greeting(peer_id) else { return };
        let caller = greeting.caller;
        let (proof, owner) = match self.auth.proof(peer_id, caller, upstream) {
            Ok(proof) => proof,
            Err(refused) => return self.end_turn(peer_id, Err(refused)),
        };
        let Some(greeting) = self.current_greeting(peer_id) else { return };
        greeting.owner = Some(owner);
        if let Greeted::Relay(_) = greeting.then {
            return self.announce_by(peer_id, proof, upstream);
        }
        match proof {
            Some(token @ Proof::Token(_)) => {
                greeting.by_token = true;
                self.greet_by(peer_id, token);
            }
            Some(Proof::Claim(claim)) if claim.is_claim() => {
                self.greet_by(peer_id, Proof::Claim(claim));
            }
            Some(Proof::Claim(_)) | None => self.claim(peer_id),
        }
    }

    fn greet_by(&mut self, peer_id: &PeerId, proof: Proof) {
        let Some(greeting) = self.current_greeting(peer_id) else { return };
        let (have, lane) = (greeting.have.clone(), greeting.lane);
        let purpose = Purpose::Greeting(peer_id.clone());
        self.hello(Some(peer_id), Some(proof), have, lane, purpose);
    }

    /// Generates a claim secret, and stores it before the claim is sent.
    pub(super) fn claim(&mut self, peer_id: &PeerId) {
        let claim = match self.machine.claim() {
            Ok(claim) => claim,
            Err(error) => {
                let words = format!("the system gives no random numbers: {error}");
                self.abort(&Failure::Store(words));
                return self.end_turn(peer_id, Err(RequestError::Lost));
            }
        };
        let Some(owner) = self.current_greeting(peer_id).and_then(|greeting| greeting.owner) else {
            return;
        };
        let credential = CredentialRecord {
            server: self.settings.server.clone(),
            peer_id: peer_id.clone(),
            proof: Proof::Claim(claim.clone()),
            renew_at: self.now.wall,
            owner,
        };
        self.apply(Command::StoreCredential(credential), Then::ClaimStored(peer_id.clone(), claim));
    }

    pub(super) fn claim_stored(&mut self, peer_id: &PeerId, claim: Secret) {
        match self.auth.current(peer_id) {
            Some(Greeted::Relay(_)) => self.claim_relay(peer_id, claim),
            _ => self.greet_by(peer_id, Proof::Claim(claim)),
        }
    }

    /// Handles the answer to the greeting of a peer.
    pub(super) fn hello_answered(&mut self, peer_id: &PeerId, result: Result<(), RequestError>) {
        let Some(greeting) = self.current_greeting(peer_id) else { return };
        let was_by_token = std::mem::take(&mut greeting.by_token);
        match &result {
            // The server lost the token, or the token expired and the id has no owner.
            Err(RequestError::Refused { code: ErrorCode::PermissionDenied, .. })
                if was_by_token =>
            {
                return self.claim(peer_id);
            }
            Ok(()) => {
                self.auth.greeted.insert(peer_id.clone());
                self.auth.refused.remove(peer_id);
            }
            Err(RequestError::Refused { code: ErrorCode::PermissionDenied, .. }) => {
                *self.auth.refused.entry(peer_id.clone()).or_default() += 1;
                self.forget(peer_id);
            }
            Err(_) => {}
        }
        self.end_turn(peer_id, result);
    }

    /// Ends a greeting, or the announcement of a relay. After a success, the waiting entries need
    /// no greeting of their own.
    pub(super) fn end_turn(&mut self, peer_id: &PeerId, result: Result<(), RequestError>) {
        let is_greeted = self.auth.is_greeted(peer_id);
        let Some(turns) = self.auth.greetings.get_mut(peer_id) else { return };
        let mut done: Vec<_> = turns.pop_front().into_iter().collect();
        if is_greeted {
            let is_relay = |turn: &Greeting| matches!(turn.then, Greeted::Relay(_));
            let (relays, greetings): (Vec<_>, Vec<_>) =
                std::mem::take(turns).into_iter().partition(is_relay);
            *turns = relays.into();
            done.extend(greetings);
        }
        let waits = !turns.is_empty();
        if !waits {
            self.auth.greetings.remove(peer_id);
        }
        for (place, greeting) in done.into_iter().enumerate() {
            // The others waited for a successful greeting.
            let result = if place == 0 { result.clone() } else { Ok(()) };
            self.go_on(peer_id, greeting.then, result);
        }
        if waits {
            self.begin_greeting(peer_id);
        }
    }

    fn go_on(&mut self, peer_id: &PeerId, then: Greeted, result: Result<(), RequestError>) {
        match then {
            Greeted::Begin => {
                if let Err(RequestError::Refused { code, message }) = &result {
                    self.warn(format_args!(
                        "a local peer was refused by the server: peer={peer_id} {message} ({code:?})"
                    ));
                }
                self.began(result);
            }
            Greeted::MembershipOp(operation, entry) => {
                self.operation_greeted(operation, entry, result);
            }
            Greeted::Client(id) => self.client_greeted(id, result),
            Greeted::Relay(id) => self.announcement_done(id, result),
        }
    }

    pub(super) fn anonymous_greeted(&mut self, result: Result<(), RequestError>) {
        if let Err(RequestError::Refused { message, .. }) = &result {
            let message = frames::shown(message);
            return self.give_up(Loss::new(format!("the server refuses to speak: {message}")));
        }
        self.began(result);
    }

    /// Counts the result of one of the first greetings. After the last one, parties that the server
    /// did not mention are compared.
    fn began(&mut self, result: Result<(), RequestError>) {
        let refusal = match &result {
            Err(RequestError::Refused { code, message }) => Some((*code, message.clone())),
            _ => None,
        };
        let Some(beginning) = &mut self.auth.beginning else { return };
        beginning.pending -= 1;
        match refusal {
            Some((code, message)) => {
                beginning.is_let_in |= !refuses_the_daemon(code);
                beginning.refused = Some(message);
            }
            None => beginning.is_let_in |= result.is_ok(),
        }
        if beginning.pending > 0 {
            return;
        }
        let beginning = self.auth.beginning.take().unwrap_or_default();
        match beginning.refused.filter(|_| !beginning.is_let_in) {
            Some(message) => {
                let message = frames::shown(&message);
                self.give_up(Loss::new(format!("the server refuses to speak: {message}")));
            }
            None => self.look_up(UpstreamPart::All, LookUp::Absent),
        }
    }

    /// Sends a peer's greeting: its token or a claim. A claim takes an id without an owner, or one
    /// that it took before.
    pub(super) fn hello(
        &mut self,
        peer_id: Option<&PeerId>,
        proof: Option<Proof>,
        have: BTreeMap<PartyId, Bookmark>,
        lane: Lane,
        purpose: Purpose,
    ) {
        let name = |text: &str| text.parse::<Name>().ok();
        let (token, claim) = match proof {
            Some(Proof::Token(token)) => (Some(token), None),
            Some(Proof::Claim(claim)) => (None, Some(claim)),
            None => (None, None),
        };
        let is_idle = peer_id.is_some_and(|peer_id| self.auth.idle.contains(peer_id));
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
        self.request(frame, lane, purpose);
    }
}

/// True for a refused greeting that concerns neither the peer, whose id has another owner, nor a
/// temporary reason.
fn refuses_the_daemon(code: ErrorCode) -> bool {
    code != ErrorCode::PermissionDenied && !is_no_verdict(code)
}

/// Returns the parties of a peer, with those that it left without the server. A WebSocket server
/// always reports the parties of a peer; an HTTP server must be asked for each.
fn bookmarks(upstream: &Upstream, peer_id: &PeerId) -> BTreeMap<PartyId, Bookmark> {
    let is_in = upstream.memberships.iter().map(|one| (&one.party_id, &one.peer_id));
    let was_in = upstream.leaves.iter().map(|(party_id, peer_id)| (party_id, peer_id));
    let parties = is_in.chain(was_in).filter(|(_, id)| *id == peer_id);
    let bookmark = |party_id: &PartyId| {
        Some((party_id.clone(), Bookmark { epoch: "none".parse().ok()?, seq: 0 }))
    };
    parties.filter_map(|(party_id, _)| bookmark(party_id)).collect()
}
