//! Settings of a session, and what it has its driver do.

use std::collections::HashSet;
use std::time::Duration;

use lanrage_ipc::control::{Inbound, Secret};
use lanrage_ipc::model::{PartyId, PeerId, RawJson};

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
    /// A WebSocket: the server tells each change.
    WebSocket,
    /// HTTP: the server is polled, and tells states.
    Http,
}

/// Settings of a session.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The server.
    pub(crate) server: ServerKey,
    /// The program itself, as the registry sees it.
    pub(crate) itself: Caller,
    pub(crate) transport: TransportKind,
    /// Upper bound of a client's request.
    pub(crate) request_timeout: Duration,
    /// Interval of keepalives, unless the server wants them more often.
    pub(crate) heartbeat: Duration,
    /// Time that hosts have to come back to a server that has lost its history.
    pub(crate) forgiveness: Duration,
    /// Lead of the server's wall clock over this machine's, in seconds.
    pub(crate) clock_ahead: i64,
}

/// Something that the driver has to do.
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
    /// Answer a client that asked for the server's relays, with what the server answered.
    Relays(ClientId, Result<RawJson, ClientError>),
    /// Answer a client that announced a relay.
    Announced(ClientId, Result<(), ClientError>),
    /// Requests of clients may be sent from now on.
    Online,
    /// All local peers have left, as far as the server confirmed it.
    Departed,
    /// Close the connection. Nothing comes after this.
    Close {
        /// Reason.
        loss: Loss,
        /// True when another connection shall take this one's place at once.
        is_replaced: bool,
    },
}

/// A command for the registry.
#[derive(Debug)]
pub(crate) struct Apply {
    /// Caller; the program itself where it is for no client.
    pub(crate) caller: Caller,
    pub(crate) command: Command,
    /// Purpose, to be handed back.
    pub(crate) then: Then,
}

/// Purpose of a command.
#[derive(Debug)]
pub(crate) enum Then {
    /// A credential is forgotten.
    Forgotten,
    /// The members of a party are as much alive as they were.
    Refreshed,
    /// The server is in this epoch.
    EpochNoted,
    /// A token is kept.
    TokenKept,
    /// The claim of a peer is kept: it may be sent.
    ClaimKept(PeerId, Secret),
    /// The token of a relay's peer is kept: the relay may be announced.
    RelayTokenKept(PeerId, Secret),
    /// A signal is delivered.
    Delivered,
    /// A party has another id.
    Renamed { from: PartyId, to: PartyId },
    /// A party is compared with the server's.
    Compared(Box<Comparison>),
    /// A refused operation is taken in.
    Refused(RequestKey),
    /// A client's request is done here, too.
    Client(ClientId),
    /// A peer is to leave the party once the server can be told.
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

/// Something to send.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Frame(Box<Inbound>),
    /// A question whether the server is still there.
    Ping,
}

/// Purpose of a request to the server.
#[derive(Debug)]
pub(super) enum Purpose {
    /// To be let in, without a peer.
    Anonymous,
    Greeting(PeerId),
    Renewal(PeerId),
    Idle(PeerId),
    MembershipOp(MembershipOp, Option<EntryId>),
    Client(ClientId),
    Relays(ClientId),
    /// To take a peer out that its client was told is not in.
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
    LookAgain(PartyId),
    DepartureEnds,
}
