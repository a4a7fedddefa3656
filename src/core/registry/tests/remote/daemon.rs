//! A daemon: its registry, its stored rows, its subscriber, and the expected state of its peers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use std::collections::VecDeque;

use ipnet::Ipv4Net;
use lanrage_ipc::control::{ClientFrame, Inbound, ReqId, Secret, ServerFrame};
use lanrage_ipc::model::{Keepalive, Origin, PartyId, PeerId};

use super::super::history::copies::{Rows, Subscriber};
use super::super::history::kind;
use super::super::*;
use super::judge::{Judge, Ledger};
use crate::core::upstream::link::Loss;
use crate::core::upstream::{
    Apply, ClientCommand, ClientError, ClientId, CommandOutcome, CommandReply, Keys, LookUp,
    Machine, Memory, Message, Outgoing, Output, Session, SessionSettings, Then, TransportKind,
};
use crate::core::{DirtySet, Failure, Proof, ServerKey, Upstream};

/// Timeout of a request: an answer is late after two fifths of it.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_millis(2500);

/// Interval of heartbeats.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(4);

/// The daemon itself as a caller.
const ITSELF: Caller = user(0, true, 0);

/// A program's command that the server is to execute.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    key: RequestKey,
    caller: Caller,
    command: Command,
    /// Origin of its party at that time.
    home: Option<Origin>,
}

/// An answer of the registry that the session has not received yet.
enum Answered {
    Applied(Then, Result<Outcome, Failure>),
    LookedUp(LookUp, Upstream),
}

/// A connection to the server.
pub(super) struct Line {
    pub(super) connection: ConnectionId,
    session: Session,
    pub(super) to_server: VecDeque<Inbound>,
    answers: VecDeque<Answered>,
}

/// Deterministic random names.
#[derive(Debug)]
struct Names(char, std::cell::Cell<u64>);

impl Names {
    fn next(&self) -> u64 {
        self.1.set(self.1.get() + 1);
        self.1.get()
    }
}

impl Machine for Names {
    fn claim(&self) -> Result<Secret, String> {
        Ok(format!("claim-{}-{:0>20}", self.0, self.next()).into())
    }

    fn party_id(&self) -> Option<PartyId> {
        format!("spare-{}.{}", self.0, self.next()).parse().ok()
    }

    fn networks(&self) -> Vec<Ipv4Net> {
        Vec::new()
    }
}

pub(super) struct Daemon {
    pub(super) registry: Registry,
    rows: Rows,
    subscriber: Subscriber,
    pub(super) judge: Judge,
    /// Covered events and operations.
    pub(super) met: BTreeMap<String, usize>,
    pub(super) line: Option<Line>,
    /// Connections that the session gave up, with their frames in flight to the server.
    pub(super) given_up: Vec<(ConnectionId, VecDeque<Inbound>)>,
    /// True while the session gets no answers of the registry: the disk is slow.
    pub(super) commits_are_slow: bool,
    keys: Keys,
    memory: Memory,
    names: Rc<Names>,
    connections: u64,
    /// Open connection of each peer's program.
    programs: BTreeMap<PeerId, ConnectionId>,
    asked: BTreeMap<ClientId, Asked>,
    /// Commands that wait for the answers to earlier ones about the same party.
    queued: VecDeque<Command>,
    clients: u64,
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
            line: None,
            given_up: Vec::new(),
            commits_are_slow: false,
            keys: Keys::new(&name.to_string()),
            memory: Memory::default(),
            names: Rc::new(Names(name, std::cell::Cell::default())),
            connections: 0,
            programs: BTreeMap::new(),
            asked: BTreeMap::new(),
            queued: VecDeque::new(),
            clients: 0,
        };
        daemon.begin(now);
        daemon
    }

    fn begin(&mut self, now: Now) {
        let server = Some(server_key());
        self.itself(Command::Follow { server: server.clone(), configured: server }, now);
    }

    /// Kills the daemon and restarts it from its stored rows.
    pub(super) fn restart(&mut self, now: Now) {
        self.line = None;
        for asked in std::mem::take(&mut self.asked).into_values() {
            self.judge.forgets_update(&asked.command);
        }
        self.queued.clear();
        self.judge.forgets_requests();
        self.programs.clear();
        let epoch = self.registry.epoch().clone();
        self.registry = self.rows.restore(super::daemon_rules(), epoch, now);
        self.subscriber = Subscriber::start(&self.registry, now);
        self.begin(now);
    }

    fn program(&mut self, peer_id: &PeerId) -> Caller {
        let connections = &mut self.connections;
        let connection = self.programs.entry(peer_id.clone()).or_insert_with(|| {
            *connections += 1;
            ConnectionId(*connections)
        });
        Caller { connection: *connection, ..ANN }
    }

    /// Ends the program of a peer, unless it waits for an answer.
    pub(super) fn close(&mut self, peer_id: &PeerId, now: Now) {
        let asks = |asked: &Asked| asked.command.acts_for() == Some(peer_id);
        let waits = |command: &Command| command.acts_for() == Some(peer_id);
        let is_busy = self.asked.values().any(asks) || self.queued.iter().any(waits);
        if !is_busy && let Some(connection) = self.programs.remove(peer_id) {
            self.apply(None, Command::Disconnect, Caller { connection, ..ANN }, now).unwrap();
        }
    }

    pub(super) fn expire(&mut self, now: Now) {
        self.itself(Command::Expire, now);
        self.note(now);
    }

    /// Applies a command of the daemon itself that must succeed.
    pub(super) fn itself(&mut self, command: Command, now: Now) -> Outcome {
        self.apply(None, command, ITSELF, now).expect("refused")
    }

    /// Applies a command, and checks all its results. With a key, the server is told later.
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
        applied.events.iter().for_each(|event| self.subscriber.apply(event));
        let asks = match &applied.outcome {
            Outcome::Operations(operations) => &operations[..],
            Outcome::Reconciled(reconciled) => &reconciled.operations[..],
            _ => &[],
        };
        let asks = asks.iter().map(|operation| format!("asks to {:?}", operation.body.kind()));
        let renamed = applied.events.iter().filter(|event| event.renamed().is_some());
        let renamed = renamed.map(|_| "another id".to_owned());
        for kind in applied.events.iter().map(kind).chain(asks).chain(renamed) {
            *self.met.entry(kind).or_default() += 1;
        }
        self.subscriber.check(&self.registry, now);
        self.judge.follow(&command, &before, &applied.events, &self.registry);
        Ok(applied.outcome)
    }

    fn home(&self, party_id: &PartyId) -> Option<Origin> {
        self.registry.parties.get(party_id).map(|party| party.record.origin)
    }

    /// Executes a command of a peer's program: by the server first if its party lives there and the
    /// server is online.
    pub(super) fn ask(&mut self, command: Command, now: Now) {
        let (Some(party_id), Some(peer_id)) = (command.party_id(), command.acts_for()) else {
            panic!("no program asks for {command:?}")
        };
        let is_about = |asked: &Asked| asked.command.party_id() == Some(party_id);
        if self.asked.values().any(is_about) {
            return self.queued.push_back(command);
        }
        let caller = self.program(&peer_id.clone());
        let home = self.home(party_id);
        let server_first = match (&command, home) {
            (Command::Register { .. }, Some(_)) => return,
            (Command::Register { .. } | Command::Join { .. }, None) => true,
            (_, home) => home == Some(Origin::Remote),
        };
        let key = self.keys.next();
        if let Command::Register { .. } | Command::Join { .. } = command {
            self.judge.wants_in(party_id, &peer_id.clone());
        } else if let Command::Leave { .. } = command {
            self.judge.wants_out(party_id, &peer_id.clone());
        }
        let asked = Asked { key, caller, command, home };
        match self.line.as_mut().filter(|line| server_first && line.session.is_online()) {
            Some(line) => {
                self.clients += 1;
                let id = ClientId(self.clients);
                let Asked { key, caller, command, .. } = asked.clone();
                self.asked.insert(id, asked);
                let request = ClientCommand { caller, key, command, waited: Duration::ZERO };
                line.session.handle_request(id, request, now);
                self.pump(now);
            }
            None => {
                self.alone(asked, false, now);
                self.note(now);
            }
        }
    }

    /// Executes it here, with an intent for the server.
    fn alone(&mut self, asked: Asked, was_sent: bool, now: Now) {
        let Asked { key, caller, command, .. } = asked;
        match self.apply(Some(key), command.clone(), caller, now) {
            Err(_) if was_sent => self.judge.unanswered(&command, &self.registry),
            result => self.judge.answered(&command, result.is_ok(), &self.registry),
        }
    }

    /// Handles the answer to a program.
    fn replied(&mut self, id: ClientId, reply: CommandReply, now: Now) {
        let Some(asked) = self.asked.remove(&id) else { panic!("answered twice: {id:?}") };
        match reply {
            Ok(CommandOutcome::Entered(_)) => {
                let done = self.is_member(&asked.command);
                self.judge.answered(&asked.command, done, &self.registry);
            }
            Ok(_) => self.judge.answered(&asked.command, true, &self.registry),
            Err(ClientError::Lost) => self.lost(asked, now),
            Err(_) => self.judge.answered(&asked.command, false, &self.registry),
        }
        // Commands whose turn has not come are queued again, in this order.
        for command in std::mem::take(&mut self.queued) {
            self.ask(command, now);
        }
    }

    /// Handles a lost answer to a program's request: executes it here, unless the server did it.
    fn lost(&mut self, asked: Asked, now: Now) {
        let Asked { command, home, .. } = &asked;
        let (Some(party_id), Some(peer_id)) = (command.party_id(), command.acts_for()) else {
            panic!("no program asks for {command:?}")
        };
        let (enters, is_here) = (
            matches!(command, Command::Register { .. } | Command::Join { .. }),
            self.home(party_id).is_some(),
        );
        if enters && home.is_none() && is_here {
            let done = self.is_member(command);
            return self.judge.answered(command, done, &self.registry);
        }
        if !is_here && matches!(command, Command::Join { .. }) {
            let (party_id, peer_id) = (party_id.clone(), peer_id.clone());
            match &mut self.line {
                Some(line) => line.session.handle_withdrawal(party_id, peer_id, now),
                None => drop(self.itself(Command::Withdraw { party_id, peer_id }, now)),
            }
        }
        self.alone(asked, true, now);
        self.note(now);
    }

    fn is_member(&self, command: &Command) -> bool {
        let key = command.party_id().zip(command.acts_for());
        key.is_some_and(|(party_id, peer_id)| {
            let party = self.registry.parties.get(party_id);
            party.is_some_and(|party| party.members.contains_key(peer_id))
        })
    }

    /// Notes the parties with intents for the server.
    fn note(&mut self, now: Now) {
        if let Some(line) = &mut self.line {
            line.session.handle_dirty(DirtySet::Any, now);
        }
        self.pump(now);
    }

    pub(super) fn connect(&mut self, connection: ConnectionId, clock_ahead: i64, now: Now) {
        let settings = SessionSettings {
            server: server_key(),
            itself: ITSELF,
            transport: TransportKind::WebSocket,
            request_timeout: REQUEST_TIMEOUT,
            heartbeat: HEARTBEAT,
            forgiveness: 2 * HEARTBEAT,
            clock_ahead,
        };
        let (keys, memory) = (self.keys.clone(), self.memory.clone());
        let session = Session::new(settings, self.names.clone(), keys, memory, now);
        let (to_server, answers) = Default::default();
        self.line = Some(Line { connection, session, to_server, answers });
        self.pump(now);
    }

    /// Handles the loss of the connection.
    pub(super) fn lose(&mut self, now: Now) {
        if let Some(line) = &mut self.line {
            line.session.handle_message(Message::Lost(Loss::new("lost")), now);
            // Earlier messages are processed first.
            self.commits_are_slow = false;
            self.pump(now);
            self.given_up.clear();
            self.line = None;
        }
    }

    pub(super) fn hear(&mut self, frame: ServerFrame, now: Now) {
        if let Some(line) = &mut self.line {
            line.session.handle_message(frame.into(), now);
            self.pump(now);
        }
    }

    pub(super) fn time_out(&mut self, now: Now) {
        if let Some(line) = &mut self.line {
            line.session.handle_timeout(now);
            self.pump(now);
        }
    }

    /// Elapsed time at which its session has something to do.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.line.as_ref()?.session.poll_timeout()
    }

    /// Executes the session's outputs.
    pub(super) fn pump(&mut self, now: Now) {
        while let Some(line) = &mut self.line {
            if let Some(output) = line.session.poll_output() {
                self.carry_out(output, now);
                continue;
            }
            if let Some(outgoing) = line.session.poll_send(now) {
                if let Outgoing::Frame(inbound) = outgoing {
                    line.to_server.push_back(*inbound);
                }
                continue;
            }
            let answer = line.answers.pop_front_if(|_| !self.commits_are_slow);
            match answer {
                Some(Answered::Applied(then, result)) => {
                    line.session.handle_applied(then, result, now);
                }
                Some(Answered::LookedUp(then, upstream)) => {
                    line.session.handle_looked_up(then, Ok(upstream), now);
                }
                None => return,
            }
        }
    }

    fn carry_out(&mut self, output: Output, now: Now) {
        let answer = match output {
            Output::Apply(Apply { caller, command, then }) => {
                let result = self.apply(None, command, caller, now);
                Answered::Applied(then, result.map_err(Failure::from))
            }
            Output::LookUp(part, then) => Answered::LookedUp(then, self.registry.upstream(&part)),
            Output::Reply(id, reply) => return self.replied(id, reply, now),
            output @ (Output::Call(..) | Output::Relays(..) | Output::Announced(..)) => {
                panic!("no history has relays: {output:?}")
            }
            Output::Online | Output::Departed => return,
            Output::Close { .. } => {
                if let Some(line) = self.line.take() {
                    self.given_up.push((line.connection, line.to_server));
                }
                return;
            }
        };
        if let Some(line) = &mut self.line {
            line.answers.push_back(answer);
        }
    }

    /// Returns the hellos that a copy of its state directory would send.
    pub(super) fn greetings_of_a_copy(&self) -> Vec<Inbound> {
        let credentials = self.registry.upstream(&UpstreamPart::All).credentials.into_iter();
        let tokens = credentials.filter_map(|known| match known.proof {
            Proof::Token(token) => Some((known.peer_id, token)),
            Proof::Claim(_) => None,
        });
        let hello = |(peer_id, token)| {
            let frame = ClientFrame::Hello {
                version: None,
                client: None,
                peer_id: Some(peer_id),
                token: Some(token),
                claim: None,
                caps: Vec::new(),
                have: BTreeMap::new(),
            };
            Inbound { frame, req_id: Some(ReqId::Text(self.keys.next().0.as_ref().into())) }
        };
        tokens.map(hello).collect()
    }

    /// Returns the memberships with a keepalive.
    pub(super) fn live(&self) -> Vec<(PartyId, PeerId)> {
        let memberships = self.registry.upstream(&UpstreamPart::All).memberships.into_iter();
        memberships.filter(|one| one.live).map(|one| (one.party_id, one.peer_id)).collect()
    }
}

pub(super) fn server_key() -> ServerKey {
    ServerKey("http://server".into())
}

/// Returns an entry that a peer's program may request.
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
