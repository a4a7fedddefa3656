//! The registry actor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::{MessageResponse, OneshotSender};
use actix::prelude::*;
use jiff::Timestamp;
use lanrage_ipc::model::{Connection, ConnectionState};
use lanrage_ipc::model::{PartyId, PeerId};
use lanrage_ipc::results::StoreStatus;
use tokio::sync::oneshot;

use super::bounds::BoundsReached;
use super::messages::{SetRules, Stop};
use super::waiting::{Pending, Read, ReplyTo, Waiting, is_cleaning_up};
use crate::clock::Clock;
use crate::control_plane::ending::Ending;
use crate::control_plane::outbox::Outbox;
use crate::control_plane::{Answer, Ask, Call, Counters, Failure, Standing};
use crate::core::Registry;
use crate::discovery::{Announce, AnnounceAll, Discover};
use crate::events::{Bulletin, Publish};
use crate::store::{BackUp, Commit};

/// Calls that may wait in the mailbox before their senders do.
const MAILBOX: usize = 1024;

/// Whom the local control plane tells what.
#[derive(Debug, Clone)]
pub struct Collaborators {
    /// Makes changes durable.
    pub store: Recipient<Commit>,
    /// Copies the state.
    pub archive: Recipient<BackUp>,
    /// Tells events.
    pub hub: Recipient<Publish>,
    /// Announces parties to others, if anybody does.
    pub announcer: Option<Announcer>,
    /// Hears of what is noted for a control server.
    pub outbox: Arc<Outbox>,
    /// Ends connections.
    pub ending: Ending,
}

/// Who announces parties to others near by.
#[derive(Debug, Clone)]
pub struct Announcer {
    /// Announces what changed.
    pub announce: Recipient<Announce>,
    /// Announces everything.
    pub announce_all: Recipient<AnnounceAll>,
    /// Reads the announcements.
    pub discover: Recipient<Discover>,
}

/// The control plane whose truth is its own.
pub struct LocalControlPlane {
    pub(super) registry: Registry,
    pub(super) clock: Clock,
    pub(super) to: Collaborators,
    /// Applied, not yet durable; oldest first.
    pub(super) waiting: Pending,
    /// Signs of life to write behind, at most once per `seen_interval`.
    pub(super) seen: BTreeMap<(PartyId, PeerId), Timestamp>,
    pub(super) seen_interval: Duration,
    pub(super) seen_armed: bool,
    /// What the hub had no room for.
    pub(super) unpublished: Vec<Bulletin>,
    pub(super) announcements_lost: bool,
    pub(super) store_status: StoreStatus,
    pub(super) counters: Counters,
    pub(super) standing: Standing,
    /// Time of the last warning that too many calls waited.
    pub(super) overload_told: Option<Duration>,
    pub(super) bounds_reached: BoundsReached,
    pub(super) stopping: Option<Vec<oneshot::Sender<()>>>,
}

impl LocalControlPlane {
    /// Over a restored registry. `store_status` tells where the state is and what befell it.
    pub fn new(
        mut registry: Registry,
        clock: Clock,
        to: Collaborators,
        seen_interval: Duration,
        store_status: StoreStatus,
    ) -> Self {
        registry.watch_clock(clock.now());
        let connection = Connection {
            state: ConnectionState::Local,
            server_url: None,
            since: clock.now().wall,
            attempt: 0,
            retry_in_ms: None,
            last_error: None,
            transport: None,
            ca_file: None,
            proxy: None,
        };
        Self {
            registry,
            clock,
            to,
            waiting: Pending::default(),
            seen: BTreeMap::new(),
            seen_interval,
            seen_armed: false,
            unpublished: Vec::new(),
            announcements_lost: false,
            store_status,
            counters: Counters::default(),
            standing: Standing { connection, retry_at: None },
            overload_told: None,
            bounds_reached: BoundsReached::default(),
            stopping: None,
        }
    }

    pub(super) fn take_in(&mut self, call: Call, reply: ReplyTo, ctx: &mut Context<Self>) {
        let Call { caller, ask } = call;
        let must = is_cleaning_up(&ask);
        let client = caller.payer();
        let client = client.as_ref();
        match ask {
            _ if self.stopping.is_some() => answer(reply, Err(Failure::Stopping)),
            Ask::Command(command) => {
                let applied = self.registry.apply(command, caller, self.clock.now());
                self.applied(applied, must, client, reply, ctx);
            }
            Ask::Once(key, command) => {
                let applied = self.registry.apply_once(key, command, caller, self.clock.now());
                self.applied(applied, must, client, reply, ctx);
            }
            // A token that is not durable yet was told to nobody.
            Ask::Authenticate(hash) => {
                let identity = self.registry.authenticate(&hash, self.clock.now());
                answer(reply, identity.map(Answer::Identity).map_err(Failure::from));
            }
            Ask::AuthenticateClaim(hash) => {
                let identity = self.registry.authenticate_claim(&hash, self.clock.now());
                answer(reply, identity.map(Answer::Identity).map_err(Failure::from));
            }
            Ask::IsMember(peer_id) => {
                answer(reply, Ok(Answer::IsMember(self.registry.is_in_a_party(&peer_id))));
            }
            // Subscribing and unsubscribing keep their order, too, and what happens meanwhile.
            ask @ (Ask::Query(_)
            | Ask::Subscribe { .. }
            | Ask::Resume(..)
            | Ask::Unsubscribe(_)
            | Ask::ConnectionChanged(_)) => {
                if let Ask::ConnectionChanged(standing) = &ask {
                    self.standing = standing.clone();
                }
                let (result, bulletin) = self.read(&ask);
                if self.waiting.is_empty() {
                    self.publish(bulletin.into_iter().collect(), ctx);
                    answer(reply, result);
                } else if !must && !self.waiting.has_room(client, self.clock.elapsed()) {
                    answer(reply, Err(self.overloaded(client)));
                } else {
                    let read = Read { caller, ask, answer: result, bulletin, reply };
                    self.waiting.push(client, Waiting::Read(Box::new(read)));
                }
            }
            Ask::Status => answer(reply, Ok(Answer::Status(self.status()))),
            Ask::Defer(key, command) => {
                let applied = self.registry.defer(key, command, caller, self.clock.now());
                self.applied(applied, must, client, reply, ctx);
            }
            Ask::Check(command) => {
                let checked = self.registry.check(&command, caller, self.clock.now());
                answer(reply, checked.map(|()| Answer::Done).map_err(Failure::from));
            }
            Ask::Upstream(part) => {
                answer(reply, Ok(Answer::Upstream(self.registry.upstream(&part))));
            }
            Ask::Connection => answer(reply, Ok(Answer::Connection(self.connection()))),
            Ask::SetServer(_) | Ask::Retry => {
                let words = "this program is a control server itself";
                answer(reply, Err(Failure::NoLink(words)));
            }
            Ask::Discover => match &self.to.announcer {
                Some(announcer) => forward(announcer.discover.send(Discover), reply, |found| {
                    found.map(Answer::Discovered).map_err(|e| Failure::Discovery(e.to_string()))
                }),
                None => answer(reply, Ok(Answer::Discovered(Arc::default()))),
            },
            Ask::Backup(path) => forward(self.to.archive.send(BackUp { path }), reply, |copy| {
                copy.map(Answer::BackedUp).map_err(Failure::from)
            }),
        }
    }

    /// The connection to the control server as it is now.
    pub(super) fn connection(&self) -> Connection {
        self.standing.at(self.clock.elapsed())
    }
}

/// Nobody waits for an answer whose connection has closed.
pub(super) fn answer(reply: ReplyTo, result: Result<Answer, Failure>) {
    reply.send(result).ok();
}

/// Has another actor answer.
fn forward<M>(
    request: actix::dev::RecipientRequest<M>,
    reply: ReplyTo,
    translate: impl FnOnce(M::Result) -> Result<Answer, Failure> + 'static,
) where
    M: Message + Send + 'static,
    M::Result: Send,
{
    actix::spawn(async move {
        let result = request.await.map_err(|_| Failure::Stopping).and_then(translate);
        answer(reply, result);
    });
}

impl Actor for LocalControlPlane {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.announce_all(ctx);
    }
}

crate::answers_ping!(LocalControlPlane);

/// The answer to a call, once it may leave. It is dropped when its caller gives up, which shows.
pub struct Answered(oneshot::Receiver<Result<Answer, Failure>>);

impl MessageResponse<LocalControlPlane, Call> for Answered {
    fn handle(
        self,
        _: &mut Context<LocalControlPlane>,
        caller: Option<OneshotSender<Result<Answer, Failure>>>,
    ) {
        let Some(mut caller) = caller else { return };
        actix::spawn(async move {
            tokio::select! {
                answer = self.0 => {
                    caller.send(answer.unwrap_or(Err(Failure::Stopping))).ok();
                }
                () = caller.closed() => {}
            }
        });
    }
}

impl Handler<Call> for LocalControlPlane {
    type Result = Answered;

    fn handle(&mut self, call: Call, ctx: &mut Self::Context) -> Self::Result {
        let (reply, answered) = oneshot::channel();
        self.take_in(call, reply, ctx);
        Answered(answered)
    }
}

impl Handler<SetRules> for LocalControlPlane {
    type Result = ();

    fn handle(&mut self, SetRules(rules, seen_interval): SetRules, _: &mut Self::Context) {
        self.registry.set_rules(rules);
        self.seen_interval = seen_interval;
    }
}

impl Handler<Stop> for LocalControlPlane {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) -> Self::Result {
        let (told, stopped) = oneshot::channel();
        // Nobody keeps them alive any more: this is when they were seen last.
        for seen in self.registry.kept_alive(self.clock.now()) {
            self.seen.insert((seen.party_id, seen.peer_id), seen.at);
        }
        self.stopping.get_or_insert_default().push(told);
        if !self.waiting.is_committing() {
            self.tell_stopped(ctx);
        }
        Box::pin(async {
            stopped.await.ok();
        })
    }
}
