//! Commands of the registry and their results.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

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

/// Command of the registry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Creates a party with its host.
    Register {
        /// Id of the party.
        party_id: PartyId,
        /// Name of the party.
        name: Name,
        /// Host of the party.
        host: PeerInput,
        /// Keepalive of the host.
        keepalive: Keepalive,
        /// Wall clock offset of the host's program, if known.
        utc_offset: Option<UtcOffset>,
    },
    /// Adds a member, or updates it.
    Join {
        /// The party.
        party_id: PartyId,
        /// The joining peer.
        peer: PeerInput,
        /// Keepalive of the member.
        keepalive: Keepalive,
        /// Wall clock offset of its program, if known.
        utc_offset: Option<UtcOffset>,
    },
    /// Removes a member.
    Leave {
        /// The party.
        party_id: PartyId,
        /// The leaving peer.
        peer_id: PeerId,
    },
    /// Changes a member's description.
    Update {
        /// The party.
        party_id: PartyId,
        /// New description of the member.
        peer: PeerInput,
        /// Wall clock offset of its program, if known.
        utc_offset: Option<UtcOffset>,
    },
    /// Refreshes a member's `last_seen`.
    Heartbeat {
        /// The party.
        party_id: PartyId,
        /// The member.
        peer_id: PeerId,
    },
    /// Queues a signal.
    SendSignal {
        /// Party of both members.
        party_id: PartyId,
        /// Sender.
        from: PeerId,
        /// Target.
        to: PeerId,
        /// Payload.
        data: SignalData,
    },
    /// Removes the oldest signals from a member's queue.
    PollSignals {
        /// The party.
        party_id: PartyId,
        /// The member.
        peer_id: PeerId,
        /// Upper bound of the answer, in bytes of JSON. The answer has at least one signal.
        room: usize,
    },
    /// Announces a relay, changes it, or refreshes its `last_seen`.
    RegisterRelay(RelayInput),
    /// Imports parties.
    Import {
        /// The parties.
        parties: Vec<ImportedParty>,
        /// Treatment of the parties that exist already.
        mode: ImportMode,
    },
    /// Claims a peer id that nobody owns, or whose token the caller has.
    Claim {
        /// The peer id.
        peer_id: PeerId,
        /// Token that was shown. A token of another peer, or an expired token, proves nothing.
        proof: Option<TokenHash>,
        /// Hash of a fresh token to issue.
        issue: Option<TokenHash>,
        /// Mode in which the connection holds the peer id.
        hold: Hold,
        /// Claim secret that was shown. It proves the peer while a token that was issued for it is
        /// live. It is kept with the fresh token.
        claim: Option<ClaimHash>,
    },
    /// Revokes the tokens of a peer, and ends the connections that use them.
    Revoke {
        /// The peer.
        peer_id: PeerId,
        /// Token that stays valid.
        keep: Option<TokenHash>,
    },
    /// Releases a peer id: ends its tokens, holds, memberships and relays. For an administrator.
    Release {
        /// The peer.
        peer_id: PeerId,
    },
    /// Reattaches a peer for which no proof exists. The caller's connection keeps alive the
    /// memberships of a closed connection.
    Reattach {
        /// The peer.
        peer_id: PeerId,
    },
    /// Ends the caller's keepalive of a member, if it has one.
    ReleaseMember {
        /// The party.
        party_id: PartyId,
        /// The member.
        peer_id: PeerId,
    },
    /// Has a peer leave a party, after its client got an error for the join. The control server may
    /// have let it in.
    Withdraw {
        /// The party.
        party_id: PartyId,
        /// The peer.
        peer_id: PeerId,
    },
    /// Takes in the control server's state of a party.
    Reconcile {
        /// The party.
        party_id: PartyId,
        /// State on the server; `None` if the party does not exist there, or no local peer is in
        /// it.
        server: Option<Arc<ServerParty>>,
        /// Occasion of the comparison.
        occasion: Occasion,
        /// Requests about the party that are in flight.
        in_flight: Vec<InFlight>,
        /// Addresses of this machine's interfaces, with their networks.
        machine: Vec<Ipv4Net>,
    },
    /// Accepts the key that a control server states for a member from another machine.
    Trust {
        /// The party.
        party_id: PartyId,
        /// The member.
        peer_id: PeerId,
        /// The key.
        public_key: PublicKey,
    },
    /// Takes in that a control server refused the request of an intent.
    Refused {
        /// The party.
        party_id: PartyId,
        /// Peer of the intent.
        peer_id: PeerId,
        /// Idempotency key of the request.
        key: RequestKey,
        /// Reason of the refusal.
        code: ErrorCode,
        /// Unused id for the party, in case its own is taken on the server.
        spare: PartyId,
    },
    /// Changes a party's id to the one that a control server chose.
    Rename {
        /// Old id.
        from: PartyId,
        /// New id.
        to: PartyId,
    },
    /// Refreshes the members of a party that is unchanged on the control server.
    RefreshLastSeen(PartyId),
    /// Queues a signal from a control server for a local member.
    Deliver {
        /// Party of both members.
        party_id: PartyId,
        /// Sender.
        from: PeerId,
        /// Target.
        to: PeerId,
        /// Payload.
        data: SignalData,
    },
    /// Follows this control server from now on, or none.
    Follow {
        /// The server; `None` is local mode.
        server: Option<ServerKey>,
        /// See [`ChoiceRecord::configured`].
        configured: Option<ServerKey>,
    },
    /// Notes the epoch of a control server.
    NoteEpoch(ServerKey, Epoch),
    /// Stores a credential: proof to a control server that a peer is local.
    StoreCredential(CredentialRecord),
    /// Deletes a credential.
    ForgetCredential(ServerKey, PeerId),
    /// Ends the keepalives and holds of the caller's connection, which has closed.
    Disconnect,
    /// Removes expired members, relays, signals, tokens and receipts.
    Expire,
}

impl Command {
    /// Party of the command, if it has one.
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

    /// Peer for which the command acts, if any.
    pub(crate) fn acts_for(&self) -> Option<&PeerId> {
        match self {
            Self::Register { host: peer, .. }
            | Self::Join { peer, .. }
            | Self::Update { peer, .. } => Some(&peer.peer_id),
            Self::Leave { peer_id, .. }
            | Self::Heartbeat { peer_id, .. }
            | Self::Reattach { peer_id }
            | Self::Revoke { peer_id, .. }
            | Self::PollSignals { peer_id, .. }
            | Self::SendSignal { from: peer_id, .. } => Some(peer_id),
            // A claim makes the caller the owner. `ReleaseMember` concerns only the caller's connection.
            // Commands that come from a control server run as the program itself.
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
    /// Joins a party.
    Join,
    /// Leaves a party.
    Leave,
    /// Updates a member.
    Update,
    /// Sends a signal.
    Signal,
}

impl Command {
    /// Returns the kind of the request under an idempotency key, and the digest of its body. `None`
    /// for a command that leaves no receipt.
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
    Reattach => Identity { Outcome::Reattached(identity) => identity }
    SendSignal ReleaseMember Disconnect Withdraw Follow => () { Outcome::Queued | Outcome::Done => () }
    // Commands under an idempotency key.
    => Receipt { Outcome::Receipt(receipt) => receipt }
    => PartyId {
        Outcome::Receipt(Receipt { done: Done::Entered { party_id, .. }, .. }) => party_id
    }
}

/// A relay's description of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayInput {
    /// Its id.
    pub(crate) relay_id: RelayId,
    /// Address on which it listens.
    pub(crate) public_ip: IpAddr,
    /// Port on which it listens.
    pub(crate) port: u16,
    /// Geographic region.
    pub(crate) region: Name,
    /// Maximum number of peers.
    pub(crate) capacity: u32,
}

/// A peer id with its proof and memberships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The peer id.
    pub(crate) peer_id: PeerId,
    /// Expiry of the token that was shown or issued.
    pub(crate) expires_at: Option<Timestamp>,
    /// Wall clock offset of its program, if known.
    pub(crate) utc_offset: Option<UtcOffset>,
    /// Parties of the peer.
    pub(crate) parties: Vec<PartyId>,
}

/// Peer that a token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProvenPeer {
    /// The peer id.
    pub(crate) peer_id: PeerId,
    /// Time on the clock of [`Now::elapsed`] until which the proof holds, unless the token ends as
    /// [`Ended::Token`](super::Ended): until then its uses need not reach the registry.
    pub(crate) holds_until: Duration,
}

/// Numbers of the tokens, memberships and connections that a revocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revoked {
    /// Tokens.
    pub(crate) tokens: usize,
    /// Memberships.
    pub(crate) parties: usize,
    /// Connections that acted for the peer.
    pub(crate) connections: usize,
}

/// Part of [`Upstream`] that a query needs, beside the choice of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UpstreamPart {
    /// Everything.
    All,
    /// Only the choice of the server.
    Choice,
    /// The credential and the memberships of one peer.
    Peer(PeerId),
    /// Memberships with a keepalive.
    Live,
    /// All credentials.
    Credentials,
    /// The parties with intents.
    Intents,
}

/// State of this machine towards its control server. A query for a part leaves the other fields
/// empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Upstream {
    /// The followed server, and the configuration at the time of the choice.
    pub(crate) choice: ChoiceRecord,
    /// Credentials of local peers on the server.
    pub(crate) credentials: Vec<CredentialRecord>,
    /// Memberships of local peers in parties of the server, or in parties that are to move there.
    pub(crate) memberships: Vec<Membership>,
    /// Parties with intents.
    pub(crate) outbox: BTreeSet<PartyId>,
    /// Peers with an intent to leave, by party.
    pub(crate) leaves: BTreeSet<(PartyId, PeerId)>,
}

/// Membership of a local peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The party.
    pub(crate) party_id: PartyId,
    /// The peer.
    pub(crate) peer_id: PeerId,
    /// Local user that owns the peer.
    pub(crate) owner: User,
    /// True while something keeps it alive.
    pub(crate) live: bool,
}

/// Result of a comparison with the control server.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Reconciled {
    /// Operations to send to the server now.
    pub(crate) operations: Vec<MembershipOp>,
    /// Host of the copy before the comparison; `None` if there was no copy.
    pub(crate) host_before: Option<PeerId>,
    /// True if there is a copy of the party after the comparison.
    pub(crate) is_copy: bool,
}

/// Treatment of existing parties by an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImportMode {
    /// Existing parties stay; only parties with other ids are imported.
    Merge,
    /// Existing parties are removed first.
    Replace,
}

/// Counts of an import.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ImportCounts {
    /// Imported parties.
    pub(crate) parties: u64,
    /// Members of the imported parties.
    pub(crate) peers: u64,
    /// Existing parties that were not imported and stayed unchanged.
    pub(crate) skipped: u64,
    /// Existing parties that were removed.
    pub(crate) removed: u64,
    /// Entries that could not be imported.
    pub(crate) rejected: Vec<Rejected>,
}
