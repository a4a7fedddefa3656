//! Conversation of one connection: processes the client's requests in order and sends the events of
//! its parties. It does not know the socket.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{self, AckResult, BadFrame, ClientFrame, Inbound, ReqId, ServerFrame};
use lanrage_ipc::model::{PartyId, PeerId, RawJson};
use tokio::time::Instant;

use super::connection_handle::{CloseCode, ConnectionHandle};
use super::party_subscriptions::PartySubscriptions;
use super::render::{self, Rejection};
use super::requests::{Reply, summary};
use super::running_frames::{FrameClass, RunningFrames};
use super::server::WsServer;
use super::session::send;
use super::unread::{Unread, UnreadTexts};
use crate::control_plane::{Failure, IntoAsk, Query};
use crate::core::{Caller, ClockSteps, Principal, command};
use crate::events::{Delivery, WireFormat};

/// Interval between polls for signals while the client has not read those it was sent.
const SIGNALS_AGAIN: Duration = Duration::from_millis(50);
/// Frames of one client that are processed concurrently.
const MOST_FRAMES: usize = 32;
/// Frames that processing one frame may send at once. Those of all running frames fit into half of
/// the send queue.
const SENT_PER_FRAME: usize = 4;

/// Conversation with one client. Its frames are processed concurrently: no borrow is held across an
/// await.
pub(super) struct Conversation {
    pub(super) server: Arc<WsServer>,
    pub(super) handle: Arc<ConnectionHandle>,
    pub(super) format: Cell<WireFormat>,
    /// Steps of the wall clock that the client's offset does not include yet.
    clock: Cell<ClockSteps>,
    /// True if this connection displaces older connections of its peers.
    pub(super) takes_over: Cell<bool>,
    /// Peers that the connection speaks for.
    pub(super) peers: RefCell<BTreeSet<PeerId>>,
    /// Peers that it asked to speak for, and has no answer about yet.
    pub(super) claiming: RefCell<BTreeSet<PeerId>>,
    /// Peers that the client claims to return as without a proof.
    pub(super) reattaching: RefCell<BTreeSet<PeerId>>,
    pub(super) subscriptions: RefCell<PartySubscriptions>,
    /// Members whose signals are to be fetched at `signals_at`.
    late_signals: RefCell<BTreeSet<(PartyId, PeerId)>>,
    signals_at: Cell<Option<Instant>>,
    /// Time at which a client without `caps` is sent all of its parties again.
    refresh_at: Cell<Instant>,
}

/// Decoded text of the client.
struct Read {
    class: FrameClass,
    inbound: Result<Inbound, BadFrame>,
    unread: Unread,
}

/// Answer to a frame.
struct Answered {
    frame: ServerFrame,
    /// True if the client broke a rule; too many of these end the connection.
    is_offence: bool,
}

impl Conversation {
    /// Creates a conversation whose event queue holds `events` events.
    pub(super) fn new(server: Arc<WsServer>, handle: Arc<ConnectionHandle>, events: usize) -> Self {
        let refresh_at = Cell::new(Instant::now() + server.settings().ws.refresh);
        Self {
            clock: Cell::new(ClockSteps::start(server.http.clock.now())),
            subscriptions: RefCell::new(PartySubscriptions::new(handle.id, events)),
            server,
            handle,
            format: Cell::new(WireFormat { additions: false, utc_offset: None }),
            takes_over: Cell::default(),
            peers: RefCell::default(),
            claiming: RefCell::default(),
            reattaching: RefCell::default(),
            late_signals: RefCell::default(),
            signals_at: Cell::default(),
            refresh_at,
        }
    }

    /// Runs until the session ends, then releases what the connection held.
    pub(super) async fn run(self, texts: Rc<UnreadTexts>) {
        let this = Rc::new(self);
        let queue = this.subscriptions.borrow().queue.clone();
        let most = (this.handle.most / (2 * SENT_PER_FRAME)).clamp(1, MOST_FRAMES);
        let mut frames = RunningFrames::new(most);
        let mut next: Option<Read> = None;
        loop {
            this.run_timers().await;
            // Earlier events are sent before the frame's answer, but the frame waits for no later
            // ones.
            let may_start =
                queue.is_empty() && next.as_ref().is_some_and(|n| frames.admits(&n.class));
            let wake_at = this.wake_at();
            tokio::select! {
                biased;
                answered = frames.next(), if !frames.is_empty() => this.answer(answered.flatten()),
                // A running frame may still await the subscription that an event belongs to.
                delivery = queue.next(), if frames.is_empty() => this.handle_delivery(delivery).await,
                () = this.handle.room(), if may_start => if let Some(read) = next.take() {
                    let (this, Read { class, inbound, unread }) = (this.clone(), read);
                    frames.start(class, async move {
                        let answered = this.process(inbound).await;
                        drop(unread);
                        answered
                    });
                },
                text = texts.next(), if next.is_none() => match text {
                    Some(text) => next = Some(this.read(text)),
                    None => break,
                },
                () = sleep_until(wake_at) => {}
            }
        }
        while let Some(answered) = frames.next().await {
            this.answer(answered);
        }
        this.end().await;
    }

    /// Runs due timers. Deadlines survive from one iteration to the next, so that a busy connection
    /// does not postpone them.
    async fn run_timers(&self) {
        self.forget_lost_peers().await;
        self.follow_clock();
        let now = Instant::now();
        if self.signals_at.get().is_some_and(|at| at <= now) {
            self.signals_at.set(None);
            self.send_late_signals().await;
        }
        self.send_due_updates().await;
        if !self.format.get().additions && self.refresh_at.get() <= now {
            self.refresh().await;
            self.retry_reattach().await;
            self.refresh_at.set(Instant::now() + self.server.settings().ws.refresh);
        }
    }

    /// Switches to answers with additions, which plain clients don't understand, if asked for.
    pub(super) fn extend_format(&self, additions: bool) {
        let format = self.format.get();
        self.format.set(WireFormat { additions: format.additions || additions, ..format });
    }

    /// Adjusts the client's offset after a step of the server's wall clock.
    fn follow_clock(&self) {
        let mut clock = self.clock.get();
        let minutes = clock.ahead(self.server.http.clock.now());
        if minutes != 0 {
            clock.follow(minutes);
            self.clock.set(clock);
            let format = self.format.get();
            let utc_offset = format.utc_offset.and_then(|offset| offset.after_step(minutes));
            self.format.set(WireFormat { utc_offset, ..format });
        }
    }

    /// Returns the earliest of the deadlines.
    fn wake_at(&self) -> Option<Instant> {
        let refresh_at = (!self.format.get().additions).then(|| self.refresh_at.get());
        let update_at = self.subscriptions.borrow().next_update();
        [self.signals_at.get(), refresh_at, update_at].into_iter().flatten().min()
    }

    /// Schedules the fetch of a member's signals before the next frame.
    pub(super) fn fetch_signals(&self, party_id: PartyId, peer_id: PeerId) {
        self.late_signals.borrow_mut().insert((party_id, peer_id));
        self.signals_at.set(Some(Instant::now()));
    }

    /// Schedules the fetch of a member's signals after [`SIGNALS_AGAIN`].
    pub(super) fn fetch_signals_later(&self, party_id: PartyId, peer_id: PeerId) {
        self.late_signals.borrow_mut().insert((party_id, peer_id));
        if self.signals_at.get().is_none() {
            self.signals_at.set(Some(Instant::now() + SIGNALS_AGAIN));
        }
    }

    async fn send_late_signals(&self) {
        let late = self.late_signals.take();
        for (party_id, peer_id) in late {
            self.send_signals(&party_id, &peer_id).await;
        }
    }

    async fn end(&self) {
        log::debug!("{:?}: closed", self.handle.id);
        self.server.release(self.peers.borrow().iter(), self.handle.id);
        // When the server stops, the members of this connection stay connected to the end.
        if self.server.http.is_stopping() {
            return;
        }
        let ended = self.subscriptions.borrow_mut().end_all();
        for key in ended {
            self.ask(|reply| Query::Unsubscribe(key, reply)).await.ok();
        }
        // The peers stay alive until the control plane knows that the connection is gone.
        while let Err(failure) = self.ask(command!(Disconnect)).await {
            log::warn!("{:?}: peers not released yet: {failure}", self.handle.id);
            if !matches!(failure, Failure::TimedOut(_)) {
                break;
            }
        }
    }

    fn read(&self, unread: Unread) -> Read {
        let inbound = control::decode(&unread.text);
        // LANrage's clients can't match answers to requests.
        let class = match &inbound {
            Ok(Inbound { frame, .. }) if self.format.get().additions => {
                let peers = self.peers.borrow();
                FrameClass::of(frame, |peer_id| peers.contains(peer_id))
            }
            _ => FrameClass::Alone,
        };
        Read { class, inbound, unread }
    }

    /// Processes a frame. Returns `None` where no answer is due.
    async fn process(&self, inbound: Result<Inbound, BadFrame>) -> Option<Answered> {
        if self.handle.closing_since().is_some() {
            return None;
        }
        self.forget_lost_peers().await;
        let Inbound { frame, req_id } = match inbound {
            Ok(inbound) => inbound,
            Err(bad) => {
                self.extend_format(bad.names_caps);
                let req_id = bad.req_id.clone();
                return Some(self.refusal(bad.into(), req_id, true));
            }
        };
        let is_hello = matches!(frame, ClientFrame::Hello { .. });
        if !self.handle.is_greeted() && !is_hello {
            let message = "type: the first frame must be hello or auth";
            let rejection = Rejection::new(ErrorCode::InvalidRequest, message);
            return Some(self.refusal(rejection, req_id, true));
        }
        log::debug!("{:?}: {}", self.handle.id, summary(&frame));
        match self.dispatch(frame, req_id.as_ref()).await {
            Ok(Reply { epoch, seq, result }) => {
                let req_id = req_id.filter(|_| self.format.get().additions)?;
                let result = RawJson::encode(&result);
                let frame = ServerFrame::Ack { req_id, epoch, seq, result };
                Some(Answered { frame, is_offence: false })
            }
            Err(rejection) => Some(self.refusal(rejection, req_id, false)),
        }
    }

    fn refusal(&self, rejection: Rejection, req_id: Option<ReqId>, is_offence: bool) -> Answered {
        log::debug!("{:?}: refused: {}", self.handle.id, rejection.message);
        self.server.http.metrics.rejected_with(rejection.code);
        Answered { frame: render::error(self.format.get(), rejection, req_id), is_offence }
    }

    fn answer(&self, answered: Option<Answered>) {
        let Some(Answered { frame, is_offence }) = answered else { return };
        self.send(&frame);
        if is_offence {
            self.handle.note_offence(self.server.now());
        }
    }

    pub(super) fn reply(&self, seq: Option<u64>, result: AckResult) -> Reply {
        Reply { epoch: self.server.epoch.clone(), seq, result }
    }

    /// Asks the control plane on behalf of the connection's peers.
    pub(super) async fn ask<T>(&self, request: impl IntoAsk<T>) -> Result<T, Failure> {
        let principal = Principal::Peers(self.peers.borrow().iter().cloned().collect());
        let (connection, address) = (self.handle.id, Some(self.handle.address_key()));
        self.server.http.ask(Caller { principal, connection, address }, request).await
    }

    pub(super) fn send(&self, frame: &ServerFrame) {
        send(&self.handle, frame, self.server.now());
    }

    async fn handle_delivery(&self, delivery: Delivery) {
        self.forget_lost_peers().await;
        match delivery {
            Delivery::Event(key, shared) => {
                let party_id = self.subscriptions.borrow().party_of(key);
                if let Some(party_id) = party_id {
                    self.deliver_event(&party_id, &shared).await;
                }
            }
            Delivery::Behind(_) => {
                let now = self.server.now();
                self.handle.close(CloseCode::TryAgain, "too slow: connect again and sync", now);
            }
            // Conversations never ask for a reset.
            Delivery::Reset(..) => {}
        }
    }
}

/// Waits until a time, or forever.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

pub(super) fn no_random_numbers(error: getrandom::Error) -> Rejection {
    log::error!("the system gives no random numbers: {error}");
    internal_error()
}

pub(super) fn internal_error() -> Rejection {
    Rejection::new(ErrorCode::Internal, "internal error: see the server's log")
}
