//! Parties in answers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BadAnswer, read};
use crate::lanrage::{AnnouncedParty, Entries, KnownRecords, announce_peers};
use crate::model::{Epoch, PartyId, PeerId};
use crate::results::Rejected;

/// A party, and beside it what LANrage's own server does not tell.
#[derive(Debug, Clone, PartialEq)]
pub struct PartyAnswer {
    /// Its id.
    pub party_id: PartyId,
    /// The party, with times in UTC.
    pub party: AnnouncedParty,
    /// Its members' addresses in the virtual LAN.
    pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
    /// The party's last change, and the stretch of history that it counts in.
    pub change: Option<(Epoch, u64)>,
    /// Guests that are left out, because what is said of them breaks a rule.
    pub rejected: Vec<Rejected>,
}

impl PartyAnswer {
    /// Reads a body. Times without an offset are in UTC.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(body: &[u8]) -> Result<Self, BadAnswer> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            party_id: Option<PartyId>,
            #[serde(borrow)]
            party: &'a RawValue,
            #[serde(default)]
            virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
            epoch: Option<Epoch>,
            seq: Option<u64>,
        }
        /// The id alone: its fault is told as that of any other field of an answer.
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "party_id")]
            _party_id: PartyId,
        }
        let Fields { party_id: beside, party, virtual_ips, epoch, seq } = read(body)?;
        let mut records = KnownRecords::new(TimeZone::UTC);
        let party = records.party(party).map_err(|invalid| {
            match read::<Named>(party.get().as_bytes()) {
                Ok(Named { .. }) => BadAnswer::of_party(invalid),
                Err(BadAnswer { words, .. }) => BadAnswer::new(words),
            }
        })?;
        let party_id = party.party_id.clone();
        if let Some(beside) = beside.filter(|beside| *beside != party_id) {
            let words = format!("party_id: is {beside}, and that of the party is {party_id}");
            return Err(BadAnswer::new(words));
        }
        let (party, rejected) = (party.announce(&TimeZone::UTC), records.rejected);
        Ok(Self { party_id, party, virtual_ips, change: epoch.zip(seq), rejected })
    }

    /// Reads a body that holds the members alone; the rest is as it was `before`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_peers_json(
        body: &[u8],
        party_id: PartyId,
        before: &AnnouncedParty,
    ) -> Result<Self, BadAnswer> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            peers: Entries<'a>,
        }
        let Fields { peers } = read(body)?;
        let mut records = KnownRecords::new(TimeZone::UTC);
        let peers = records.peers(&party_id, &before.host_id, peers);
        let peers = announce_peers(&peers.map_err(BadAnswer::of_party)?, &TimeZone::UTC);
        let party = AnnouncedParty { peers, ..before.clone() };
        let rejected = records.rejected;
        Ok(Self { party_id, party, virtual_ips: BTreeMap::new(), change: None, rejected })
    }

    /// Whether a peer is a member.
    pub fn has(&self, peer_id: &PeerId) -> bool {
        self.party.peers.contains_key(peer_id.as_str())
    }
}
