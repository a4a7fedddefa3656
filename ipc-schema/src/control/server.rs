//! What the server sends.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ReqId, Secret};
use crate::error::ErrorCode;
use crate::event::RemovalReason;
use crate::lanrage::{AnnouncedParty, AnnouncedPeer};
use crate::model::{Epoch, Party, PartyId, Peer, PeerId, RawJson, SignalData};

/// What a frame about a party says to clients with `caps`, beside LANrage's own shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Beside {
    /// The stretch of history that `seq` counts in.
    pub epoch: Epoch,
    /// The party's last change.
    pub seq: u64,
    /// The addresses in the virtual LAN of the peers that the frame is about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
    /// Whether what keeps them alive still does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub connected: BTreeMap<PeerId, bool>,
}

impl Beside {
    /// For a frame about these peers of a party that is at `seq`.
    pub fn new<'a>(epoch: Epoch, seq: u64, peers: impl IntoIterator<Item = &'a Peer>) -> Self {
        let mut beside =
            Self { epoch, seq, virtual_ips: BTreeMap::new(), connected: BTreeMap::new() };
        for peer in peers {
            let id = &peer.info.peer_id;
            beside.virtual_ips.insert(id.clone(), peer.virtual_ip);
            beside.connected.insert(id.clone(), peer.connected);
        }
        beside
    }

    /// For a frame about a whole party.
    pub fn of(party: &Party) -> Self {
        Self::new(party.epoch.clone(), party.seq, party.peers.values())
    }
}

/// Reads an error's code; a server may know codes that this version does not.
fn known_code<'de, D: serde::Deserializer<'de>>(code: D) -> Result<Option<ErrorCode>, D::Error> {
    let code = RawJson::deserialize(code)?;
    Ok(code.read().unwrap_or_default())
}

macro_rules! server_frames {
    ($($(#[$doc:meta])* $variant:ident = $tag:literal $(with $beside:ident)? {
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
                    /// For clients with `caps`.
                    #[serde(flatten)]
                    $beside: Option<Beside>,
                )?
            },)*
        }

        impl ServerFrame {
            /// The `type` of each.
            pub const TYPES: &'static [&'static str] = &[$($tag),*];

            /// Reads one frame; `None` for a type that is not known.
            ///
            /// # Errors
            /// Why it is no frame of its type.
            pub fn decode(text: &str) -> serde_json::Result<Option<Self>> {
                #[derive(Deserialize)]
                struct Tag {
                    r#type: String,
                }
                // Not by a derived implementation, which would take the JSON texts within apart.
                match serde_json::from_str::<Tag>(text)?.r#type.as_str() {
                    $($tag => {
                        #[derive(Deserialize)]
                        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
                        struct Fields { $($(#[$attribute])* $field: $type,)* }
                        let Fields { $($field),* } = serde_json::from_str(text)?;
                        // Read apart: `flatten` would keep all that is not known in memory.
                        $(let $beside = serde_json::from_str(text).ok();)?
                        Ok(Some(Self::$variant { $($field,)* $($beside,)? }))
                    })*
                    _ => Ok(None),
                }
            }
        }
    };
}

server_frames! {
    /// A party as it is now.
    PartyUpdate = "party_update" with beside {
        /// The party.
        party: AnnouncedParty,
    }
    /// A peer is a member from now on.
    PeerJoined = "peer_joined" with beside {
        /// The party.
        party_id: PartyId,
        /// The new member.
        peer: AnnouncedPeer,
    }
    /// A peer is no member any more.
    PeerLeft = "peer_left" with beside {
        /// The party.
        party_id: PartyId,
        /// Who left.
        peer_id: PeerId,
    }
    /// A member has changed; only for clients with `caps`.
    PeerUpdated = "peer_updated" with beside {
        /// The party.
        party_id: PartyId,
        /// The member as it is now.
        peer: AnnouncedPeer,
    }
    /// A party has ended; only for clients with `caps`.
    PartyRemoved = "party_removed" with beside {
        /// The party.
        party_id: PartyId,
        /// Why.
        reason: RemovalReason,
    }
    /// What another member has to say.
    Signal = "signal" {
        /// The party that both are in.
        party_id: PartyId,
        /// Who sent it.
        from_peer_id: PeerId,
        /// Whom it is for.
        to_peer_id: PeerId,
        /// What it says.
        signal_data: SignalData,
    }
    /// Something that the client sent is refused.
    Error = "error" {
        /// What is wrong, for people.
        message: String,
        /// The same for programs; only for clients with `caps`, as all that follows. One that this
        /// version does not know is read as none.
        #[serde(
            default,
            deserialize_with = "known_code",
            skip_serializing_if = "Option::is_none"
        )]
        code: Option<ErrorCode>,
        /// The frame that is refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        req_id: Option<ReqId>,
        /// When to try again, in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    /// The answer to a first frame with `caps`.
    Welcome = "welcome" {
        /// Names the connection, in the server's log too.
        session: String,
        /// What proves `peer_id` from now on; null where there is none, or no new one.
        token: Option<Secret>,
        /// Whom the connection speaks for.
        peer_id: Option<PeerId>,
        /// Until when the token is good.
        #[serde(
            default,
            with = "crate::model::millis::optional",
            skip_serializing_if = "Option::is_none"
        )]
        #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
        token_expires_at: Option<Timestamp>,
        /// How often to send a `heartbeat`, in milliseconds.
        heartbeat_ms: u64,
        /// The stretch of history that parties count in.
        epoch: Epoch,
    }
    /// The answer to a frame with a `req_id`; only for clients with `caps`.
    Ack = "ack" {
        /// The frame that is answered.
        req_id: ReqId,
        /// The stretch of history that `seq` counts in.
        epoch: Epoch,
        /// The party's change that came of it; null where none did.
        seq: Option<u64>,
        /// What came of it.
        result: RawJson,
    }
    /// The server is stopping; only for clients with `caps`.
    Goaway = "goaway" {
        /// How long to wait before connecting again, in milliseconds.
        retry_after_ms: u64,
    }
}
