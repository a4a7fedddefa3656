//! Frames of clients. They are decoded leniently, for the sake of LANrage's own clients.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ReqId, Secret};
use crate::lanrage::input::{PeerForm, Reader, Refusal, read_peer, rules};
use crate::model::{Epoch, Name, PartyId, PeerId, SignalData};

/// Cap that invalidates older connections of the client's peers. Frames that the client sent on a
/// lost connection may still arrive.
pub const TAKEOVER: &str = "takeover";

/// Cap of a `hello` for a peer that nothing keeps alive on the client's machine. The connection
/// acts for the peer, but is not a keepalive for it.
pub const IDLE: &str = "idle";

/// Maximum number of `caps` of a client.
const MOST_CAPS: usize = 32;

/// Fields of a frame, as raw JSON. The last one of a repeated name counts.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Defines the frames: the `type` of each, and the decoder of each field.
macro_rules! client_frames {
    (|$reader:ident, $fields:ident| $(
        $(#[$attribute:meta])*
        $variant:ident = $tag:literal $(or $other:literal)? {
            $($(#[$field_attribute:meta])* $field:ident: $type:ty = $read:expr,)*
        }
    )*) => {
        /// A frame of a client.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(tag = "type")]
        pub enum ClientFrame {
            $($(#[$attribute])* #[serde(rename = $tag)] $variant {
                $($(#[$field_attribute])* $field: $type,)*
            },)*
        }

        impl ClientFrame {
            /// `type` of the frame.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $tag,)* }
            }

            /// Decodes a frame of the given kind and records its mistakes. Returns `None` for an
            /// unknown kind, and `Some(None)` for a frame with mistakes.
            pub(super) fn read(
                kind: &str,
                $reader: &mut Reader<'_>,
                $fields: &Fields<'_>,
            ) -> Option<Option<Self>> {
                match kind {
                    $($tag $(| $other)? => {
                        // Decode all fields first, so that every mistake is reported.
                        let read = ($($read,)*);
                        let frame = |($($field,)*): ($(Option<$type>,)*)| {
                            Some(Self::$variant { $($field: $field?,)* })
                        };
                        Some(frame(read))
                    })*
                    _ => None,
                }
            }
        }
    };
}

client_frames! { |reader, fields|
    /// First frame of a connection; LANrage's clients call it `auth`.
    #[cfg_attr(feature = "schema", schemars(transform = or_auth))]
    Hello = "hello" or "auth" {
        /// Version of the client's protocol.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<Name> = Some(name(reader, "version")),
        /// Name of the client program.
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<Name> = Some(name(reader, "client")),
        /// Peer that the connection acts for.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_id: Option<PeerId> = reader.optional("peer_id", rules::new_id),
        /// Token that proves ownership of `peer_id`.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<Secret> = reader.optional("token", token),
        /// Claim secret, which the client chooses and stores before the claim. It has 22 to 128
        /// url-safe characters with 128 random bits. It repeats a claim whose answer was lost, as
        /// long as the token from that claim is valid.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(
            feature = "schema",
            schemars(
                with = "Option<String>",
                length(min = Secret::SHORTEST_CLAIM, max = Secret::LONGEST_CLAIM),
                regex(pattern = Secret::CLAIM_PATTERN)
            )
        )]
        claim: Option<Secret> = reader.optional("claim", rules::claim),
        /// Extensions of LANrage's protocol that the client supports; at most 32. With `takeover`,
        /// the server ignores older connections of its peers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
        caps: Vec<Name> = reader.list("caps", MOST_CAPS, rules::name),
        /// Epoch and `seq` of each of the client's party copies.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        have: BTreeMap<PartyId, Bookmark> = bookmarks(reader),
    }
    /// Registers a party.
    RegisterParty = "register_party" {
        /// Id of the party; the server chooses it if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        party_id: Option<PartyId> = reader.optional("party_id", rules::new_id),
        /// Name of the party.
        name: Name = reader.required("name", rules::name),
        /// Host of the party.
        host_peer: PeerForm = reader.object("host_peer", read_peer),
    }
    /// Adds a peer to a party, or updates the member of that id.
    JoinParty = "join_party" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// Peer that joins.
        peer: PeerForm = reader.object("peer", read_peer),
    }
    /// Removes a peer from a party.
    LeaveParty = "leave_party" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// Peer that leaves.
        peer_id: PeerId = reader.required("peer_id", rules::id),
    }
    /// Updates a member.
    UpdatePeer = "update_peer" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// The member as it is now.
        peer: PeerForm = reader.object("peer", read_peer),
    }
    /// Refreshes a member's `last_seen`.
    Heartbeat = "heartbeat" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// Member to refresh.
        peer_id: PeerId = reader.required("peer_id", rules::id),
    }
    /// Sends a signal to another member.
    Signal = "signal" {
        /// Party of both members.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// Peer that sends it.
        from_peer_id: PeerId = reader.required("from_peer_id", rules::id),
        /// Peer that receives it.
        to_peer_id: PeerId = reader.required("to_peer_id", rules::id),
        /// Payload of the signal.
        signal_data: SignalData = signal_data(reader, fields),
    }
    /// Requests a snapshot of a party.
    Sync = "sync" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// Epoch and `seq` of the client's copy.
        #[serde(skip_serializing_if = "Option::is_none")]
        have: Option<Bookmark> = bookmark(reader),
    }
    /// Requests the relays.
    ListRelays = "list_relays" {
        /// Region of the relays to return; all regions if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        region: Option<Name> = reader.optional("region", rules::name),
    }
}

impl ClientFrame {
    /// Party that the frame is about, if it names one.
    pub fn party_id(&self) -> Option<&PartyId> {
        match self {
            Self::RegisterParty { party_id, .. } => party_id.as_ref(),
            Self::JoinParty { party_id, .. }
            | Self::LeaveParty { party_id, .. }
            | Self::UpdatePeer { party_id, .. }
            | Self::Heartbeat { party_id, .. }
            | Self::Signal { party_id, .. }
            | Self::Sync { party_id, .. } => Some(party_id),
            Self::Hello { .. } | Self::ListRelays { .. } => None,
        }
    }

    /// Mutable form of [`ClientFrame::party_id`].
    pub fn party_id_mut(&mut self) -> Option<&mut PartyId> {
        match self {
            Self::RegisterParty { party_id, .. } => party_id.as_mut(),
            Self::JoinParty { party_id, .. }
            | Self::LeaveParty { party_id, .. }
            | Self::UpdatePeer { party_id, .. }
            | Self::Heartbeat { party_id, .. }
            | Self::Signal { party_id, .. }
            | Self::Sync { party_id, .. } => Some(party_id),
            Self::Hello { .. } | Self::ListRelays { .. } => None,
        }
    }

    /// Peer that the frame acts for, if it names one.
    pub fn peer_id(&self) -> Option<&PeerId> {
        match self {
            Self::Hello { peer_id, .. } => peer_id.as_ref(),
            Self::RegisterParty { host_peer: peer, .. }
            | Self::JoinParty { peer, .. }
            | Self::UpdatePeer { peer, .. } => Some(&peer.info.peer_id),
            Self::LeaveParty { peer_id, .. }
            | Self::Heartbeat { peer_id, .. }
            | Self::Signal { from_peer_id: peer_id, .. } => Some(peer_id),
            Self::Sync { .. } | Self::ListRelays { .. } => None,
        }
    }
}

/// Position of a party copy in the party's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bookmark {
    /// Epoch in which `seq` counts.
    pub epoch: Epoch,
    /// `seq` of the last change in the copy.
    pub seq: u64,
}

/// Frame of a client, and its request id.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inbound {
    /// Decoded frame.
    #[serde(flatten)]
    pub frame: ClientFrame,
    /// Idempotency key. A frame with a `req_id` gets an `ack` and may be repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub req_id: Option<ReqId>,
}

/// Decodes an informative name; an invalid one counts as absent.
fn name(reader: &mut Reader<'_>, key: &str) -> Option<Name> {
    reader.get(key).and_then(|value| rules::name(value).ok())
}

fn token(value: &Value) -> Result<Secret, Refusal> {
    rules::text(value, 1, Secret::LONGEST_TOKEN).map(|text| text.to_owned().into())
}

fn bookmarks(reader: &mut Reader<'_>) -> Option<BTreeMap<PartyId, Bookmark>> {
    match reader.get("have") {
        // Plain numbers lack their epoch and are ignored.
        Some(Value::Object(entries)) if entries.values().all(Value::is_number) => {
            Some(BTreeMap::new())
        }
        _ => Some(reader.objects("have", party_key, read_bookmark)?.into_iter().collect()),
    }
}

fn party_key(key: &str) -> Result<PartyId, Refusal> {
    key.parse().map_err(|rule| Refusal::value_error(&format!("each key {rule}")))
}

fn bookmark(reader: &mut Reader<'_>) -> Option<Option<Bookmark>> {
    match reader.get("have") {
        // A plain number lacks its epoch and is ignored.
        None | Some(Value::Number(_)) => Some(None),
        Some(_) => reader.object("have", read_bookmark).map(Some),
    }
}

fn read_bookmark(reader: &mut Reader<'_>) -> Option<Bookmark> {
    let epoch = reader.required("epoch", rules::id);
    let seq = reader.required("seq", rules::integer);
    Some(Bookmark { epoch: epoch?, seq: seq? })
}

/// Keeps the payload letter for letter.
fn signal_data(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<SignalData> {
    reader.required("signal_data", |_| Ok(()));
    fields.get("signal_data").map(|&raw| SignalData::from(raw.to_owned()))
}

/// Allows both names of the first frame in the schema.
#[cfg(feature = "schema")]
fn or_auth(variant: &mut schemars::Schema) {
    if let Some(name) = variant.pointer_mut("/properties/type") {
        *name = serde_json::json!({"type": "string", "enum": ["hello", "auth"]});
    }
}
