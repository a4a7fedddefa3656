//! Addresses and NAT types of peers.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::words::words;

words! {
    /// NAT type of a peer: the way in which its NAT maps ports.
    NatType {
        /// No NAT.
        Open = "open",
        /// Any address may send to the mapped port.
        FullCone = "full_cone",
        /// Only addresses that the peer has sent to may answer.
        RestrictedCone = "restricted_cone",
        /// Only address and port pairs that the peer has sent to may answer.
        PortRestrictedCone = "port_restricted_cone",
        /// A separate mapping for each destination.
        Symmetric = "symmetric",
        /// Not known.
        Unknown = "unknown",
    }
}

/// An IP address, or `unknown`. LANrage uses `unknown` for public and local addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// A known address.
    Known(IpAddr),
    /// Not known.
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
