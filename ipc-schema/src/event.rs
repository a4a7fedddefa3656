//! What the daemon says unasked: events, resets, and its farewell.

use serde::{Deserialize, Serialize};

use crate::model::Connection;
use crate::model::{Epoch, KeyChange, Party, PartyId, Peer, PeerId, Relay, RelayId};
use crate::words::words;

words! {
    /// Subject of events.
    #[derive(Hash)]
    Topic {
        /// Parties as a whole.
        Party = "party",
        /// Their members.
        Peer = "peer",
        /// Signals that wait to be polled.
        Signal = "signal",
        /// Relays.
        Relay = "relay",
        /// The connection to the control server.
        Connection = "connection",
    }
}

/// A change, as `kind` and `data`. Those of a party carry the `epoch` and `seq` it has after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// A party came to be.
    #[serde(rename = "party.registered")]
    PartyRegistered {
        /// The party, its host in it.
        party: Party,
        /// As in the party.
        epoch: Epoch,
        /// As in the party.
        seq: u64,
    },
    /// Something of a party changed that no other event tells: take it as it is now.
    #[serde(rename = "party.updated")]
    PartyUpdated {
        /// The party.
        party: Party,
        /// The id that it had before, where it has another now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous_party_id: Option<PartyId>,
        /// As in the party.
        epoch: Epoch,
        /// As in the party.
        seq: u64,
    },
    /// A party is no more. A `peer.left` for each of its members came before.
    #[serde(rename = "party.removed")]
    PartyRemoved {
        /// The party.
        party_id: PartyId,
        /// Why.
        reason: RemovalReason,
        /// The party's epoch.
        epoch: Epoch,
        /// The party's last.
        seq: u64,
    },
    /// A peer is a member from now on.
    #[serde(rename = "peer.joined")]
    PeerJoined {
        /// The party.
        party_id: PartyId,
        /// The new member.
        peer: Peer,
        /// The party's epoch.
        epoch: Epoch,
        /// The party's after the change.
        seq: u64,
    },
    /// A member says something else of itself, or what keeps it alive came or went.
    #[serde(rename = "peer.updated")]
    PeerUpdated {
        /// The party.
        party_id: PartyId,
        /// The member as it is now.
        peer: Peer,
        /// Change of its public key, if the control server states another one now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_changed: Option<KeyChange>,
        /// The party's epoch.
        epoch: Epoch,
        /// The party's after the change.
        seq: u64,
    },
    /// A peer is a member no more.
    #[serde(rename = "peer.left")]
    PeerLeft {
        /// The party.
        party_id: PartyId,
        /// Who left.
        peer_id: PeerId,
        /// Why.
        reason: RemovalReason,
        /// The party's epoch.
        epoch: Epoch,
        /// The party's after the change.
        seq: u64,
    },
    /// A signal waits for `signal.poll`.
    #[serde(rename = "signal.received")]
    SignalReceived {
        /// The party that both are in.
        party_id: PartyId,
        /// Who sent it.
        from_peer_id: PeerId,
        /// Whom it is for.
        to_peer_id: PeerId,
    },
    /// A relay came, or changed.
    #[serde(rename = "relay.updated")]
    RelayUpdated {
        /// The relay.
        relay: Relay,
    },
    /// A relay has been silent for too long.
    #[serde(rename = "relay.removed")]
    RelayRemoved {
        /// The relay.
        relay_id: RelayId,
    },
    /// The connection to the control server is in another state.
    #[serde(rename = "connection.changed")]
    ConnectionChanged(Connection),
}

impl Event {
    /// The kinds that there are.
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

    /// What the event is about.
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

    /// The number of the change of its party that it tells of.
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

    /// The id that its party had before, and the one that it has now, if it has another.
    pub fn renamed(&self) -> Option<(&PartyId, &PartyId)> {
        match self {
            Self::PartyUpdated { party, previous_party_id: Some(before), .. } => {
                Some((before, &party.party_id))
            }
            _ => None,
        }
    }

    /// The party that the event concerns, if it concerns one: by its id after the event.
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
    /// Why a peer is a member no more, or a party is gone.
    RemovalReason {
        /// It said so.
        Left = "left",
        /// It was silent for too long.
        Expired = "expired",
        /// The party ended with its host.
        HostLeft = "host_left",
        /// An operator removed it.
        Removed = "removed";
        /// One that this version does not know.
        Unknown
    }
}

/// The state that a subscription's events start from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// The parties asked for, by id; absent when neither `party` nor `peer` was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parties: Option<Vec<Party>>,
    /// The relays, by region, then id; absent when `relay` was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relays: Option<Vec<Relay>>,
    /// The connection; absent when `connection` was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
}

/// The `params` of the notification `event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventParams {
    /// The subscription it belongs to.
    pub subscription: String,
    /// Grows by one with every event and reset of the subscription.
    pub seq: u64,
    /// The change.
    #[serde(flatten)]
    pub event: Event,
}

/// The `params` of the notification `event.reset`: some events were dropped because the client
/// was too slow for them; take `snapshot` in place of what you have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResetParams {
    /// The subscription it belongs to.
    pub subscription: String,
    /// Grows by one with every event and reset of the subscription.
    pub seq: u64,
    /// The state as it is now, narrowed as the subscription is.
    pub snapshot: Snapshot,
}

/// The `params` of the notification `goaway`: the daemon is stopping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GoawayParams {
    /// Why, for people.
    pub reason: String,
    /// How long to wait before connecting again, in milliseconds.
    pub reconnect_after_ms: u64,
}
