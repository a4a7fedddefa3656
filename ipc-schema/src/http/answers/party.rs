//! Parties in answers of servers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BadAnswer, read};
use crate::lanrage::{AnnouncedParty, Entries, KnownRecords, announce_peers};
use crate::model::{Epoch, PartyId, PeerId};
use crate::results::Rejected;

/// A party, with fields that LANrage's own server does not send.
#[derive(Debug, Clone, PartialEq)]
pub struct PartyAnswer {
    /// Id of the party.
    pub party_id: PartyId,
    /// Party, with times in UTC.
    pub party: AnnouncedParty,
    /// Virtual addresses of the members.
    pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
    /// Epoch, and number of the party's last change in it.
    pub change: Option<(Epoch, u64)>,
    /// Guests that are left out because a field breaks its rule.
    pub rejected: Vec<Rejected>,
}

impl PartyAnswer {
    /// Decodes a body. Times without an offset are in UTC.
    ///
    /// # Errors
    /// Mistake in the body.
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
        /// The id alone, so that a mistake in it is reported like that of any other field.
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

    /// Decodes a body with only the members; the other fields come from `before`.
    ///
    /// # Errors
    /// Mistake in the body.
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

    /// True if the peer is a member.
    pub fn has(&self, peer_id: &PeerId) -> bool {
        self.party.peers.contains_key(peer_id.as_str())
    }
}
