//! Translation between the wire and the control plane: request to call, outcome to reply.

mod commands;
mod queries;
mod slices;
mod state;

use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use lanrage_ipc::envelope::one_line;
use lanrage_ipc::method::method_info;
use lanrage_ipc::model::ConnectionState;
use lanrage_ipc::params::{self, Agent, ProtocolRange};
use lanrage_ipc::results::*;
use lanrage_ipc::{ErrorCode, PROTOCOL, Reply, Request, RpcError};

pub(super) use slices::{hint, too_large};

use super::budget::{Account, Reserved};
use super::connection_limiter::RoleShares;
use super::errors::wire;
use super::{IpcServer, IpcSettings};
use crate::config::Limits;
use crate::control_plane::{Ask, Failure, IntoAsk, Query, Status};
use crate::core::{Caller, ConnectionId, Principal, User};
use crate::server_url::BadServerUrl;

/// Translator of one connection.
#[derive(Clone)]
pub(super) struct Translator {
    pub(super) server: Rc<IpcServer>,
    pub(super) settings: Rc<IpcSettings>,
    pub(super) caller: Caller,
    pub(super) role: Role,
    /// Account of the connection's unread bytes.
    pub(super) account: Rc<Account>,
}

impl Translator {
    /// Looks up the method, then checks the role and the params.
    ///
    /// # Errors
    /// `unknown_method`, `permission_denied`, `invalid_params`.
    pub(super) fn admit(&self, method: &str, params: &str) -> Result<Request, RpcError> {
        if let Some(info) = method_info(method)
            && info.role > self.role
        {
            return Err(denied(method, info.role, self.role));
        }
        Request::decode(method, params)
    }

    /// Asks the control plane.
    ///
    /// # Errors
    /// Its failure as a wire error; `timeout`.
    pub(super) async fn ask<T>(&self, request: impl IntoAsk<T>) -> Result<T, RpcError> {
        let patience = self.settings.limits.request_timeout;
        let answer = self.server.control_plane.ask_within(patience, self.caller.clone(), request);
        answer.await.map_err(|failure| wire(&failure))
    }

    /// Returns the byte limit of a list in a reply, without the rest of the line.
    fn room(&self) -> usize {
        self.settings.limits.frame_out.saturating_sub(1024)
    }

    /// Reserves room for a reply that may be long: a whole frame if possible at once, or else the
    /// estimated size, as soon as it is free.
    ///
    /// # Errors
    /// `rate_limited` if the room does not become free in time.
    pub(super) async fn reserve(
        &self,
        estimate: impl Fn(&Status) -> usize,
    ) -> Result<Reserved, RpcError> {
        let Limits { frame_out, request_timeout, .. } = self.settings.limits;
        if let Some(reserved) = self.account.try_reserve(frame_out) {
            return Ok(reserved);
        }
        let bytes = estimate(&self.ask(Ask::Status).await?).min(frame_out);
        tokio::time::timeout(request_timeout, self.account.reserve(bytes)).await.map_err(|_| {
            let message = "replies that clients do not read take all the memory that they may";
            let level = self.server.starved.level(log::Level::Warn);
            log::log!(level, "request refused: {message} (raise limits.reply_bytes)");
            RpcError::new(ErrorCode::RateLimited, message)
                .hint("read the replies, close connections, or have limits.reply_bytes raised")
        })
    }

    /// Reserves room like [`Translator::reserve`], and waits for the reply's turn to be encoded.
    ///
    /// # Errors
    /// `rate_limited` as there; `timeout` if the turn does not come in time.
    pub(super) async fn reserve_turn(
        &self,
        estimate: impl Fn(&Status) -> usize,
    ) -> Result<Reserved, RpcError> {
        let mut reserved = self.reserve(estimate).await?;
        let patience = self.settings.limits.request_timeout;
        let turn = tokio::time::timeout(patience, self.account.acquire_turn()).await;
        reserved.keep(turn.map_err(|_| wire(&Failure::TimedOut(patience)))?);
        Ok(reserved)
    }

    /// Reserves room like [`Translator::reserve`] for a reply with one party, which needs no turn.
    ///
    /// # Errors
    /// Those of [`Translator::reserve`].
    pub(super) async fn reserve_party(&self) -> Result<Reserved, RpcError> {
        let one = bytes(1, self.settings.limits.peers_per_party);
        self.reserve(|all| bytes_of_parties(all).min(one)).await
    }

    /// Reserves room for a read whose reply may be long. Changes are never delayed: later requests
    /// would overtake them.
    async fn reserve_for(&self, request: &Request) -> Result<Option<Reserved>, RpcError> {
        let estimate: fn(&Status) -> usize = match request {
            Request::PartyList(_) | Request::StateExport(_) => bytes_of_parties,
            Request::RelayList(_) => bytes_of_relays,
            Request::PartyGet(_) | Request::PeerList(_) => {
                return self.reserve_party().await.map(Some);
            }
            _ => return Ok(None),
        };
        self.reserve_turn(estimate).await.map(Some)
    }

    /// Answers a request, except those about subscriptions, which belong to the session. A reply
    /// that may be long comes with its reserved room.
    pub(super) async fn answer(
        &self,
        request: Request,
    ) -> (Result<Response, RpcError>, Option<Reserved>) {
        match request {
            Request::RpcDiscover(_) => return (Ok(Response::Document(&OPENRPC_LINE)), None),
            Request::PartyDiscover(_) => return self.discover().await,
            _ => {}
        }
        match self.reserve_for(&request).await {
            Ok(reserved) => (self.response(request).await, reserved),
            Err(error) => (Err(error), None),
        }
    }

    async fn response(&self, request: Request) -> Result<Response, RpcError> {
        self.encoded(self.reply(request).await?).await
    }

    async fn reply(&self, request: Request) -> Result<Reply, RpcError> {
        match request {
            Request::Hello(params) => self.hello(params).await,
            Request::Ping(_) => Ok(Reply::Ping(Done {})),
            Request::StatusGet(_) => self.status().await,
            Request::ConnectionGet(_) => self.ask(Ask::Connection).await.map(Reply::ConnectionGet),
            Request::ConnectionSet(params) => {
                let url = params.server_url.map(|url| url.parse()).transpose();
                let url = url.map_err(|rule: BadServerUrl| {
                    RpcError::invalid_params("server_url", rule.to_string())
                })?;
                let connection = self.ask(|reply| Ask::SetServer(url, reply)).await?;
                Ok(Reply::ConnectionSet(connection))
            }
            Request::ConnectionRetry(_) => self.ask(Ask::Retry).await.map(Reply::ConnectionRetry),
            Request::StateBackup(params) => self.backup(params.path).await,
            Request::StateExport(_) => self.export().await,
            Request::StateImport(params) => self.import(params).await,
            Request::PartyGet(params) => {
                let party = self.party(params.party_id).await?;
                Ok(Reply::PartyGet(PartyResult { party }))
            }
            Request::PartyList(params) => self.page(params).await.map(Reply::PartyList),
            Request::PeerList(params) => {
                let peers = self.party(params.party_id).await?.peers;
                Ok(Reply::PeerList(PeerListResult { peers }))
            }
            Request::PeerDiscover(params::MemberParams { party_id, peer_id }) => {
                let peer = self.ask(|reply| Query::Peer(party_id, peer_id, reply)).await?;
                Ok(Reply::PeerDiscover(PeerResult { peer }))
            }
            Request::RelayList(params) => {
                let relays = self.ask(|reply| Query::Relays(params.region, reply)).await?;
                Ok(Reply::RelayList(RelayListResult { relays }))
            }
            command => self.command(command).await,
        }
    }

    async fn hello(&self, params: params::HelloParams) -> Result<Reply, RpcError> {
        let ProtocolRange { min, max } = params.protocol;
        if !(min..=max).contains(&PROTOCOL) {
            let message = format!("protocol {min} to {max} is asked for, {PROTOCOL} is spoken");
            return Err(RpcError::new(ErrorCode::UnsupportedProtocol, message));
        }
        if let Some(client) = &params.client {
            log::debug!("{:?}: {:?} {:?}", self.caller.connection, client.name, client.version);
        }
        let Status { epoch, .. } = self.ask(Ask::Status).await?;
        Ok(Reply::Hello(HelloResult {
            protocol: PROTOCOL,
            server: Agent { name: self.server.program.into(), version: version() },
            epoch,
            role: self.role,
            features: Vec::new(),
            limits: limits(&self.settings.limits, &self.server.shares(), self.role),
        }))
    }

    async fn status(&self) -> Result<Reply, RpcError> {
        let Status { parties, peers, store, connection, .. } = self.ask(Ask::Status).await?;
        Ok(Reply::StatusGet(StatusResult {
            version: version(),
            uptime_ms: millis(self.server.clock.elapsed()),
            mode: match connection.state {
                ConnectionState::Local => Mode::Local,
                _ => Mode::Remote,
            },
            connection,
            parties,
            peers,
            clients: self.server.limiter.total() as u64,
            store: StoreStatus {
                path: shown(&store.path),
                pending: store.pending as u64,
                last_commit_ms: store
                    .last_commit
                    .map(|took| took.as_micros().div_ceil(1000) as u64),
                last_error: store.last_error,
                recovery: store.recovery.map(|recovery| Recovery {
                    at: recovery.at,
                    reason: recovery.reason,
                    set_aside: recovery.set_aside.iter().map(|path| shown(path)).collect(),
                    restored_from: recovery.restored_from.as_deref().map(shown),
                }),
            },
        }))
    }
}

/// Estimates the JSON of all parties.
pub(super) fn bytes_of_parties(status: &Status) -> usize {
    bytes(status.parties as usize, status.peers as usize)
}

/// Estimates the JSON of that many parties with that many members.
fn bytes(parties: usize, members: usize) -> usize {
    const PARTY: usize = 256;
    const MEMBER: usize = 512;
    PARTY * parties + MEMBER * members
}

/// Estimates the JSON of all relays.
pub(super) fn bytes_of_relays(status: &Status) -> usize {
    const RELAY: usize = 256;
    RELAY * status.relays as usize
}

/// Result of a request.
pub(super) enum Response {
    /// Result of one request.
    Reply(Box<Reply>),
    /// JSON text of one request's result, with the hint for one that is too long.
    Encoded(String, Option<&'static str>),
    /// JSON text that is the same for all requests.
    Document(&'static str),
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

/// Returns the OpenRPC document in one line, since line breaks would cut the reply. It is built
/// once, because anyone may ask often.
static OPENRPC_LINE: LazyLock<String> =
    LazyLock::new(|| one_line(lanrage_ipc::schema::OPENRPC.to_owned()));

fn limits(limits: &Limits, shares: &RoleShares, role: Role) -> lanrage_ipc::results::Limits {
    lanrage_ipc::results::Limits {
        frame_in: limits.frame_in as u64,
        frame_out: limits.frame_out as u64,
        signal_bytes: limits.signal_bytes as u64,
        signals_per_peer: limits.signals_per_peer as u64,
        signal_ttl_ms: millis(limits.signal_ttl),
        requests_in_flight: limits.requests_in_flight as u64,
        connections: shares.of_role(role) as u64,
        connections_per_uid: shares.of_user(role) as u64,
        queue_events: limits.queue_events as u64,
        queue_bytes: limits.queue_bytes as u64,
        partial_frame_ms: millis(limits.partial_frame),
        request_timeout_ms: millis(limits.request_timeout),
        parties_per_peer: limits.parties_per_peer as u64,
        peers_per_party: limits.peers_per_party as u64,
    }
}

fn denied(method: &str, needed: Role, role: Role) -> RpcError {
    let hint = match needed {
        Role::Admin => "ask the superuser",
        _ => "ask the superuser to add you to the group lanrage, or to access.operators",
    };
    let message = format!("{method} needs the role {needed:?}, yours is {role:?}").to_lowercase();
    RpcError::new(ErrorCode::PermissionDenied, message).hint(hint)
}

fn internal(fault: impl std::fmt::Display) -> RpcError {
    log::error!("{fault}");
    RpcError::new(ErrorCode::Internal, "internal error")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the caller of a connection.
pub(super) fn caller(user: User, role: Role, connection: ConnectionId) -> Caller {
    let principal = Principal::User { user, admin: role == Role::Admin };
    Caller { principal, connection, address: None }
}
