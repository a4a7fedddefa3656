//! Parties in answers of servers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BadAnswer, read};
use crate::lanrage::{Entries, ImportedParty, KnownRecords};
use crate::model::{Epoch, PartyId, PeerId, PeerInput};
use crate::results::Rejected;

/// A party, with fields that LANrage's own server does not send.
#[derive(Debug, Clone, PartialEq)]
pub struct PartyAnswer {
    /// Party. A time without an offset counts as UTC.
    pub party: ImportedParty,
    /// Virtual addresses of the members.
    pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
    /// Epoch, and number of the party's last change in it.
    pub change: Option<(Epoch, u64)>,
    /// Guests that are left out because a field breaks its rule.
    pub rejected: Vec<Rejected>,
}

/// The members of a party.
#[derive(Debug, Clone, PartialEq)]
pub struct PeersAnswer {
    /// Members, by id, each with the time of its `last_seen`.
    pub peers: Vec<(PeerInput, Timestamp)>,
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
        let Fields { party_id: stated, party, virtual_ips, epoch, seq } = read(body)?;
        let mut records = KnownRecords::new(TimeZone::UTC);
        let party = records.party(party).map_err(|invalid| {
            match read::<Named>(party.get().as_bytes()) {
                Ok(Named { .. }) => BadAnswer::of_party(invalid),
                Err(BadAnswer { words, .. }) => BadAnswer::new(words),
            }
        })?;
        let party_id = &party.party_id;
        if let Some(stated) = stated.filter(|stated| stated != party_id) {
            let words = format!("party_id: is {stated}, and that of the party is {party_id}");
            return Err(BadAnswer::new(words));
        }
        Ok(Self { party, virtual_ips, change: epoch.zip(seq), rejected: records.rejected })
    }
}

impl PeersAnswer {
    /// Decodes a body with the members of a party. Times without an offset are in UTC.
    ///
    /// # Errors
    /// Mistake in the body.
    pub fn from_json(body: &[u8], party_id: &PartyId, host_id: &PeerId) -> Result<Self, BadAnswer> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            peers: Entries<'a>,
        }
        let Fields { peers } = read(body)?;
        let mut records = KnownRecords::new(TimeZone::UTC);
        let peers = records.peers(party_id, host_id.as_str(), peers);
        let peers = peers.map_err(BadAnswer::of_party)?;
        Ok(Self { peers, rejected: records.rejected })
    }
}
