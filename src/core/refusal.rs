//! Refusals of commands by the registry.

use std::net::Ipv4Addr;

use lanrage_ipc::model::{PartyId, PeerId, RelayId};

use super::shares::Payer;

/// Reason why the registry refused a command. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No party has this id.
    #[error("party {0} is not known")]
    PartyNotFound(PartyId),
    /// The party id is taken.
    #[error("party {0} exists already")]
    PartyExists(PartyId),
    /// The party has no room.
    #[error("party {party_id} has {limit} peers, the most it may have")]
    PartyFull {
        /// The party.
        party_id: PartyId,
        /// Upper bound of a party's members.
        limit: usize,
    },
    /// No member of the party has this id.
    #[error("peer {peer_id} is not known in party {party_id}")]
    PeerNotFound {
        /// The party.
        party_id: PartyId,
        /// The requested peer.
        peer_id: PeerId,
    },
    /// The acting peer is not a member.
    #[error("peer {peer_id} is not a member of party {party_id}")]
    NotAMember {
        /// The party.
        party_id: PartyId,
        /// The acting peer.
        peer_id: PeerId,
    },
    /// The caller did not prove that it may act for the peer.
    #[error("peer {0} belongs to somebody else")]
    PeerNotYours(PeerId),
    /// The peer id has an owner, and the caller did not prove to be that owner.
    #[error("peer id {0} is already registered")]
    PeerTaken(PeerId),
    /// The token is unknown or expired.
    #[error("invalid or expired token")]
    BadToken,
    /// The idempotency key belongs to another request.
    #[error("the idempotency key was used for a request with another body: choose another key")]
    KeyReused,
    /// The relay has another owner.
    #[error("relay {0} belongs to somebody else")]
    RelayNotYours(RelayId),
    /// The peer is in too many parties.
    #[error("peer {peer_id} is in {limit} parties, the most it may be in: leave one first")]
    TooManyParties {
        /// The peer.
        peer_id: PeerId,
        /// Upper bound of a peer's parties.
        limit: usize,
    },
    /// A table of the registry is full.
    #[error("there are {limit} {what}, the most there may be")]
    RegistryFull {
        /// `parties`, `relays` or `tokens`.
        what: &'static str,
        /// Upper bound of the table.
        limit: usize,
    },
    /// A client has filled its share of a table.
    #[error("{payer} has {limit} of the {what}, the most that it may have")]
    ShareFull {
        /// The table, as in [`Refusal::RegistryFull`], `memberships`, `bytes of waiting signals` or
        /// [`Refusal::INTENTS`].
        what: &'static str,
        /// Client that fills the share.
        payer: Payer,
        /// Upper bound of the client's share.
        limit: usize,
    },
    /// The control server's parties exceed the memory for copies.
    #[error(
        "party {party_id} is not followed: copies of the control server's parties may take {limit} bytes (remote.copies_bytes)"
    )]
    CopiesFull {
        /// The party.
        party_id: PartyId,
        /// Upper bound of all copies, in bytes.
        limit: usize,
    },
    /// The control server assigns an address that no member may have.
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
    /// The control server answered a registration with the id of another party.
    #[error(
        "the control server registered party {asked} as {answered}, the id of another party here"
    )]
    IdRefused {
        /// Id in the request.
        asked: PartyId,
        /// Id in the answer.
        answered: PartyId,
    },
    /// The control server answered a registration with a party of another host.
    #[error(
        "asked to register a party, the control server answered with {party_id}, whose host is {host_id}"
    )]
    HostRefused {
        /// Party in the answer.
        party_id: PartyId,
        /// Its host.
        host_id: PeerId,
    },
    /// The control server states a local peer as the host of a party that the peer is not in.
    #[error(
        "party {party_id}: the control server states {host_id} as its host, a local peer that is not in it"
    )]
    HostAbsent {
        /// The party.
        party_id: PartyId,
        /// The stated host.
        host_id: PeerId,
    },
    /// The control server confirmed an entry without stating the party before.
    #[error("party {party_id}: the control server confirmed the entry without the party: {reason}")]
    PartyUnstated {
        /// Party in the request.
        party_id: PartyId,
        /// Reason why the party was not usable, in words.
        reason: String,
    },
    /// The key to accept is not the key that the control server states now.
    #[error("is not the current key of peer {0}")]
    KeyIsAnother(PeerId),
    /// The table of intents is full.
    #[error("{limit} changes wait for the control server already, the most that may")]
    OutboxFull {
        /// Upper bound of the intents.
        limit: usize,
    },
    /// The signal is too long.
    #[error("must be at most {limit} bytes of JSON, and is {bytes}")]
    SignalTooLarge {
        /// Length in bytes of JSON.
        bytes: usize,
        /// Upper bound in bytes of JSON.
        limit: usize,
    },
    /// The queues of all members together are full.
    #[error("signals of {limit} bytes wait already, the most that may in all")]
    SignalsFull {
        /// Upper bound of the waiting bytes.
        limit: usize,
    },
    /// The target's queue is full: it does not poll.
    #[error("{limit} signals wait for peer {peer_id} already, the most that may")]
    SignalQueueFull {
        /// The target.
        peer_id: PeerId,
        /// Upper bound of one member's waiting signals.
        limit: usize,
    },
}

impl Refusal {
    /// Name of the table of intents.
    pub(crate) const INTENTS: &str = "changes that wait for the control server";

    /// Returns advice for an operator: the configuration key of the bound that was reached. `None`
    /// for a refusal that is not about a bound of all clients together.
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
            // The share of the intents has no configuration key.
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
