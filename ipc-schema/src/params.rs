//! `params` of all methods. Unknown fields are ignored.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};

pub use crate::event::Topic;
use crate::lanrage;
use crate::model::{Keepalive, Name, PartyId, PeerId, PeerInput, PublicKey, RelayId, SignalData};
use crate::object;
use crate::words::words;

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($body:tt)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
            pub struct $name { $($body)* }
        )*
    };
}

params! {
    /// Params of a method without parameters.
    #[derive(Default)]
    Empty {}

    /// Params of `hello`; every field is optional.
    #[derive(Default)]
    HelloParams {
        /// Client program.
        #[serde(
            default,
            deserialize_with = "object::optional",
            skip_serializing_if = "Option::is_none"
        )]
        pub client: Option<Agent>,
        /// Protocol versions that the client supports.
        #[serde(default, deserialize_with = "protocol")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<ProtocolRange>"))]
        pub protocol: ProtocolRange,
        /// Optional features that the client can use.
        #[serde(default, deserialize_with = "left_out")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
        pub features: Vec<String>,
    }

    /// Program and its version.
    Agent {
        /// Name of the program.
        pub name: String,
        /// Version of the program.
        pub version: String,
    }

    /// Params of `party.register`.
    PartyRegisterParams {
        /// Name of the party.
        pub name: Name,
        /// Host of the party.
        #[serde(deserialize_with = "object::object")]
        pub host: PeerInput,
        /// Id of the party; the daemon chooses it if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub party_id: Option<PartyId>,
        /// Keepalive of the host.
        #[serde(default, deserialize_with = "left_out")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<Keepalive>"))]
        pub keepalive: Keepalive,
    }

    /// Params of `party.join`.
    PartyJoinParams {
        /// The party.
        pub party_id: PartyId,
        /// Peer that joins; a repeated join updates the member.
        #[serde(deserialize_with = "object::object")]
        pub peer: PeerInput,
        /// Keepalive of the peer.
        #[serde(default, deserialize_with = "left_out")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<Keepalive>"))]
        pub keepalive: Keepalive,
    }

    /// Params of a method about a party.
    PartyParams {
        /// The party.
        pub party_id: PartyId,
    }

    /// Params of a method about a member.
    MemberParams {
        /// The party.
        pub party_id: PartyId,
        /// The peer.
        pub peer_id: PeerId,
    }

    /// Params of `party.list`.
    #[derive(Default)]
    PartyListParams {
        /// `next_cursor` of the previous page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cursor: Option<String>,
        /// Maximum number of parties to return: 1 to 500, default 500.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub limit: Option<u32>,
    }

    /// Params of `peer.update`.
    PeerUpdateParams {
        /// The party.
        pub party_id: PartyId,
        /// New data of the member.
        #[serde(deserialize_with = "object::object")]
        pub peer: PeerInput,
    }

    /// Params of `peer.trust`.
    PeerTrustParams {
        /// The party.
        pub party_id: PartyId,
        /// The member.
        pub peer_id: PeerId,
        /// Key to accept: the one that the control server currently states.
        pub public_key: PublicKey,
    }

    /// Params of `signal.send`.
    SignalSendParams {
        /// Party of both members.
        pub party_id: PartyId,
        /// Peer that sends it.
        pub from_peer_id: PeerId,
        /// Peer that receives it.
        pub to_peer_id: PeerId,
        /// Payload: any JSON value.
        pub signal_data: SignalData,
    }

    /// Params of `relay.register`. A repeated registration is the relay's sign of life.
    RelayRegisterParams {
        /// Id of the relay.
        pub relay_id: RelayId,
        /// IP address that it listens on.
        pub public_ip: IpAddr,
        /// Port that it listens on.
        pub port: u16,
        /// Geographic region; `unknown` if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub region: Option<Name>,
        /// Maximum number of peers; 100 if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub capacity: Option<u32>,
    }

    /// Params of a method about a peer in all its parties.
    PeerParams {
        /// The peer.
        pub peer_id: PeerId,
    }

    /// Params of `relay.list`.
    #[derive(Default)]
    RelayListParams {
        /// Region of the relays to return; all regions if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub region: Option<Name>,
    }

    /// Params of `connection.set`.
    ConnectionSetParams {
        /// URL of the control server, `http://` or `https://`; null for local mode.
        #[serde(deserialize_with = "Option::deserialize")]
        #[cfg_attr(feature = "schema", schemars(with = "TextOrNull"))]
        pub server_url: Option<String>,
    }

    /// Params of `events.subscribe`.
    SubscribeParams {
        /// Topics of the subscription; all if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub topics: Option<Vec<Topic>>,
        /// Party to which the subscription is restricted; all parties if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub party_id: Option<PartyId>,
        /// True to get a snapshot of the current state in the reply.
        #[serde(default = "yes", deserialize_with = "yes_if_left_out")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
        pub snapshot: bool,
    }

    /// Params of `events.unsubscribe`.
    UnsubscribeParams {
        /// Subscription to end.
        pub subscription: String,
    }

    /// Params of `state.export`.
    StateExportParams {
        /// Format of the document.
        pub format: ExportFormat,
    }

    /// Params of `state.import`.
    StateImportParams {
        /// LANrage `control_state.json` document.
        pub state: lanrage::StateDocument,
        /// Treatment of the existing parties.
        pub mode: ImportMode,
    }

    /// Params of `state.backup`.
    StateBackupParams {
        /// Absolute path of the new file; it must not exist yet.
        pub path: String,
    }
}

impl Default for SubscribeParams {
    /// All topics of all parties, with a snapshot.
    fn default() -> Self {
        Self { topics: None, party_id: None, snapshot: true }
    }
}

/// Schema of a required text that may be null.
#[cfg(feature = "schema")]
struct TextOrNull;

#[cfg(feature = "schema")]
impl schemars::JsonSchema for TextOrNull {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TextOrNull".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": ["string", "null"]})
    }
}

fn yes() -> bool {
    true
}

/// Deserializes an optional field; `null` counts as absent.
fn left_out<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProtocolRange, D::Error> {
    object::optional(deserializer).map(Option::unwrap_or_default)
}

fn yes_if_left_out<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::deserialize(deserializer).map(|given| given.unwrap_or_else(yes))
}

/// Inclusive range of protocol versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProtocolRange {
    /// Oldest supported version.
    pub min: u32,
    /// Newest supported version.
    pub max: u32,
}

impl Default for ProtocolRange {
    fn default() -> Self {
        Self { min: crate::PROTOCOL, max: crate::PROTOCOL }
    }
}

/// Format of an exported state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// LANrage's `control_state.json`.
    Lanrage,
}

words! {
    /// Treatment of the existing parties by an import.
    ImportMode {
        /// Existing parties stay; only parties with new ids are imported.
        Merge = "merge",
        /// Existing parties are removed before the import.
        Replace = "replace",
    }
}
