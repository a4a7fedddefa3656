//! Remote control plane, an actor. While the server is online, it executes commands about the
//! server's parties first. The registry answers all other calls.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use actix::prelude::*;
use lanrage_ipc::model::{Connection, PartyId};
use tokio::sync::Notify;

use super::driver::SessionContext;
use super::link::{CurrentSession, RemoteSettings, Retry, SetServer, Shutdown, UpdateSettings};
use super::mutation::Request;
use crate::control_plane::{Ask, Call, Failure, IntoAsk, Query};
use crate::core::{
    Caller, Command, ConnectionId, Outcome, ServerKey, Upstream, UpstreamPart, command,
};
use crate::server_url::ServerUrl;

/// Capacity of the mailbox, in calls; beyond it senders wait.
const MAILBOX: usize = 1024;

/// Remote control plane: forwards commands to the server, or to the local registry while offline.
pub(crate) struct RemoteControlPlane {
    pub(super) dispatcher: Rc<RemoteDispatcher>,
}

/// Dispatcher of calls.
pub(super) struct RemoteDispatcher {
    pub(super) context: SessionContext,
    pub(super) current: CurrentSession,
    link: LinkRecipients,
    /// Server of the configuration.
    configured: Option<ServerKey>,
    /// True in remote mode: a server is set.
    follows: Cell<bool>,
    /// Requests in flight, by the client's connection.
    in_flight: RefCell<HashMap<ConnectionId, Rc<InFlightCount>>>,
    /// Locks of the parties with requests in flight.
    orders: RefCell<HashMap<PartyId, Rc<RequestOrder>>>,
    /// Lock that serializes changes of the server.
    switching: tokio::sync::Mutex<()>,
    /// Cached relays of the server.
    pub(super) relays: RefCell<super::relays::Relays>,
    /// True while a query of the server's relays is in flight.
    pub(super) is_querying_relays: Cell<bool>,
}

/// Recipients of the link's messages.
#[derive(Debug, Clone)]
pub(crate) struct LinkRecipients {
    pub(crate) set_server: Recipient<SetServer>,
    pub(crate) retry: Recipient<Retry>,
    pub(crate) update_settings: Recipient<UpdateSettings>,
    pub(crate) shutdown: Recipient<Shutdown>,
}

/// Requests in flight of one client's connection.
#[derive(Debug, Default)]
struct InFlightCount {
    requests: Cell<usize>,
    done: Notify,
}

impl RemoteControlPlane {
    /// Creates the control plane over a running registry and link.
    pub(crate) fn new(
        context: SessionContext,
        current: CurrentSession,
        link: LinkRecipients,
        configured: Option<ServerKey>,
    ) -> Self {
        let (follows, in_flight, orders, relays, is_querying_relays) = Default::default();
        let switching = tokio::sync::Mutex::default();
        let dispatcher = RemoteDispatcher {
            context,
            current,
            link,
            configured,
            follows,
            in_flight,
            orders,
            switching,
            relays,
            is_querying_relays,
        };
        Self { dispatcher: Rc::new(dispatcher) }
    }
}

impl RemoteDispatcher {
    async fn dispatch(self: Rc<Self>, Call { caller, ask }: Call) {
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
                // A request in flight may still attach a peer to this connection.
                self.wait_for_requests(caller.connection).await;
                self.apply(caller, Command::Disconnect).await
            }
            Command::RegisterRelay(relay) => {
                self.register_relay(caller, relay).await.map(Outcome::Relay)
            }
            Command::Release { peer_id } if self.follows.get() => {
                self.release(caller, peer_id).await.map(Outcome::Revoked)
            }
            command if self.follows.get() => {
                let _in_flight = self.start_request(caller.connection);
                match Request::of(&caller, &command, &self.context.keys) {
                    Some(request) => {
                        self.in_order(&request.party_id.clone(), self.mutate(request)).await
                    }
                    None => self.apply(caller, command).await,
                }
            }
            command => self.apply(caller, command).await,
        }
    }

    async fn retry(&self) -> Result<Connection, Failure> {
        send_to_link(&self.link.retry, || Retry).await?;
        self.connection().await
    }

    /// Executes a command in the registry.
    pub(super) async fn apply(&self, caller: Caller, command: Command) -> Result<Outcome, Failure> {
        self.context.local.ask(caller, |reply| Ask::Command(command, reply)).await
    }

    /// Asks the registry on behalf of the program itself.
    pub(super) async fn itself<T>(&self, ask: impl IntoAsk<T>) -> Result<T, Failure> {
        self.context.local.ask(self.context.itself.clone(), ask).await
    }

    pub(super) async fn upstream(&self, part: UpstreamPart) -> Result<Upstream, Failure> {
        self.itself(|reply| Ask::Upstream(part, reply)).await
    }

    pub(super) async fn connection(&self) -> Result<Connection, Failure> {
        self.itself(Ask::Connection).await
    }

    /// Counts a request of a connection until the guard is dropped.
    fn start_request(self: &Rc<Self>, connection: ConnectionId) -> InFlightRequest {
        let count = self.in_flight.borrow_mut().entry(connection).or_default().clone();
        count.requests.set(count.requests.get() + 1);
        InFlightRequest { dispatcher: self.clone(), connection, count }
    }

    /// Waits until a connection has no request in flight.
    async fn wait_for_requests(&self, connection: ConnectionId) {
        loop {
            let count = self.in_flight.borrow().get(&connection).cloned();
            match count {
                Some(count) => count.done.notified().await,
                None => return,
            }
        }
    }

    /// Connects to the server that was chosen at run time, or else to the configured one. A changed
    /// configuration replaces the choice.
    ///
    /// # Errors
    /// [`Failure::Store`] if the choice cannot be stored, and the refusal of an invalid address.
    pub(super) async fn choose(&self) -> Result<(), Failure> {
        let choice = self.upstream(UpstreamPart::Choice).await?.choice;
        let configured = self.configured.clone();
        let server = match choice.configured == configured {
            true => choice.server,
            false => configured.clone(),
        };
        let url = server.as_ref().and_then(|key| ServerUrl::kept(&key.0).ok());
        self.follows.set(server.is_some());
        self.itself(command!(Follow { server, configured })).await?;
        send_to_link(&self.link.set_server, || SetServer(url.clone())).await
    }

    /// Switches to another server, or to none. The choice is stored first; then this machine's
    /// peers leave on the old server.
    async fn set_server(&self, url: Option<ServerUrl>) -> Result<Connection, Failure> {
        let _switching = self.switching.lock().await;
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
            // The choice is unchanged; a new connection reports the events that were dropped.
            let url = before.choice.server.and_then(|key| ServerUrl::kept(&key.0).ok());
            send_to_link(&self.link.set_server, || SetServer(url.clone())).await?;
            return Err(failure);
        }
        self.follows.set(follows);
        if let Some(session) = session.filter(|session| session.has_greeted()) {
            session.depart(before.memberships).await;
        }
        self.relays.borrow_mut().take();
        send_to_link(&self.link.set_server, || SetServer(url.clone())).await?;
        self.connection().await
    }
}

/// Lock that keeps requests about one party in the order of their calls.
#[derive(Debug, Default)]
struct RequestOrder(tokio::sync::Mutex<()>);

impl RemoteDispatcher {
    /// Runs `work` after all earlier requests about the party.
    pub(super) async fn in_order<T>(&self, party_id: &PartyId, work: impl Future<Output = T>) -> T {
        let order = self.orders.borrow_mut().entry(party_id.clone()).or_default().clone();
        let guard = order.0.lock().await;
        let done = work.await;
        drop(guard);
        // Two references, this one and the map's: no other request waits.
        if Rc::strong_count(&order) == 2 {
            self.orders.borrow_mut().remove(party_id);
        }
        done
    }
}

/// Request in flight, until it is dropped.
struct InFlightRequest {
    dispatcher: Rc<RemoteDispatcher>,
    connection: ConnectionId,
    count: Rc<InFlightCount>,
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.count.requests.set(self.count.requests.get() - 1);
        if self.count.requests.get() == 0 {
            self.dispatcher.in_flight.borrow_mut().remove(&self.connection);
            self.count.done.notify_waiters();
        }
    }
}

/// Sends the link a message. A restarting link loses messages, so this retries.
async fn send_to_link<M>(link: &Recipient<M>, message: impl Fn() -> M) -> Result<(), Failure>
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
        // Requests for the registry are sent at once, so that they keep their order.
        actix::spawn(self.dispatcher.clone().dispatch(call));
    }
}

/// Connects to the chosen server; sent once, before the first call.
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

/// Replaces the settings.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SetSettings(pub(crate) RemoteSettings);

impl Handler<SetSettings> for RemoteControlPlane {
    type Result = ResponseFuture<()>;

    fn handle(
        &mut self,
        SetSettings(settings): SetSettings,
        _: &mut Self::Context,
    ) -> Self::Result {
        let link = self.dispatcher.link.update_settings.clone();
        Box::pin(
            async move { drop(send_to_link(&link, || UpdateSettings(settings.clone())).await) },
        )
    }
}

/// Ends the connection to the server for good. Calls are still answered.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

impl Handler<Stop> for RemoteControlPlane {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Stop, _: &mut Self::Context) -> Self::Result {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move {
            if dispatcher.follows.get() {
                drop(send_to_link(&dispatcher.link.shutdown, || Shutdown).await);
            }
        })
    }
}
