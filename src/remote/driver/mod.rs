//! Driver of a session: moves its messages, has the registry and the server's routes answer it, and
//! arms one timer.

mod clients;

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ipnet::Ipv4Net;
use lanrage_ipc::control::Secret;
use lanrage_ipc::model::PartyId;
use tokio::sync::{Notify, mpsc};

use clients::{Clients, answer};

use super::transport::http::{Api, Cause, Token};
use super::transport::{self, Endpoint, Incoming, Loss, Transport};
use crate::clock::Clock;
use crate::control_plane::dirty_parties::DirtyParties;
use crate::control_plane::{Ask, ControlPlane, Failure};
use crate::core::upstream::{
    self, Apply, CallError, CallThen, Called, Keys, LookUp, Machine, Memory, Message, Outgoing,
    Output, Session, Then, TransportKind,
};
use crate::core::{Caller, Outcome, Proof, Upstream};

/// Time limit of the registry's answer to a message of the server.
const LOCAL_PATIENCE: Duration = Duration::from_secs(30);

/// Longest timer: timers stop while the machine sleeps, so deadlines are checked this often.
const LONGEST_TIMER: Duration = Duration::from_secs(15);

/// Environment of the sessions of a program.
#[derive(Debug, Clone)]
pub(crate) struct SessionContext {
    /// Control plane of the registry.
    pub(crate) local: ControlPlane,
    /// Caller of the program itself.
    pub(crate) itself: Caller,
    pub(crate) clock: Clock,
    /// Parties with intents.
    pub(crate) dirty: Arc<DirtyParties>,
    /// Time for hosts to return to a server that has lost its history.
    pub(crate) forgiveness: Duration,
    pub(crate) keys: Keys,
    pub(crate) memory: Memory,
}

/// Random numbers and networks of this machine.
#[derive(Debug)]
struct ThisMachine;

impl Machine for ThisMachine {
    fn claim(&self) -> Result<Secret, String> {
        crate::token::fresh_claim().map_err(|error| error.to_string())
    }

    fn party_id(&self) -> Option<PartyId> {
        crate::random_id::random_party_id().ok()
    }

    fn networks(&self) -> Vec<Ipv4Net> {
        crate::os::networks()
    }
}

/// Session with its IO. Clones share it.
#[derive(Clone)]
pub(super) struct Driver(Rc<Inner>);

struct Inner {
    session: RefCell<Session>,
    context: SessionContext,
    endpoint: Endpoint,
    /// Clients with unanswered requests.
    clients: RefCell<Clients>,
    /// Client of the server's routes, with pooled connections; created on first use.
    api: RefCell<Option<Api>>,
    /// Notified after a change of the session outside of the driver's loop.
    changed: Notify,
}

/// Event of a session.
pub(super) enum DriverEvent {
    /// Sign of life of the server, with the failure that it states.
    Alive(Option<String>),
    /// The session is online: requests of clients may be sent.
    Online,
}

/// Answer to an output of the session.
enum Answered {
    Applied(Then, Result<Outcome, Failure>),
    LookedUp(LookUp, Result<Upstream, Failure>),
    Called(CallThen, Result<Called, CallError>),
}

type Answers = FuturesUnordered<Pin<Box<dyn Future<Output = Answered>>>>;

impl Driver {
    /// Starts a session over an open transport. Returns it with the queues of the transport.
    pub(super) fn new(
        context: SessionContext,
        endpoint: Endpoint,
        transport: Transport,
        heartbeat: Duration,
    ) -> (Self, mpsc::Sender<transport::Outgoing>, mpsc::Receiver<Incoming>) {
        let Transport { outgoing, incoming, clock_ahead, kind } = transport;
        // All that was noted is compared by the time the session is online.
        context.dirty.take();
        let settings = upstream::SessionSettings {
            server: endpoint.url.key(),
            itself: context.itself.clone(),
            transport: match kind {
                transport::TransportKind::Http => TransportKind::Http,
                _ => TransportKind::WebSocket,
            },
            request_timeout: endpoint.request_timeout,
            heartbeat,
            forgiveness: context.forgiveness,
            clock_ahead: clock_ahead.unwrap_or_default(),
        };
        let (keys, memory, now) =
            (context.keys.clone(), context.memory.clone(), context.clock.now());
        let session = Session::new(settings, Rc::new(ThisMachine), keys, memory, now);
        let inner = Inner {
            session: RefCell::new(session),
            context,
            endpoint,
            clients: RefCell::default(),
            api: RefCell::default(),
            changed: Notify::new(),
        };
        (Self(Rc::new(inner)), outgoing, incoming)
    }

    /// True while clients' requests may be sent.
    pub(super) fn is_online(&self) -> bool {
        self.0.session.borrow().is_online()
    }

    /// True once a local peer was greeted.
    pub(super) fn has_greeted(&self) -> bool {
        self.0.session.borrow().has_greeted()
    }

    /// Returns the server's reason for not accepting this daemon, if it stated one.
    pub(super) fn complaint(&self) -> Option<Loss> {
        self.0.session.borrow().complaint()
    }

    /// Returns the id that the server chose for a party that was registered under this one.
    pub(super) fn renamed_to(&self, party_id: &PartyId) -> Option<PartyId> {
        self.0.session.borrow().renamed_to(party_id).cloned()
    }

    /// Logs a warning of the server's conduct.
    pub(super) fn warn(&self, words: std::fmt::Arguments<'_>) {
        self.0.session.borrow_mut().warn(words);
    }

    /// Asks the server for a sign of life.
    pub(super) fn ping(&self) {
        self.change(|session, _| session.ping());
    }

    /// Stops processing messages, and sends nothing but leaves.
    pub(super) fn stop_processing(&self) {
        self.change(|session, _| session.stop_processing());
    }

    /// Ends the session, and answers the waiting clients.
    pub(super) fn close(&self) {
        self.0.session.borrow_mut().give_up(Loss::new("closed"));
        let mut answers = Answers::new();
        self.0.carry_out(&mut answers, &mut drop);
        // Commands for the registry are still executed, though the session gets no answer.
        actix::spawn(answers.for_each(|_| std::future::ready(())));
    }

    fn change(&self, change: impl FnOnce(&mut Session, crate::core::Now)) {
        change(&mut self.0.session.borrow_mut(), self.0.context.clock.now());
        self.0.changed.notify_one();
    }

    /// Runs the session until the connection ends. Returns the reason, and true if another
    /// connection replaces it.
    pub(super) async fn run(
        self,
        outgoing: mpsc::Sender<transport::Outgoing>,
        mut incoming: mpsc::Receiver<Incoming>,
        mut on_event: impl FnMut(DriverEvent),
    ) -> (Loss, bool) {
        let inner = &self.0;
        let (clock, dirty) = (inner.context.clock, inner.context.dirty.clone());
        let mut answers = Answers::new();
        let (mut unsent, mut is_open) = (None, true);
        loop {
            if let Some(end) = inner.carry_out(&mut answers, &mut on_event) {
                outgoing.try_send(transport::Outgoing::Close).ok();
                return end;
            }
            while unsent.is_some() || outgoing.capacity() > 0 {
                let next = || inner.session.borrow_mut().poll_send(clock.now()).map(Into::into);
                let Some(message) = unsent.take().or_else(next) else { break };
                if let Err(mpsc::error::TrySendError::Full(message)) = outgoing.try_send(message) {
                    unsent = Some(message);
                    break;
                }
            }
            let (wants_messages, deadline) = {
                let session = inner.session.borrow();
                (session.wants_messages(), session.poll_timeout())
            };
            let left = deadline.map(|deadline| deadline.saturating_sub(clock.elapsed()));
            if left == Some(Duration::ZERO) {
                inner.session.borrow_mut().handle_timeout(clock.now());
                continue;
            }
            let wait = left.unwrap_or(LONGEST_TIMER).min(LONGEST_TIMER);
            tokio::select! {
                biased;
                () = inner.changed.notified() => {}
                Some(answer) = answers.next() => inner.take_answer(answer),
                message = incoming.recv(), if is_open && wants_messages => {
                    is_open = message.is_some();
                    inner.take_message(message, &mut on_event);
                }
                () = reserve(&outgoing, inner.endpoint.request_timeout), if unsent.is_some() => {
                    if outgoing.capacity() == 0 {
                        let loss = Loss::new("the server does not read what it is sent");
                        inner.session.borrow_mut().give_up(loss);
                    }
                }
                () = dirty.wait() => {
                    let noted = dirty.take();
                    inner.session.borrow_mut().handle_dirty(noted, clock.now());
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Probes for a WebSocket periodically, if the transport is HTTP and WebSocket is preferred.
    /// Then another connection replaces this one.
    pub(super) async fn probe_for_websocket(self, kind: transport::TransportKind, every: Duration) {
        let endpoint = &self.0.endpoint;
        if kind != transport::TransportKind::Http || endpoint.kind != transport::TransportKind::Auto
        {
            return;
        }
        transport::dial::await_websocket(endpoint, every).await;
        self.change(|session, _| session.yield_connection("the server has a WebSocket now"));
    }
}

/// Waits for room in a queue, for a limited time.
async fn reserve(outgoing: &mpsc::Sender<transport::Outgoing>, patience: Duration) {
    tokio::time::timeout(patience, outgoing.reserve()).await.ok();
}

impl Inner {
    /// Executes the outputs of the session. Returns the reason for its end.
    fn carry_out(
        &self,
        answers: &mut Answers,
        on_event: &mut impl FnMut(DriverEvent),
    ) -> Option<(Loss, bool)> {
        loop {
            let output = self.session.borrow_mut().poll_output();
            match output? {
                Output::Apply(Apply { caller, command, then }) => {
                    // The command is queued at once, so that commands keep their order.
                    let applied =
                        self.context.local.ask(caller, |reply| Ask::Command(command, reply));
                    answers.push(Box::pin(async move {
                        Answered::Applied(then, within_patience(applied).await)
                    }));
                }
                Output::LookUp(part, then) => {
                    let caller = self.context.itself.clone();
                    let found = self.context.local.ask(caller, |reply| Ask::Upstream(part, reply));
                    answers.push(Box::pin(async move {
                        Answered::LookedUp(then, within_patience(found).await)
                    }));
                }
                Output::Call(call, then) => {
                    let api = self.api();
                    answers.push(Box::pin(async move {
                        Answered::Called(then, call_route(&api, call).await)
                    }));
                }
                Output::Reply(id, reply) => {
                    answer(&mut self.clients.borrow_mut().commands, id, reply);
                }
                Output::Relays(id, reply) => {
                    answer(&mut self.clients.borrow_mut().relays, id, reply);
                }
                Output::Announced(id, reply) => {
                    answer(&mut self.clients.borrow_mut().announcements, id, reply);
                }
                Output::Online => on_event(DriverEvent::Online),
                Output::Departed => {
                    if let Some(departed) = self.clients.borrow_mut().departure.take() {
                        departed.send(()).ok();
                    }
                }
                Output::Close { loss, is_replaced } => return Some((loss, is_replaced)),
            }
        }
    }

    /// Returns the client of the server's routes, with pooled connections.
    fn api(&self) -> Api {
        self.api.borrow_mut().get_or_insert_with(|| Api::new(&self.endpoint)).clone()
    }

    fn take_answer(&self, answer: Answered) {
        let (now, mut session) = (self.context.clock.now(), self.session.borrow_mut());
        match answer {
            Answered::Applied(then, result) => session.handle_applied(then, result, now),
            Answered::LookedUp(then, result) => session.handle_looked_up(then, result, now),
            Answered::Called(then, result) => session.handle_called(then, result, now),
        }
    }

    fn take_message(&self, message: Option<Incoming>, on_event: &mut impl FnMut(DriverEvent)) {
        let message = match message {
            Some(Incoming::Message(message)) => message,
            Some(Incoming::Alive) => return on_event(DriverEvent::Alive(None)),
            Some(Incoming::Fault(words)) => return on_event(DriverEvent::Alive(Some(words))),
            None => Message::Lost(Loss::new("the connection is gone")),
        };
        if !matches!(message, Message::Garbage(_) | Message::Lost(_)) {
            on_event(DriverEvent::Alive(None));
        }
        self.session.borrow_mut().handle_message(message, self.context.clock.now());
    }
}

async fn call_route(api: &Api, call: upstream::Call) -> Result<Called, CallError> {
    let called = match call {
        upstream::Call::Register { peer_id, proof: Proof::Token(token) } => {
            api.register_peer(&peer_id, Some(&token), None, None).await.map(registered)
        }
        upstream::Call::Register { peer_id, proof: Proof::Claim(claim) } => {
            api.register_peer(&peer_id, None, Some(&claim), None).await.map(registered)
        }
        upstream::Call::Announce { token, relay } => {
            api.register_relay(&token, &relay).await.map(|()| Called::Announced)
        }
    };
    called.map_err(|error| CallError {
        is_unauthorized: error.has_status(401),
        is_lost: matches!(error.cause, Cause::Unreachable | Cause::NoResponse | Cause::Foreign),
        code: error.code,
        message: error.message,
    })
}

fn registered(token: Token) -> Called {
    Called::Registered(token.token, token.expires_at)
}

impl From<Outgoing> for transport::Outgoing {
    fn from(outgoing: Outgoing) -> Self {
        match outgoing {
            Outgoing::Frame(inbound) => Self::Frame(inbound),
            Outgoing::Ping => Self::Ping,
        }
    }
}

/// Waits for the registry's answer, for a limited time.
async fn within_patience<T>(
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let answer = tokio::time::timeout(LOCAL_PATIENCE, answer).await;
    answer.unwrap_or(Err(Failure::TimedOut(LOCAL_PATIENCE)))
}
