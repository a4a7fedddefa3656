//! What clients send.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ReqId, Secret};
use crate::lanrage::input::PeerForm;
use crate::model::{Epoch, Name, PartyId, PeerId, SignalData};

/// Among the `caps` of a client whose peers no older connection may speak for any more: what it sent
/// on one that it lost may still come.
pub const TAKEOVER: &str = "takeover";

/// Among the `caps` of a `hello` for a peer that nothing keeps alive on the client's machine: the
/// connection speaks for it, and does not keep it alive either.
pub const IDLE: &str = "idle";

/// A frame of a client.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame; LANrage's clients call it `auth`.
    #[cfg_attr(feature = "schema", schemars(transform = or_auth))]
    Hello {
        /// The version of the client's protocol.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<Name>,
        /// The client's name.
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<Name>,
        /// Whom it speaks for.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_id: Option<PeerId>,
        /// What proves it.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<Secret>,
        /// Claim secret, chosen by the client and kept before the claim is made: 22 to 128
        /// url-safe characters with 128 random bits. Repeats a claim whose answer was lost, while
        /// the token is good that it brought.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(
            feature = "schema",
            schemars(
                with = "Option<String>",
                length(min = Secret::SHORTEST_CLAIM, max = Secret::LONGEST_CLAIM),
                regex(pattern = Secret::CLAIM_PATTERN)
            )
        )]
        claim: Option<Secret>,
        /// The additions to LANrage's protocol that it knows; at most 32. With `takeover` among
        /// them, connections before this one are not listened to any more for its peers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
        caps: Vec<Name>,
        /// How far its copies of parties go.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        have: BTreeMap<PartyId, Bookmark>,
    },
    /// Registers a party.
    RegisterParty {
        /// Its id; the server chooses one when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        party_id: Option<PartyId>,
        /// What to call it.
        name: Name,
        /// Its host.
        host_peer: PeerForm,
    },
    /// Adds a peer to a party, or updates the member of that id.
    JoinParty {
        /// The party.
        party_id: PartyId,
        /// Who joins.
        peer: PeerForm,
    },
    /// Takes a peer out of a party.
    LeaveParty {
        /// The party.
        party_id: PartyId,
        /// Who leaves.
        peer_id: PeerId,
    },
    /// Updates a member.
    UpdatePeer {
        /// The party.
        party_id: PartyId,
        /// The member as it is now.
        peer: PeerForm,
    },
    /// A sign of life.
    Heartbeat {
        /// The party.
        party_id: PartyId,
        /// Who lives.
        peer_id: PeerId,
    },
    /// Tells another member something.
    Signal {
        /// The party that both are in.
        party_id: PartyId,
        /// Who sends it.
        from_peer_id: PeerId,
        /// Whom it is for.
        to_peer_id: PeerId,
        /// What it says.
        signal_data: SignalData,
    },
    /// Asks for a party as it is now.
    Sync {
        /// The party.
        party_id: PartyId,
        /// How far the client's copy goes.
        #[serde(skip_serializing_if = "Option::is_none")]
        have: Option<Bookmark>,
    },
    /// Asks for the relays.
    ListRelays {
        /// Only those that stand there.
        #[serde(skip_serializing_if = "Option::is_none")]
        region: Option<Name>,
    },
}

/// How far a copy of a party goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bookmark {
    /// The stretch of history that `seq` counts in.
    pub epoch: Epoch,
    /// The last change that it has.
    pub seq: u64,
}

/// A frame of a client, and its id.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inbound {
    /// What it says.
    #[serde(flatten)]
    pub frame: ClientFrame,
    /// Its id: with one it is answered by an `ack`, and may be repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req_id: Option<ReqId>,
}

/// Both names of the first frame.
#[cfg(feature = "schema")]
fn or_auth(variant: &mut schemars::Schema) {
    if let Some(name) = variant.pointer_mut("/properties/type") {
        *name = serde_json::json!({"type": "string", "enum": ["hello", "auth"]});
    }
}
