//! How a peer can be reached.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

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
