//! Replies of the server.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::control::Secret;
use crate::lanrage::input::Mistake;
use crate::lanrage::json::python_time;
use crate::lanrage::{AnnouncedParty, AnnouncedPeer, NaiveTime};
use crate::model::{Epoch, Party, PartyId, Peer, PeerId, Relay, RelayId};

macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident { $($body:tt)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize)]
            #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
            pub struct $name { $($body)* }
        )*
    };
}

replies! {
    /// A party, with fields that LANrage does not know.
    PartyReply {
        /// Id of the party, if it is new.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        pub party_id: Option<PartyId>,
        /// Party.
        pub party: AnnouncedParty,
        /// Virtual addresses of the members.
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
        pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
        /// Epoch in which `seq` counts.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub epoch: Epoch,
        /// Number of the party's last change.
        pub seq: u64,
    }

    /// Members of a party.
    PeersReply {
        /// Members, by id.
        pub peers: BTreeMap<String, AnnouncedPeer>,
        /// Virtual addresses of the members.
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
        pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
        /// Epoch in which `seq` counts.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub epoch: Epoch,
        /// Number of the party's last change.
        pub seq: u64,
    }

    /// A member of a party.
    PeerReply {
        /// The member.
        pub peer: AnnouncedPeer,
        /// Virtual address of the member.
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
        pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
    }

    /// Registration of a peer id.
    TokenReply {
        /// Token that proves ownership of the peer id.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub token: Secret,
        /// The peer.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub peer_id: PeerId,
        /// Time at which the token expires.
        #[serde(serialize_with = "python_time")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub expires_at: NaiveTime,
    }

    /// Revocation of tokens.
    RevokedReply {
        /// `ok`.
        pub status: &'static str,
        /// Number of revoked tokens.
        pub revoked: u64,
    }

    /// Identity of the server, and the number of its objects.
    ServiceReply {
        /// `LANrage Control Plane`.
        pub service: &'static str,
        /// Version of LANrage's interface.
        pub version: &'static str,
        /// `ok`.
        pub status: &'static str,
        /// Number of parties.
        pub parties: u64,
        /// Number of relays.
        pub relays: u64,
        /// Number of members of all parties.
        pub peers: u64,
        /// Program and its version.
        pub server: &'static str,
        /// True if a request that repeats its `Idempotency-Key` is done once.
        pub idempotency_key: bool,
        /// True if a registration may be repeated under the secret in its header `Claim`.
        pub claim: bool,
    }

    /// Status of a completed request.
    StatusReply {
        /// `ok`, `left` or `party_deleted`.
        pub status: &'static str,
    }

    /// Registration of a relay.
    RelayReply {
        /// `registered`.
        pub status: &'static str,
        /// The relay.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub relay_id: RelayId,
    }

    /// Relays, by region, then id.
    RelaysReply {
        /// The relays.
        pub relays: Vec<RelayEntry>,
    }

    /// A relay.
    RelayEntry {
        /// Id of the relay.
        pub relay_id: String,
        /// Address that it listens on.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub public_ip: IpAddr,
        /// Port that it listens on.
        pub port: u16,
        /// Region of the relay.
        pub region: String,
        /// Maximum number of peers.
        pub capacity: u32,
        /// Time of the first registration, by the requesting client's clock.
        #[serde(serialize_with = "python_time")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub registered_at: NaiveTime,
    }

    /// Error reply.
    ErrorReply {
        /// Reason of the refusal.
        pub detail: Detail,
    }
}

impl PartyReply {
    /// Returns the reply for a party, with times in `zone`.
    pub fn new(party: &Party, zone: &TimeZone) -> Self {
        Self {
            party_id: None,
            party: AnnouncedParty::new(party, zone),
            virtual_ips: virtual_ips(party.peers.values()),
            epoch: party.epoch.clone(),
            seq: party.seq,
        }
    }
}

impl PeersReply {
    /// Returns the reply for a party's members, with times in `zone`.
    pub fn new(party: &Party, zone: &TimeZone) -> Self {
        let PartyReply { party, virtual_ips, epoch, seq, .. } = PartyReply::new(party, zone);
        Self { peers: party.peers, virtual_ips, epoch, seq }
    }
}

impl PeerReply {
    /// Returns the reply for a member, with times in `zone`.
    pub fn new(peer: &Peer, zone: &TimeZone) -> Self {
        Self {
            peer: AnnouncedPeer::new(&peer.info, peer.last_seen, zone),
            virtual_ips: virtual_ips([peer]),
        }
    }
}

impl RelayEntry {
    /// Returns the entry of a relay, with times in `zone`.
    pub fn new(relay: &Relay, zone: &TimeZone) -> Self {
        Self {
            relay_id: relay.relay_id.to_string(),
            public_ip: relay.public_ip,
            port: relay.port,
            region: relay.region.to_string(),
            capacity: relay.capacity,
            registered_at: zone.to_datetime(relay.registered_at),
        }
    }
}

fn virtual_ips<'a>(peers: impl IntoIterator<Item = &'a Peer>) -> BTreeMap<PeerId, Ipv4Addr> {
    peers.into_iter().map(|peer| (peer.info.peer_id.clone(), peer.virtual_ip)).collect()
}

/// Reason of a refusal.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Detail {
    /// Message.
    Text(String),
    /// Mistakes in the request.
    Mistakes(Vec<Mistake>),
}
