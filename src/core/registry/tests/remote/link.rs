//! A daemon's connection to the server: whom it greeted, what it asked, what it was told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::Secret;
use lanrage_ipc::model::{PartyId, PeerId};

use super::super::*;
use super::daemon::{Daemon, server_key};
use super::server::{Ask, Request};
use crate::core::reconcile::{Act, InFlight, Occasion, Operation, Passage, Shadow};
use crate::core::{CredentialRecord, Proof};
use crate::token::claim_hash;

/// What a program asked, and the server is to answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) key: RequestKey,
    pub(super) caller: Caller,
    pub(super) command: Command,
}

pub(super) struct Link {
    pub(super) connection: ConnectionId,
    pub(super) to_server: VecDeque<Request>,
    /// Requests that were sent and are not answered.
    unanswered: Vec<Request>,
    pub(super) shadow: Shadow,
    pub(super) met: BTreeSet<PartyId>,
    pub(super) greeted: BTreeSet<PeerId>,
    /// The hellos that are not answered yet, and whether they show a token.
    pub(super) greetings: BTreeMap<RequestKey, (PeerId, bool)>,
    /// Requests that wait until their peer is greeted.
    pub(super) held: Vec<(PeerId, Request)>,
    pub(super) has_compared: bool,
    /// Whether hosts are waited for, since the server has lost its state.
    pub(super) is_forgiving: bool,
    /// Parties whose hosts are waited for.
    pub(super) to_come: BTreeSet<PartyId>,
    pub(super) is_online: bool,
    pub(super) operating: BTreeMap<RequestKey, Operation>,
    pub(super) asked: Vec<Asked>,
    pub(super) passages: Vec<(RequestKey, PartyId, InFlight)>,
    pub(super) syncs: BTreeMap<RequestKey, PartyId>,
    pub(super) beats: BTreeMap<RequestKey, PartyId>,
}

impl Link {
    pub(super) fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            to_server: VecDeque::new(),
            unanswered: Vec::new(),
            shadow: Shadow::default(),
            met: BTreeSet::new(),
            greeted: BTreeSet::new(),
            greetings: BTreeMap::new(),
            held: Vec::new(),
            has_compared: false,
            is_forgiving: false,
            to_come: BTreeSet::new(),
            is_online: false,
            operating: BTreeMap::new(),
            asked: Vec::new(),
            passages: Vec::new(),
            syncs: BTreeMap::new(),
            beats: BTreeMap::new(),
        }
    }

    pub(super) fn is_online(&self) -> bool {
        self.is_online
    }

    fn send(&mut self, request: Request) {
        self.unanswered.push(request.clone());
        self.to_server.push_back(request);
    }

    /// Takes a request for answered. Returns false for the second answer to one that was resent.
    pub(super) fn take_answer(&mut self, key: &RequestKey) -> bool {
        let before = self.unanswered.len();
        self.unanswered.retain(|request| request.key != *key);
        self.unanswered.len() < before
    }

    pub(super) fn is_asking_for(&self, peer_id: &PeerId) -> bool {
        self.asked.iter().any(|asked| asked.command.acts_for() == Some(peer_id))
    }

    /// True while the registration of a party by a peer is in flight.
    pub(super) fn is_registering(&self, party_id: &PartyId, peer_id: &PeerId) -> bool {
        self.asked.iter().map(|asked| &asked.command).any(|command| {
            matches!(command, Command::Register { .. })
                && (command.party_id(), command.acts_for()) == (Some(party_id), Some(peer_id))
        })
    }

    pub(super) fn rename_passages(&mut self, from: &PartyId, to: &PartyId) {
        for (_, party_id, _) in self.passages.iter_mut().filter(|(_, id, _)| id == from) {
            *party_id = to.clone();
        }
    }
}

/// The first word, and the last.
impl Daemon {
    pub(super) fn connect(&mut self, connection: ConnectionId, now: Now) {
        let upstream = self.registry.upstream(&UpstreamPart::All);
        let peers = upstream.memberships.iter().map(|one| one.peer_id.clone());
        let known = upstream.credentials.iter().map(|one| one.peer_id.clone());
        let peers: BTreeSet<_> = peers.chain(known).collect();
        self.link = Some(Link::new(connection));
        peers.into_iter().for_each(|peer_id| self.greet(peer_id, now));
        self.go_on(now);
    }

    /// The connection is lost: what was asked is done here, unless the server did it after all.
    pub(super) fn lose(&mut self, now: Now) {
        let Some(link) = self.link.take() else { return };
        link.asked.into_iter().for_each(|asked| self.alone(asked, true, now));
    }

    /// Says who a peer is: by its token, or by a claim that was named before, or is now.
    fn greet(&mut self, peer_id: PeerId, now: Now) {
        let Some(link) = &self.link else { return };
        if link.greetings.values().any(|(greeted, _)| *greeted == peer_id) {
            return;
        }
        let known = self.registry.upstream(&UpstreamPart::All).credentials;
        match known.into_iter().find(|known| known.peer_id == peer_id).map(|known| known.proof) {
            Some(Proof::Token(token)) => {
                self.hello(peer_id, Some(token.expose().parse().unwrap()), None);
            }
            Some(Proof::Claim(claim)) => self.hello(peer_id, None, Some(&claim)),
            None => self.claim(peer_id, now),
        }
    }

    fn claim(&mut self, peer_id: PeerId, now: Now) {
        let claim = Secret::from(self.key().0.to_string());
        self.keep(peer_id.clone(), Proof::Claim(claim.clone()), now);
        self.hello(peer_id, None, Some(&claim));
    }

    fn hello(&mut self, peer_id: PeerId, token: Option<u64>, claim: Option<&Secret>) {
        let key = self.key();
        let Some(link) = &mut self.link else { return };
        let memberships = self.registry.upstream(&UpstreamPart::All).memberships.into_iter();
        let have = memberships.filter(|one| one.peer_id == peer_id).map(|one| one.party_id);
        let claim = claim.map(claim_hash);
        let ask = Ask::Hello { peer_id: peer_id.clone(), token, claim, have: have.collect() };
        link.greetings.insert(key.clone(), (peer_id, token.is_some()));
        link.send(Request { key, ask });
    }

    /// Sends again, under their keys, the requests whose answers are late.
    pub(super) fn resend(&mut self) {
        if let Some(link) = &mut self.link {
            link.to_server.extend(link.unanswered.iter().cloned());
        }
    }

    /// The hellos that a copy of its state directory sends.
    pub(super) fn greetings_of_a_copy(&mut self) -> Vec<Request> {
        let credentials = self.registry.upstream(&UpstreamPart::All).credentials.into_iter();
        let tokens = credentials.filter_map(|known| match known.proof {
            Proof::Token(token) => Some((known.peer_id, token.expose().parse().unwrap())),
            Proof::Claim(_) => None,
        });
        let tokens: Vec<_> = tokens.collect();
        let hello = |(peer_id, token)| {
            let ask = Ask::Hello { peer_id, token: Some(token), claim: None, have: Vec::new() };
            Request { key: self.key(), ask }
        };
        tokens.into_iter().map(hello).collect()
    }

    /// Once all are greeted the rest is compared; once that is told, the server may be asked.
    pub(super) fn go_on(&mut self, now: Now) {
        let Some(link) = &mut self.link else { return };
        if link.greetings.is_empty() && !link.has_compared {
            link.has_compared = true;
            self.compare_absent(now);
        }
        if let Some(link) = &mut self.link
            && link.has_compared
            && !link.is_online
            && link.operating.is_empty()
        {
            link.is_online = true;
            self.flush(now);
        }
    }

    pub(super) fn compare_absent(&mut self, now: Now) {
        let upstream = self.registry.upstream(&UpstreamPart::All);
        let mut parties = upstream.outbox;
        parties.extend(upstream.memberships.into_iter().map(|one| one.party_id));
        for party_id in parties {
            if self.shadow(&party_id).is_none() {
                self.compare(&party_id, None, Occasion::Return, now);
            }
        }
    }

    pub(super) fn hello_answered(
        &mut self,
        (peer_id, shown): (PeerId, bool),
        answer: Result<(), ErrorCode>,
        now: Now,
    ) {
        let link = self.link.as_mut().unwrap();
        match answer {
            Ok(()) => {
                link.greeted.insert(peer_id.clone());
                let (ready, held): (Vec<_>, _) =
                    std::mem::take(&mut link.held).into_iter().partition(|(id, _)| *id == peer_id);
                link.held = held;
                ready.into_iter().for_each(|(_, request)| link.send(request));
            }
            Err(ErrorCode::PermissionDenied) if shown => self.claim(peer_id, now),
            Err(code) => panic!("{peer_id} is not welcome: {code:?}"),
        }
        self.go_on(now);
    }

    /// Keeps what proves who a peer is.
    pub(super) fn keep(&mut self, peer_id: PeerId, proof: Proof, now: Now) {
        let (server, renew_at, owner) = (server_key(), Timestamp::MAX, User(1000));
        self.itself(
            Command::Keep(CredentialRecord { server, peer_id, proof, renew_at, owner }),
            now,
        );
    }

    /// Sends a request for a peer, once that is greeted.
    fn request(&mut self, peer_id: PeerId, request: Request, now: Now) {
        let Some(link) = &mut self.link else { return };
        if link.greeted.contains(&peer_id) {
            return link.send(request);
        }
        link.held.push((peer_id.clone(), request));
        self.greet(peer_id, now);
    }
}

/// What is asked.
impl Daemon {
    pub(super) fn ask_server(&mut self, asked: Asked, now: Now) {
        let Asked { key, caller, command } = asked.clone();
        let (act, what) = match command.clone() {
            Command::Register { name, host, keepalive, .. } => {
                // The model has no session that asks again for what is refused: its server is honest.
                let (info, registers) = (host.clone(), false);
                let enters = Passage::Enters { caller, keepalive, registers, info };
                (Act::Register { name, host }, Some(enters))
            }
            Command::Join { peer, keepalive, .. } => {
                let (info, registers) = (peer.clone(), false);
                let enters = Passage::Enters { caller, keepalive, registers, info };
                (Act::Join(peer), Some(enters))
            }
            Command::Update { peer, .. } => (Act::Update(peer), None),
            Command::Leave { peer_id, .. } => (Act::Leave(peer_id), Some(Passage::Leaves)),
            other => panic!("not for a server: {other:?}"),
        };
        let party_id = command.party_id().unwrap().clone();
        let peer_id = act.peer_id().clone();
        let link = self.link.as_mut().unwrap();
        if let Some(what) = what {
            let in_flight = InFlight { peer_id: peer_id.clone(), what };
            link.passages.push((key.clone(), party_id.clone(), in_flight));
        }
        link.asked.push(asked);
        self.request(peer_id, Request { key, ask: Ask::Act { party_id, act } }, now);
    }

    pub(super) fn carry_out(&mut self, operations: Vec<Operation>, now: Now) {
        for operation in operations {
            let Operation { key, party_id, act } = operation.clone();
            let link = self.link.as_mut().unwrap();
            if link.operating.insert(key.clone(), operation).is_none() {
                let peer_id = act.peer_id().clone();
                self.request(peer_id, Request { key, ask: Ask::Act { party_id, act } }, now);
            }
        }
    }

    /// Tells the server what is noted here, while it can be asked.
    pub(super) fn flush(&mut self, now: Now) {
        if self.link.as_ref().is_some_and(Link::is_online) {
            for party_id in self.registry.upstream(&UpstreamPart::All).outbox {
                self.look_again(&party_id, now);
            }
        }
    }

    /// Looks again for parties whose hosts are waited for.
    pub(super) fn come_back(&mut self, now: Now) {
        let Some(link) = &mut self.link else { return };
        for party_id in std::mem::take(&mut link.to_come) {
            self.look_again(&party_id, now);
        }
    }

    pub(super) fn beat(&mut self) {
        for (party_id, peer_id) in self.live() {
            let key = self.key();
            let Some(link) = self.link.as_mut().filter(|link| link.is_online) else { return };
            if link.shadow.get(&party_id).is_some() {
                link.beats.insert(key.clone(), party_id.clone());
                let ask = Ask::Heartbeat { party_id, peer_id };
                link.send(Request { key, ask });
            }
        }
    }

    pub(super) fn sync(&mut self, party_id: PartyId) {
        let key = self.key();
        let link = self.link.as_mut().unwrap();
        link.syncs.insert(key.clone(), party_id.clone());
        link.send(Request { key, ask: Ask::Sync(party_id) });
    }
}
