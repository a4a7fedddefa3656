//! Session: one connection to the control server.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use lanrage_ipc::control::{ClientFrame, Inbound};

use super::auth::Auth;
use super::clients::Clients;
use super::frames;
use super::inbox::Inbox;
use super::keepalive::Keepalive;
use super::memory::{Keys, Machine, Memory};
use super::message::{Acked, Message};
use super::output::{Apply, LookUp, Outgoing, Output, Purpose, SessionSettings, Then, Timer};
use super::pace::Lane;
use super::relay::Announcements;
use super::replay::Replay;
use super::replica::Replica;
use super::requests::{Rejection, RequestError, Requests};
use crate::core::upstream::link::Loss;
use crate::core::{Caller, Command, Now, RequestKey, UpstreamPart, User};

/// Upper bound of the wait for the first operations before the session is online.
const LONGEST_REPLAY: Duration = Duration::from_secs(2);

/// Progress of a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Local peers are greeted, and parties compared.
    Greeting,
    /// The first operations are in flight.
    Replaying,
    Online,
    Ended,
}

/// A connection to the control server: its greeted peers, its requests in flight, and the replica
/// of the server's parties.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) settings: SessionSettings,
    pub(super) machine: Rc<dyn Machine>,
    pub(super) keys: Keys,
    pub(super) memory: Memory,
    pub(super) now: Now,
    pub(super) opened: Now,
    pub(super) phase: Phase,
    pub(super) outputs: VecDeque<Output>,
    pub(super) timers: BTreeMap<Timer, Duration>,
    pings: u32,
    pub(super) requests: Requests<Purpose>,
    pub(super) inbox: Inbox,
    /// Commands of the current message that are not durable yet.
    pub(super) taking_in: u32,
    pub(super) garbage: u32,
    pub(super) warnings: u32,
    pub(super) auth: Auth,
    pub(super) replica: Replica,
    pub(super) replay: Replay,
    pub(super) clients: Clients,
    pub(super) announcements: Announcements,
    pub(super) keepalive: Keepalive,
    /// Wait that the server requested before the next connection.
    pub(super) goaway: Option<Duration>,
    /// Last message of the server that is no answer, until the session is online.
    pub(super) said: Option<String>,
    /// True while the daemon leaves the server: messages are ignored, and only leaves are sent.
    pub(super) is_leaving: bool,
    pub(super) departures: usize,
}

impl Session {
    /// Starts a session on an open connection.
    pub(crate) fn new(
        settings: SessionSettings,
        machine: Rc<dyn Machine>,
        keys: Keys,
        memory: Memory,
        now: Now,
    ) -> Self {
        let requests = Requests::new(settings.request_timeout, now.elapsed);
        let keepalive = Keepalive::new(settings.heartbeat);
        let (outputs, timers, inbox, auth, replica) = Default::default();
        let (replay, clients, announcements, pings) = Default::default();
        let mut session = Self {
            settings,
            machine,
            keys,
            memory,
            now,
            opened: now,
            phase: Phase::Greeting,
            outputs,
            timers,
            pings,
            requests,
            inbox,
            taking_in: 0,
            garbage: 0,
            warnings: 0,
            auth,
            replica,
            replay,
            clients,
            announcements,
            keepalive,
            goaway: None,
            said: None,
            is_leaving: false,
            departures: 0,
        };
        session.look_up(UpstreamPart::All, LookUp::Begin);
        session
    }

    /// True while client requests may be sent.
    pub(crate) fn is_online(&self) -> bool {
        self.phase == Phase::Online && !self.is_leaving
    }

    /// True once a local peer is greeted: it may be in parties of the server.
    pub(crate) fn has_greeted(&self) -> bool {
        self.phase != Phase::Ended && self.auth.has_greeted()
    }

    /// Returns the server's stated reason for not accepting this daemon, if any. Used when the time
    /// for the greeting is over.
    pub(crate) fn complaint(&self) -> Option<Loss> {
        self.said.as_ref()?;
        Some(self.explained(Loss::new("the server did not let this daemon in in time")))
    }

    /// True while another message may be read.
    pub(crate) fn wants_messages(&self) -> bool {
        self.inbox.has_room()
    }

    /// Pings the server.
    pub(crate) fn ping(&mut self) {
        self.pings += 1;
    }

    /// Handles a message of the server.
    pub(crate) fn handle_message(&mut self, message: Message, now: Now) {
        if !self.advance(now) {
            return;
        }
        if let Message::Answer { req_id, .. } = &message {
            self.requests.answer_read(req_id.key(), now.elapsed);
        }
        self.inbox.push(message);
        self.take_in_next();
    }

    /// Handles the timers that are due.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if !self.advance(now) {
            return;
        }
        while let Some(expired) = self.requests.expire(now.elapsed) {
            if expired.is_silent {
                let words =
                    format!("no answer to a request within {:?}", self.requests.patience() * 2);
                self.give_up(Loss::new(words));
            }
            self.answered(expired.purpose, Err(RequestError::Lost));
        }
        while let Some(timer) = self.due_timer() {
            match timer {
                Timer::ReplayEnds => self.set_online(),
                Timer::Heartbeat => self.look_up(UpstreamPart::Live, LookUp::Live),
                Timer::Renewal => self.look_up(UpstreamPart::Credentials, LookUp::Credentials),
                Timer::Flush => self.begin_flush(),
                Timer::CompareAgain(party_id) => self.compare_again(&party_id),
                Timer::Sync(party_id) => self.request_sync(party_id),
                Timer::Client(id) => self.client_expired(id),
                Timer::DepartureEnds => self.departed(),
            }
        }
    }

    fn due_timer(&mut self) -> Option<Timer> {
        let due = self.timers.iter().find(|(_, at)| **at <= self.now.elapsed);
        let timer = due.map(|(timer, _)| timer.clone())?;
        self.timers.remove(&timer);
        Some(timer)
    }

    /// Elapsed time at which [`Session::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.requests.timeout().into_iter().chain(self.timers.values().copied()).min()
    }

    /// Returns the next thing to send.
    pub(crate) fn poll_send(&mut self, now: Now) -> Option<Outgoing> {
        if !self.advance(now) {
            return None;
        }
        if self.pings > 0 {
            self.pings -= 1;
            return Some(Outgoing::Ping);
        }
        let (key, frame) = self.requests.poll_send(now.elapsed)?;
        let inbound = Inbound { frame, req_id: Some(frames::req_id(&key)) };
        Some(Outgoing::Frame(Box::new(inbound)))
    }

    /// Returns the next output.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Updates the time. Returns false once the session has ended.
    pub(super) fn advance(&mut self, now: Now) -> bool {
        self.now = now;
        self.phase != Phase::Ended
    }

    pub(super) fn take_in_answer(&mut self, key: &str, answer: Result<Acked, Rejection>) {
        let answered = self.requests.answered(key, answer, self.now.elapsed);
        if let Some((purpose, result)) = answered {
            self.answered(purpose, result);
        }
    }

    /// Sends a request under a fresh key.
    pub(super) fn request(&mut self, frame: ClientFrame, lane: Lane, purpose: Purpose) {
        let key = self.keys.next();
        self.request_as(key, frame, lane, purpose);
    }

    /// Sends a request.
    pub(super) fn request_as(
        &mut self,
        key: RequestKey,
        frame: ClientFrame,
        lane: Lane,
        purpose: Purpose,
    ) {
        let is_leave = matches!(frame, ClientFrame::LeaveParty { .. });
        if self.phase == Phase::Ended || self.is_leaving && !is_leave {
            return self.answered(purpose, Err(RequestError::Lost));
        }
        self.requests.start(key, frame, lane, purpose, self.now.elapsed);
    }

    /// Has the registry execute a command as the program itself.
    pub(super) fn apply(&mut self, command: Command, then: Then) {
        self.apply_as(self.settings.itself.clone(), command, then);
    }

    /// Has the registry execute a client's command.
    pub(super) fn apply_as(&mut self, caller: Caller, command: Command, then: Then) {
        self.outputs.push_back(Output::Apply(Apply { caller, command, then }));
    }

    pub(super) fn look_up(&mut self, part: UpstreamPart, then: LookUp) {
        self.outputs.push_back(Output::LookUp(part, then));
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Sets a timer, unless it is set to an earlier time.
    pub(super) fn set_timer(&mut self, timer: Timer, after: Duration) {
        let at = self.now.elapsed + after;
        let known = self.timers.entry(timer).or_insert(at);
        *known = at.min(*known);
    }

    pub(super) fn has_timer(&self, timer: &Timer) -> bool {
        self.timers.contains_key(timer)
    }

    /// Local user of the program itself.
    pub(super) fn own_user(&self) -> Option<User> {
        self.settings.itself.user()
    }

    /// Starts the wait for the first operations: all peers are greeted, and all parties compared.
    pub(super) fn begin_replay(&mut self) {
        if self.phase == Phase::Greeting {
            self.phase = Phase::Replaying;
            self.set_timer(Timer::ReplayEnds, LONGEST_REPLAY);
            self.end_replay();
        }
    }

    /// Ends the first replay once no operation is in flight.
    pub(super) fn end_replay(&mut self) {
        if self.phase == Phase::Replaying && self.replay.is_idle() {
            self.set_online();
        }
    }

    fn set_online(&mut self) {
        (self.phase, self.said) = (Phase::Online, None);
        self.timers.remove(&Timer::ReplayEnds);
        self.outputs.push_back(Output::Online);
        self.set_timer(Timer::Heartbeat, Duration::ZERO);
        self.set_timer(Timer::Renewal, Duration::ZERO);
        self.set_timer(Timer::Flush, Duration::ZERO);
    }
}
