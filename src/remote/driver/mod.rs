//! Driver of a session: moves its messages, calls the registry and the server's routes for it, and
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

/// Upper bound of a call to the registry.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(30);

/// Upper bound of a timer. Timers stop while the machine sleeps, so deadlines are checked this
/// often.
const LONGEST_TIMER: Duration = Duration::from_secs(15);

/// Environment of the program's sessions.
#[derive(Debug, Clone)]
pub(crate) struct SessionContext {
    /// Registry.
    pub(crate) local: ControlPlane,
    /// Identity of the program itself as a caller of the registry.
    pub(crate) itself: Caller,
    pub(crate) clock: Clock,
    /// Parties with intents.
    pub(crate) dirty: Arc<DirtyParties>,
    /// Time for hosts to return to a server that has lost its history.
    pub(crate) forgiveness: Duration,
    pub(crate) keys: Keys,
    pub(crate) memory: Memory,
}

/// Randomness and networks of this machine.
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

/// Driver of a session. Clones share the session.
#[derive(Clone)]
pub(super) struct Driver(Rc<Inner>);

struct Inner {
    session: RefCell<Session>,
    context: SessionContext,
    endpoint: Endpoint,
    /// Clients that wait for a reply.
    clients: RefCell<Clients>,
    /// Client of the server's routes, created on first use.
    api: RefCell<Option<Api>>,
    /// Notified after a change of the session outside the driver's loop.
    changed: Notify,
}

/// Event of a session, for the link.
pub(super) enum DriverEvent {
    /// The server is alive; with the message of a failure that it reported.
    Alive(Option<String>),
    /// The session accepts clients' requests.
    Online,
}

/// Result that a session waits for.
enum CallResult {
    Applied(Then, Result<Outcome, Failure>),
    LookedUp(LookUp, Result<Upstream, Failure>),
    Called(CallThen, Result<Called, CallError>),
}

/// Calls in flight.
type Calls = FuturesUnordered<Pin<Box<dyn Future<Output = CallResult>>>>;

impl Driver {
    /// Creates the driver of a session over an open transport. Returns it with the transport's
    /// queues.
    pub(super) fn new(
        context: SessionContext,
        endpoint: Endpoint,
        transport: Transport,
        heartbeat: Duration,
    ) -> (Self, mpsc::Sender<transport::Outgoing>, mpsc::Receiver<Incoming>) {
        let Transport { outgoing, incoming, clock_ahead, kind } = transport;
        // A new session compares all parties before it is online: earlier notes are obsolete.
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

    /// True while the session accepts clients' requests.
    pub(super) fn is_online(&self) -> bool {
        self.0.session.borrow().is_online()
    }

    /// True once the hello of a local peer has succeeded.
    pub(super) fn has_greeted(&self) -> bool {
        self.0.session.borrow().has_greeted()
    }

    /// Returns the reason of a server that refuses this daemon, where it has stated one.
    pub(super) fn complaint(&self) -> Option<Loss> {
        self.0.session.borrow().complaint()
    }

    /// Returns the id that the server chose for a party that was registered under this one.
    pub(super) fn renamed_to(&self, party_id: &PartyId) -> Option<PartyId> {
        self.0.session.borrow().renamed_to(party_id).cloned()
    }

    /// Logs a warning about the server.
    pub(super) fn warn(&self, words: std::fmt::Arguments<'_>) {
        self.0.session.borrow_mut().warn(words);
    }

    /// Checks that the server is alive.
    pub(super) fn ping(&self) {
        self.change(|session, _| session.ping());
    }

    /// Ignores messages of the server, and sends nothing but leaves.
    pub(super) fn stop_processing(&self) {
        self.change(|session, _| session.stop_processing());
    }

    /// Ends the session. Waiting clients get a reply.
    pub(super) fn close(&self) {
        self.0.session.borrow_mut().give_up(Loss::new("closed"));
        let mut calls = Calls::new();
        self.0.carry_out(&mut calls, &mut drop);
        // Calls in flight finish, although the session does not use their results.
        actix::spawn(calls.for_each(|_| std::future::ready(())));
    }

    fn change(&self, change: impl FnOnce(&mut Session, crate::core::Now)) {
        change(&mut self.0.session.borrow_mut(), self.0.context.clock.now());
        self.0.changed.notify_one();
    }

    /// Drives the session until the connection is lost. Returns the reason, and true if another
    /// connection replaces this one.
    pub(super) async fn run(
        self,
        outgoing: mpsc::Sender<transport::Outgoing>,
        mut incoming: mpsc::Receiver<Incoming>,
        mut on_event: impl FnMut(DriverEvent),
    ) -> (Loss, bool) {
        let inner = &self.0;
        let (clock, dirty) = (inner.context.clock, inner.context.dirty.clone());
        let mut calls = Calls::new();
        let (mut unsent, mut is_open) = (None, true);
        loop {
            if let Some(end) = inner.carry_out(&mut calls, &mut on_event) {
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
                Some(result) = calls.next() => inner.handle_result(result),
                message = incoming.recv(), if is_open && wants_messages => {
                    is_open = message.is_some();
                    inner.handle_message(message, &mut on_event);
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

    /// Waits for WebSocket support if the transport is HTTP as a fallback; then another connection
    /// replaces this one.
    pub(super) async fn probe_websocket(self, kind: transport::TransportKind, interval: Duration) {
        let endpoint = &self.0.endpoint;
        if kind != transport::TransportKind::Http || endpoint.kind != transport::TransportKind::Auto
        {
            return;
        }
        transport::dial::await_websocket(endpoint, interval).await;
        self.change(|session, _| session.yield_connection("the server has a WebSocket now"));
    }
}

/// Waits for room in a queue, for `limit` at most.
async fn reserve(outgoing: &mpsc::Sender<transport::Outgoing>, limit: Duration) {
    tokio::time::timeout(limit, outgoing.reserve()).await.ok();
}

impl Inner {
    /// Executes the session's outputs. Returns the reason for the session's end, and true if
    /// another connection replaces this one.
    fn carry_out(
        &self,
        calls: &mut Calls,
        on_event: &mut impl FnMut(DriverEvent),
    ) -> Option<(Loss, bool)> {
        loop {
            let output = self.session.borrow_mut().poll_output();
            match output? {
                Output::Apply(Apply { caller, command, then }) => {
                    // Queued at once, so that commands keep their order.
                    let applied =
                        self.context.local.ask(caller, |reply| Ask::Command(command, reply));
                    calls.push(Box::pin(async move {
                        CallResult::Applied(then, within_timeout(applied).await)
                    }));
                }
                Output::LookUp(part, then) => {
                    let caller = self.context.itself.clone();
                    let found = self.context.local.ask(caller, |reply| Ask::Upstream(part, reply));
                    calls.push(Box::pin(async move {
                        CallResult::LookedUp(then, within_timeout(found).await)
                    }));
                }
                Output::Call(call, then) => {
                    let api = self.api();
                    calls.push(Box::pin(async move {
                        CallResult::Called(then, call_route(&api, call).await)
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

    /// Returns the client of the server's routes, which pools its connections.
    fn api(&self) -> Api {
        self.api.borrow_mut().get_or_insert_with(|| Api::new(&self.endpoint)).clone()
    }

    fn handle_result(&self, result: CallResult) {
        let (now, mut session) = (self.context.clock.now(), self.session.borrow_mut());
        match result {
            CallResult::Applied(then, result) => session.handle_applied(then, result, now),
            CallResult::LookedUp(then, result) => session.handle_looked_up(then, result, now),
            CallResult::Called(then, result) => session.handle_called(then, result, now),
        }
    }

    fn handle_message(&self, message: Option<Incoming>, on_event: &mut impl FnMut(DriverEvent)) {
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

/// Waits for the registry's reply, for a limited time.
async fn within_timeout<T>(answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let answer = tokio::time::timeout(REGISTRY_TIMEOUT, answer).await;
    answer.unwrap_or(Err(Failure::TimedOut(REGISTRY_TIMEOUT)))
}
