//! Validates a document's records one by one, so that a bad one does not affect the others.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::NaiveTime;
use super::records::{Entries, Records};
use crate::model::{
    Address, CheckedText as _, Name, NatType, PartyId, PeerId, PeerInput, PublicKey, is_readable,
};

/// Length of the longest reason, in characters.
const LONGEST_REASON: usize = 200;

/// Valid and rejected records of a document.
#[derive(Debug, Default, PartialEq)]
pub struct Salvage {
    /// Valid parties, by id. A party needs a valid host.
    pub parties: Vec<ImportedParty>,
    /// Rejected parties, and rejected guests of valid parties.
    pub rejected: Vec<Rejected>,
    /// Error that prevented reading to the end; `parties` has the records before it.
    pub damage: Option<String>,
}

/// A record that an import refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rejected {
    /// Id of the party, as in the document.
    pub party_id: String,
    /// Id of the peer, if only the peer was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// Reason of the rejection.
    pub reason: String,
}

/// Party of a LANrage document, with all values validated.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedParty {
    /// Id.
    pub party_id: PartyId,
    /// Name.
    pub name: Name,
    /// Peer id of the host, always one of `peers`.
    pub host_id: PeerId,
    /// Time of the registration.
    pub created_at: Timestamp,
    /// Members, by id, each with the time of its `last_seen`.
    pub peers: Vec<(PeerInput, Timestamp)>,
}

/// Error of a record that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct InvalidRecord {
    /// Field that breaks the rule; `record` for the record itself.
    pub field: String,
    /// Rule that the field breaks.
    pub rule: String,
}

impl InvalidRecord {
    pub(super) fn new(field: impl Into<String>, rule: impl fmt::Display) -> Self {
        Self { field: field.into(), rule: shortened(rule.to_string()) }
    }

    fn whole(rule: impl fmt::Display) -> Self {
        Self::new("record", rule)
    }
}

/// Truncates a reason, which may quote the document.
pub(super) fn shortened(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(LONGEST_REASON) {
        reason.truncate(end);
        reason.push('…');
    }
    reason
}

impl Records<'_> {
    /// Validates each record of new parties. Times without an offset are in `zone`.
    pub fn salvage(self, zone: &TimeZone) -> Salvage {
        let (mut known, mut parties) = (KnownRecords::new(zone.clone()), Vec::new());
        let (records, repeated) = last_of_each(self.entries);
        for key in repeated {
            known.reject(key, None, InvalidRecord::whole(REPEATED));
        }
        for (key, record) in records {
            let checked = decode(record).and_then(|party: PartyRecord| {
                check_key("party_id", party.party_id.as_str(), &key)?;
                let party = known.checked(party)?;
                check_new(party, &mut known)
            });
            match checked {
                Ok(party) => parties.push(party),
                Err(invalid) => known.reject(key, None, invalid),
            }
        }
        Salvage { parties, rejected: known.rejected, damage: self.damage }
    }
}

/// Validates records of parties that a server holds already. They may predate the rules for new
/// values. The rules for ids apply all the same, because requests need valid ids.
pub(crate) struct KnownRecords {
    zone: TimeZone,
    /// Rejected records.
    pub(crate) rejected: Vec<Rejected>,
}

impl KnownRecords {
    /// Returns a validator; times without an offset are in `zone`.
    pub(crate) fn new(zone: TimeZone) -> Self {
        Self { zone, rejected: Vec::new() }
    }

    /// Validates a party. Guests that break a rule are left out.
    ///
    /// # Errors
    /// First rule that the party or its host breaks.
    pub(crate) fn party(&mut self, record: &RawValue) -> Result<ImportedParty, InvalidRecord> {
        self.checked(decode(record)?)
    }

    fn checked(&mut self, party: PartyRecord<'_>) -> Result<ImportedParty, InvalidRecord> {
        let PartyRecord { party_id, name, host_id, created_at, peers } = party;
        let created_at = created_at.instant("created_at", &self.zone)?;
        party_id.check_new().map_err(|rule| InvalidRecord::new("party_id", rule))?;
        let peers = self.peers(&party_id, host_id.as_str(), peers)?;
        Ok(ImportedParty { party_id, name, host_id, created_at, peers })
    }

    /// Validates the members of a party. Guests that break a rule are left out.
    ///
    /// # Errors
    /// First rule that the host breaks.
    pub(crate) fn peers(
        &mut self,
        party_id: &PartyId,
        host_id: &str,
        entries: Entries<'_>,
    ) -> Result<Vec<(PeerInput, Timestamp)>, InvalidRecord> {
        let (records, repeated) = last_of_each(entries.0);
        let (mut peers, mut bad) = (Vec::new(), Vec::new());
        bad.extend(repeated.into_iter().map(|key| (key, InvalidRecord::whole(REPEATED))));
        for (key, record) in records {
            match check_peer(&key, record, &self.zone) {
                Ok(peer) => peers.push(peer),
                Err(invalid) if key == host_id => return Err(of_host(&invalid)),
                Err(invalid) => bad.push((key, invalid)),
            }
        }
        if !peers.iter().any(|(peer, _)| peer.peer_id.as_str() == host_id) {
            return Err(InvalidRecord::new("host_id", "is not among the party's peers"));
        }
        for (key, invalid) in bad {
            self.reject(party_id.to_string(), Some(key), invalid);
        }
        Ok(peers)
    }

    fn reject(&mut self, party_id: String, peer_id: Option<String>, invalid: InvalidRecord) {
        self.rejected.push(Rejected { party_id, peer_id, reason: invalid.to_string() });
    }
}

const REPEATED: &str = "its key is there more than once; the last one counts";

/// Returns the last record of each key, as Python does, and the keys that are repeated.
fn last_of_each(entries: Vec<(String, &RawValue)>) -> (BTreeMap<String, &RawValue>, Vec<String>) {
    let (mut last, mut repeated) = (BTreeMap::new(), Vec::new());
    for (key, record) in entries {
        if last.insert(key.clone(), record).is_some() {
            repeated.push(key);
        }
    }
    (last, repeated)
}

/// Rule for times: clients read only the years 1 to 9999.
const OUT_OF_RANGE: &str = "is out of range";

/// Time in a file.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Moment {
    /// Time in the writer's wall clock.
    Local(NaiveTime),
    /// Time with an offset.
    Exact(Timestamp),
}

impl TryFrom<String> for Moment {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Tried first, because the parser of local times ignores an offset.
        if let Ok(exact) = text.parse() {
            return Ok(Self::Exact(exact));
        }
        if Pieces::parse(&text).is_ok_and(|pieces| pieces.to_numeric_offset().is_some()) {
            return Err(OUT_OF_RANGE);
        }
        text.parse().map(Self::Local).map_err(|_| "must be an ISO 8601 date and time")
    }
}

impl Moment {
    pub(super) fn instant(self, field: &str, zone: &TimeZone) -> Result<Timestamp, InvalidRecord> {
        let time = match self {
            Self::Exact(exact) => Some(exact),
            Self::Local(local) => zone.to_timestamp(local).ok(),
        };
        let time = time.filter(|time| is_readable(*time));
        time.ok_or_else(|| InvalidRecord::new(field, OUT_OF_RANGE))
    }
}

#[derive(Deserialize)]
struct PeerRecord {
    peer_id: PeerId,
    name: Name,
    public_key: PublicKey,
    nat_type: NatType,
    public_ip: Address,
    public_port: u16,
    local_ip: Address,
    local_port: u16,
    last_seen: Moment,
}

#[derive(Deserialize)]
struct PartyRecord<'a> {
    party_id: PartyId,
    name: Name,
    host_id: PeerId,
    created_at: Moment,
    #[serde(borrow)]
    peers: Entries<'a>,
}

fn check_peer(
    key: &str,
    record: &RawValue,
    zone: &TimeZone,
) -> Result<(PeerInput, Timestamp), InvalidRecord> {
    let peer: PeerRecord = decode(record)?;
    let info = PeerInput {
        peer_id: peer.peer_id,
        name: peer.name,
        public_key: peer.public_key,
        nat_type: peer.nat_type,
        public_ip: peer.public_ip,
        public_port: peer.public_port,
        local_ip: peer.local_ip,
        local_port: peer.local_port,
    };
    let last_seen = peer.last_seen.instant("last_seen", zone)?;
    check_key("peer_id", info.peer_id.as_str(), key)?;
    info.peer_id.check_new().map_err(|rule| InvalidRecord::new("peer_id", rule))?;
    Ok((info, last_seen))
}

fn of_host(invalid: &InvalidRecord) -> InvalidRecord {
    InvalidRecord::new("host_id", format!("of its peer, {invalid}"))
}

/// Checks the rules for new values, and leaves out guests that break a rule.
fn check_new(
    mut party: ImportedParty,
    known: &mut KnownRecords,
) -> Result<ImportedParty, InvalidRecord> {
    party.name.check_new().map_err(|rule| InvalidRecord::new("name", rule))?;
    let (mut peers, mut bad) = (Vec::new(), Vec::new());
    for (peer, last_seen) in std::mem::take(&mut party.peers) {
        match peer.check_new().map_err(|(field, rule)| InvalidRecord::new(field, rule)) {
            Ok(()) => peers.push((peer, last_seen)),
            Err(invalid) if peer.peer_id == party.host_id => return Err(of_host(&invalid)),
            Err(invalid) => bad.push((peer.peer_id, invalid)),
        }
    }
    for (peer_id, invalid) in bad {
        known.reject(party.party_id.to_string(), Some(peer_id.to_string()), invalid);
    }
    Ok(ImportedParty { peers, ..party })
}

fn check_key(field: &str, id: &str, key: &str) -> Result<(), InvalidRecord> {
    if id == key {
        return Ok(());
    }
    Err(InvalidRecord::new(field, format!("is {id:?}, but the record's key is {key:?}")))
}

fn decode<'a, T: Deserialize<'a>>(record: &'a RawValue) -> Result<T, InvalidRecord> {
    // A derived `Deserialize` would accept an array of the fields as well.
    if !record.get().starts_with('{') {
        return Err(InvalidRecord::whole("must be an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(record.get());
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        // The position is relative to the record, and so useless to the user.
        let full = error.inner().to_string();
        let rule = full.rsplit_once(" at line ").map_or(full.as_str(), |(rule, _)| rule);
        let missing = rule.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        match (missing, path.as_str()) {
            (Some(field), _) => InvalidRecord::new(field, "is missing"),
            (None, ".") => InvalidRecord::whole(rule),
            (None, path) => InvalidRecord::new(path, rule),
        }
    })
}
