//! The remote control plane, an actor. It has the server execute a command about its parties first,
//! while the server can be reached. The registry answers all other calls.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use actix::prelude::*;
use lanrage_ipc::model::{Connection, PartyId};
use tokio::sync::Notify;

use super::driver::SessionContext;
use super::link::{CurrentSession, Retry, SetServer, Settings, Shutdown, UpdateSettings};
use super::mutation::Request;
use crate::control_plane::{Ask, Call, Failure, IntoAsk, Query};
use crate::core::{
    Caller, Command, ConnectionId, Outcome, ServerKey, Upstream, UpstreamPart, command,
};
use crate::server_url::ServerUrl;

/// Calls that may wait in the mailbox before their senders do.
const MAILBOX: usize = 1024;

/// The remote control plane: it forwards commands to the server, or to its own registry offline.
pub(crate) struct RemoteControlPlane {
    pub(super) dispatcher: Rc<RemoteDispatcher>,
}

/// Dispatcher of calls.
pub(super) struct RemoteDispatcher {
    pub(super) context: SessionContext,
    pub(super) current: CurrentSession,
    link: ToLink,
    /// Server of the configuration.
    configured: Option<ServerKey>,
    /// True while a server is followed.
    follows: Cell<bool>,
    busy: RefCell<HashMap<ConnectionId, Rc<Busy>>>,
    turns: RefCell<HashMap<PartyId, Rc<Turns>>>,
    /// One change of the server at a time.
    switching: tokio::sync::Mutex<()>,
    pub(super) relays: RefCell<super::relays::Relays>,
    /// True while a request for the server's relays is in flight.
    pub(super) asks_for_relays: Cell<bool>,
}

/// Ways to the link.
#[derive(Debug, Clone)]
pub(crate) struct ToLink {
    pub(crate) head: Recipient<SetServer>,
    pub(crate) retry: Recipient<Retry>,
    pub(crate) tune: Recipient<UpdateSettings>,
    pub(crate) farewell: Recipient<Shutdown>,
}

/// The requests of one client's connection that are under way.
#[derive(Debug, Default)]
struct Busy {
    requests: Cell<usize>,
    done: Notify,
}

impl RemoteControlPlane {
    /// Over a registry and a link that are running.
    pub(crate) fn new(
        context: SessionContext,
        current: CurrentSession,
        link: ToLink,
        configured: Option<ServerKey>,
    ) -> Self {
        let (follows, busy, turns, relays, asks_for_relays) = Default::default();
        let switching = tokio::sync::Mutex::default();
        let dispatcher = RemoteDispatcher {
            context,
            current,
            link,
            configured,
            follows,
            busy,
            turns,
            switching,
            relays,
            asks_for_relays,
        };
        Self { dispatcher: Rc::new(dispatcher) }
    }
}

impl RemoteDispatcher {
    async fn answer(self: Rc<Self>, Call { caller, ask }: Call) {
        match ask {
            Ask::Command(command, reply) => reply.send(self.command(caller, command).await),
            Ask::Query(Query::Relays(region, reply)) => {
                reply.send(self.list_relays(caller, region).await);
            }
            Ask::SetServer(url, reply) => reply.send(self.set_server(url).await),
            Ask::Retry(reply) => reply.send(self.retry().await),
            ask => drop(self.context.local.forward(Call { caller, ask }).await),
        }
    }

    async fn command(
        self: &Rc<Self>,
        caller: Caller,
        command: Command,
    ) -> Result<Outcome, Failure> {
        match command {
            Command::Disconnect => {
                // What it asked for may still keep a peer alive through it.
                self.quiet(caller.connection).await;
                self.apply(caller, Command::Disconnect).await
            }
            Command::RegisterRelay(relay) => {
                self.register_relay(caller, relay).await.map(Outcome::Relay)
            }
            Command::Release { peer_id } if self.follows.get() => {
                self.release(caller, peer_id).await.map(Outcome::Revoked)
            }
            command if self.follows.get() => {
                let _busy = self.enter(caller.connection);
                match Request::of(&caller, &command, &self.context.keys) {
                    Some(request) => {
                        self.in_turn(&request.party_id.clone(), self.mutate(request)).await
                    }
                    None => self.apply(caller, command).await,
                }
            }
            command => self.apply(caller, command).await,
        }
    }

    async fn retry(&self) -> Result<Connection, Failure> {
        tell(&self.link.retry, || Retry).await?;
        self.connection().await
    }

    /// Has the registry do a command.
    pub(super) async fn apply(&self, caller: Caller, command: Command) -> Result<Outcome, Failure> {
        self.context.local.ask(caller, |reply| Ask::Command(command, reply)).await
    }

    /// Has the registry answer the program itself.
    pub(super) async fn itself<T>(&self, ask: impl IntoAsk<T>) -> Result<T, Failure> {
        self.context.local.ask(self.context.itself.clone(), ask).await
    }

    pub(super) async fn upstream(&self, part: UpstreamPart) -> Result<Upstream, Failure> {
        self.itself(|reply| Ask::Upstream(part, reply)).await
    }

    pub(super) async fn connection(&self) -> Result<Connection, Failure> {
        self.itself(Ask::Connection).await
    }

    fn enter(self: &Rc<Self>, connection: ConnectionId) -> Underway {
        let busy = self.busy.borrow_mut().entry(connection).or_default().clone();
        busy.requests.set(busy.requests.get() + 1);
        Underway { dispatcher: self.clone(), connection, busy }
    }

    /// Waits until no request of a connection is under way.
    async fn quiet(&self, connection: ConnectionId) {
        loop {
            let busy = self.busy.borrow().get(&connection).cloned();
            match busy {
                Some(busy) => busy.done.notified().await,
                None => return,
            }
        }
    }

    /// Goes by what was chosen at run time, or else by what the configuration says.
    ///
    /// # Errors
    /// [`Failure::Store`] for a choice that can't be stored, and a refusal of a bad address.
    pub(super) async fn choose(&self) -> Result<(), Failure> {
        let known = self.upstream(UpstreamPart::Choice).await?.choice;
        let configured = self.configured.clone();
        let server = if known.configured == configured { known.server } else { configured.clone() };
        let url = server.as_ref().and_then(|key| ServerUrl::kept(&key.0).ok());
        self.follows.set(server.is_some());
        self.itself(command!(Follow { server, configured })).await?;
        tell(&self.link.head, || SetServer(url.clone())).await
    }

    /// Switches to another server, or to none. What was decided is kept before anything is done;
    /// then the old server is told that this machine's peers leave.
    async fn set_server(&self, url: Option<ServerUrl>) -> Result<Connection, Failure> {
        let _turn = self.switching.lock().await;
        let before = self.upstream(UpstreamPart::All).await?;
        let server = url.as_ref().map(ServerUrl::key);
        if before.choice.server == server {
            return self.connection().await;
        }
        let session = self.current.session();
        if let Some(session) = &session {
            session.stop_processing();
        }
        let follows = server.is_some();
        let follow = command!(Follow { server, configured: self.configured.clone() });
        if let Err(failure) = self.itself(follow).await {
            // Nothing was changed; what was not heard meanwhile comes with another connection.
            let known = before.choice.server.and_then(|key| ServerUrl::kept(&key.0).ok());
            tell(&self.link.head, || SetServer(known.clone())).await?;
            return Err(failure);
        }
        self.follows.set(follows);
        if let Some(session) = session.filter(|session| session.has_greeted()) {
            session.depart(before.memberships).await;
        }
        self.relays.borrow_mut().take();
        tell(&self.link.head, || SetServer(url.clone())).await?;
        self.connection().await
    }
}

/// Turns of the requests about one party, in the order of the calls.
#[derive(Debug, Default)]
struct Turns(tokio::sync::Mutex<()>);

impl RemoteDispatcher {
    /// Does something about a party when all that was asked of it before is done.
    pub(super) async fn in_turn<T>(&self, party_id: &PartyId, work: impl Future<Output = T>) -> T {
        let turns = self.turns.borrow_mut().entry(party_id.clone()).or_default().clone();
        let turn = turns.0.lock().await;
        let done = work.await;
        drop(turn);
        // Nobody else waits: this, and the map's own.
        if Rc::strong_count(&turns) == 2 {
            self.turns.borrow_mut().remove(party_id);
        }
        done
    }
}

/// A request that is under way, until it is dropped.
struct Underway {
    dispatcher: Rc<RemoteDispatcher>,
    connection: ConnectionId,
    busy: Rc<Busy>,
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.busy.requests.set(self.busy.requests.get() - 1);
        if self.busy.requests.get() == 0 {
            self.dispatcher.busy.borrow_mut().remove(&self.connection);
            self.busy.done.notify_waiters();
        }
    }
}

/// Tells the link something. One that is just beginning anew loses what it was told: it is told
/// again.
async fn tell<M>(link: &Recipient<M>, message: impl Fn() -> M) -> Result<(), Failure>
where
    M: Message<Result = ()> + Send,
{
    for _ in 0..3 {
        if link.send(message()).await.is_ok() {
            return Ok(());
        }
    }
    Err(Failure::Stopping)
}

impl Actor for RemoteControlPlane {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

crate::health::answers_ping!(RemoteControlPlane);

impl Handler<Call> for RemoteControlPlane {
    type Result = ();

    fn handle(&mut self, call: Call, _: &mut Self::Context) {
        // What is a registry's own is asked at once, so that it keeps its place.
        actix::spawn(self.dispatcher.clone().answer(call));
    }
}

/// Goes by what was chosen. Once, before the first call.
#[derive(Message)]
#[rtype(result = "Result<(), Failure>")]
pub(crate) struct Start;

impl Handler<Start> for RemoteControlPlane {
    type Result = ResponseFuture<Result<(), Failure>>;

    fn handle(&mut self, _: Start, _: &mut Self::Context) -> Self::Result {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move { dispatcher.choose().await })
    }
}

/// Goes by other settings from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SetSettings(pub(crate) Settings);

impl Handler<SetSettings> for RemoteControlPlane {
    type Result = ResponseFuture<()>;

    fn handle(
        &mut self,
        SetSettings(settings): SetSettings,
        _: &mut Self::Context,
    ) -> Self::Result {
        let link = self.dispatcher.link.tune.clone();
        Box::pin(async move { drop(tell(&link, || UpdateSettings(settings.clone())).await) })
    }
}

/// Lets go of the server, for good. Calls are answered all the same.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

impl Handler<Stop> for RemoteControlPlane {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Stop, _: &mut Self::Context) -> Self::Result {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move {
            if dispatcher.follows.get() {
                drop(tell(&dispatcher.link.farewell, || Shutdown).await);
            }
        })
    }
}
