//! What clients send, and how it is read: leniently, because LANrage's own must be understood.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ReqId, Secret};
use crate::lanrage::input::{PeerForm, Reader, Refusal, read_peer, rules};
use crate::model::{Epoch, Name, PartyId, PeerId, SignalData};

/// Among the `caps` of a client whose peers no older connection may speak for any more: what it sent
/// on one that it lost may still come.
pub const TAKEOVER: &str = "takeover";

/// Among the `caps` of a `hello` for a peer that nothing keeps alive on the client's machine: the
/// connection speaks for it, and does not keep it alive either.
pub const IDLE: &str = "idle";

/// The most `caps` of a client.
const MOST_CAPS: usize = 32;

/// A frame's fields, as they are written there. The last one of a name counts.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Defines the frames: for each its `type`, and for each field how it is read.
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

            /// Reads a frame of a kind; mistakes are noted. `None` for a kind that is not known,
            /// `Some(None)` for a frame with mistakes.
            pub(super) fn read(
                kind: &str,
                $reader: &mut Reader<'_>,
                $fields: &Fields<'_>,
            ) -> Option<Option<Self>> {
                match kind {
                    $($tag $(| $other)? => {
                        // All are read before one that is missing ends it.
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
    /// The first frame; LANrage's clients call it `auth`.
    #[cfg_attr(feature = "schema", schemars(transform = or_auth))]
    Hello = "hello" or "auth" {
        /// The version of the client's protocol.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<Name> = Some(name(reader, "version")),
        /// The client's name.
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<Name> = Some(name(reader, "client")),
        /// Whom it speaks for.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer_id: Option<PeerId> = reader.optional("peer_id", rules::new_id),
        /// What proves it.
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<Secret> = reader.optional("token", token),
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
        claim: Option<Secret> = reader.optional("claim", rules::claim),
        /// The additions to LANrage's protocol that it knows; at most 32. With `takeover` among
        /// them, connections before this one are not listened to any more for its peers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
        caps: Vec<Name> = reader.list("caps", MOST_CAPS, rules::name),
        /// How far its copies of parties go.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        have: BTreeMap<PartyId, Bookmark> = bookmarks(reader),
    }
    /// Registers a party.
    RegisterParty = "register_party" {
        /// Its id; the server chooses one when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        party_id: Option<PartyId> = reader.optional("party_id", rules::new_id),
        /// What to call it.
        name: Name = reader.required("name", rules::name),
        /// Its host.
        host_peer: PeerForm = reader.object("host_peer", read_peer),
    }
    /// Adds a peer to a party, or updates the member of that id.
    JoinParty = "join_party" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// Who joins.
        peer: PeerForm = reader.object("peer", read_peer),
    }
    /// Takes a peer out of a party.
    LeaveParty = "leave_party" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// Who leaves.
        peer_id: PeerId = reader.required("peer_id", rules::id),
    }
    /// Updates a member.
    UpdatePeer = "update_peer" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// The member as it is now.
        peer: PeerForm = reader.object("peer", read_peer),
    }
    /// A sign of life.
    Heartbeat = "heartbeat" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// Who lives.
        peer_id: PeerId = reader.required("peer_id", rules::id),
    }
    /// Tells another member something.
    Signal = "signal" {
        /// The party that both are in.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// Who sends it.
        from_peer_id: PeerId = reader.required("from_peer_id", rules::id),
        /// Whom it is for.
        to_peer_id: PeerId = reader.required("to_peer_id", rules::id),
        /// What it says.
        signal_data: SignalData = signal_data(reader, fields),
    }
    /// Asks for a party as it is now.
    Sync = "sync" {
        /// The party.
        party_id: PartyId = reader.required("party_id", rules::id),
        /// How far the client's copy goes.
        #[serde(skip_serializing_if = "Option::is_none")]
        have: Option<Bookmark> = bookmark(reader),
    }
    /// Asks for the relays.
    ListRelays = "list_relays" {
        /// Only those that stand there.
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

    /// As [`ClientFrame::party_id`], to be replaced.
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

    /// Peer that the frame speaks for, if it names one.
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

/// What a client calls itself decides nothing: whatever is no name is as good as none.
fn name(reader: &mut Reader<'_>, key: &str) -> Option<Name> {
    reader.get(key).and_then(|value| rules::name(value).ok())
}

fn token(value: &Value) -> Result<Secret, Refusal> {
    rules::text(value, 1, Secret::LONGEST_TOKEN).map(|text| text.to_owned().into())
}

fn bookmarks(reader: &mut Reader<'_>) -> Option<BTreeMap<PartyId, Bookmark>> {
    match reader.get("have") {
        // Numbers without their epoch tell nothing.
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
        // A number without its epoch tells nothing.
        None | Some(Value::Number(_)) => Some(None),
        Some(_) => reader.object("have", read_bookmark).map(Some),
    }
}

fn read_bookmark(reader: &mut Reader<'_>) -> Option<Bookmark> {
    let epoch = reader.required("epoch", rules::id);
    let seq = reader.required("seq", rules::integer);
    Some(Bookmark { epoch: epoch?, seq: seq? })
}

/// Kept as it is written.
fn signal_data(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<SignalData> {
    reader.required("signal_data", |_| Ok(()));
    fields.get("signal_data").map(|&raw| SignalData::from(raw.to_owned()))
}

/// Both names of the first frame.
#[cfg(feature = "schema")]
fn or_auth(variant: &mut schemars::Schema) {
    if let Some(name) = variant.pointer_mut("/properties/type") {
        *name = serde_json::json!({"type": "string", "enum": ["hello", "auth"]});
    }
}
