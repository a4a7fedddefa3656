//! The registry actor.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::prelude::*;
use jiff::Timestamp;
use lanrage_ipc::model::{Connection, ConnectionState};
use lanrage_ipc::model::{PartyId, PeerId};
use tokio::sync::oneshot;

use super::bounds::BoundsReached;
use super::messages::{SetRules, Stop};
use super::waiting::{Pending, Read, Waiting, is_cleaning_up};
use crate::clock::Clock;
use crate::control_plane::dirty_parties::DirtyParties;
use crate::control_plane::ending::Ending;
use crate::control_plane::{
    Ask, Call, ConnectionStatus, Counters, Failure, Query, Reply, StoreStatus,
};
use crate::core::Registry;
use crate::discovery::Discover;
use crate::events::{HubCommand, Publish};
use crate::store::{BackUp, Commit};

/// Capacity of the mailbox, in calls; beyond it senders wait.
const MAILBOX: usize = 1024;

/// Actors that the local control plane notifies.
#[derive(Debug, Clone)]
pub(crate) struct Collaborators {
    /// Makes changes durable.
    pub(crate) store: Recipient<Commit>,
    /// Writes backups.
    pub(crate) archive: Recipient<BackUp>,
    /// Fans events out.
    pub(crate) hub: Recipient<Publish>,
    /// Announces parties on the local network; `None` in programs that do not.
    pub(crate) announcer: Option<Announcer>,
    /// Dirty set of the parties with new intents for a control server.
    pub(crate) dirty: Arc<DirtyParties>,
    /// Ends connections.
    pub(crate) ending: Ending,
}

/// Actor of the discovery file.
#[derive(Debug, Clone)]
pub(crate) struct Announcer {
    /// Dirty set of the parties that were changed, registered or removed.
    pub(crate) changed: Arc<DirtyParties>,
    /// Reads the announcements.
    pub(crate) discover: Recipient<Discover>,
}

/// Control plane that owns its state.
pub(crate) struct LocalControlPlane {
    pub(super) registry: Registry,
    pub(super) clock: Clock,
    pub(super) to: Collaborators,
    /// Applied calls that are not durable yet; oldest first.
    pub(super) waiting: Pending,
    /// Signs of life for write-behind, at most once per `seen_interval`.
    pub(super) seen: BTreeMap<(PartyId, PeerId), Timestamp>,
    pub(super) seen_interval: Duration,
    pub(super) seen_armed: bool,
    /// Commands that the hub had no room for.
    pub(super) unpublished: Vec<HubCommand>,
    pub(super) store_status: StoreStatus,
    pub(super) counters: Counters,
    pub(super) connection_status: ConnectionStatus,
    /// Time of the last warning of overload.
    pub(super) overload_told: Option<Duration>,
    pub(super) bounds_reached: BoundsReached,
    /// Dirty sets of the callers that read all parties in parts.
    pub(super) watches: Vec<Weak<DirtyParties>>,
    pub(super) stopping: Option<Vec<oneshot::Sender<()>>>,
}

impl LocalControlPlane {
    /// Creates the control plane over a restored registry. `store_status` has the path of the state
    /// and the damage found at the start.
    pub(crate) fn new(
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
            store_status,
            counters: Counters::default(),
            connection_status: ConnectionStatus { connection, retry_at: None },
            overload_told: None,
            bounds_reached: BoundsReached::default(),
            watches: Vec::new(),
            stopping: None,
        }
    }

    pub(super) fn take_in(&mut self, Call { caller, ask }: Call, ctx: &mut Context<Self>) {
        // The discovery actor reads the last state.
        if self.stopping.is_some()
            && !matches!(ask, Ask::Query(Query::Party(..) | Query::Parties { .. }))
        {
            // The caller gets `Failure::Stopping` as the reply is dropped.
            return;
        }
        let must = is_cleaning_up(&ask);
        let client = caller.payer();
        let client = client.as_ref();
        let now = self.clock.now();
        match ask {
            Ask::Command(command, reply) => {
                let applied = self.registry.apply(command, caller, now);
                self.applied(applied, must, client, reply, ctx);
            }
            Ask::Once(key, command, reply) => {
                let applied = self.registry.apply_once(key, command, caller, now);
                self.applied(applied, must, client, reply, ctx);
            }
            Ask::Defer(key, command, reply) => {
                let applied = self.registry.defer(key, command, caller, now);
                self.applied(applied, must, client, reply, ctx);
            }
            Ask::Plan(command, reply) => {
                let planned = self.registry.plan(&command, caller, now);
                reply.send(planned.map_err(Failure::from));
            }
            Ask::Origin(party_id, reply) => reply.send(Ok(self.registry.origin(&party_id))),
            // A token that is not durable yet has not been sent to anybody.
            Ask::Authenticate(hash, reply) => {
                reply.send(self.registry.authenticate(&hash, now).map_err(Failure::from));
            }
            Ask::AuthenticateClaim(hash, reply) => {
                reply.send(self.registry.authenticate_claim(&hash, now).map_err(Failure::from));
            }
            Ask::UtcOffset(peer_id, reply) => {
                reply.send(Ok(self.registry.utc_offset_of(&peer_id, now)));
            }
            Ask::IsMember(peer_id, reply) => {
                reply.send(Ok(self.registry.is_in_a_party(&peer_id)));
            }
            Ask::Watch(room, reply) => reply.send(self.watch(room)),
            Ask::Slice { after, limit, room, reply } => {
                reply.send(Ok(self.page(after.as_deref(), limit, room)));
            }
            // Subscriptions keep their order relative to changes, too.
            Ask::Query(mut query) => {
                if let Query::ConnectionChanged(connection_status, _) = &query {
                    self.connection_status = connection_status.clone();
                }
                let hub_command = self.read(&mut query);
                if self.waiting.is_empty() {
                    self.publish(hub_command.into_iter().collect(), ctx);
                    query.reply().release();
                } else if !must && !self.waiting.has_room(client, now.elapsed) {
                    query.reply().refuse(self.overloaded(client));
                } else {
                    let read = Read { caller, query, hub_command };
                    self.waiting.push(client, Waiting::Read(Box::new(read)));
                }
            }
            Ask::Status(reply) => reply.send(Ok(self.status())),
            Ask::Upstream(part, reply) => reply.send(Ok(self.registry.upstream(&part))),
            Ask::Connection(reply) => reply.send(Ok(self.connection())),
            Ask::SetServer(_, reply) | Ask::Retry(reply) => {
                reply.send(Err(Failure::NoLink("this program is a control server itself")));
            }
            Ask::Discover(reply) => match &self.to.announcer {
                Some(announcer) => forward(announcer.discover.send(Discover), reply, |found| {
                    found.map_err(|error| Failure::Discovery(error.to_string()))
                }),
                None => reply.send(Ok(Arc::default())),
            },
            Ask::Backup(path, reply) => {
                let copying = self.to.archive.send(BackUp { path });
                forward(copying, reply, |copied| copied.map_err(Failure::from));
            }
        }
    }

    /// Returns the present state of the connection to the control server.
    pub(super) fn connection(&self) -> Connection {
        self.connection_status.at(self.clock.elapsed())
    }
}

/// Forwards a request to another actor, which answers it.
fn forward<M, T: 'static>(
    request: actix::dev::RecipientRequest<M>,
    reply: Reply<T>,
    translate: impl FnOnce(M::Result) -> Result<T, Failure> + 'static,
) where
    M: Message + Send + 'static,
    M::Result: Send,
{
    actix::spawn(async move {
        reply.send(request.await.map_err(|_| Failure::Stopping).and_then(translate));
    });
}

impl Actor for LocalControlPlane {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

crate::health::answers_ping!(LocalControlPlane);

impl Handler<Call> for LocalControlPlane {
    type Result = ();

    fn handle(&mut self, call: Call, ctx: &mut Self::Context) {
        self.take_in(call, ctx);
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
        // No connection keeps them alive any more: this is their last sign of life.
        for seen in self.registry.kept_alive(self.clock.now()) {
            self.seen.insert((seen.party_id, seen.peer_id), seen.at);
        }
        self.stopping.get_or_insert_default().push(told);
        if !self.waiting.is_committing() {
            self.answer_stop(ctx);
        }
        Box::pin(async {
            stopped.await.ok();
        })
    }
}
