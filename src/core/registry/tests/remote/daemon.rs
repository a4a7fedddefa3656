//! A daemon: a registry, what it stored, who listens to it, and what should have become of its
//! peers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use lanrage_ipc::model::{Epoch, Keepalive, Origin, PartyId, PeerId};

use super::super::history::copies::{Rows, Subscriber};
use super::super::history::kind;
use super::super::*;
use super::judge::{Judge, Ledger};
use super::link::{Asked, Link};
use crate::core::ServerKey;

/// As whom the daemon itself acts.
const ITSELF: Caller = user(0, true, 0);

pub(super) struct Daemon {
    pub(super) registry: Registry,
    rows: Rows,
    subscriber: Subscriber,
    pub(super) judge: Judge,
    /// What it came by: events, and what the server is asked.
    pub(super) met: BTreeMap<String, usize>,
    pub(super) link: Option<Link>,
    /// The stretch of history that the server was in when it was spoken to last.
    pub(super) server_epoch: Option<Epoch>,
    name: char,
    keys: u64,
    connections: u64,
    /// The open connection of each peer's program.
    programs: BTreeMap<PeerId, ConnectionId>,
}

impl Daemon {
    pub(super) fn new(name: char, ledger: Rc<RefCell<Ledger>>, now: Now) -> Self {
        let registry = Registry::new(super::daemon_rules(), format!("of-{name}").parse().unwrap());
        let mut daemon = Self {
            subscriber: Subscriber::start(&registry, now),
            registry,
            rows: Rows::default(),
            judge: Judge::new(name, ledger),
            met: BTreeMap::new(),
            link: None,
            server_epoch: None,
            name,
            keys: 0,
            connections: 0,
            programs: BTreeMap::new(),
        };
        daemon.begin(now);
        daemon
    }

    fn begin(&mut self, now: Now) {
        let server = Some(server_key());
        self.itself(Command::Follow { server: server.clone(), configured: server }, now);
    }

    /// It is killed, and starts from what it stored.
    pub(super) fn restart(&mut self, now: Now) {
        (self.link, self.server_epoch) = (None, None);
        self.judge.forgets_requests();
        self.programs.clear();
        let epoch = self.registry.epoch().clone();
        self.registry = self.rows.restore(super::daemon_rules(), epoch, now);
        self.subscriber = Subscriber::start(&self.registry, now);
        self.begin(now);
    }

    /// A key that no request had before, whatever was forgotten.
    pub(super) fn key(&mut self) -> RequestKey {
        self.keys += 1;
        RequestKey(format!("{}.{}", self.name, self.keys).into())
    }

    /// An id that nobody has.
    pub(super) fn spare(&mut self) -> PartyId {
        self.keys += 1;
        format!("spare-{}.{}", self.name, self.keys).parse().unwrap()
    }

    fn program(&mut self, peer_id: &PeerId) -> Caller {
        let connections = &mut self.connections;
        let connection = self.programs.entry(peer_id.clone()).or_insert_with(|| {
            *connections += 1;
            ConnectionId(*connections)
        });
        Caller { connection: *connection, ..ANN }
    }

    /// The program of a peer ends, unless it waits for an answer.
    pub(super) fn close(&mut self, peer_id: &PeerId, now: Now) {
        let is_busy = self.link.as_ref().is_some_and(|link| link.is_asking_for(peer_id));
        if !is_busy && let Some(connection) = self.programs.remove(peer_id) {
            self.apply(None, Command::Disconnect, Caller { connection, ..ANN }, now).unwrap();
        }
    }

    pub(super) fn expire(&mut self, now: Now) {
        self.itself(Command::Expire, now);
        self.flush(now);
    }

    /// What must work, as the daemon itself.
    pub(super) fn itself(&mut self, command: Command, now: Now) -> Outcome {
        self.apply(None, command, ITSELF, now).expect("refused")
    }

    /// Has the registry do something; under a key, if the server is to be told later. All that
    /// comes of it is looked at.
    pub(super) fn apply(
        &mut self,
        key: Option<RequestKey>,
        command: Command,
        caller: Caller,
        now: Now,
    ) -> Result<Outcome, Refusal> {
        let before = self.registry.clone();
        let run = |registry: &mut Registry| match key.clone() {
            Some(key) => registry.defer(key, command.clone(), caller.clone(), now),
            None => registry.apply(command.clone(), caller.clone(), now),
        };
        let result = run(&mut self.registry);
        state::check_indexes(&self.registry);
        let applied = match result {
            Ok(applied) => applied,
            Err(refusal) => {
                assert_eq!(self.registry, before, "refused, but changed: {command:?}");
                return Err(refusal);
            }
        };
        let mut undone = before.clone();
        let again = run(&mut undone).unwrap();
        undone.undo(again.changes.into_iter());
        state::check_indexes(&undone);
        assert_eq!(state::durable(&undone), state::durable(&before), "{command:?} taken back");
        applied.changes.iter().for_each(|change| self.rows.write(change.write()));
        applied.seen.iter().for_each(|seen| self.rows.see(seen));
        self.rows.check(&self.registry, now);
        applied.events.iter().for_each(|event| self.subscriber.hear(event));
        let asks = match &applied.outcome {
            Outcome::Operations(operations) => &operations[..],
            _ => &[],
        };
        let asks = asks.iter().map(|operation| format!("asks to {:?}", operation.act.deed()));
        let renamed = applied.events.iter().filter(|event| event.renamed().is_some());
        let renamed = renamed.map(|_| "another id".to_owned());
        for kind in applied.events.iter().map(kind).chain(asks).chain(renamed) {
            *self.met.entry(kind).or_default() += 1;
        }
        self.subscriber.check(&self.registry, now);
        self.judge.follow(&command, &before, &applied.events, &self.registry);
        if let Some(link) = &mut self.link {
            applied.events.iter().filter_map(|event| event.renamed()).for_each(|(from, to)| {
                link.rename_passages(from, to);
            });
        }
        Ok(applied.outcome)
    }

    fn home(&self, party_id: &PartyId) -> Option<Origin> {
        self.registry.parties.get(party_id).map(|party| party.record.origin)
    }

    /// What a peer's program asks: of the server first, where that has the truth and can be asked.
    pub(super) fn ask(&mut self, command: Command, now: Now) {
        let (Some(party_id), Some(peer_id)) = (command.party_id(), command.acts_for()) else {
            panic!("no program asks for {command:?}")
        };
        let caller = self.program(&peer_id.clone());
        let home = self.home(party_id);
        // Requests about a party are asked in order: by then it is here.
        let is_registering =
            self.link.as_ref().is_some_and(|link| link.is_registering(party_id, peer_id));
        let server_first = match (&command, home) {
            (Command::Register { .. }, Some(_)) => return,
            (Command::Register { .. }, None) if is_registering => return,
            (Command::Register { .. } | Command::Join { .. }, None) => true,
            (_, home) => home == Some(Origin::Remote),
        };
        let key = self.key();
        if let Command::Register { .. } | Command::Join { .. } = command {
            self.judge.wants_in(party_id, &peer_id.clone());
        } else if let Command::Leave { .. } = command {
            self.judge.wants_out(party_id, &peer_id.clone());
        }
        let asked = Asked { key, caller, command };
        match self.link.as_ref().is_some_and(Link::is_online) && server_first {
            true => self.ask_server(asked, now),
            false => {
                self.alone(asked, false, now);
                self.flush(now);
            }
        }
    }

    /// Does it here, and notes what the server is to be told.
    pub(super) fn alone(&mut self, asked: Asked, was_sent: bool, now: Now) {
        let Asked { key, caller, command } = asked;
        match self.apply(Some(key), command.clone(), caller, now) {
            Err(_) if was_sent => self.judge.unanswered(&command, &self.registry),
            result => self.judge.answered(&command, result.is_ok(), &self.registry),
        }
    }

    /// The memberships that something keeps alive.
    pub(super) fn live(&self) -> Vec<(PartyId, PeerId)> {
        let memberships = self.registry.upstream(&UpstreamPart::All).memberships.into_iter();
        memberships.filter(|one| one.live).map(|one| (one.party_id, one.peer_id)).collect()
    }
}

pub(super) fn server_key() -> ServerKey {
    ServerKey("http://server".into())
}

/// What a peer's program may ask.
pub(super) fn enter(
    registers: bool,
    party: &str,
    peer: PeerInput,
    keepalive: Keepalive,
) -> Command {
    match registers {
        false => join_as(party, peer, keepalive),
        true => Command::Register {
            party_id: party.parse().unwrap(),
            name: party.parse().unwrap(),
            host: peer,
            keepalive,
            utc_offset: None,
        },
    }
}
