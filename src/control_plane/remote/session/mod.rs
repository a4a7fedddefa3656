//! One connection to the control server: who is greeted on it, what it is asked, what it tells.
//!
//! With the connection its tasks end: those of the link and its own are dropped, and requests that
//! are under way hear that it is lost.

mod asking;
mod declined;
mod greeting;
mod hearing;
mod idle;
mod inbox;
mod pace;
mod pulse;
mod relay;
mod renewal;
mod replay;
mod sent_signals;
mod tasks;
#[cfg(test)]
mod tests;
mod warnings;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::mem::Discriminant;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::Bookmark;
use lanrage_ipc::model::{PartyId, PeerId, PeerInput, RawJson};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

pub(super) use asking::Passing;
pub(super) use pace::Lane;
pub(crate) use sent_signals::SentSignals;
pub(crate) use warnings::Warnings;

use super::frames::Times;
use super::transport::http::Api;
use super::transport::{Carrier, Incoming, Loss, Outgoing, Target, Wire};
use crate::clock::Clock;
use crate::control_plane::outbox::Outbox;
use crate::control_plane::{Ask, ControlPlane, Failure, IntoAsk};
use crate::core::reconcile::{Act, InFlight, Shadow};
use crate::core::{
    Caller, Command, Now, Outcome, Refusal, RequestKey, ServerKey, Upstream, UpstreamPart, User,
};

/// How long the registry may take for what the server told.
const LOCAL_PATIENCE: Duration = Duration::from_secs(30);

/// What a session is made from.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// The registry.
    pub(crate) local: ControlPlane,
    /// As whom the server's words are taken in.
    pub(crate) itself: Caller,
    pub(crate) clock: Clock,
    /// Where intents are noted.
    pub(crate) outbox: Arc<Outbox>,
    /// How long hosts are waited for once the server has lost its history.
    pub(crate) forgiveness: Duration,
    pub(crate) keys: Keys,
    pub(crate) signals: SentSignals,
    pub(crate) warnings: Warnings,
}

/// Names requests of this run of the program.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    run: Rc<str>,
    next: Rc<Cell<u64>>,
}

impl Keys {
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let run = crate::token::random_text::<9>()?;
        Ok(Self { run: run.into(), next: Rc::default() })
    }

    /// One that no request had before.
    pub(crate) fn next(&self) -> RequestKey {
        self.next.set(self.next.get() + 1);
        RequestKey(format!("{}.{}", self.run, self.next.get()).into())
    }
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub(super) struct Acked {
    /// How far the party is that it was about.
    pub(super) at: Option<Bookmark>,
    /// What came of it.
    pub(super) result: RawJson,
}

/// Why a request was not done, or is not known to be.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// The server will not do it.
    Refused { code: ErrorCode, message: String },
    /// The connection is gone. The server may have done it.
    Lost,
}

/// A refusal as it came.
#[derive(Debug, Clone)]
struct Rejection {
    code: ErrorCode,
    message: String,
    retry_after: Option<Duration>,
}

/// The server's answer to a request.
type Answered = Result<Acked, Rejection>;

type Reply = oneshot::Sender<Answered>;

/// A request that waits for its answer. Two of one name are one, whose answer is for both.
#[derive(Debug, Default)]
struct Pending {
    replies: Vec<Reply>,
    /// True once the answer has been read; it waits for what came before it.
    is_read: bool,
}

/// A request under way that lets a peer in or out of a party.
#[derive(Debug)]
struct NumberedInFlight {
    number: u64,
    in_flight: InFlight,
    /// True once the party is taken in as the server told it meanwhile, with the peer in it.
    is_told: bool,
}

/// Something that the server was told of a peer of this machine because it had something else.
#[derive(Debug)]
struct Correction {
    info: PeerInput,
    /// Number of times that the server was told it.
    sent: u32,
    last: Instant,
}

/// The party, the peer and the kind of operation of a [`Correction`].
type CorrectionKey = (PartyId, PeerId, Discriminant<Act>);

/// A connection.
pub(super) struct Session {
    pub(super) around: Surroundings,
    pub(super) target: Target,
    outgoing: mpsc::Sender<Outgoing>,
    clock_ahead: i64,
    /// Time at which the connection was opened.
    opened: Now,
    /// Due times of renewals, by elapsed time: the wall clock may be set.
    renewals: RefCell<HashMap<PeerId, Duration>>,
    /// Whether the server has said what stretch of history it is in.
    is_welcome: Cell<bool>,
    carrier: Carrier,
    server: ServerKey,
    waiting: RefCell<HashMap<RequestKey, Pending>>,
    /// Time at which an answer to any request was read last.
    answered_at: Cell<Instant>,
    /// Who goes in or out of a party by a request under way.
    passages: RefCell<HashMap<PartyId, Vec<NumberedInFlight>>>,
    next_passage: Cell<u64>,
    /// Ids that parties were registered under, and those that the server chose, oldest first.
    renames: RefCell<VecDeque<(PartyId, PartyId)>>,
    shadow: RefCell<Shadow>,
    /// Parties that were compared with the server's on this connection.
    met: RefCell<HashSet<PartyId>>,
    /// Parties that are being asked for.
    syncing: RefCell<HashSet<PartyId>>,
    /// Peers that the server takes this connection's word for.
    greeted: RefCell<HashSet<PeerId>>,
    /// One greeting of a peer at a time: two would get each other's answers.
    greetings: RefCell<HashMap<PeerId, Rc<tokio::sync::Mutex<()>>>>,
    /// Peers that were greeted as idle: nothing keeps them alive.
    idle: RefCell<HashSet<PeerId>>,
    /// Refused greetings in a row, by peer.
    refused_greetings: RefCell<HashMap<PeerId, u32>>,
    /// Whose peers they are that were greeted, or are being.
    owners: RefCell<HashMap<PeerId, User>>,
    /// Descriptions and entries of this machine's peers that the server was told because it had
    /// others, or had lost them.
    corrections: RefCell<HashMap<CorrectionKey, Correction>>,
    /// Parties that exceed a bound of this daemon, with the refusal. Their copies stay as they were.
    declined: RefCell<HashMap<PartyId, Refusal>>,
    /// Reason why the last message that was not understood was not, since a client's last entry.
    not_understood: RefCell<Option<String>>,
    /// Operations under way.
    operating: RefCell<HashSet<RequestKey>>,
    operated: Notify,
    /// Who was let into which party, and then was not there.
    undone: RefCell<HashSet<(PartyId, PeerId)>>,
    /// Ids that this daemon chose for parties whose own was taken.
    coined: RefCell<HashSet<PartyId>>,
    /// Parties that are looked at again after a while.
    coming_back: RefCell<HashSet<PartyId>>,
    refusals: Cell<u32>,
    /// Times that the server did something wrong on this connection.
    warnings: Cell<u32>,
    pace: pace::Pace,
    tasks: tasks::Tasks,
    /// The routes, for what there is no frame for; made when it is needed first.
    api: RefCell<Option<Api>>,
    /// What the server asks for between signs of life.
    heartbeat: Cell<Duration>,
    renewal: Notify,
    /// Whether it was given up for another one.
    makes_way: Cell<bool>,
    /// True once this daemon ends tokens by which the connection speaks for a peer: the server then
    /// ends the connection.
    revokes: Cell<bool>,
    goaway: Cell<Option<Duration>>,
    /// What the server said last that is no answer, in words, until it may be asked.
    said: RefCell<Option<String>>,
    /// Until when a party that the server lost may come back by its host.
    forgiving_until: Cell<Duration>,
    /// Whether all peers are greeted and the rest is told.
    is_online: Cell<bool>,
    /// Whether what the server tells is passed over: it is being left.
    is_deaf: Cell<bool>,
    end: RefCell<Option<Loss>>,
    ended: Notify,
}

impl Session {
    /// Over an open way to the server. Returns what comes on it, too.
    pub(super) fn new(
        around: Surroundings,
        target: Target,
        wire: Wire,
        heartbeat: Duration,
    ) -> (Rc<Self>, mpsc::Receiver<Incoming>) {
        let Wire { outgoing, incoming, clock_ahead, carrier } = wire;
        let opened = around.clock.now();
        let session = Self {
            opened,
            renewals: RefCell::default(),
            server: target.url.key(),
            pace: pace::Pace::new(),
            tasks: tasks::Tasks::new(),
            api: RefCell::default(),
            around,
            target,
            outgoing,
            clock_ahead: clock_ahead.unwrap_or_default(),
            is_welcome: Cell::new(false),
            carrier,
            waiting: RefCell::default(),
            answered_at: Cell::new(Instant::now()),
            passages: RefCell::default(),
            next_passage: Cell::default(),
            renames: RefCell::default(),
            shadow: RefCell::default(),
            met: RefCell::default(),
            syncing: RefCell::default(),
            greeted: RefCell::default(),
            greetings: RefCell::default(),
            idle: RefCell::default(),
            refused_greetings: RefCell::default(),
            owners: RefCell::default(),
            corrections: RefCell::default(),
            declined: RefCell::default(),
            not_understood: RefCell::default(),
            operating: RefCell::default(),
            operated: Notify::new(),
            undone: RefCell::default(),
            coined: RefCell::default(),
            coming_back: RefCell::default(),
            refusals: Cell::default(),
            warnings: Cell::default(),
            heartbeat: Cell::new(heartbeat),
            renewal: Notify::new(),
            makes_way: Cell::new(false),
            revokes: Cell::new(false),
            goaway: Cell::default(),
            said: RefCell::default(),
            forgiving_until: Cell::default(),
            is_online: Cell::new(false),
            is_deaf: Cell::new(false),
            end: RefCell::default(),
            ended: Notify::new(),
        };
        (Rc::new(session), incoming)
    }

    /// Whether it may be asked.
    pub(super) fn is_online(&self) -> bool {
        self.is_online.get() && !self.is_deaf.get() && self.end.borrow().is_none()
    }

    /// Whether it knows a peer of this machine: it may have been told of parties by then.
    pub(super) fn has_greeted(&self) -> bool {
        !self.greeted.borrow().is_empty() && self.end.borrow().is_none()
    }

    /// Whether it was given up for another one, though the server is there.
    pub(super) fn makes_way(&self) -> bool {
        self.makes_way.get()
    }

    /// From now on it may be asked.
    pub(super) fn set_online(&self) {
        self.is_online.set(true);
        self.said.take();
    }

    /// Why the server, which was given its time, has not let this daemon in; nothing where it has
    /// said nothing.
    pub(super) fn complaint(&self) -> Option<Loss> {
        self.said.borrow().as_ref()?;
        Some(self.explained(Loss::new("the server did not let this daemon in in time")))
    }

    /// A loss with what the server said before it, and when it wants to be asked again.
    fn explained(&self, loss: Loss) -> Loss {
        let retry_after = loss.retry_after.max(self.goaway.get());
        let words = match &*self.said.borrow() {
            Some(said) => format!("{}; {said}", loss.words),
            None => loss.words,
        };
        Loss { words, retry_after, ..loss }
    }

    fn note_said(&self, said: String) {
        if !self.is_online.get() {
            self.said.replace(Some(said));
        }
    }

    /// From now on what the server tells is passed over, and it is asked for nothing but to let
    /// this machine's peers go.
    pub(super) fn turn_deaf(&self) {
        self.is_deaf.set(true);
    }

    /// Asks whether the server is still there.
    pub(super) fn ping(&self) {
        // A queue that is full is being read by nobody, which is found out just as well.
        self.outgoing.try_send(Outgoing::Ping).ok();
    }

    /// Gives the connection up.
    pub(super) fn give_up(&self, loss: Loss) {
        self.end.borrow_mut().get_or_insert(loss);
        self.pace.end();
        self.ended.notify_one();
    }

    /// Gives the connection up for another one, for that reason.
    fn make_way(&self, why: &str) {
        self.makes_way.set(true);
        self.give_up(Loss::new(why));
    }

    /// Nothing is answered any more: who waits hears that at once.
    pub(super) fn close(&self) {
        self.end.borrow_mut().get_or_insert_with(|| Loss::new("closed"));
        self.pace.end();
        self.outgoing.try_send(Outgoing::Close).ok();
        self.waiting.borrow_mut().clear();
        self.tasks.end();
    }

    /// Has the registry do something as the program itself.
    async fn command(&self, command: Command) -> Result<Outcome, Failure> {
        self.local(|reply| Ask::Command(command, reply)).await
    }

    /// A part of what this machine has to do with the server.
    ///
    /// # Errors
    /// Also when another server is followed by now: what is kept for that is not this one's.
    pub(super) async fn upstream(&self, part: UpstreamPart) -> Result<Upstream, Failure> {
        let upstream = self.local(|reply| Ask::Upstream(part, reply)).await?;
        match upstream.choice.server.as_ref() == Some(&self.server) {
            true => Ok(upstream),
            false => Err(Failure::NoLink("another control server is followed now")),
        }
    }

    async fn local<T>(&self, ask: impl IntoAsk<T>) -> Result<T, Failure> {
        self.around.local.ask_within(LOCAL_PATIENCE, self.around.itself.clone(), ask).await
    }

    /// What the server told could not be taken in: it is asked anew on another connection.
    fn stumble(&self, failure: &Failure) {
        let level = match failure {
            // Nobody wants it taken in any more.
            Failure::NoLink(_) => log::Level::Debug,
            _ => log::Level::Warn,
        };
        log::log!(level, "what the control server told could not be taken in: {failure}");
        self.give_up(Loss::new(format!("what the server told could not be taken in: {failure}")));
    }

    fn times(&self) -> Times {
        let now = self.around.clock.now();
        Times { now: now.wall, ahead: self.clock_ahead - set_since(self.opened, now) }
    }
}

/// Seconds by which this machine's wall clock was set forward meanwhile; negative for back.
fn set_since(before: Now, now: Now) -> i64 {
    let elapsed = now.elapsed.saturating_sub(before.elapsed);
    let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
    // Whole seconds of the difference: the clocks are not read at the same instant.
    now.wall.duration_since(before.wall).saturating_sub(elapsed).as_secs()
}
