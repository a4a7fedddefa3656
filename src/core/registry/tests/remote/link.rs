//! A daemon's connection to the server: whom it greeted, what it asked, what it was told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::Secret;
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{PartyId, PeerId};

use super::super::*;
use super::daemon::{Daemon, server_key};
use super::server::{Ask, Frame, Request};
use crate::core::reconcile::{
    Act, Heard, InFlight, Occasion, Operation, Passage, Point, ServerParty, Shadow,
};
use crate::core::{CredentialRecord, Deed, Proof};

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
    shadow: Shadow,
    met: BTreeSet<PartyId>,
    greeted: BTreeSet<PeerId>,
    /// The hellos that are not answered yet, and whether they show a token.
    greetings: BTreeMap<RequestKey, (PeerId, bool)>,
    /// Requests that wait until their peer is greeted.
    held: Vec<(PeerId, Request)>,
    has_compared: bool,
    /// Whether hosts are waited for, since the server has lost its state.
    pub(super) is_forgiving: bool,
    /// Parties whose hosts are waited for.
    pub(super) to_come: BTreeSet<PartyId>,
    is_online: bool,
    operating: BTreeMap<RequestKey, Operation>,
    asked: Vec<Asked>,
    passages: Vec<(RequestKey, PartyId, InFlight)>,
    syncs: BTreeMap<RequestKey, PartyId>,
    beats: BTreeMap<RequestKey, PartyId>,
}

impl Link {
    pub(super) fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            to_server: VecDeque::new(),
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

    pub(super) fn is_asking_for(&self, peer_id: &PeerId) -> bool {
        self.asked.iter().any(|asked| asked.command.acts_for() == Some(peer_id))
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
        let upstream = self.registry.upstream();
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
        let known = self.registry.upstream().credentials;
        match known.into_iter().find(|known| known.peer_id == peer_id).map(|known| known.proof) {
            Some(Proof::Token(token)) => {
                let (key, token) = (self.key(), token.expose().parse().unwrap());
                self.hello(peer_id, Some(token), key);
            }
            Some(Proof::Claim(name)) => self.hello(peer_id, None, RequestKey(name.expose().into())),
            None => self.claim(peer_id, now),
        }
    }

    fn claim(&mut self, peer_id: PeerId, now: Now) {
        let key = self.key();
        self.keep(peer_id.clone(), Proof::Claim(Secret::from(key.0.to_string())), now);
        self.hello(peer_id, None, key);
    }

    fn hello(&mut self, peer_id: PeerId, token: Option<u64>, key: RequestKey) {
        let Some(link) = &mut self.link else { return };
        link.greetings.insert(key.clone(), (peer_id.clone(), token.is_some()));
        link.to_server.push_back(Request { key, ask: Ask::Hello { peer_id, token } });
    }

    /// Once all are greeted the rest is compared; once that is told, the server may be asked.
    fn go_on(&mut self, now: Now) {
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

    fn compare_absent(&mut self, now: Now) {
        let upstream = self.registry.upstream();
        let mut parties = upstream.outbox;
        parties.extend(upstream.memberships.into_iter().map(|one| one.party_id));
        for party_id in parties {
            if self.shadow(&party_id).is_none() {
                self.compare(&party_id, None, Occasion::Return, now);
            }
        }
    }

    fn hello_answered(
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
                link.to_server.extend(ready.into_iter().map(|(_, request)| request));
            }
            Err(ErrorCode::PermissionDenied) if shown => self.claim(peer_id, now),
            Err(code) => panic!("{peer_id} is not welcome: {code:?}"),
        }
        self.go_on(now);
    }

    /// Keeps what proves who a peer is.
    fn keep(&mut self, peer_id: PeerId, proof: Proof, now: Now) {
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
            return link.to_server.push_back(request);
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
                (Act::Register { name, host }, Some(Passage::Enters { caller, keepalive }))
            }
            Command::Join { peer, keepalive, .. } => {
                (Act::Join(peer), Some(Passage::Enters { caller, keepalive }))
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

    fn carry_out(&mut self, operations: Vec<Operation>, now: Now) {
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
            for party_id in self.registry.upstream().outbox {
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
                link.to_server.push_back(Request { key, ask });
            }
        }
    }

    fn sync(&mut self, party_id: PartyId) {
        let key = self.key();
        let link = self.link.as_mut().unwrap();
        link.syncs.insert(key.clone(), party_id.clone());
        link.to_server.push_back(Request { key, ask: Ask::Sync(party_id) });
    }
}

/// What is heard.
impl Daemon {
    pub(super) fn hear(&mut self, frame: Frame, now: Now) {
        let Some(link) = &mut self.link else { return };
        match frame {
            Frame::Welcome { peer_id, token, epoch } => {
                link.is_forgiving |= self.server_epoch.as_ref().is_some_and(|e| *e != epoch);
                self.server_epoch = Some(epoch);
                self.keep(peer_id, Proof::Token(Secret::from(token.to_string())), now);
            }
            Frame::Party(party, at) => {
                let party_id = party.party_id.clone();
                let heard = link.shadow.party(party, at);
                self.follow(party_id, heard, now);
            }
            Frame::Change { party_id, change, at } => {
                let heard = link.shadow.change(&party_id, change, at);
                self.follow(party_id, heard, now);
            }
            Frame::Removed { party_id, reason } => {
                if link.met.contains(&party_id) {
                    let heard = link.shadow.gone(&party_id, reason);
                    self.follow(party_id, heard, now);
                }
            }
            Frame::Answer { key, result } => self.answered(&key, result, now),
        }
        self.go_on(now);
    }

    fn follow(&mut self, party_id: PartyId, heard: Heard, now: Now) {
        match heard {
            Heard::Party(party) => {
                let is_first = !self.link.as_ref().unwrap().met.contains(&party_id);
                let occasion = if is_first { Occasion::Return } else { Occasion::News };
                self.compare(&party_id, Some(party), occasion, now);
            }
            Heard::Gone(reason) => self.compare(&party_id, None, Occasion::Gone(reason), now),
            Heard::Missing => self.sync(party_id),
            Heard::Nothing => {}
        }
    }

    fn shadow(&self, party_id: &PartyId) -> Option<std::sync::Arc<ServerParty>> {
        self.link.as_ref()?.shadow.get(party_id).cloned()
    }

    fn look_again(&mut self, party_id: &PartyId, now: Now) {
        let server = self.shadow(party_id);
        let occasion = if server.is_some() { Occasion::News } else { Occasion::Return };
        self.compare(party_id, server, occasion, now);
    }

    fn compare(
        &mut self,
        party_id: &PartyId,
        server: Option<std::sync::Arc<ServerParty>>,
        occasion: Occasion,
        now: Now,
    ) {
        let link = self.link.as_mut().unwrap();
        link.met.insert(party_id.clone());
        let passages = link.passages.iter().filter(|(_, id, _)| id == party_id);
        let operations = link.operating.values().filter(|one| one.party_id == *party_id);
        let passing = operations.filter_map(|one| {
            let what = one.act.passage()?;
            Some(InFlight { peer_id: one.act.peer_id().clone(), what })
        });
        let in_flight = passages.map(|(.., in_flight)| in_flight.clone()).chain(passing).collect();
        let party_id = party_id.clone();
        let reconcile = Command::Reconcile { party_id, server, occasion, in_flight };
        if let Outcome::Operations(operations) = self.itself(reconcile, now) {
            self.carry_out(operations, now);
        }
    }

    fn answered(&mut self, key: &RequestKey, result: Result<Option<Point>, ErrorCode>, now: Now) {
        let link = self.link.as_mut().unwrap();
        if let Some(greeted) = link.greetings.remove(key) {
            return self.hello_answered(greeted, result.map(drop), now);
        }
        link.passages.retain(|(passing, ..)| passing != key);
        if let Some(place) = link.asked.iter().position(|asked| asked.key == *key) {
            let asked = link.asked.remove(place);
            return self.asked_answered(asked, result.map(drop), now);
        }
        if let Some(party_id) = link.syncs.remove(key) {
            return self.sync_answered(party_id, result.map(drop), now);
        }
        if let Some(party_id) = link.beats.remove(key) {
            match result {
                Ok(Some(at)) => {
                    let heard = link.shadow.bookmark(&party_id, &at);
                    match heard == Heard::Nothing && link.shadow.point(&party_id) == Some(&at) {
                        true => drop(self.itself(Command::Vouch(party_id), now)),
                        false => self.follow(party_id, heard, now),
                    }
                }
                Ok(None) => {}
                Err(_) => self.sync(party_id),
            }
            return;
        }
        let operation = link.operating[key].clone();
        link.operating.remove(key);
        let result = match (&operation.act, self.shadow(&operation.party_id)) {
            (Act::Register { .. } | Act::Join(_), there) if result.is_ok() => {
                // The answer may be that of the first time, and what it tells undone since.
                let is_in = there.is_some_and(|p| p.members.contains_key(operation.act.peer_id()));
                if is_in { Ok(()) } else { Err(ErrorCode::NotAMember) }
            }
            _ => result.map(drop),
        };
        match result {
            Ok(()) => self.performed(operation, now),
            Err(ErrorCode::PartyNotFound)
                if matches!(operation.act, Act::Join(_))
                    && self.link.as_ref().is_some_and(|link| link.is_forgiving) =>
            {
                self.link.as_mut().unwrap().to_come.insert(operation.party_id);
            }
            Err(code) => {
                let (Operation { key, party_id, act }, spare) = (operation, self.spare());
                let peer_id = act.peer_id().clone();
                let refused = Command::Refused { party_id, peer_id, key, code, spare };
                if let Outcome::Operations(operations) = self.itself(refused, now) {
                    self.carry_out(operations, now);
                }
            }
        }
    }

    fn performed(&mut self, operation: Operation, now: Now) {
        let Operation { party_id, act, .. } = operation;
        match act {
            Act::Register { .. } | Act::Join(_) => {}
            Act::Update(info) => {
                self.link.as_mut().unwrap().shadow.confirmed(&party_id, &info);
                self.look_again(&party_id, now);
            }
            Act::Leave(peer_id) => self.has_left(&party_id, &peer_id, now),
        }
    }

    fn has_left(&mut self, party_id: &PartyId, peer_id: &PeerId, now: Now) {
        // Also those that are not greeted yet.
        let known = self.registry.upstream().credentials;
        let is_ours = |id: &PeerId| known.iter().any(|known| known.peer_id == *id);
        self.link.as_mut().unwrap().shadow.left(party_id, peer_id, is_ours);
        self.look_again(party_id, now);
    }

    fn asked_answered(&mut self, asked: Asked, result: Result<(), ErrorCode>, now: Now) {
        use ErrorCode::{NotAMember, PartyNotFound, PeerNotFound};
        let Asked { caller, command, .. } = asked;
        let is_gone = matches!(result, Err(PartyNotFound | NotAMember | PeerNotFound));
        match &command {
            Command::Leave { party_id, peer_id } if result.is_ok() || is_gone => {
                self.judge.answered(&command, true, &self.registry);
                // The server may have told it before it answered.
                self.apply(None, command.clone(), caller, now).ok();
                self.has_left(party_id, peer_id, now);
            }
            Command::Update { party_id, peer, .. } if result.is_ok() => {
                self.link.as_mut().unwrap().shadow.confirmed(party_id, peer);
                let done = self.apply(None, command.clone(), caller, now).is_ok();
                self.judge.answered(&command, done, &self.registry);
            }
            Command::Update { party_id, .. } if is_gone => self.sync(party_id.clone()),
            _ => {
                let done = result.is_ok() && !self.is_leaving(&command);
                self.judge.answered(&command, done, &self.registry);
            }
        }
    }

    /// Whether somebody who asked to come in was taken for gone before the answer came: then that
    /// is what the program is told.
    fn is_leaving(&self, command: &Command) -> bool {
        let (Some(party_id), Some(peer_id)) = (command.party_id(), command.acts_for()) else {
            return false;
        };
        let host = self.shadow(party_id).map(|party| party.host_id.clone());
        let mut leaves = self.registry.outbox.of_party(party_id);
        leaves.any(|intent| {
            let is_it = intent.peer_id == *peer_id || Some(&intent.peer_id) == host.as_ref();
            intent.deed == Deed::Leave && is_it
        })
    }

    fn sync_answered(&mut self, party_id: PartyId, result: Result<(), ErrorCode>, now: Now) {
        let shadow = &mut self.link.as_mut().unwrap().shadow;
        match result {
            Ok(()) => {}
            Err(ErrorCode::PartyNotFound) => {
                let heard = shadow.gone(&party_id, RemovalReason::Removed);
                self.follow(party_id, heard, now);
            }
            Err(ErrorCode::NotAMember) => {
                shadow.gone(&party_id, RemovalReason::Removed);
                self.compare(&party_id, None, Occasion::Return, now);
            }
            Err(code) => panic!("a sync is refused: {code:?}"),
        }
    }
}
