//! What all WebSocket connections share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use actix::prelude::*;
use lanrage_ipc::model::{Epoch, PeerId};
use tokio::sync::watch;

use super::line::{Line, lock};
use crate::clock::Clock;
use crate::config;
use crate::control_plane::{Answer, Ask, Call, Failure};
use crate::core::{AddressKey, Buckets, Caller, ConnectionId, RetryAfter};
use crate::http::metrics::Metrics;

/// What all connections share. Workers have it in common.
pub struct Face {
    pub(super) control_plane: Recipient<Call>,
    pub(super) clock: Clock,
    /// The stretch of history that the server is in.
    pub(super) epoch: Epoch,
    pub(super) metrics: Arc<Metrics>,
    /// Why the server stops, once it does.
    pub(super) stopping: watch::Receiver<Option<String>>,
    settings: RwLock<Arc<Settings>>,
    /// How often an address may take an id; the HTTP face counts with it.
    registrations: Arc<Mutex<Buckets<AddressKey>>>,
    /// The last connection's number; the other faces count with it.
    connections: Arc<AtomicU64>,
    lines: Mutex<Lines>,
    /// The connection that took a peer's id last: what waits for the peer goes there.
    holders: Mutex<HashMap<PeerId, ConnectionId>>,
}

/// The open connections.
#[derive(Default)]
struct Lines {
    by_id: HashMap<ConnectionId, Arc<Line>>,
    by_address: HashMap<AddressKey, usize>,
}

/// What may change while the server runs; a connection keeps most of what it began with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a WebSocket may use up.
    pub ws: config::Ws,
    /// The origins whose pages may connect; a client that is no page sends none.
    pub allowed_origins: Vec<String>,
    /// How long a peer may be silent.
    pub peer_timeout: Duration,
    /// How long a token is valid.
    pub token_ttl: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
}

/// Why there is no room for another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// On the whole server.
    Anywhere,
    /// For its address.
    ForAddress,
}

impl Face {
    /// A face of `control_plane`. `registrations` and `connections` are shared with other faces.
    pub fn new(
        control_plane: Recipient<Call>,
        clock: Clock,
        epoch: Epoch,
        metrics: Arc<Metrics>,
        stopping: watch::Receiver<Option<String>>,
        settings: Settings,
        registrations: Arc<Mutex<Buckets<AddressKey>>>,
        connections: Arc<AtomicU64>,
    ) -> Self {
        Self {
            control_plane,
            clock,
            epoch,
            metrics,
            stopping,
            settings: RwLock::new(Arc::new(settings)),
            registrations,
            connections,
            lines: Mutex::default(),
            holders: Mutex::default(),
        }
    }

    /// Other settings from here on.
    pub fn set(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Arc::new(settings);
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        lock(&self.lines).by_id.len()
    }

    /// How many frames wait for clients to read.
    pub fn queued(&self) -> usize {
        lock(&self.lines).by_id.values().map(|line| line.queued()).sum()
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(super) fn next_id(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn enter(&self, line: &Arc<Line>, ws: &config::Ws) -> Result<(), NoRoom> {
        let mut lines = lock(&self.lines);
        if lines.by_id.len() >= ws.sockets {
            return Err(NoRoom::Anywhere);
        }
        let of_address = lines.by_address.entry(line.address_key()).or_default();
        if *of_address >= ws.sockets_per_address {
            return Err(NoRoom::ForAddress);
        }
        *of_address += 1;
        lines.by_id.insert(line.id, line.clone());
        Ok(())
    }

    pub(super) fn leave(&self, line: &Line) {
        let mut lines = lock(&self.lines);
        if lines.by_id.remove(&line.id).is_none() {
            return;
        }
        if let Some(of_address) = lines.by_address.get_mut(&line.address_key()) {
            *of_address -= 1;
            if *of_address == 0 {
                lines.by_address.remove(&line.address_key());
            }
        }
    }

    pub(super) fn lines(&self) -> Vec<Arc<Line>> {
        lock(&self.lines).by_id.values().cloned().collect()
    }

    /// What waits for a peer goes to this connection from now on.
    pub(super) fn hold(&self, peer_id: PeerId, connection: ConnectionId) {
        lock(&self.holders).insert(peer_id, connection);
    }

    /// Whether what waits for a peer goes to this connection.
    pub(super) fn is_holder(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        lock(&self.holders).get(peer_id).is_none_or(|holder| *holder == connection)
    }

    pub(super) fn release<'a>(
        &self,
        peers: impl IntoIterator<Item = &'a PeerId>,
        connection: ConnectionId,
    ) {
        let mut holders = lock(&self.holders);
        for peer_id in peers {
            if holders.get(peer_id) == Some(&connection) {
                holders.remove(peer_id);
            }
        }
    }

    /// Counts that an address takes an id.
    pub(super) fn may_register(&self, address: IpAddr) -> Result<(), RetryAfter> {
        lock(&self.registrations).take(address.into(), self.clock.elapsed())
    }

    /// Asks the control plane.
    ///
    /// # Errors
    /// [`Failure::TimedOut`] beside its own.
    pub(super) async fn ask(&self, caller: Caller, ask: Ask) -> Result<Answer, Failure> {
        let patience = self.settings().request_timeout;
        let call = self.control_plane.send(Call { caller, ask });
        match tokio::time::timeout(patience, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::Stopping),
            Err(_) => Err(Failure::TimedOut(patience)),
        }
    }
}
