//! State that all WebSocket connections share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use lanrage_ipc::ErrorCode;
use lanrage_ipc::model::{Epoch, PeerId};

use super::connection_handle::{CloseCode, ConnectionHandle, lock};
use super::greetings::{GreetingPermit, Greetings};
use super::holders::{Displaced, Holders};
use super::party_snapshots::PartySnapshots;
use super::queued::Queued;
use super::render::{self, Rejection};
use super::session;
use crate::config::Ws;
use crate::control_plane::Connections;
use crate::core::{AddressKey, ConnectionId, Payer, Tally};
use crate::http::{HttpState, Problem, Sockets};

/// State that all connections and workers share.
pub(crate) struct WsServer {
    pub(super) http: web::Data<HttpState>,
    /// Epoch of the server.
    pub(super) epoch: Epoch,
    settings: RwLock<Arc<WsSettings>>,
    connections: Connections,
    handles: Mutex<Handles>,
    /// Bytes of the frames in all send queues.
    pub(super) queued_bytes: Arc<Queued>,
    /// Snapshots of parties that are sent because members changed.
    pub(super) party_snapshots: PartySnapshots,
    holders: Mutex<Holders>,
    greetings: Greetings,
}

/// The open connections.
#[derive(Default)]
struct Handles {
    by_id: HashMap<ConnectionId, Arc<ConnectionHandle>>,
    by_address: Tally,
}

/// Settings that a reload may change; a connection keeps most of those that it began with.
#[derive(Debug, Clone)]
pub(crate) struct WsSettings {
    /// Limits of a WebSocket.
    pub(crate) ws: Ws,
    /// Time without a sign of life after which a peer expires.
    pub(crate) peer_timeout: Duration,
}

/// Limit that rejects a further connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Limit of the whole server.
    Anywhere,
    /// Limit of the address.
    ForAddress,
}

/// Place of a connection among the open ones, until it is dropped.
pub(super) struct Entered {
    server: Arc<WsServer>,
    handle: Arc<ConnectionHandle>,
}

impl Entered {
    pub(super) fn handle(&self) -> &Arc<ConnectionHandle> {
        &self.handle
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.server.leave(&self.handle);
    }
}

impl WsServer {
    /// Creates the server. Its connections share their numbers with those of the other frontends.
    pub(crate) fn new(
        http: web::Data<HttpState>,
        epoch: Epoch,
        settings: WsSettings,
        connections: Connections,
    ) -> Self {
        let settings = RwLock::new(Arc::new(settings));
        let (handles, queued_bytes, party_snapshots, holders, greetings) = Default::default();
        Self {
            http,
            epoch,
            settings,
            connections,
            handles,
            queued_bytes,
            party_snapshots,
            holders,
            greetings,
        }
    }

    /// Replaces the settings.
    pub(crate) fn set(&self, settings: WsSettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    pub(super) fn settings(&self) -> Arc<WsSettings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn next_id(&self) -> ConnectionId {
        self.connections.next()
    }

    /// Returns the time, on the clock of timeouts.
    pub(super) fn now(&self) -> Duration {
        self.http.clock.elapsed()
    }

    pub(super) fn enter(
        self: &Arc<Self>,
        handle: Arc<ConnectionHandle>,
        ws: &Ws,
    ) -> Result<Entered, NoRoom> {
        let mut handles = lock(&self.handles);
        if handles.by_id.len() >= ws.sockets {
            return Err(NoRoom::Anywhere);
        }
        let payer = Payer::Address(handle.address_key());
        let share = |payer: &Payer| payer.share(ws.sockets_per_address);
        if handles.by_address.exceeded(&payer, 1, share).is_some() {
            return Err(NoRoom::ForAddress);
        }
        handles.by_address.add(&payer, 1);
        handles.by_id.insert(handle.id, handle.clone());
        Ok(Entered { server: self.clone(), handle })
    }

    fn leave(&self, handle: &ConnectionHandle) {
        let mut handles = lock(&self.handles);
        if handles.by_id.remove(&handle.id).is_none() {
            return;
        }
        handles.by_address.remove(&Payer::Address(handle.address_key()), 1);
    }

    /// Waits until a greeting of an address may go on.
    pub(super) async fn begin_greeting(&self, address: AddressKey) -> GreetingPermit {
        self.greetings.acquire(address).await
    }

    pub(super) fn handles(&self) -> Vec<Arc<ConnectionHandle>> {
        lock(&self.handles).by_id.values().cloned().collect()
    }

    /// Ends a connection that may no longer speak for a peer, or get the events of its parties. A
    /// client that also speaks for other peers reconnects for them.
    pub(crate) fn end(&self, peer_id: &PeerId, connection: ConnectionId) {
        let handle = lock(&self.handles).by_id.get(&connection).cloned();
        let Some(handle) = handle else { return };
        log::info!("a connection may no longer speak for a peer: peer={peer_id} {connection:?}");
        let (format, now) = (handle.format(), self.now());
        if format.additions {
            let message = format!("this connection may no longer speak for peer {peer_id}");
            let rejection = Rejection::new(ErrorCode::PermissionDenied, message);
            session::send(&handle, &render::error(format, rejection, None), now);
        }
        handle.close(
            CloseCode::TryAgain,
            "the peer's tokens were revoked, or its owner is back",
            now,
        );
    }

    /// Makes a connection the receiver of a peer's signals.
    pub(super) fn hold(&self, peer_id: PeerId, connection: ConnectionId) {
        lock(&self.holders).hold(peer_id, connection);
    }

    /// Makes a connection the only one that speaks for a peer. Older ones are told, and closed if
    /// they speak for no other peer.
    pub(super) fn displace(&self, peer_id: &PeerId, by: ConnectionId) {
        let displaced = lock(&self.holders).displace(peer_id, by);
        for Displaced { connection, entirely } in displaced {
            let handle = lock(&self.handles).by_id.get(&connection).cloned();
            if let Some(handle) = handle {
                log::info!("peer taken over: peer={peer_id} from={connection:?}");
                handle.lose_peer();
                displaced_by_another(&handle, peer_id, entirely, self.now());
            }
        }
    }

    /// True if a connection receives the signals of a peer.
    pub(super) fn is_holder(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        lock(&self.holders).is_latest(peer_id, connection)
    }

    /// True while a connection speaks for a peer.
    pub(super) fn speaks_for(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        lock(&self.holders).holds(peer_id, connection)
    }

    /// True if other connections speak for a peer, and this one does not.
    pub(super) fn only_others_speak_for(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        lock(&self.holders).only_others_hold(peer_id, connection)
    }

    pub(super) fn release<'a>(
        &self,
        peers: impl IntoIterator<Item = &'a PeerId>,
        connection: ConnectionId,
    ) {
        let mut holders = lock(&self.holders);
        for peer_id in peers {
            holders.release(peer_id, connection);
        }
    }
}

/// Tells a connection that it no longer speaks for a peer.
fn displaced_by_another(
    handle: &ConnectionHandle,
    peer_id: &PeerId,
    entirely: bool,
    now: Duration,
) {
    let format = handle.format();
    if format.additions {
        let message =
            format!("another connection with the same identity has taken over peer {peer_id}");
        let rejection = Rejection::new(ErrorCode::PermissionDenied, message);
        session::send(handle, &render::error(format, rejection, None), now);
    }
    if entirely {
        let reason = "displaced: another connection with the same identity took over";
        handle.close(CloseCode::Displaced, reason, now);
    }
}

impl Sockets for WsServer {
    fn upgrade(self: Arc<Self>, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        session::upgrade(&self, request)
    }

    fn open(&self) -> usize {
        lock(&self.handles).by_id.len()
    }

    fn queued(&self) -> usize {
        lock(&self.handles).by_id.values().map(|handle| handle.queued()).sum()
    }
}
