//! The control server: a registry, and connections that publish their clients' parties.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::mem::Discriminant;
use std::rc::Rc;

use jiff::tz::TimeZone;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{ClientFrame, Inbound, PartyExtensions, ReqId, Secret, ServerFrame};
use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::lanrage::{AnnouncedParty, AnnouncedPeer};
use lanrage_ipc::model::{Keepalive, Party, PartyId, Peer, PeerId};
use serde_json::json;

use super::super::history::copies::Rows;
use super::super::*;
use super::judge::{Gone, Ledger};
use crate::core::reconcile::{OpBody, ServerMember, ServerParty};
use crate::core::upstream::tests::NO_VERDICTS;
use crate::core::{ClaimHash, Done, Receipt, Write};
use crate::token::claim_hash;

/// Zone of the times in frames.
const UTC: TimeZone = TimeZone::UTC;

/// True for an unsolicited frame, which may get lost while the connection stays.
pub(super) fn is_event(frame: &ServerFrame) -> bool {
    matches!(
        frame,
        ServerFrame::PeerJoined { .. }
            | ServerFrame::PeerUpdated { .. }
            | ServerFrame::PeerLeft { .. }
            | ServerFrame::PartyRemoved { .. }
    )
}

pub(super) struct Server {
    pub(super) registry: Registry,
    rows: Rows,
    lines: BTreeMap<ConnectionId, Line>,
    /// True while each request is refused for an unrelated reason.
    pub(super) is_busy: bool,
    refused: usize,
    opened: u64,
    issued: u64,
    ledger: Rc<RefCell<Ledger>>,
    /// Kinds of requests that were executed under a key. A join with a lost answer may be followed
    /// by an update under its key, which is another request.
    done: HashSet<(PeerId, RequestKey, Discriminant<Command>)>,
    /// Number of changes of parties by requests, as opposed to connections.
    pub(super) acts: usize,
}

#[derive(Default)]
struct Line {
    own: BTreeSet<PeerId>,
    hearing: BTreeMap<PartyId, Heard>,
    /// Events that are not published yet.
    news: VecDeque<Event>,
    sent: VecDeque<ServerFrame>,
}

struct Heard {
    own: BTreeSet<PeerId>,
    host_id: PeerId,
    seq: u64,
    is_ending: bool,
}

impl Server {
    pub(super) fn new(ledger: Rc<RefCell<Ledger>>) -> Self {
        Self {
            registry: Registry::new(server_rules(), "e1".parse().unwrap()),
            rows: Rows::default(),
            lines: BTreeMap::new(),
            is_busy: false,
            refused: 0,
            opened: 0,
            issued: 0,
            ledger,
            done: HashSet::new(),
            acts: 0,
        }
    }

    /// Restarts, with or without the stored rows.
    pub(super) fn restart(&mut self, keeps_state: bool, now: Now) {
        self.lines.clear();
        if keeps_state {
            let epoch = self.registry.epoch().clone();
            self.registry = self.rows.restore(server_rules(), epoch, now);
        } else {
            let mut ledger = self.ledger.borrow_mut();
            ledger.lives += 1;
            let epoch = format!("e{}", ledger.lives + 1).parse().unwrap();
            self.registry = Registry::new(server_rules(), epoch);
            (self.rows, self.done) = Default::default();
        }
    }

    pub(super) fn open(&mut self) -> ConnectionId {
        self.opened += 1;
        let id = ConnectionId(self.opened);
        self.lines.insert(id, Line::default());
        id
    }

    /// Notices the end of a connection.
    pub(super) fn close(&mut self, id: ConnectionId, now: Now) {
        if self.lines.remove(&id).is_some() {
            let caller =
                Caller { principal: Principal::Peers([].into()), connection: id, address: None };
            self.apply(Command::Disconnect, caller, None, now).unwrap();
            self.tell();
        }
    }

    pub(super) fn expire(&mut self, now: Now) {
        self.apply(Command::Expire, ROOT, None, now).unwrap();
        self.tell();
    }

    /// Returns the frames in flight to a client.
    pub(super) fn sent(&mut self, id: ConnectionId) -> Option<&mut VecDeque<ServerFrame>> {
        self.lines.get_mut(&id).map(|line| &mut line.sent)
    }

    /// Executes a request, answers it, and publishes its events.
    pub(super) fn take(&mut self, id: ConnectionId, inbound: Inbound, now: Now) {
        if self.is_busy
            && let Some(req_id) = inbound.req_id.clone()
        {
            self.refused += 1;
            let code = NO_VERDICTS[self.refused % NO_VERDICTS.len()];
            return self.answer(id, req_id, Err(code));
        }
        let Some(line) = self.lines.get(&id) else { return };
        let own: Vec<_> = line.own.iter().cloned().collect();
        let caller =
            Caller { principal: Principal::Peers(own.into()), connection: id, address: None };
        let req_id = inbound.req_id.expect("a key");
        let key = RequestKey(req_id.key().into());
        let (body, party_id) = match inbound.frame {
            ClientFrame::RegisterParty { party_id, name, host_peer } => {
                (OpBody::Register { name, host: host_peer.info }, party_id.expect("an id"))
            }
            ClientFrame::JoinParty { party_id, peer } => (OpBody::Join(peer.info), party_id),
            ClientFrame::UpdatePeer { party_id, peer } => (OpBody::Update(peer.info), party_id),
            ClientFrame::LeaveParty { party_id, peer_id } => (OpBody::Leave(peer_id), party_id),
            frame => {
                let result = self.take_other(id, frame, caller, now);
                return self.answer(id, req_id, result);
            }
        };
        let result = self.change_membership(id, party_id, body, key, caller, now);
        self.answer(id, req_id, result);
    }

    fn take_other(
        &mut self,
        id: ConnectionId,
        frame: ClientFrame,
        caller: Caller,
        now: Now,
    ) -> Result<Option<u64>, ErrorCode> {
        match frame {
            ClientFrame::Hello { peer_id, token, claim, have, .. } => {
                let Some(peer_id) = peer_id else {
                    self.welcome(id, None);
                    return Ok(None);
                };
                let token = token.map(|token| token.expose().parse().expect("a number"));
                let claim = claim.map(|claim| claim_hash(&claim));
                self.hello(id, peer_id, token, claim, now)?;
                self.tell_missing(id, have.into_keys().collect());
                Ok(None)
            }
            ClientFrame::Heartbeat { party_id, peer_id } => {
                let beat = Command::Heartbeat { party_id: party_id.clone(), peer_id };
                self.apply(beat, caller, None, now).map(|_| self.seq(&party_id))
            }
            ClientFrame::Sync { party_id, .. } => self.sync(id, &party_id, now),
            other => panic!("no history has {other:?}"),
        }
    }

    fn answer(&mut self, id: ConnectionId, req_id: ReqId, result: Result<Option<u64>, ErrorCode>) {
        let frame = match result {
            Ok(seq) => {
                let (epoch, result) = (self.registry.epoch().clone(), (&json!({})).into());
                ServerFrame::Ack { req_id, epoch, seq, result }
            }
            Err(code) => ServerFrame::Error {
                message: "no".to_owned(),
                code: Some(code),
                req_id: Some(req_id),
                retry_after_ms: None,
            },
        };
        self.send(id, frame);
        self.tell();
    }

    fn hello(
        &mut self,
        id: ConnectionId,
        peer_id: PeerId,
        shown: Option<u64>,
        claim: Option<ClaimHash>,
        now: Now,
    ) -> Result<(), ErrorCode> {
        if let Some(shown) = shown {
            let proven = self.registry.authenticate(&token(shown), now);
            proven.map_err(|_| ErrorCode::PermissionDenied)?;
        }
        let fresh = shown.is_none().then(|| {
            self.issued += 1;
            self.issued
        });
        let claim = Command::Claim {
            peer_id: peer_id.clone(),
            proof: shown.map(token),
            issue: fresh.map(token),
            hold: Hold::Alone,
            claim,
        };
        let caller =
            Caller { principal: Principal::Peers([].into()), connection: id, address: None };
        let Outcome::Claimed(Claimed { identity, .. }) = self.apply(claim, caller, None, now)?
        else {
            panic!("not the answer to a claim")
        };
        let line = self.lines.get_mut(&id).unwrap();
        line.own.insert(peer_id.clone());
        let token = fresh.or(shown).unwrap().to_string();
        self.welcome(id, Some((peer_id.clone(), token.into())));
        for party_id in identity.parties {
            self.attend(id, &party_id, Some(&peer_id), now);
        }
        Ok(())
    }

    /// Tells a client which of its copies do not exist here for it.
    fn tell_missing(&mut self, id: ConnectionId, have: Vec<PartyId>) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        for party_id in have {
            if !line.hearing.contains_key(&party_id) {
                let (reason, extensions) = (RemovalReason::Removed, None);
                line.sent.push_back(ServerFrame::PartyRemoved { party_id, reason, extensions });
            }
        }
    }

    fn change_membership(
        &mut self,
        id: ConnectionId,
        party_id: PartyId,
        body: OpBody,
        key: RequestKey,
        caller: Caller,
        now: Now,
    ) -> Result<Option<u64>, ErrorCode> {
        let (peer_id, keepalive, utc_offset) =
            (body.peer_id().clone(), Keepalive::Connection, None);
        let command = match body.clone() {
            OpBody::Register { name, host } => {
                let party_id = party_id.clone();
                Command::Register { party_id, name, host, keepalive, utc_offset }
            }
            OpBody::Join(peer) => {
                Command::Join { party_id: party_id.clone(), peer, keepalive, utc_offset }
            }
            OpBody::Update(peer) => {
                Command::Update { party_id: party_id.clone(), peer, utc_offset }
            }
            OpBody::Leave(peer_id) => Command::Leave { party_id: party_id.clone(), peer_id },
        };
        let outcome = self.apply(command, caller, Some(key), now)?;
        let Outcome::Receipt(Receipt { seq, done, .. }) = outcome else {
            panic!("no receipt: {outcome:?}")
        };
        match body {
            OpBody::Register { .. } | OpBody::Join(_) => {
                assert!(matches!(done, Done::Entered { .. }));
                self.attend(id, &party_id, Some(&peer_id), now);
            }
            OpBody::Leave(_) => {
                let line = self.lines.get_mut(&id).unwrap();
                line.forget(&party_id, &peer_id);
            }
            OpBody::Update(_) => {}
        }
        Ok(Some(seq))
    }

    fn sync(
        &mut self,
        id: ConnectionId,
        party_id: &PartyId,
        now: Now,
    ) -> Result<Option<u64>, ErrorCode> {
        let party = self.registry.party(party_id, now).map_err(|_| ErrorCode::PartyNotFound)?;
        let own = &self.lines[&id].own;
        let own = party.peers.keys().find(|id| own.contains(*id)).cloned();
        let own = own.ok_or(ErrorCode::NotAMember)?;
        self.attend(id, party_id, Some(&own), now);
        Ok(self.seq(party_id))
    }

    /// Subscribes a connection to a party, starting with a snapshot.
    fn attend(&mut self, id: ConnectionId, party_id: &PartyId, peer_id: Option<&PeerId>, now: Now) {
        let Ok(party) = self.registry.party(party_id, now) else { return };
        let line = self.lines.get_mut(&id).unwrap();
        let known = line.hearing.get(party_id).map(|heard| heard.own.clone());
        let mut own = known.unwrap_or_default();
        own.extend(peer_id.cloned());
        own.retain(|id| party.peers.contains_key(id));
        if own.is_empty() {
            return;
        }
        line.news.retain(|event| event.party_id() != Some(party_id));
        let (host_id, seq) = (party.host_id.clone(), party.seq);
        let heard = Heard { own, host_id, seq, is_ending: false };
        line.hearing.insert(party_id.clone(), heard);
        let (extensions, party) =
            (Some(PartyExtensions::of(&party)), AnnouncedParty::new(&party, &UTC));
        line.sent.push_back(ServerFrame::PartyUpdate { party, extensions });
    }

    fn welcome(&mut self, id: ConnectionId, peer: Option<(PeerId, Secret)>) {
        let (peer_id, token) = peer.unzip();
        let welcome = ServerFrame::Welcome {
            session: "s".to_owned(),
            token,
            peer_id,
            token_expires_at: None,
            heartbeat_ms: 60_000,
            epoch: self.registry.epoch().clone(),
        };
        self.send(id, welcome);
    }

    fn seq(&self, party_id: &PartyId) -> Option<u64> {
        Some(self.registry.parties.get(party_id)?.record.seq)
    }

    fn send(&mut self, id: ConnectionId, frame: ServerFrame) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.sent.push_back(frame);
        }
    }

    fn tell(&mut self) {
        self.lines.values_mut().for_each(Line::tell);
    }

    fn apply(
        &mut self,
        command: Command,
        caller: Caller,
        key: Option<RequestKey>,
        now: Now,
    ) -> Result<Outcome, ErrorCode> {
        let peer_id = command.acts_for().cloned();
        let leaver = match &command {
            Command::Leave { peer_id, .. } => Some(peer_id.clone()),
            _ => None,
        };
        let kind = std::mem::discriminant(&command);
        let result = match key.clone() {
            Some(key) => self.registry.apply_once(key.into(), command, caller, now),
            None => self.registry.apply(command, caller, now),
        };
        state::check_indexes(&self.registry);
        let applied = result.map_err(|refusal| code(&refusal))?;
        if let Some((peer_id, key)) = peer_id.zip(key)
            && !applied.changes.is_empty()
        {
            let first = self.done.insert((peer_id.clone(), key.clone(), kind));
            assert!(first, "{key:?} of {peer_id} is done twice");
            let is_change = |write: &Write| !matches!(write, Write::PutReceipt(_));
            let writes = applied.changes.iter().map(|change| change.write());
            self.acts += usize::from(writes.clone().any(is_change));
        }
        applied.changes.iter().for_each(|change| self.rows.write(change.write()));
        applied.seen.iter().for_each(|seen| self.rows.see(seen));
        for event in applied.events {
            match &event {
                Event::PeerLeft { party_id, peer_id, .. } => {
                    let peer_id = Some(peer_id.clone());
                    let gone = Gone { party_id: party_id.clone(), peer_id, leaver: leaver.clone() };
                    self.ledger.borrow_mut().gone.push(gone);
                }
                Event::PartyRemoved { party_id, .. } => {
                    let (party_id, leaver) = (party_id.clone(), leaver.clone());
                    self.ledger.borrow_mut().gone.push(Gone { party_id, peer_id: None, leaver });
                }
                _ => {}
            }
            for line in self.lines.values_mut() {
                line.news.push_back(event.clone());
            }
        }
        Ok(applied.outcome)
    }
}

impl Line {
    fn forget(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        let Some(heard) = self.hearing.get_mut(party_id) else { return };
        heard.own.remove(peer_id);
        if heard.own.is_empty() {
            self.hearing.remove(party_id);
        }
    }

    fn tell(&mut self) {
        while let Some(event) = self.news.pop_front() {
            self.tell_event(event);
        }
    }

    fn tell_event(&mut self, event: Event) {
        let Some(party_id) = event.party_id().cloned() else { return };
        let Some(heard) = self.hearing.get_mut(&party_id) else { return };
        match event.seq() {
            Some(seq) if seq <= heard.seq => return,
            Some(seq) => heard.seq = seq,
            None => return,
        }
        let announced = |peer: &Peer| AnnouncedPeer::new(&peer.info, peer.last_seen, &UTC);
        match event {
            Event::PeerJoined { peer, epoch, seq, .. } => {
                let (extensions, peer) =
                    (Some(PartyExtensions::new(epoch, seq, [&peer])), announced(&peer));
                self.sent.push_back(ServerFrame::PeerJoined { party_id, peer, extensions });
            }
            Event::PeerUpdated { peer, epoch, seq, .. } => {
                let (extensions, peer) =
                    (Some(PartyExtensions::new(epoch, seq, [&peer])), announced(&peer));
                self.sent.push_back(ServerFrame::PeerUpdated { party_id, peer, extensions });
            }
            Event::PeerLeft { peer_id, epoch, seq, .. } => {
                heard.is_ending |= peer_id == heard.host_id;
                if !heard.is_ending {
                    self.forget(&party_id, &peer_id);
                    let extensions = Some(PartyExtensions::new(epoch, seq, []));
                    self.sent.push_back(ServerFrame::PeerLeft { party_id, peer_id, extensions });
                }
            }
            Event::PartyRemoved { reason, .. } => {
                self.hearing.remove(&party_id);
                self.sent.push_back(ServerFrame::PartyRemoved {
                    party_id,
                    reason,
                    extensions: None,
                });
            }
            other => panic!("a server never tells {other:?}"),
        }
    }
}

/// Returns rules with small parties, so that some are full.
fn server_rules() -> Rules {
    Rules { peers_per_party: 4, ..super::daemon_rules() }
}

pub(super) fn of_party(party: &Party) -> ServerParty {
    ServerParty {
        party_id: party.party_id.clone(),
        name: party.name.clone(),
        host_id: party.host_id.clone(),
        created_at: party.created_at,
        members: party.peers.iter().map(|(id, peer)| (id.clone(), of_peer(peer))).collect(),
    }
}

fn of_peer(peer: &Peer) -> ServerMember {
    ServerMember {
        info: peer.info.clone(),
        virtual_ip: Some(peer.virtual_ip),
        last_seen: peer.last_seen,
        connected: peer.connected,
    }
}

fn code(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::PartyNotFound(_) => ErrorCode::PartyNotFound,
        Refusal::PartyExists(_) => ErrorCode::PartyExists,
        Refusal::PartyFull { .. } => ErrorCode::PartyFull,
        Refusal::PeerNotFound { .. } => ErrorCode::PeerNotFound,
        Refusal::NotAMember { .. } => ErrorCode::NotAMember,
        Refusal::PeerNotYours(_) | Refusal::PeerTaken(_) | Refusal::BadToken => {
            ErrorCode::PermissionDenied
        }
        other => panic!("no history of this kind meets {other:?}"),
    }
}
