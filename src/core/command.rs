//! What goes into the registry and what comes out.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::lanrage::{ImportedParty, Rejected};
use lanrage_ipc::model::{
    Epoch, Keepalive, Name, Party, PartyId, Peer, PeerId, PeerInput, PublicKey, Relay, RelayId,
    Signal, SignalData, UtcOffset,
};
use serde::{Deserialize, Serialize};

pub(crate) use super::caller::{Caller, ConnectionId, Hold, Now, Principal};
pub(super) use super::outcome::Outcome;
pub(crate) use super::refusal::Refusal;

use super::outcome::{Alive, Claimed, Left, outcomes};
use super::reconcile::{InFlight, MembershipOp, Occasion, ServerParty};
use super::record::{
    ChoiceRecord, ClaimHash, CredentialRecord, Done, Receipt, RequestKey, ServerKey, TokenHash,
    User,
};
use super::request::digest;

/// What may be asked of the registry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Creates a party with its host.
    Register {
        /// Its id.
        party_id: PartyId,
        /// Its name.
        name: Name,
        /// Its host.
        host: PeerInput,
        /// Who refreshes the host's sign of life.
        keepalive: Keepalive,
        /// The wall clock of the host's program, where it shows.
        utc_offset: Option<UtcOffset>,
    },
    /// Adds a member, or updates it.
    Join {
        /// The party.
        party_id: PartyId,
        /// Who joins.
        peer: PeerInput,
        /// Who refreshes its sign of life.
        keepalive: Keepalive,
        /// The wall clock of its program, where it shows.
        utc_offset: Option<UtcOffset>,
    },
    /// Takes a member out.
    Leave {
        /// The party.
        party_id: PartyId,
        /// Who leaves.
        peer_id: PeerId,
    },
    /// Changes what a member says of itself.
    Update {
        /// The party.
        party_id: PartyId,
        /// The member as it is now.
        peer: PeerInput,
        /// The wall clock of its program, where it shows.
        utc_offset: Option<UtcOffset>,
    },
    /// A member's sign of life.
    Heartbeat {
        /// The party.
        party_id: PartyId,
        /// The member.
        peer_id: PeerId,
    },
    /// Queues a signal.
    SendSignal {
        /// The party that both are in.
        party_id: PartyId,
        /// Who sends it.
        from: PeerId,
        /// Whom it is for.
        to: PeerId,
        /// What it says.
        data: SignalData,
    },
    /// Takes the oldest signals out of a member's queue.
    PollSignals {
        /// The party.
        party_id: PartyId,
        /// The member.
        peer_id: PeerId,
        /// How long the answer may be, in bytes of JSON; one signal comes in any case.
        room: usize,
    },
    /// Announces a relay, changes it, or tells that it is still there.
    RegisterRelay(RelayInput),
    /// Takes in parties from elsewhere.
    Import {
        /// The parties.
        parties: Vec<ImportedParty>,
        /// What becomes of those that are here.
        mode: ImportMode,
    },
    /// Takes a peer id as one's own: one that is nobody's, or whose token one has.
    Claim {
        /// Which.
        peer_id: PeerId,
        /// A token that was shown. One that is not this peer's, or expired, proves nothing.
        proof: Option<TokenHash>,
        /// A fresh token for it.
        issue: Option<TokenHash>,
        /// Whether it is the connection's, too.
        hold: Hold,
        /// Claim secret that was shown. It proves the peer while a token is live that was issued
        /// for it, and is kept with the fresh token.
        claim: Option<ClaimHash>,
    },
    /// Ends the tokens of a peer, and the connections that use them.
    Revoke {
        /// The peer.
        peer_id: PeerId,
        /// Token that stays.
        keep: Option<TokenHash>,
    },
    /// Ends a peer's tokens, holds, memberships and relays: its id is nobody's then. For an admin.
    Release {
        /// The peer.
        peer_id: PeerId,
    },
    /// Says that a peer is back for whom nobody can show anything: the caller's connection keeps
    /// alive what one did that is gone.
    Return {
        /// Which.
        peer_id: PeerId,
    },
    /// The caller's connection keeps a member alive no longer, if it did.
    LetGo {
        /// The party.
        party_id: PartyId,
        /// The member.
        peer_id: PeerId,
    },
    /// A peer whose client was told that its join failed leaves the party, if the control server
    /// let it in.
    Withdraw {
        /// The party.
        party_id: PartyId,
        /// The peer.
        peer_id: PeerId,
    },
    /// Takes in what a control server says of a party.
    Reconcile {
        /// The party.
        party_id: PartyId,
        /// As it is there; `None` where it is not, or none of this machine's peers is in it.
        server: Option<Arc<ServerParty>>,
        /// Why the server is looked at.
        occasion: Occasion,
        /// Requests about it that the server is answering.
        in_flight: Vec<InFlight>,
        /// Addresses of this machine's interfaces, with the networks that they are in.
        machine: Vec<Ipv4Net>,
    },
    /// Accepts the key that a control server states of a member from another machine.
    Trust {
        /// The party.
        party_id: PartyId,
        /// The member.
        peer_id: PeerId,
        /// The key.
        public_key: PublicKey,
    },
    /// Takes in that a control server will not do what an intent asks of it.
    Refused {
        /// The party.
        party_id: PartyId,
        /// The peer that the intent is about.
        peer_id: PeerId,
        /// What the request was called.
        key: RequestKey,
        /// Why.
        code: ErrorCode,
        /// An id that nobody has, for a party whose own is taken.
        spare: PartyId,
    },
    /// Gives a party another id: the one that a control server chose for it.
    Rename {
        /// Its id until now.
        from: PartyId,
        /// Its id from now on.
        to: PartyId,
    },
    /// Notes that a control server still has a party as it is here: its members are as much alive
    /// as they were.
    RefreshLastSeen(PartyId),
    /// Queues a signal that a control server passed on, for a member of this machine.
    Deliver {
        /// The party that both are in.
        party_id: PartyId,
        /// Who sent it.
        from: PeerId,
        /// Whom it is for.
        to: PeerId,
        /// What it says.
        data: SignalData,
    },
    /// From now on this control server has the truth, or none.
    Follow {
        /// Which.
        server: Option<ServerKey>,
        /// See [`ChoiceRecord::configured`].
        configured: Option<ServerKey>,
    },
    /// Notes the stretch of its history that a control server is in.
    NoteEpoch(ServerKey, Epoch),
    /// Keeps what proves to a control server that a peer is one of this machine's.
    Keep(CredentialRecord),
    /// Forgets it.
    Forget(ServerKey, PeerId),
    /// The caller's connection has closed: what it kept alive or held is on its own.
    Disconnect,
    /// Removes whatever has been silent for too long.
    Expire,
}

impl Command {
    /// The party that it is about, if it is about one.
    pub(crate) fn party_id(&self) -> Option<&PartyId> {
        match self {
            Self::Register { party_id, .. }
            | Self::Join { party_id, .. }
            | Self::Leave { party_id, .. }
            | Self::Update { party_id, .. }
            | Self::Heartbeat { party_id, .. }
            | Self::SendSignal { party_id, .. }
            | Self::PollSignals { party_id, .. } => Some(party_id),
            _ => None,
        }
    }

    /// The peer that it acts for, if it does.
    pub(crate) fn acts_for(&self) -> Option<&PeerId> {
        match self {
            Self::Register { host: peer, .. }
            | Self::Join { peer, .. }
            | Self::Update { peer, .. } => Some(&peer.peer_id),
            Self::Leave { peer_id, .. }
            | Self::Heartbeat { peer_id, .. }
            | Self::Return { peer_id }
            | Self::Revoke { peer_id, .. }
            | Self::PollSignals { peer_id, .. }
            | Self::SendSignal { from: peer_id, .. } => Some(peer_id),
            // A claim is what makes one a peer's. To let go is about the caller's connection alone.
            // What a control server says is said as the program.
            _ => None,
        }
    }
}

/// Kind of a request that leaves a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RequestKind {
    /// Registers a party.
    Register,
    /// Joins one.
    Join,
    /// Leaves one.
    Leave,
    /// Updates a member.
    Update,
    /// Sends a signal.
    Signal,
}

impl Command {
    /// Kind of the request under an idempotency key, and the digest of its body; `None` for a
    /// command that leaves no receipt.
    ///
    /// Times and the keepalive are no part of the body: they differ by attempt and by transport.
    pub(super) fn receipt(&self) -> Option<(RequestKind, Box<str>)> {
        Some(match self {
            Self::Register { name, host, .. } => (RequestKind::Register, digest(&(name, host))),
            Self::Join { peer, .. } => (RequestKind::Join, digest(peer)),
            Self::Leave { .. } => (RequestKind::Leave, digest(&())),
            Self::Update { peer, .. } => (RequestKind::Update, digest(peer)),
            Self::SendSignal { to, data, .. } => {
                (RequestKind::Signal, digest(&(to, data.as_json())))
            }
            _ => return None,
        })
    }
}

outcomes! {
    Register Join => Party { Outcome::Party(party) => party }
    Leave => Left {
        Outcome::Left(left) => left,
        Outcome::Receipt(Receipt { done: Done::Left { party_deleted }, .. }) => Self { party_deleted }
    }
    Update Trust => Peer { Outcome::Peer(peer) => peer }
    Heartbeat => Alive { Outcome::Alive(alive) => alive }
    PollSignals => Vec<Signal> { Outcome::Signals(signals) => signals }
    RegisterRelay => Relay { Outcome::Relay(relay) => relay }
    Import => ImportCounts { Outcome::Imported(counts) => counts }
    Claim => Claimed { Outcome::Claimed(claimed) => claimed }
    Revoke Release => Revoked { Outcome::Revoked(revoked) => revoked }
    Return => Identity { Outcome::Returned(identity) => identity }
    SendSignal LetGo Disconnect Withdraw Follow => () { Outcome::Queued | Outcome::Done => () }
    // Of commands under an idempotency key.
    => Receipt { Outcome::Receipt(receipt) => receipt }
    => PartyId {
        Outcome::Receipt(Receipt { done: Done::Entered { party_id, .. }, .. }) => party_id
    }
}

/// A relay as it announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayInput {
    /// Its id.
    pub(crate) relay_id: RelayId,
    /// Address that it listens on.
    pub(crate) public_ip: IpAddr,
    /// Port that it listens on.
    pub(crate) port: u16,
    /// Part of the world that it stands in.
    pub(crate) region: Name,
    /// Upper bound of its peers.
    pub(crate) capacity: u32,
}

/// A peer, as far as who it is goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its id.
    pub(crate) peer_id: PeerId,
    /// Until when the token proves it that was shown or issued.
    pub(crate) expires_at: Option<Timestamp>,
    /// The wall clock of its program, where it showed.
    pub(crate) utc_offset: Option<UtcOffset>,
    /// The parties that it is in.
    pub(crate) parties: Vec<PartyId>,
}

/// Counts of what a revocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revoked {
    /// Tokens.
    pub(crate) tokens: usize,
    /// Memberships.
    pub(crate) parties: usize,
    /// Connections that spoke for the peer.
    pub(crate) connections: usize,
}

/// The part of [`Upstream`] that a query is about, beside the choice of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UpstreamPart {
    /// Everything.
    All,
    /// Nothing more.
    Choice,
    /// The credential and the memberships of one peer.
    Peer(PeerId),
    /// The memberships that something keeps alive.
    Live,
    /// All credentials.
    Credentials,
    /// The parties with intents.
    Intents,
}

/// This machine's state towards the control server that it follows. A query for a part leaves
/// the others empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Upstream {
    /// Which server, and why.
    pub(crate) choice: ChoiceRecord,
    /// What proves to it that peers are this machine's.
    pub(crate) credentials: Vec<CredentialRecord>,
    /// The memberships of this machine's peers in parties that live there, or shall.
    pub(crate) memberships: Vec<Membership>,
    /// The parties that it has to be told something of.
    pub(crate) outbox: BTreeSet<PartyId>,
    /// The peers that left a party, of which it has to be told.
    pub(crate) leaves: BTreeSet<(PartyId, PeerId)>,
}

/// That a peer of this machine is in a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The party.
    pub(crate) party_id: PartyId,
    /// The peer.
    pub(crate) peer_id: PeerId,
    /// The user of this machine whose it is.
    pub(crate) owner: User,
    /// Whether something keeps it alive.
    pub(crate) live: bool,
}

/// Result of a comparison with the control server.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Reconciled {
    /// Operations to ask the server for now.
    pub(crate) operations: Vec<MembershipOp>,
    /// Host of the copy before; `None` where there was no copy.
    pub(crate) host_before: Option<PeerId>,
    /// True if there is a copy of the party now.
    pub(crate) is_copy: bool,
}

/// What an import does with the parties that are here already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImportMode {
    /// They stay; only parties with other ids come in.
    Merge,
    /// They go first.
    Replace,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ImportCounts {
    /// Parties that came in.
    pub(crate) parties: u64,
    /// Their members.
    pub(crate) peers: u64,
    /// Parties that were here already and stayed as they were.
    pub(crate) skipped: u64,
    /// Parties that went first.
    pub(crate) removed: u64,
    /// What could not come in.
    pub(crate) rejected: Vec<Rejected>,
}
