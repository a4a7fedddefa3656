//! The `params` of every method. Unknown fields are ignored.

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
    /// Of a method that takes nothing.
    #[derive(Default)]
    Empty {}

    /// Of `hello`; every field may be left out.
    #[derive(Default)]
    HelloParams {
        /// Who is speaking.
        #[serde(
            default,
            deserialize_with = "object::optional",
            skip_serializing_if = "Option::is_none"
        )]
        pub client: Option<Agent>,
        /// The protocol versions that the client speaks.
        #[serde(default, deserialize_with = "protocol")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<ProtocolRange>"))]
        pub protocol: ProtocolRange,
        /// Optional features that the client would use.
        #[serde(default, deserialize_with = "left_out")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
        pub features: Vec<String>,
    }

    /// A program and its version.
    Agent {
        /// The program's name.
        pub name: String,
        /// Its version.
        pub version: String,
    }

    /// Of `party.register`.
    PartyRegisterParams {
        /// What to call the party.
        pub name: Name,
        /// Its host.
        #[serde(deserialize_with = "object::object")]
        pub host: PeerInput,
        /// Its id; the daemon chooses one when it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub party_id: Option<PartyId>,
        /// Who refreshes the host's `last_seen`.
        #[serde(default, deserialize_with = "left_out")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<Keepalive>"))]
        pub keepalive: Keepalive,
    }

    /// Of `party.join`.
    PartyJoinParams {
        /// The party.
        pub party_id: PartyId,
        /// Who joins; a member that joins again is updated.
        #[serde(deserialize_with = "object::object")]
        pub peer: PeerInput,
        /// Who refreshes the peer's `last_seen`.
        #[serde(default, deserialize_with = "left_out")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<Keepalive>"))]
        pub keepalive: Keepalive,
    }

    /// Names a party.
    PartyParams {
        /// The party.
        pub party_id: PartyId,
    }

    /// Names a peer in a party.
    MemberParams {
        /// The party.
        pub party_id: PartyId,
        /// The peer.
        pub peer_id: PeerId,
    }

    /// Of `party.list`.
    #[derive(Default)]
    PartyListParams {
        /// Where the page before ended: its `next_cursor`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cursor: Option<String>,
        /// The most parties to return: 1 to 500, which is the default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub limit: Option<u32>,
    }

    /// Of `peer.update`.
    PeerUpdateParams {
        /// The party.
        pub party_id: PartyId,
        /// The member as it is now.
        #[serde(deserialize_with = "object::object")]
        pub peer: PeerInput,
    }

    /// Of `peer.trust`.
    PeerTrustParams {
        /// The party.
        pub party_id: PartyId,
        /// The member.
        pub peer_id: PeerId,
        /// The key to accept: the one that the control server states now.
        pub public_key: PublicKey,
    }

    /// Of `signal.send`.
    SignalSendParams {
        /// The party that both are in.
        pub party_id: PartyId,
        /// Who sends it.
        pub from_peer_id: PeerId,
        /// Whom it is for.
        pub to_peer_id: PeerId,
        /// What it says: any JSON.
        pub signal_data: SignalData,
    }

    /// Of `relay.register`. Registering again is the relay's sign of life.
    RelayRegisterParams {
        /// Its id.
        pub relay_id: RelayId,
        /// Where it listens.
        pub public_ip: IpAddr,
        /// The port it listens on.
        pub port: u16,
        /// Where in the world it stands; `unknown` when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub region: Option<Name>,
        /// How many peers it takes; 100 when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub capacity: Option<u32>,
    }

    /// Of a method about a peer, wherever it is.
    PeerParams {
        /// The peer.
        pub peer_id: PeerId,
    }

    /// Of `relay.list`.
    #[derive(Default)]
    RelayListParams {
        /// Only the relays of this region.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub region: Option<Name>,
    }

    /// Of `connection.set`.
    ConnectionSetParams {
        /// The control server, as `http://` or `https://`; null for local mode.
        #[serde(deserialize_with = "Option::deserialize")]
        #[cfg_attr(feature = "schema", schemars(with = "TextOrNull"))]
        pub server_url: Option<String>,
    }

    /// Of `events.subscribe`.
    SubscribeParams {
        /// The topics wanted; all when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub topics: Option<Vec<Topic>>,
        /// Only what concerns this party.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub party_id: Option<PartyId>,
        /// Whether the reply shall hold the state that the events start from.
        #[serde(default = "yes", deserialize_with = "yes_if_left_out")]
        #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
        pub snapshot: bool,
    }

    /// Of `events.unsubscribe`.
    UnsubscribeParams {
        /// The subscription to end.
        pub subscription: String,
    }

    /// Of `state.export`.
    StateExportParams {
        /// The form of the document.
        pub format: ExportFormat,
    }

    /// Of `state.import`.
    StateImportParams {
        /// A LANrage `control_state.json` document.
        pub state: lanrage::StateDocument,
        /// What becomes of the parties that are here already.
        pub mode: ImportMode,
    }

    /// Of `state.backup`.
    StateBackupParams {
        /// An absolute path at which nothing is yet.
        pub path: String,
    }
}

impl Default for SubscribeParams {
    /// Everything, from a snapshot on.
    fn default() -> Self {
        Self { topics: None, party_id: None, snapshot: true }
    }
}

/// Describes what has to be there and may be null.
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

/// Where a field may be left out, `null` leaves it out.
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

/// A range of protocol versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProtocolRange {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl Default for ProtocolRange {
    fn default() -> Self {
        Self { min: crate::PROTOCOL, max: crate::PROTOCOL }
    }
}

/// The form of an exported state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// LANrage's `control_state.json`.
    Lanrage,
}

words! {
    /// What an import does with the parties that are here already.
    ImportMode {
        /// They stay; only parties with other ids come in.
        Merge = "merge",
        /// They go first.
        Replace = "replace",
    }
}
