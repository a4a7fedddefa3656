//! Frames of the server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ReqId, Secret};
use crate::error::ErrorCode;
use crate::event::RemovalReason;
use crate::lanrage::{AnnouncedParty, AnnouncedPeer};
use crate::model::{Epoch, Party, PartyId, Peer, PeerId, RawJson, SignalData};

/// Extensions of a frame about a party, for clients with `caps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PartyExtensions {
    /// Epoch in which `seq` counts.
    pub epoch: Epoch,
    /// Number of the party's last change.
    pub seq: u64,
    /// Virtual addresses of the peers that the frame is about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
    /// True for each peer whose keepalive lasts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub connected: BTreeMap<PeerId, bool>,
}

impl PartyExtensions {
    /// Returns the extensions of a frame about the given peers of a party.
    pub fn new<'a>(epoch: Epoch, seq: u64, peers: impl IntoIterator<Item = &'a Peer>) -> Self {
        let mut extensions =
            Self { epoch, seq, virtual_ips: BTreeMap::new(), connected: BTreeMap::new() };
        for peer in peers {
            let id = &peer.info.peer_id;
            extensions.virtual_ips.insert(id.clone(), peer.virtual_ip);
            extensions.connected.insert(id.clone(), peer.connected);
        }
        extensions
    }

    /// Returns the extensions of a frame about a whole party.
    pub fn of(party: &Party) -> Self {
        Self::new(party.epoch.clone(), party.seq, party.peers.values())
    }
}

/// Decodes an error code; an unknown code of a newer server counts as absent.
fn known_code<'de, D: serde::Deserializer<'de>>(code: D) -> Result<Option<ErrorCode>, D::Error> {
    let code = RawJson::deserialize(code)?;
    Ok(code.read().unwrap_or_default())
}

macro_rules! server_frames {
    ($($(#[$doc:meta])* $variant:ident = $tag:literal $(with $extensions:ident)? {
        $($(#[$attribute:meta])* $field:ident: $type:ty,)*
    })*) => {
        /// A frame of the server.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(tag = "type")]
        pub enum ServerFrame {
            $($(#[$doc])* #[serde(rename = $tag)] $variant {
                $($(#[$attribute])* $field: $type,)*
                $(
                    /// Extensions for clients with `caps`.
                    #[serde(flatten)]
                    $extensions: Option<PartyExtensions>,
                )?
            },)*
        }

        impl ServerFrame {
            /// `type` of each frame.
            pub const TYPES: &'static [&'static str] = &[$($tag),*];

            /// Decodes one frame; `None` for an unknown type.
            ///
            /// # Errors
            /// Error of the decoder for an invalid frame of a known type.
            pub fn decode(text: &str) -> serde_json::Result<Option<Self>> {
                #[derive(Deserialize)]
                struct Tag {
                    r#type: String,
                }
                // A derived implementation would parse the embedded JSON texts.
                match serde_json::from_str::<Tag>(text)?.r#type.as_str() {
                    $($tag => {
                        #[derive(Deserialize)]
                        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
                        struct Fields { $($(#[$attribute])* $field: $type,)* }
                        let Fields { $($field),* } = serde_json::from_str(text)?;
                        // Decoded separately: `flatten` would buffer all unknown fields.
                        $(let $extensions = serde_json::from_str(text).ok();)?
                        Ok(Some(Self::$variant { $($field,)* $($extensions,)? }))
                    })*
                    _ => Ok(None),
                }
            }
        }
    };
}

server_frames! {
    /// Current state of a party.
    PartyUpdate = "party_update" with extensions {
        /// The party.
        party: AnnouncedParty,
    }
    /// A peer joined a party.
    PeerJoined = "peer_joined" with extensions {
        /// The party.
        party_id: PartyId,
        /// The new member.
        peer: AnnouncedPeer,
    }
    /// A peer left a party, or was removed.
    PeerLeft = "peer_left" with extensions {
        /// The party.
        party_id: PartyId,
        /// Peer that left.
        peer_id: PeerId,
    }
    /// A member changed; only for clients with `caps`.
    PeerUpdated = "peer_updated" with extensions {
        /// The party.
        party_id: PartyId,
        /// Current state of the member.
        peer: AnnouncedPeer,
    }
    /// A party ended; only for clients with `caps`.
    PartyRemoved = "party_removed" with extensions {
        /// The party.
        party_id: PartyId,
        /// Reason of the removal.
        reason: RemovalReason,
    }
    /// A signal from another member.
    Signal = "signal" {
        /// Party of both members.
        party_id: PartyId,
        /// Peer that sent it.
        from_peer_id: PeerId,
        /// Peer that receives it.
        to_peer_id: PeerId,
        /// Payload of the signal.
        signal_data: SignalData,
    }
    /// The server refused a frame of the client.
    Error = "error" {
        /// Human-readable message.
        message: String,
        /// Error code for programs. It and the fields below are only for clients with `caps`. An
        /// unknown code is decoded as absent.
        #[serde(
            default,
            deserialize_with = "known_code",
            skip_serializing_if = "Option::is_none"
        )]
        code: Option<ErrorCode>,
        /// Id of the refused frame.
        #[serde(skip_serializing_if = "Option::is_none")]
        req_id: Option<ReqId>,
        /// Time to wait before a retry, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    /// Answer to a first frame with `caps`.
    Welcome = "welcome" {
        /// Id of the connection, also in the server's log.
        session: String,
        /// New token that proves ownership of `peer_id`; null without a `peer_id` or a new token.
        token: Option<Secret>,
        /// Peer that the connection acts for.
        peer_id: Option<PeerId>,
        /// Time at which the token expires.
        #[serde(
            default,
            with = "crate::model::millis::optional",
            skip_serializing_if = "Option::is_none"
        )]
        #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
        token_expires_at: Option<Timestamp>,
        /// Interval between `heartbeat` frames, in milliseconds.
        heartbeat_ms: u64,
        /// Epoch of all parties' `seq`.
        epoch: Epoch,
    }
    /// Answer to a frame with a `req_id`; only for clients with `caps`.
    Ack = "ack" {
        /// Id of the answered frame.
        req_id: ReqId,
        /// Epoch in which `seq` counts.
        epoch: Epoch,
        /// `seq` of the resulting change of the party; null without a change.
        seq: Option<u64>,
        /// Result of the frame.
        result: RawJson,
    }
    /// The server is stopping; only for clients with `caps`.
    Goaway = "goaway" {
        /// Time to wait before a reconnect, in milliseconds.
        retry_after_ms: u64,
    }
}
