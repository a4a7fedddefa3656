//! Conversions between LANrage's formats and the validated model.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::salvage::{ImportedParty, InvalidRecord, Moment};
use super::{AnnouncedParty, AnnouncedPeer};
use crate::model::{Party, Peer, PeerId, PeerInput};

impl AnnouncedPeer {
    /// Converts a peer to LANrage's format, with times in `zone`.
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

    /// Validates the peer. Returns it with the time of its `last_seen`, by a clock in `zone`.
    ///
    /// # Errors
    /// First field that breaks its rule.
    pub fn check(&self, zone: &TimeZone) -> Result<(PeerInput, Timestamp), InvalidRecord> {
        let info = PeerInput {
            peer_id: parse("peer_id", &self.peer_id)?,
            name: parse("name", &self.name)?,
            public_key: parse("public_key", &self.public_key)?,
            nat_type: parse("nat_type", &self.nat_type)?,
            public_ip: parse("public_ip", &self.public_ip)?,
            public_port: self.public_port,
            local_ip: parse("local_ip", &self.local_ip)?,
            local_port: self.local_port,
        };
        Ok((info, Moment::Local(self.last_seen).instant("last_seen", zone)?))
    }
}

fn parse<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, InvalidRecord> {
    text.parse().map_err(|rule| InvalidRecord::new(field, rule))
}

impl AnnouncedParty {
    /// Converts a party to LANrage's format, with times in `zone`.
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
    /// Converts the party to LANrage's format, with times in `zone`.
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
