//! Requests to a control plane. Each one carries its own typed reply, so that it can get no answer
//! to another request.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use lanrage_ipc::event::Snapshot;
use lanrage_ipc::model::{
    Connection, Name, Origin, Party, PartyId, Peer, PeerId, Relay, UtcOffset,
};
use tokio::sync::oneshot;

use super::dirty_parties::DirtyParties;
use super::{ChangedParties, ConnectionStatus, Failure, Page, Status};
use crate::core::{
    Command, CommandFor, Idempotency, Identity, Outcome, ProvenPeer, RequestKey, TokenHash,
    Upstream, UpstreamPart,
};
use crate::discovery::AnnouncedParties;
use crate::events::{EventQueue, Interest, SubscriptionKey};
use crate::server_url::ServerUrl;

/// Request with its reply.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Executes a command.
    Command(Command, Reply<Outcome>),
    /// Executes a command once per idempotency key.
    Once(Idempotency, Command, Reply<Outcome>),
    /// Executes a command here, with an intent for the control server under that key.
    Defer(RequestKey, Command, Reply<Outcome>),
    /// Checks a command without executing it, and reads the origin of its party. The answer may be
    /// ahead of the disk.
    Plan(Command, Reply<Option<Origin>>),
    /// Reads the origin of a party. The answer may be ahead of the disk.
    Origin(PartyId, Reply<Option<Origin>>),
    /// Identifies the owner of a token.
    Authenticate(TokenHash, Reply<ProvenPeer>),
    /// Identifies the owner of a token for a claim of its peer id; the token may have expired just
    /// before.
    AuthenticateClaim(TokenHash, Reply<Identity>),
    /// Reads the wall clock offset of a peer's program, if it is known. The answer may be ahead of
    /// the disk.
    UtcOffset(PeerId, Reply<Option<UtcOffset>>),
    /// Checks if a peer is a member of any party. The answer may be ahead of the disk.
    IsMember(PeerId, Reply<bool>),
    /// Watches all parties for changes, if they may fit into that many bytes of JSON. The changes
    /// that follow are noted in the dirty set while the caller keeps it.
    Watch(usize, Reply<Arc<DirtyParties>>),
    /// Reads a page of parties as [`Query::Parties`] does. The answer may be ahead of the disk;
    /// [`Query::ChangedParties`] has what differs in the end.
    Slice {
        /// Last id of the previous page.
        after: Option<String>,
        /// Upper bound of the number of parties.
        limit: usize,
        /// Upper bound of their JSON in bytes; the first one may pass it.
        room: usize,
        /// Reply with the page.
        reply: Reply<Page>,
    },
    /// Runs a query.
    Query(Query),
    /// Reads the status.
    Status(Reply<Status>),
    /// Reads a part of this machine's state towards the control server.
    Upstream(UpstreamPart, Reply<Upstream>),
    /// Reads the state of the connection to the control server.
    Connection(Reply<Connection>),
    /// Switches to another control server, or to none.
    SetServer(Option<ServerUrl>, Reply<Connection>),
    /// Tries to reach the control server at once.
    Retry(Reply<Connection>),
    /// Reads the parties announced on the local network.
    Discover(Reply<Arc<AnnouncedParties>>),
    /// Writes a backup to a free path; the answer is its size in bytes.
    Backup(PathBuf, Reply<u64>),
}

/// Request without a durable change, answered in the order of the calls.
#[derive(Debug)]
pub(crate) enum Query {
    /// Reads one party.
    Party(PartyId, Reply<Party>),
    /// Reads one member.
    Peer(PartyId, PeerId, Reply<Peer>),
    /// Reads a page of parties by id, from the one after a cursor.
    Parties {
        /// Last id of the previous page.
        after: Option<String>,
        /// Upper bound of the number of parties.
        limit: usize,
        /// Upper bound of their JSON in bytes; the first one may pass it.
        room: usize,
        /// Reply with the page.
        reply: Reply<Page>,
    },
    /// Reads the parties that have changed since they are watched, if all may fit into that many
    /// bytes of JSON.
    ChangedParties(Arc<DirtyParties>, usize, Reply<ChangedParties>),
    /// Reads the relays of a region, or all.
    Relays(Option<Name>, Reply<Vec<Relay>>),
    /// Subscribes to events, which arrive in a queue.
    Subscribe {
        /// Key of the subscription.
        key: SubscriptionKey,
        /// Filter of the events.
        interest: Interest,
        /// Queue of the events.
        queue: Arc<EventQueue>,
        /// Upper bound of the snapshot's JSON in bytes; `None` to leave the snapshot out.
        snapshot: Option<usize>,
        /// Reply with the snapshot that the events start from.
        reply: Reply<Option<Snapshot>>,
    },
    /// Subscribes to events that follow parties read before, and reads the changes of these parties.
    SubscribeAfter {
        /// Key of the subscription.
        key: SubscriptionKey,
        /// Filter of the events.
        interest: Interest,
        /// Queue of the events.
        queue: Arc<EventQueue>,
        /// Changes of the parties since they are watched.
        changed: Arc<DirtyParties>,
        /// Upper bound of the snapshot's JSON in bytes.
        room: usize,
        /// Reply with the changed parties, and the rest of the snapshot.
        reply: Reply<(ChangedParties, Snapshot)>,
    },
    /// Resumes a subscription that fell behind, by a reset in its queue. The reset leaves the
    /// parties out if they have more bytes of JSON than that.
    Resume(SubscriptionKey, Interest, usize, Reply<()>),
    /// Ends a subscription.
    Unsubscribe(SubscriptionKey, Reply<()>),
    /// Stores and publishes the new state of the connection to the control server.
    ConnectionChanged(ConnectionStatus, Reply<()>),
}

impl From<Query> for Ask {
    fn from(query: Query) -> Self {
        Self::Query(query)
    }
}

impl Query {
    /// Returns the reply, without the type of its answer.
    pub(super) fn reply(&mut self) -> &mut dyn AnyReply {
        match self {
            Self::Party(_, reply) => reply,
            Self::Peer(_, _, reply) => reply,
            Self::Parties { reply, .. } => reply,
            Self::ChangedParties(_, _, reply) => reply,
            Self::Relays(_, reply) => reply,
            Self::Subscribe { reply, .. } => reply,
            Self::SubscribeAfter { reply, .. } => reply,
            Self::Resume(_, _, _, reply)
            | Self::Unsubscribe(_, reply)
            | Self::ConnectionChanged(_, reply) => reply,
        }
    }
}

/// Request with an answer of type `T`: a function from the reply to the request, or a command.
pub(crate) trait IntoAsk<T> {
    /// Answer of the control plane.
    type Answer: TryInto<T, Error: fmt::Debug>;

    /// Returns the request with its reply.
    fn into_ask(self, reply: Reply<Self::Answer>) -> Ask;
}

impl<T, A: Into<Ask>, F: FnOnce(Reply<T>) -> A> IntoAsk<T> for F {
    type Answer = T;

    fn into_ask(self, reply: Reply<T>) -> Ask {
        self(reply).into()
    }
}

impl<T: TryFrom<Outcome, Error = Outcome>> IntoAsk<T> for CommandFor<T> {
    type Answer = Outcome;

    fn into_ask(self, reply: Reply<Outcome>) -> Ask {
        match self.key {
            Some(key) => Ask::Once(key, self.command, reply),
            None => Ask::Command(self.command, reply),
        }
    }
}

/// Reply to one request. If it is dropped, the answer is [`Failure::Stopping`].
#[derive(Debug)]
pub(crate) struct Reply<T> {
    /// `None` once the answer is sent.
    caller: Option<oneshot::Sender<Result<T, Failure>>>,
    /// Answer held until the state that it shows is durable.
    held: Option<Result<T, Failure>>,
}

impl<T> Reply<T> {
    /// Returns a reply and the receiver of its answer.
    pub(super) fn channel() -> (Self, oneshot::Receiver<Result<T, Failure>>) {
        let (caller, answer) = oneshot::channel();
        (Self { caller: Some(caller), held: None }, answer)
    }

    /// Sends the answer. The caller may have given up.
    pub(crate) fn send(mut self, answer: Result<T, Failure>) {
        self.hold(answer);
        self.release();
    }

    /// Holds an answer until it is released.
    pub(super) fn hold(&mut self, answer: Result<T, Failure>) {
        self.held = Some(answer);
    }

    /// Returns the held answer, unless that is a failure.
    pub(super) fn held(&self) -> Option<&T> {
        self.held.as_ref()?.as_ref().ok()
    }
}

/// Reply, without the type of its answer.
pub(super) trait AnyReply {
    /// True if the caller has given up.
    fn is_closed(&self) -> bool;
    /// Sends the held answer.
    fn release(&mut self);
    /// Sends a failure.
    fn refuse(&mut self, failure: Failure);
}

impl<T> AnyReply for Reply<T> {
    fn is_closed(&self) -> bool {
        self.caller.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn release(&mut self) {
        if let Some((caller, answer)) = self.caller.take().zip(self.held.take()) {
            caller.send(answer).ok();
        }
    }

    fn refuse(&mut self, failure: Failure) {
        self.hold(Err(failure));
        self.release();
    }
}
