//! What the registry refuses.

use std::net::Ipv4Addr;

use lanrage_ipc::model::{PartyId, PeerId, RelayId};

use super::shares::Payer;

/// Why a command was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no such party.
    #[error("party {0} is not known")]
    PartyNotFound(PartyId),
    /// The id is taken.
    #[error("party {0} exists already")]
    PartyExists(PartyId),
    /// No room in the party.
    #[error("party {party_id} has {limit} peers, the most it may have")]
    PartyFull {
        /// The party.
        party_id: PartyId,
        /// The most peers a party may have.
        limit: usize,
    },
    /// There is no such member.
    #[error("peer {peer_id} is not known in party {party_id}")]
    PeerNotFound {
        /// The party.
        party_id: PartyId,
        /// The peer looked for.
        peer_id: PeerId,
    },
    /// Who acts is no member.
    #[error("peer {peer_id} is not a member of party {party_id}")]
    NotAMember {
        /// The party.
        party_id: PartyId,
        /// The peer that acts.
        peer_id: PeerId,
    },
    /// The caller did not show that they may act for the peer.
    #[error("peer {0} belongs to somebody else")]
    PeerNotYours(PeerId),
    /// The id is somebody's, and the caller did not show that it is theirs.
    #[error("peer id {0} is already registered")]
    PeerTaken(PeerId),
    /// The token proves nothing.
    #[error("invalid or expired token")]
    BadToken,
    /// The idempotency key was another request's.
    #[error("the idempotency key was used for a request with another body: choose another key")]
    KeyReused,
    /// The relay belongs to somebody else.
    #[error("relay {0} belongs to somebody else")]
    RelayNotYours(RelayId),
    /// The peer is in too many parties.
    #[error("peer {peer_id} is in {limit} parties, the most it may be in: leave one first")]
    TooManyParties {
        /// The peer.
        peer_id: PeerId,
        /// The most parties a peer may be in.
        limit: usize,
    },
    /// The registry has no room for another party or relay.
    #[error("there are {limit} {what}, the most there may be")]
    RegistryFull {
        /// `parties`, `relays` or `tokens`.
        what: &'static str,
        /// The most there may be.
        limit: usize,
    },
    /// One client has filled its part of a table.
    #[error("{payer} has {limit} of the {what}, the most that it may have")]
    ShareFull {
        /// The table, as in [`Refusal::RegistryFull`], `memberships`, `bytes of waiting signals` or
        /// [`Refusal::INTENTS`].
        what: &'static str,
        /// Client that fills it.
        payer: Payer,
        /// The most that they may have.
        limit: usize,
    },
    /// The control server tells more than its copies may take.
    #[error(
        "party {party_id} is not followed: copies of the control server's parties may take {limit} bytes (remote.copies_bytes)"
    )]
    CopiesFull {
        /// The party.
        party_id: PartyId,
        /// The most bytes that they may take.
        limit: usize,
    },
    /// The control server gives an address that no member may have.
    #[error(
        "party {party_id}: the control server gives peer {peer_id} the virtual address {address}, which is neither of addresses.subnet nor of the party's private network, or is of a network of this machine"
    )]
    AddressRefused {
        /// The party.
        party_id: PartyId,
        /// The member.
        peer_id: PeerId,
        /// The address.
        address: Ipv4Addr,
    },
    /// The control server answers a registration with the id of another party.
    #[error(
        "the control server registered party {asked} as {answered}, the id of another party here"
    )]
    IdRefused {
        /// The id that was asked for.
        asked: PartyId,
        /// The id that was answered.
        answered: PartyId,
    },
    /// The control server answers a registration with a party of another host.
    #[error(
        "asked to register a party, the control server answered with {party_id}, whose host is {host_id}"
    )]
    HostRefused {
        /// The party that was answered.
        party_id: PartyId,
        /// Its host.
        host_id: PeerId,
    },
    /// The control server states a local peer as the host of a party that it is not in.
    #[error(
        "party {party_id}: the control server states {host_id} as its host, a local peer that is not in it"
    )]
    HostAbsent {
        /// The party.
        party_id: PartyId,
        /// The stated host.
        host_id: PeerId,
    },
    /// The control server confirms an entry and does not tell the party before.
    #[error("party {party_id}: the control server confirmed the entry without the party: {reason}")]
    PartyUntold {
        /// The party that was asked for.
        party_id: PartyId,
        /// Fault of its messages, in words.
        reason: String,
    },
    /// The key that the control server states is not the one to accept.
    #[error("is not the key that the control server has of peer {0} now")]
    KeyIsAnother(PeerId),
    /// Too much waits for the control server.
    #[error("{limit} changes wait for the control server already, the most that may")]
    OutboxFull {
        /// The most intents there may be.
        limit: usize,
    },
    /// The signal is too long.
    #[error("must be at most {limit} bytes of JSON, and is {bytes}")]
    SignalTooLarge {
        /// Its length.
        bytes: usize,
        /// The most it may have.
        limit: usize,
    },
    /// Too many members do not poll.
    #[error("signals of {limit} bytes wait already, the most that may in all")]
    SignalsFull {
        /// The most bytes that may wait.
        limit: usize,
    },
    /// The target does not poll.
    #[error("{limit} signals wait for peer {peer_id} already, the most that may")]
    SignalQueueFull {
        /// The target.
        peer_id: PeerId,
        /// The most signals that may wait.
        limit: usize,
    },
}

impl Refusal {
    /// Name of the table of intents.
    pub(crate) const INTENTS: &str = "changes that wait for the control server";

    /// What an operator can do about a bound that was reached: which key of the configuration to
    /// change. `None` for a refusal that has nothing to do with all clients together.
    pub(crate) fn remedy(&self) -> Option<String> {
        let key = |what| match what {
            "memberships" => "limits.parties".to_owned(),
            "bytes of waiting signals" => "limits.signals_total_bytes".to_owned(),
            what => format!("limits.{what}"),
        };
        match self {
            Self::RegistryFull { what, .. } => Some(format!("raise {}", key(what))),
            Self::ShareFull { what: "relays", payer: Payer::Peer(_), .. } => {
                Some("have relays show auth.relay_key".to_owned())
            }
            // Its size is no key.
            Self::ShareFull { what: Self::INTENTS, .. } => {
                Some("lower limits.uid_share, or wait until the server can be reached".to_owned())
            }
            Self::ShareFull { what, payer: Payer::User(_) | Payer::Server, .. } => {
                Some(format!("raise {} or lower limits.uid_share", key(what)))
            }
            Self::ShareFull { what, .. } => {
                Some(format!("raise {} or lower limits.address_share", key(what)))
            }
            Self::CopiesFull { .. } => Some("raise remote.copies_bytes".to_owned()),
            Self::SignalsFull { .. } => Some("raise limits.signals_total_bytes".to_owned()),
            Self::SignalQueueFull { .. } => Some("raise limits.signals_per_peer".to_owned()),
            _ => None,
        }
    }
}
