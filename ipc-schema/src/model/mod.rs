//! The vocabulary: parties, peers, relays and signals, and the checked values they are made of.

mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;

pub use text::{Epoch, InvalidText, Name, PartyId, PeerId, PublicKey, RelayId};

/// How a peer's NAT maps its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NatType {
    /// No NAT.
    Open,
    /// Anyone may send to the mapped port.
    FullCone,
    /// Only addresses that the peer has sent to may answer.
    RestrictedCone,
    /// Only address and port pairs that the peer has sent to may answer.
    PortRestrictedCone,
    /// A mapping of its own for every destination.
    Symmetric,
    /// Not found out.
    Unknown,
}

impl NatType {
    /// All of them.
    pub const ALL: [NatType; 6] = [
        Self::Open,
        Self::FullCone,
        Self::RestrictedCone,
        Self::PortRestrictedCone,
        Self::Symmetric,
        Self::Unknown,
    ];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::FullCone => "full_cone",
            Self::RestrictedCone => "restricted_cone",
            Self::PortRestrictedCone => "port_restricted_cone",
            Self::Symmetric => "symmetric",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for NatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NatType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|nat| nat.as_str() == text)
            .ok_or_else(|| format!("must be one of {}", Self::ALL.map(NatType::as_str).join(", ")))
    }
}

/// An IP address, or `unknown` where it was not found out (LANrage says so of either side).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// A known address.
    Known(IpAddr),
    /// Not found out.
    Unknown,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(ip) => ip.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unknown" {
            return Ok(Self::Unknown);
        }
        text.parse().map(Self::Known).map_err(|_| "must be an IP address or \"unknown\"")
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                {"type": "string", "format": "ipv4"},
                {"type": "string", "format": "ipv6"},
                {"const": "unknown"},
            ]
        })
    }
}

/// What a peer says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerInput {
    /// Its id.
    pub peer_id: PeerId,
    /// Its name, for people.
    pub name: Name,
    /// Its WireGuard public key.
    pub public_key: PublicKey,
    /// What its NAT does.
    pub nat_type: NatType,
    /// Its address as the Internet sees it.
    pub public_ip: Address,
    /// Its UDP port as the Internet sees it; 0 when unknown.
    pub public_port: u16,
    /// Its address in its own network.
    pub local_ip: Address,
    /// Its UDP port in its own network; 0 when unknown.
    pub local_port: u16,
}

/// A member of a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Peer {
    /// What it says of itself.
    #[serde(flatten)]
    pub info: PeerInput,
    /// Its address in the virtual LAN: unique in the party, stable while it is a member.
    pub virtual_ip: Ipv4Addr,
    /// When it last gave a sign of life.
    pub last_seen: Timestamp,
    /// Whether what keeps it alive still does; `false` once its connection or daemon has gone.
    pub connected: bool,
}

/// Where a party lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In this daemon.
    Local,
    /// On a control server.
    Remote,
}

/// Whether a control server has confirmed what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    /// Nothing is waiting to be confirmed.
    Synced,
    /// Something is.
    Pending,
}

/// A party: peers that want to reach each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Party {
    /// Its id.
    pub party_id: PartyId,
    /// Its name, for people.
    pub name: Name,
    /// The peer whose leaving ends the party; always one of `peers`.
    pub host_id: PeerId,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Its members, by peer id.
    pub peers: BTreeMap<PeerId, Peer>,
    /// Where it lives.
    pub origin: Origin,
    /// Whether a control server has confirmed it.
    pub sync: Sync,
    /// The stretch of history that `seq` counts in.
    pub epoch: Epoch,
    /// Grows by one with every change of the party.
    pub seq: u64,
}

/// Who refreshes a peer's `last_seen`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Keepalive {
    /// The connection that registered it, while it is open.
    #[default]
    Connection,
    /// The daemon, until the peer leaves or the daemon stops.
    Daemon,
    /// Only `peer.heartbeat`.
    Manual,
}

/// A relay for peers that can't reach each other directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Relay {
    /// Its id.
    pub relay_id: RelayId,
    /// Where it listens.
    pub public_ip: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// Where in the world it stands.
    pub region: Name,
    /// How many peers it takes.
    pub capacity: u32,
    /// When it was first registered.
    pub registered_at: Timestamp,
}

/// Any JSON value, kept letter for letter as it was sent.
#[derive(Debug, Clone)]
pub struct SignalData(Box<RawValue>);

impl SignalData {
    /// The JSON text.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.get().len()
    }

    /// Never: a JSON text has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.0.get().is_empty()
    }
}

impl From<Box<RawValue>> for SignalData {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw)
    }
}

impl PartialEq for SignalData {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

impl Serialize for SignalData {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SignalData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for SignalData {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SignalData".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"description": "Any JSON value."})
    }
}

/// What one peer has to tell another: an offer, an endpoint, anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Signal {
    /// The party that both are in.
    pub party_id: PartyId,
    /// Who sent it.
    pub from_peer_id: PeerId,
    /// Whom it is for.
    pub to_peer_id: PeerId,
    /// What it says.
    pub signal_data: SignalData,
    /// When it was queued.
    pub sent_at: Timestamp,
}
