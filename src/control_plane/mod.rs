//! A control plane is whatever answers a [`Call`]. Whoever faces clients holds a
//! `Recipient<Call>` and knows nothing else.

pub mod ending;
pub mod local;
pub mod outbox;
pub mod remote;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::prelude::*;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::event::{Event, RemovalReason, Snapshot};
use lanrage_ipc::model::Connection;
use lanrage_ipc::model::{Epoch, Name, Party, PartyId, Peer, PeerId, Relay};
use lanrage_ipc::results::StoreStatus;

use crate::core::{
    Caller, Command, ConnectionId, Idempotency, Identity, Outcome, Refusal, RequestKey, TokenHash,
    Upstream, UpstreamPart,
};
use crate::discovery::AnnouncedParties;
use crate::events::{EventQueue, Interest, SubscriptionKey};
use crate::server_url::ServerUrl;
use crate::store::BackupError;

/// Numbers the connections of a program, whatever faces they come to; 0 is the program itself.
#[derive(Debug, Clone, Default)]
pub struct Connections(Arc<AtomicU64>);

impl Connections {
    /// A number that no other connection has.
    pub fn next(&self) -> ConnectionId {
        ConnectionId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A request with its caller.
#[derive(Debug, Message)]
#[rtype(result = "Result<Answer, Failure>")]
pub struct Call {
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub ask: Ask,
}

impl Call {
    /// Has it answered.
    ///
    /// # Errors
    /// Its failure; [`Failure::Stopping`] when nobody takes it, [`Failure::TimedOut`] after
    /// `patience`.
    pub(crate) async fn send(
        self,
        to: &Recipient<Call>,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        match tokio::time::timeout(patience, to.send(self)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::Stopping),
            Err(_) => Err(Failure::TimedOut(patience)),
        }
    }
}

/// What may be asked of a control plane.
#[derive(Debug)]
pub enum Ask {
    /// Do something.
    Command(Command),
    /// Do something unless it was done before, under the same idempotency key.
    Once(Idempotency, Command),
    /// Whom a token proves.
    Authenticate(TokenHash),
    /// The same, of a token that is shown to claim its peer id: it may have ended just before.
    AuthenticateClaim(TokenHash),
    /// Membership of a peer in any party. The answer may be ahead of the disk.
    IsMember(PeerId),
    /// Tell something of the registry.
    Query(Query),
    /// How is it going?
    Status,
    /// Do something here that the control server is to be told of later, under that key.
    Defer(RequestKey, Command),
    /// Whether the caller may do something, as far as that is known here. Nothing is done.
    Check(Command),
    /// A part of what this machine has to do with the control server.
    Upstream(UpstreamPart),
    /// The connection to the control server.
    Connection,
    /// The connection to the control server is in another state now.
    ConnectionChanged(Standing),
    /// Switch to another control server, or to none.
    SetServer(Option<ServerUrl>),
    /// Try to reach the control server at once.
    Retry,
    /// The parties announced on the local network.
    Discover,
    /// A copy of the state at a path where nothing is yet.
    Backup(PathBuf),
    /// Events from now on, into a queue.
    Subscribe {
        /// Names the subscription.
        key: SubscriptionKey,
        /// What is wanted.
        interest: Interest,
        /// Where the events go.
        queue: Arc<EventQueue>,
        /// Bytes of JSON that the state may have which they start from; none to leave it out.
        snapshot: Option<usize>,
    },
    /// A fresh start for a subscription that fell behind: a reset comes into its queue. Its
    /// parties are left out where they have more bytes of JSON than that.
    Resume(SubscriptionKey, Interest, usize),
    /// No more events.
    Unsubscribe(SubscriptionKey),
}

/// What may be read.
#[derive(Debug, Clone)]
pub enum Query {
    /// One party.
    Party(PartyId),
    /// One member.
    Peer(PartyId, PeerId),
    /// Some parties by id, from the one after a cursor.
    Parties {
        /// The last id of the page before.
        after: Option<String>,
        /// The most to return.
        limit: usize,
        /// Bytes of JSON that they may have; the first one may pass it.
        room: usize,
    },
    /// All parties, if they may fit into so many bytes of JSON.
    AllParties {
        /// The bytes.
        room: usize,
    },
    /// The relays of a region, or all.
    Relays(Option<Name>),
}

/// What a control plane answers.
#[derive(Debug)]
pub enum Answer {
    /// To a command.
    Outcome(Outcome),
    /// To `Ask::Authenticate` and `Ask::AuthenticateClaim`.
    Identity(Identity),
    /// To `Ask::IsMember`.
    IsMember(bool),
    /// To `Query::Party`.
    Party(Party),
    /// To `Query::Peer`.
    Peer(Peer),
    /// To `Query::Parties` and `Query::AllParties`.
    Parties {
        /// The page.
        parties: Vec<Party>,
        /// Whether there are more.
        more: bool,
    },
    /// To `Query::Relays`.
    Relays(Vec<Relay>),
    /// To `Ask::Status`.
    Status(Status),
    /// To `Ask::Upstream`.
    Upstream(Upstream),
    /// To `Ask::Connection`, `Ask::SetServer` and `Ask::Retry`.
    Connection(Connection),
    /// To `Ask::Discover`.
    Discovered(Arc<AnnouncedParties>),
    /// To `Ask::Backup`: the size of the copy in bytes.
    BackedUp(u64),
    /// To an `Ask::Subscribe` with a snapshot: the state that the events start from.
    Subscribed(Snapshot),
    /// To what needs no answer.
    Done,
}

/// The connection to the control server, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// All but when the next attempt comes.
    pub connection: Connection,
    /// When it comes, on the clock of [`Now::elapsed`](crate::core::Now::elapsed).
    pub retry_at: Option<Duration>,
}

impl Standing {
    /// As it is shown at some instant of that clock.
    pub fn at(&self, elapsed: Duration) -> Connection {
        let left = self.retry_at.map(|at| at.saturating_sub(elapsed).as_millis());
        let retry_in_ms = left.map(|left| u64::try_from(left).unwrap_or(u64::MAX));
        Connection { retry_in_ms, ..self.connection.clone() }
    }
}

/// How a control plane is.
#[derive(Debug, Clone)]
pub struct Status {
    /// The stretch of history it is in.
    pub epoch: Epoch,
    /// Parties known.
    pub parties: u64,
    /// Memberships known.
    pub peers: u64,
    /// Relays known.
    pub relays: u64,
    /// Tokens known.
    pub tokens: u64,
    /// What was done since the start.
    pub counters: Counters,
    /// Where its state is kept.
    pub store: StoreStatus,
    /// Its connection to the control server.
    pub connection: Connection,
}

/// What a control plane did since it started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// Commits that became durable.
    pub commits: u64,
    /// Commits that failed.
    pub commit_failures: u64,
    /// Peers that were silent for too long.
    pub peers_expired: u64,
    /// Parties whose host was.
    pub parties_expired: u64,
    /// Relays that were.
    pub relays_expired: u64,
}

impl Counters {
    /// Counts what of these events is an expiry.
    pub(crate) fn count(&mut self, events: &[Event]) {
        use RemovalReason::Expired;
        for event in events {
            match event {
                Event::PeerLeft { reason: Expired, .. } => self.peers_expired += 1,
                Event::PartyRemoved { reason: Expired, .. } => self.parties_expired += 1,
                Event::RelayRemoved { .. } => self.relays_expired += 1,
                _ => {}
            }
        }
    }
}

/// Why a control plane did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The rules are against it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The state can't be written: nothing was changed.
    #[error("the state could not be written: {0}")]
    Store(String),
    /// The discovery file can't be read.
    #[error("the announcements could not be read: {0}")]
    Discovery(String),
    /// The path of a backup won't do.
    #[error("{0}")]
    BackupPath(String),
    /// It takes the control server, which can't be reached now.
    #[error("{0}")]
    Offline(String),
    /// The control server will not do it.
    #[error("the control server refused: {message}")]
    Rejected {
        /// What it calls the reason.
        code: ErrorCode,
        /// The reason in its words.
        message: String,
    },
    /// The answer is too long: that was known before it was worked out.
    #[error("the reply has {least} bytes at least, and may have {room}")]
    TooLong {
        /// Lower bound of its length.
        least: usize,
        /// The most that it may have.
        room: usize,
    },
    /// Long replies wait already that their clients do not read. Nothing was done.
    #[error(
        "long replies of {limit} bytes wait already for clients of this address to read, the most that may (http.reply_bytes)"
    )]
    RepliesFull {
        /// The most bytes that may wait.
        limit: usize,
    },
    /// This program has no connection to a control server, and never will.
    #[error("{0}")]
    NoLink(&'static str),
    /// It did not answer in time. It may have done it all the same.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// It is stopping.
    #[error("stopping")]
    Stopping,
}

impl Failure {
    /// What programs know it by, wherever there are codes.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refusal) => match refusal {
                Refusal::PartyNotFound(_) => ErrorCode::PartyNotFound,
                Refusal::PartyExists(_) => ErrorCode::PartyExists,
                Refusal::PartyFull { .. } => ErrorCode::PartyFull,
                Refusal::PeerNotFound { .. } => ErrorCode::PeerNotFound,
                Refusal::NotAMember { .. } => ErrorCode::NotAMember,
                Refusal::PeerNotYours(_)
                | Refusal::PeerTaken(_)
                | Refusal::BadToken
                | Refusal::RelayNotYours(_) => ErrorCode::PermissionDenied,
                Refusal::SignalTooLarge { .. } | Refusal::KeyReused | Refusal::KeyIsAnother(_) => {
                    ErrorCode::InvalidParams
                }
                Refusal::AddressRefused { .. }
                | Refusal::IdRefused { .. }
                | Refusal::HostRefused { .. }
                | Refusal::HostAbsent { .. }
                | Refusal::PartyUntold { .. } => ErrorCode::ServerRejected,
                Refusal::TooManyParties { .. }
                | Refusal::RegistryFull { .. }
                | Refusal::ShareFull { .. }
                | Refusal::CopiesFull { .. }
                | Refusal::OutboxFull { .. }
                | Refusal::SignalsFull { .. }
                | Refusal::SignalQueueFull { .. } => ErrorCode::RateLimited,
            },
            Self::Store(_) | Self::Discovery(_) => ErrorCode::StoreUnavailable,
            Self::BackupPath(_) => ErrorCode::InvalidParams,
            Self::Offline(_) => ErrorCode::Offline,
            // What the server says of a party is as good as if it were known here.
            Self::Rejected { code, .. } => match code {
                ErrorCode::PartyNotFound
                | ErrorCode::PartyExists
                | ErrorCode::PartyFull
                | ErrorCode::PeerNotFound
                | ErrorCode::NotAMember
                | ErrorCode::RateLimited
                | ErrorCode::StoreUnavailable
                | ErrorCode::Timeout => *code,
                _ => ErrorCode::ServerRejected,
            },
            Self::TooLong { .. } => ErrorCode::FrameTooLarge,
            Self::RepliesFull { .. } => ErrorCode::RateLimited,
            Self::NoLink(_) => ErrorCode::InvalidRequest,
            Self::TimedOut(_) => ErrorCode::Timeout,
            Self::Stopping => ErrorCode::ShuttingDown,
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error.blames_destination() {
            true => Self::BackupPath(error.to_string()),
            false => Self::Store(error.to_string()),
        }
    }
}
