//! Actor that keeps the connection to the control server. The state machine of
//! `core::upstream::link` decides.
//!
//! It is supervised. At the end of a connection the actor stops, with all tasks of the connection,
//! and restarts with only the state machine.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use lanrage_ipc::model::{Connection, ConnectionState};
use tokio::sync::watch;

use super::driver::{Driver, DriverEvent, SessionContext};
use super::transport::{self, Endpoint, Transport};
use crate::control_plane::{ConnectionStatus, Query};
use crate::core::upstream::link::{self, Input, LinkId, Output};
use crate::server_url::ServerUrl;

/// Upper bound of a timer. Timers stop while the machine sleeps, so deadlines are checked this
/// often.
const LONGEST_TIMER: Duration = Duration::from_secs(15);

/// Session of the current connection, if there is one.
#[derive(Clone, Default)]
pub(crate) struct CurrentSession(Rc<RefCell<Option<Driver>>>);

impl CurrentSession {
    /// Returns the session, online or not.
    pub(super) fn session(&self) -> Option<Driver> {
        self.0.borrow().clone()
    }

    /// Returns the session if it is online.
    pub(super) fn online(&self) -> Option<Driver> {
        self.session().filter(Driver::is_online)
    }
}

/// Settings of the remote mode.
#[derive(Debug, Clone)]
pub(crate) struct RemoteSettings {
    /// Transport to any server.
    pub(crate) transport: transport::TransportConfig,
    /// Timing of the attempts.
    pub(crate) link: link::LinkSettings,
    /// Interval of heartbeats.
    pub(crate) heartbeat: Duration,
}

/// Link to the control server.
pub(crate) struct Link {
    machine: link::LinkMachine,
    url: Option<ServerUrl>,
    settings: RemoteSettings,
    context: SessionContext,
    current: CurrentSession,
    timer: Option<SpawnHandle>,
    attempt: Option<SpawnHandle>,
    /// True once this server has accepted the daemon.
    was_online: bool,
    /// True while the actor is about to restart.
    is_ending: bool,
    /// Connection that the restarted actor opens.
    next: Option<LinkId>,
    /// Published state of the connection; none before the first.
    published: watch::Sender<Option<Connection>>,
    /// Start time; fallback for `since`.
    started: jiff::Timestamp,
}

impl Link {
    /// Creates a link that also publishes the connection's states in `published`.
    pub(crate) fn new(
        settings: RemoteSettings,
        context: SessionContext,
        current: CurrentSession,
        published: watch::Sender<Option<Connection>>,
    ) -> Self {
        let machine = link::LinkMachine::new(settings.link.clone());
        let started = context.clock.now().wall;
        let (url, timer, attempt, was_online, is_ending, next) = Default::default();
        Self {
            machine,
            url,
            settings,
            context,
            current,
            timer,
            attempt,
            was_online,
            is_ending,
            next,
            published,
            started,
        }
    }

    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let outputs = self.machine.handle(input, self.context.clock.elapsed(), &mut uniform);
        self.carry_out(outputs, ctx);
    }

    fn carry_out(&mut self, outputs: Vec<Output>, ctx: &mut Context<Self>) {
        for output in outputs {
            match output {
                Output::Connect(id) => self.connect(id, ctx),
                Output::Hangup(_) => self.hang_up(ctx),
                Output::Ping(_) => {
                    if let Some(session) = &*self.current.0.borrow() {
                        session.ping();
                    }
                }
                Output::Changed => self.publish_status(),
            }
        }
        self.arm(ctx);
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let Some(deadline) = self.machine.deadline() else { return };
        let wait = deadline.saturating_sub(self.context.clock.elapsed()).min(LONGEST_TIMER);
        self.timer = Some(ctx.run_later(wait, |this, ctx| {
            this.timer = None;
            let now = this.context.clock.elapsed();
            match this.machine.deadline() {
                Some(deadline) if deadline <= now => this.expire(ctx),
                _ => this.arm(ctx),
            }
        }));
    }

    /// Handles the deadline. The complaint of a server that refuses the daemon is more specific
    /// than a timeout.
    fn expire(&mut self, ctx: &mut Context<Self>) {
        let session = self.current.session().filter(|_| !self.machine.is_online());
        let complaint = session.and_then(|session| session.complaint());
        match (self.machine.link(), complaint) {
            (Some(id), Some(loss)) => {
                log::warn!("connection to the control server lost: {}", loss.words);
                self.input(Input::Closed(id, loss), ctx);
                self.end(ctx);
            }
            _ => self.input(Input::Timer, ctx),
        }
    }

    fn connect(&mut self, id: LinkId, ctx: &mut Context<Self>) {
        if self.is_ending {
            self.next = Some(id);
            return;
        }
        let Some(url) = self.url.clone() else { return };
        let endpoint = self.settings.transport.to(url);
        log::debug!("connecting to {}", endpoint.url);
        let opening = async move { (transport::dial::open(&endpoint).await, endpoint) };
        let opening = opening.into_actor(self).map(move |(result, endpoint), this, ctx| {
            this.attempt = None;
            match result {
                Ok(transport) => this.open(id, endpoint, transport, ctx),
                Err(mut loss) => {
                    // A server that has accepted the daemon demands no login: another program
                    // responded.
                    loss.is_final &= !this.was_online;
                    this.input(Input::Closed(id, loss), ctx);
                }
            }
        });
        self.attempt = Some(ctx.spawn(opening));
    }

    fn open(
        &mut self,
        id: LinkId,
        endpoint: Endpoint,
        transport: Transport,
        ctx: &mut Context<Self>,
    ) {
        let (heartbeat, kind) = (self.settings.heartbeat, transport.kind);
        let (driver, outgoing, incoming) =
            Driver::new(self.context.clone(), endpoint, transport, heartbeat);
        *self.current.0.borrow_mut() = Some(driver.clone());
        let link = ctx.address();
        let on_event = move |event| match event {
            // May be dropped: each further message sends another one.
            DriverEvent::Alive(_) => drop(link.try_send(SessionEvent(id, event))),
            DriverEvent::Online => {
                let sent = link.send(SessionEvent(id, event));
                actix::spawn(async move {
                    if let Err(error) = sent.await {
                        log::debug!("link restarted before its session was online: {error}");
                    }
                });
            }
        };
        let run = driver.clone().run(outgoing, incoming, on_event).into_actor(self);
        ctx.spawn(run.map(move |(loss, is_replaced), this, ctx| {
            if is_replaced {
                log::info!("another connection is made: {}", loss.words);
                this.end(ctx);
                return this.input(Input::Renewed(id), ctx);
            }
            log::warn!("connection to the control server lost: {}", loss.words);
            this.input(Input::Closed(id, loss), ctx);
            this.end(ctx);
        }));
        let probe = self.settings.link.probe;
        ctx.spawn(driver.probe_websocket(kind, probe).into_actor(self));
        self.input(Input::Opened(id), ctx);
    }

    fn hang_up(&mut self, ctx: &mut Context<Self>) {
        if let Some(attempt) = self.attempt.take() {
            ctx.cancel_future(attempt);
        }
        if self.current.0.borrow().is_some() {
            self.end(ctx);
        }
    }

    /// Ends the session and its tasks.
    fn end(&mut self, ctx: &mut Context<Self>) {
        if let Some(session) = self.current.0.borrow_mut().take() {
            session.close();
        }
        self.is_ending = true;
        ctx.stop();
    }

    fn status(&self) -> ConnectionStatus {
        let status = self.machine.status();
        let ago = self.context.clock.elapsed().saturating_sub(status.since);
        let now = self.context.clock.now().wall;
        let (transport, url) = (&self.settings.transport, self.url.as_ref());
        ConnectionStatus {
            connection: Connection {
                state: status.state,
                server_url: self.url.as_ref().map(ServerUrl::to_string),
                since: now.checked_sub(ago).unwrap_or(self.started),
                // Earlier attempts count for the backoff until the connection has lasted.
                attempt: if status.state == ConnectionState::Online { 0 } else { status.attempt },
                retry_in_ms: None,
                last_error: status.last_error.clone(),
                transport: url.map(|_| transport.kind.as_str().to_owned()),
                ca_file: url.and(transport.ca_file.as_ref()).map(|file| file.display().to_string()),
                proxy: url.and_then(|url| transport.proxies.to(url)).map(ToString::to_string),
            },
            retry_at: status.retry_at,
        }
    }

    fn log(&self, connection: &Connection) {
        let Connection { state, attempt, last_error, .. } = connection;
        // Repeated attempts to connect publish the same state.
        let is_same = self.published.borrow().as_ref().is_some_and(|before| before.state == *state);
        let level = match state {
            _ if is_same => log::Level::Debug,
            ConnectionState::Fallback | ConnectionState::AuthFailed => log::Level::Warn,
            _ => log::Level::Info,
        };
        let why = last_error.as_deref().map(|why| format!(", {attempt} failed: {why}"));
        log::log!(level, "control server: {state:?}{}", why.unwrap_or_default());
    }

    fn publish_status(&self) {
        let status = self.status();
        self.log(&status.connection);
        self.published.send_replace(Some(status.connection.clone()));
        let caller = self.context.itself.clone();
        // The query is queued at once, so that states keep their order.
        let changed = |reply| Query::ConnectionChanged(status, reply);
        let published = self.context.local.ask(caller, changed);
        actix::spawn(async move {
            if published.await.is_err() {
                log::debug!("connection state not published: the registry has stopped");
            }
        });
    }
}

/// Returns a number in [0, 1). Without random numbers daemons may reconnect at the same time.
fn uniform() -> f64 {
    let mut bytes = [0_u8; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

impl Actor for Link {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(id) = self.next.take() {
            self.connect(id, ctx);
        }
        self.arm(ctx);
    }
}

impl Supervised for Link {
    fn restarting(&mut self, _: &mut Self::Context) {
        (self.timer, self.attempt, self.is_ending) = (None, None, false);
    }
}

crate::health::answers_ping!(Link);

/// Event of the connection's session.
#[derive(Message)]
#[rtype(result = "()")]
struct SessionEvent(LinkId, DriverEvent);

impl Handler<SessionEvent> for Link {
    type Result = ();

    fn handle(&mut self, SessionEvent(id, event): SessionEvent, ctx: &mut Self::Context) {
        match event {
            DriverEvent::Alive(fault) => {
                self.input(Input::Heard(id), ctx);
                if let Some(words) = fault {
                    self.input(Input::Fault(id, words), ctx);
                }
            }
            DriverEvent::Online => {
                self.was_online = true;
                self.input(Input::Welcomed(id), ctx);
            }
        }
    }
}

/// Sets the server, or none. Setting the same server reconnects, too.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SetServer(pub(crate) Option<ServerUrl>);

impl Handler<SetServer> for Link {
    type Result = ();

    fn handle(&mut self, SetServer(url): SetServer, ctx: &mut Self::Context) {
        (self.url, self.was_online) = (url, false);
        let now = self.context.clock.elapsed();
        let mut outputs = self.machine.handle(Input::Detach, now, &mut uniform);
        if self.url.is_some() {
            outputs.extend(self.machine.handle(Input::Start, now, &mut uniform));
        }
        // The states in between are not published.
        outputs.retain(|output| *output != Output::Changed);
        outputs.push(Output::Changed);
        self.carry_out(outputs, ctx);
    }
}

/// Tries to connect at once.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Retry;

impl Handler<Retry> for Link {
    type Result = ();

    fn handle(&mut self, _: Retry, ctx: &mut Self::Context) {
        self.input(Input::Retry, ctx);
    }
}

/// Changes the settings.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct UpdateSettings(pub(crate) RemoteSettings);

impl Handler<UpdateSettings> for Link {
    type Result = ();

    fn handle(&mut self, UpdateSettings(settings): UpdateSettings, ctx: &mut Self::Context) {
        self.settings = settings;
        self.input(Input::Settings(self.settings.link.clone()), ctx);
    }
}

/// Ends the connection for good.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Shutdown;

impl Handler<Shutdown> for Link {
    type Result = ();

    fn handle(&mut self, _: Shutdown, ctx: &mut Self::Context) {
        self.input(Input::Stop, ctx);
    }
}
