//! Notifications of the daemon: `event`, `event.reset` and `goaway`.

use serde::{Deserialize, Serialize};

use crate::model::Connection;
use crate::model::{Epoch, KeyChange, Party, PartyId, Peer, PeerId, Relay, RelayId};
use crate::words::words;

words! {
    /// Subject of events.
    #[derive(Hash)]
    Topic {
        /// Parties.
        Party = "party",
        /// Members of parties.
        Peer = "peer",
        /// Queued signals.
        Signal = "signal",
        /// Relays.
        Relay = "relay",
        /// Connection to the control server.
        Connection = "connection",
    }
}

/// A change, as `kind` and `data`. Events of a party carry its `epoch` and `seq` after the change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// A party was registered.
    #[serde(rename = "party.registered")]
    PartyRegistered {
        /// Party, with its host as a member.
        party: Party,
        /// Same value as in `party`.
        epoch: Epoch,
        /// Same value as in `party`.
        seq: u64,
    },
    /// A party changed in a way that no other event describes; replace the whole party.
    #[serde(rename = "party.updated")]
    PartyUpdated {
        /// Party of the event.
        party: Party,
        /// Previous id of the party, if its id changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous_party_id: Option<PartyId>,
        /// Same value as in `party`.
        epoch: Epoch,
        /// Same value as in `party`.
        seq: u64,
    },
    /// A party was removed, after a `peer.left` for each of its members.
    #[serde(rename = "party.removed")]
    PartyRemoved {
        /// Party of the event.
        party_id: PartyId,
        /// Reason of the removal.
        reason: RemovalReason,
        /// Epoch of the party.
        epoch: Epoch,
        /// Last `seq` of the party.
        seq: u64,
    },
    /// A peer joined a party.
    #[serde(rename = "peer.joined")]
    PeerJoined {
        /// Party of the event.
        party_id: PartyId,
        /// The new member.
        peer: Peer,
        /// Epoch of the party.
        epoch: Epoch,
        /// `seq` of the party after the change.
        seq: u64,
    },
    /// The data of a member changed, or its keepalive began or ended.
    #[serde(rename = "peer.updated")]
    PeerUpdated {
        /// Party of the event.
        party_id: PartyId,
        /// Current state of the member.
        peer: Peer,
        /// Change of its public key, if the control server states another one now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_changed: Option<KeyChange>,
        /// Epoch of the party.
        epoch: Epoch,
        /// `seq` of the party after the change.
        seq: u64,
    },
    /// A peer left a party, or was removed.
    #[serde(rename = "peer.left")]
    PeerLeft {
        /// Party of the event.
        party_id: PartyId,
        /// Peer that left.
        peer_id: PeerId,
        /// Reason of the removal.
        reason: RemovalReason,
        /// Epoch of the party.
        epoch: Epoch,
        /// `seq` of the party after the change.
        seq: u64,
    },
    /// A signal is queued for `signal.poll`.
    #[serde(rename = "signal.received")]
    SignalReceived {
        /// Party of both members.
        party_id: PartyId,
        /// Peer that sent it.
        from_peer_id: PeerId,
        /// Peer that receives it.
        to_peer_id: PeerId,
    },
    /// A relay was registered, or changed.
    #[serde(rename = "relay.updated")]
    RelayUpdated {
        /// Relay of the event.
        relay: Relay,
    },
    /// A relay expired.
    #[serde(rename = "relay.removed")]
    RelayRemoved {
        /// Relay of the event.
        relay_id: RelayId,
    },
    /// The state of the connection to the control server changed.
    #[serde(rename = "connection.changed")]
    ConnectionChanged(Connection),
}

impl Event {
    /// All kinds of events.
    pub const KINDS: [&'static str; 10] = [
        "party.registered",
        "party.updated",
        "party.removed",
        "peer.joined",
        "peer.updated",
        "peer.left",
        "signal.received",
        "relay.updated",
        "relay.removed",
        "connection.changed",
    ];

    /// Returns the topic of the event.
    pub fn topic(&self) -> Topic {
        match self {
            Self::PartyRegistered { .. }
            | Self::PartyUpdated { .. }
            | Self::PartyRemoved { .. } => Topic::Party,
            Self::PeerJoined { .. } | Self::PeerUpdated { .. } | Self::PeerLeft { .. } => {
                Topic::Peer
            }
            Self::SignalReceived { .. } => Topic::Signal,
            Self::RelayUpdated { .. } | Self::RelayRemoved { .. } => Topic::Relay,
            Self::ConnectionChanged(_) => Topic::Connection,
        }
    }

    /// Returns the `seq` of the party after the change; `None` for an event without one.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::PartyRegistered { seq, .. }
            | Self::PartyUpdated { seq, .. }
            | Self::PartyRemoved { seq, .. }
            | Self::PeerJoined { seq, .. }
            | Self::PeerUpdated { seq, .. }
            | Self::PeerLeft { seq, .. } => Some(*seq),
            Self::SignalReceived { .. }
            | Self::RelayUpdated { .. }
            | Self::RelayRemoved { .. }
            | Self::ConnectionChanged(_) => None,
        }
    }

    /// Returns the previous and the new id of a party whose id changed.
    pub fn renamed(&self) -> Option<(&PartyId, &PartyId)> {
        match self {
            Self::PartyUpdated { party, previous_party_id: Some(before), .. } => {
                Some((before, &party.party_id))
            }
            _ => None,
        }
    }

    /// Returns the id, after the event, of the party that the event concerns, if any.
    pub fn party_id(&self) -> Option<&PartyId> {
        match self {
            Self::PartyRegistered { party, .. } | Self::PartyUpdated { party, .. } => {
                Some(&party.party_id)
            }
            Self::PartyRemoved { party_id, .. }
            | Self::PeerJoined { party_id, .. }
            | Self::PeerUpdated { party_id, .. }
            | Self::PeerLeft { party_id, .. }
            | Self::SignalReceived { party_id, .. } => Some(party_id),
            Self::RelayUpdated { .. } | Self::RelayRemoved { .. } | Self::ConnectionChanged(_) => {
                None
            }
        }
    }
}

words! {
    /// Reason for the removal of a peer or a party.
    RemovalReason {
        /// The peer left.
        Left = "left",
        /// The peer expired.
        Expired = "expired",
        /// The party ended with its host.
        HostLeft = "host_left",
        /// An operator removed it.
        Removed = "removed";
        /// A reason that this version does not know.
        Unknown
    }
}

/// State at the start of a subscription's events.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// Parties, by id; absent unless the topics include `party` or `peer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parties: Option<Vec<Party>>,
    /// Relays, by region, then id; absent unless the topics include `relay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relays: Option<Vec<Relay>>,
    /// Connection; absent unless the topics include `connection`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
}

/// `params` of the notification `event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventParams {
    /// Subscription of the notification.
    pub subscription: String,
    /// Number in the subscription; grows by one with each event and reset.
    pub seq: u64,
    /// Event.
    #[serde(flatten)]
    pub event: Event,
}

/// `params` of the notification `event.reset`. Events were dropped because the client read too
/// slowly; replace the local state by `snapshot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResetParams {
    /// Subscription of the notification.
    pub subscription: String,
    /// Number in the subscription; grows by one with each event and reset.
    pub seq: u64,
    /// Current state, restricted to the scope of the subscription.
    pub snapshot: Snapshot,
}

/// `params` of the notification `goaway`: the daemon is stopping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GoawayParams {
    /// Human-readable reason.
    pub reason: String,
    /// Time to wait before a reconnect, in milliseconds.
    pub reconnect_after_ms: u64,
}
