//! Between LANrage's shapes and the checked vocabulary.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::salvage::{ImportedParty, InvalidRecord, check_peer};
use super::{AnnouncedParty, AnnouncedPeer};
use crate::model::{Party, Peer, PeerId, PeerInput};

impl AnnouncedPeer {
    /// Says of a peer what LANrage knows of peers, with times in `zone`.
    pub fn new(info: &PeerInput, last_seen: Timestamp, zone: &TimeZone) -> Self {
        Self {
            peer_id: info.peer_id.to_string(),
            name: info.name.to_string(),
            public_key: info.public_key.to_string(),
            nat_type: info.nat_type.to_string(),
            public_ip: info.public_ip.to_string(),
            public_port: info.public_port,
            local_ip: info.local_ip.to_string(),
            local_port: info.local_port,
            last_seen: zone.to_datetime(last_seen),
        }
    }

    /// What the peer says of itself, and when it was last seen by a clock in `zone`.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn check(&self, zone: &TimeZone) -> Result<(PeerInput, Timestamp), InvalidRecord> {
        let record = serde_json::value::to_raw_value(self)
            .map_err(|error| InvalidRecord::whole(error.to_string()))?;
        check_peer(&record, zone)
    }
}

impl AnnouncedParty {
    /// Says of a party what LANrage knows of parties, with times in `zone`.
    pub fn new(party: &Party, zone: &TimeZone) -> Self {
        let peer = |(id, peer): (&PeerId, &Peer)| {
            (id.to_string(), AnnouncedPeer::new(&peer.info, peer.last_seen, zone))
        };
        Self {
            party_id: party.party_id.to_string(),
            name: party.name.to_string(),
            host_id: party.host_id.to_string(),
            created_at: zone.to_datetime(party.created_at),
            peers: party.peers.iter().map(peer).collect(),
        }
    }
}

impl ImportedParty {
    /// The party as LANrage would announce it, with times in `zone`.
    pub fn announce(&self, zone: &TimeZone) -> AnnouncedParty {
        let peer = |(info, last_seen): &(PeerInput, Timestamp)| {
            (info.peer_id.to_string(), AnnouncedPeer::new(info, *last_seen, zone))
        };
        AnnouncedParty {
            party_id: self.party_id.to_string(),
            name: self.name.to_string(),
            host_id: self.host_id.to_string(),
            created_at: zone.to_datetime(self.created_at),
            peers: self.peers.iter().map(peer).collect(),
        }
    }
}
