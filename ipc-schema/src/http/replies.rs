//! What the server answers.

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
    /// A party, and beside it what LANrage does not know.
    PartyReply {
        /// Its id, where it is new.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        pub party_id: Option<PartyId>,
        /// The party.
        pub party: AnnouncedParty,
        /// Its members' addresses in the virtual LAN.
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
        pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
        /// The stretch of history that `seq` counts in.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub epoch: Epoch,
        /// The party's last change.
        pub seq: u64,
    }

    /// The members of a party.
    PeersReply {
        /// The members, by id.
        pub peers: BTreeMap<String, AnnouncedPeer>,
        /// Their addresses in the virtual LAN.
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
        pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
        /// The stretch of history that `seq` counts in.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub epoch: Epoch,
        /// The party's last change.
        pub seq: u64,
    }

    /// A member of a party.
    PeerReply {
        /// The member.
        pub peer: AnnouncedPeer,
        /// Its address in the virtual LAN.
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
        pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
    }

    /// A peer's id is registered.
    TokenReply {
        /// What proves that a client speaks for the peer.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub token: Secret,
        /// The peer.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub peer_id: PeerId,
        /// Until when the token is good.
        #[serde(serialize_with = "python_time")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub expires_at: NaiveTime,
    }

    /// Tokens are revoked.
    RevokedReply {
        /// `ok`.
        pub status: &'static str,
        /// Tokens that ended.
        pub revoked: u64,
    }

    /// What the server is, and how much it holds.
    ServiceReply {
        /// `LANrage Control Plane`.
        pub service: &'static str,
        /// The version of LANrage's interface.
        pub version: &'static str,
        /// `ok`.
        pub status: &'static str,
        /// Parties.
        pub parties: u64,
        /// Relays.
        pub relays: u64,
        /// Members of all parties.
        pub peers: u64,
        /// The program, and its version.
        pub server: &'static str,
        /// Whether a request that repeats its `Idempotency-Key` is done once.
        pub idempotency_key: bool,
        /// True if a registration may be repeated under the secret in its header `Claim`.
        pub claim: bool,
    }

    /// What is done.
    StatusReply {
        /// `ok`, `left` or `party_deleted`.
        pub status: &'static str,
    }

    /// A relay is registered.
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
        /// Its id.
        pub relay_id: String,
        /// Where it listens.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub public_ip: IpAddr,
        /// The port it listens on.
        pub port: u16,
        /// Where in the world it stands.
        pub region: String,
        /// How many peers it takes.
        pub capacity: u32,
        /// When it was first registered, by the asking client's clock.
        #[serde(serialize_with = "python_time")]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub registered_at: NaiveTime,
    }

    /// Something is refused.
    ErrorReply {
        /// Why.
        pub detail: Detail,
    }
}

impl PartyReply {
    /// Of a party, with times in `zone`.
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
    /// Of a party's members, with times in `zone`.
    pub fn new(party: &Party, zone: &TimeZone) -> Self {
        let PartyReply { party, virtual_ips, epoch, seq, .. } = PartyReply::new(party, zone);
        Self { peers: party.peers, virtual_ips, epoch, seq }
    }
}

impl PeerReply {
    /// Of a member, with times in `zone`.
    pub fn new(peer: &Peer, zone: &TimeZone) -> Self {
        Self {
            peer: AnnouncedPeer::new(&peer.info, peer.last_seen, zone),
            virtual_ips: virtual_ips([peer]),
        }
    }
}

impl RelayEntry {
    /// Of a relay, with times in `zone`.
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

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Detail {
    /// In words.
    Text(String),
    /// All that is wrong with what was sent.
    Mistakes(Vec<Mistake>),
}
