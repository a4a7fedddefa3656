//! Settings and outputs of a session.

use std::collections::HashSet;
use std::time::Duration;

use lanrage_ipc::control::{Inbound, Secret};
use lanrage_ipc::model::{PartyId, PeerId, Relay};

use super::clients::{ClientError, ClientId, CommandReply};
use super::reconcile::{Comparison, Source};
use super::relay::{Call, CallThen};
use super::replica::EntryId;
use crate::core::reconcile::MembershipOp;
use crate::core::upstream::link::Loss;
use crate::core::{Caller, Command, DirtySet, Refusal, RequestKey, ServerKey, UpstreamPart};

/// Transport of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransportKind {
    /// WebSocket: the server pushes each change.
    WebSocket,
    /// HTTP: the server is polled for snapshots.
    Http,
}

/// Settings of a session.
#[derive(Debug, Clone)]
pub(crate) struct SessionSettings {
    /// Address of the server.
    pub(crate) server: ServerKey,
    /// This program as a caller of the registry.
    pub(crate) itself: Caller,
    pub(crate) transport: TransportKind,
    /// Timeout of a client's request.
    pub(crate) request_timeout: Duration,
    /// Interval of keepalives, unless the server requests a shorter one.
    pub(crate) heartbeat: Duration,
    /// Time for hosts to return to a server that has lost its history.
    pub(crate) forgiveness: Duration,
    /// Lead of the server's wall clock over this machine's, in seconds.
    pub(crate) clock_ahead: i64,
}

/// Action for the driver.
#[derive(Debug)]
pub(crate) enum Output {
    /// Have the registry execute a command; then [`Session::handle_applied`].
    Apply(Apply),
    /// Have the registry look something up; then [`Session::handle_looked_up`].
    LookUp(UpstreamPart, LookUp),
    /// Call one of the server's routes; then [`Session::handle_called`].
    Call(Call, CallThen),
    /// Answer a client's command.
    Reply(ClientId, CommandReply),
    /// Answer a client that requested the server's relays.
    Relays(ClientId, Result<Vec<Relay>, ClientError>),
    /// Answer a client that announced a relay.
    Announced(ClientId, Result<(), ClientError>),
    /// Client requests may be sent from now on.
    Online,
    /// All local peers have left, as far as the server confirmed it.
    Departed,
    /// Close the connection. No output follows.
    Close {
        /// Reason.
        loss: Loss,
        /// True if another connection replaces this one at once.
        is_replaced: bool,
    },
}

/// A command for the registry.
#[derive(Debug)]
pub(crate) struct Apply {
    /// Caller; the program itself unless the command is for a client.
    pub(crate) caller: Caller,
    pub(crate) command: Command,
    /// Purpose, returned with the result.
    pub(crate) then: Then,
}

/// Purpose of a command for the registry.
#[derive(Debug)]
pub(crate) enum Then {
    /// Forget a credential.
    Forgotten,
    /// Refresh the members of a party.
    Refreshed,
    /// Note the server's epoch.
    EpochNoted,
    /// Keep a token.
    TokenStored,
    /// Keep the claim of a peer before it is sent.
    ClaimStored(PeerId, Secret),
    /// Keep the token of a relay's peer before the announcement.
    RelayTokenStored(PeerId, Secret),
    /// Deliver a signal.
    Delivered,
    /// Change a party's id.
    Renamed { from: PartyId, to: PartyId },
    /// Reconcile a party with the server's state.
    Compared(Box<Comparison>),
    /// Take in a refused operation.
    Refused(RequestKey),
    /// Execute a client's command here, too.
    Client(ClientId),
    /// Note that a peer is to leave the party once the server can be told.
    Withdrawn,
}

/// Purpose of a look-up.
#[derive(Debug)]
pub(crate) enum LookUp {
    Begin,
    Absent,
    Peer(PeerId),
    Room(PeerId),
    Live,
    Idle(HashSet<PeerId>),
    Credentials,
    Intents(DirtySet),
    Left(PartyId, PeerId, Source),
    Entry(ClientId, Option<Refusal>),
}

/// Message to send.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Frame(Box<Inbound>),
    /// Ping: asks the server for a sign of life.
    Ping,
}

/// Purpose of a request to the server.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Greeting without a peer.
    Anonymous,
    Greeting(PeerId),
    Renewal(PeerId),
    Idle(PeerId),
    MembershipOp(MembershipOp, Option<EntryId>),
    Client(ClientId),
    Relays(ClientId),
    /// Leave of a peer whose client got an error for its entry.
    Withdrawal(PartyId, PeerId),
    Departure,
    Sync(PartyId),
    Heartbeat(PartyId, PeerId),
}

/// A timer of the session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    ReplayEnds,
    Heartbeat,
    Renewal,
    Flush,
    CompareAgain(PartyId),
    Sync(PartyId),
    /// End of a client's wait for the server.
    Client(ClientId),
    DepartureEnds,
}
