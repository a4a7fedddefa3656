//! What the discovery file becomes: pure.

use std::collections::BTreeSet;

use jiff::Zoned;
use lanrage_ipc::lanrage::{AnnouncedParty, to_json};
use lanrage_ipc::model::{Party, PartyId};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Ours;
use super::announced::Announced;

/// The file that there is to be.
#[derive(Debug)]
pub(super) struct Merged {
    /// Its text.
    pub(super) document: String,
    /// Whether it differs from the file that is there.
    pub(super) changed: bool,
    /// Which of its entries are ours.
    pub(super) announced: Announced,
    /// Parties of ours whose ids are taken by someone else's entries.
    pub(super) taken: BTreeSet<PartyId>,
}

/// Puts our parties among the entries of others, and takes out what was ours before.
pub(super) fn merge(
    entries: &[(String, &RawValue)],
    ours: &Ours,
    announced: &Announced,
    now: &Zoned,
) -> serde_json::Result<Merged> {
    let is_ours = |key: &str, record: &RawValue| {
        let Some(host_id) = host_of(record) else { return false };
        announced.contains(key, &host_id)
            || ours.get(key).is_some_and(|party| party.host_id.as_str() == host_id)
    };
    let others: Vec<&(String, &RawValue)> =
        entries.iter().filter(|(key, record)| !is_ours(key, record)).collect();
    let taken: BTreeSet<PartyId> = others
        .iter()
        .filter_map(|(key, _)| ours.get(key.as_str()).map(|party| party.party_id.clone()))
        .collect();

    let mut merged = Merged {
        document: String::new(),
        changed: others.len() != entries.len(),
        announced: Announced::default(),
        taken,
    };
    let mut written = Vec::new();
    for party in ours.values().filter(|party| !merged.taken.contains(&party.party_id)) {
        written.push((party.party_id.as_str(), entry(party, now)?));
        merged.announced.insert(party.party_id.clone(), party.host_id.clone());
        merged.changed = true;
    }
    let others = others.iter().map(|(key, record)| (key.as_str(), *record));
    let written = written.iter().map(|(key, record)| (*key, &**record));
    merged.document = serde_json::to_string_pretty(&Entries(others.chain(written).collect()))?;
    Ok(merged)
}

/// Whose party an entry announces, if that can be told.
fn host_of(record: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Hosted {
        host_id: String,
    }
    serde_json::from_str(record.get()).ok().map(|hosted: Hosted| hosted.host_id)
}

/// The entry of a party all of whose members are alive now.
fn entry(party: &Party, now: &Zoned) -> serde_json::Result<Box<RawValue>> {
    let mut announced = AnnouncedParty::new(party, now.time_zone());
    for peer in announced.peers.values_mut() {
        peer.last_seen = now.datetime();
    }
    // An entry is one step further in than a document. Inside of strings no line ends.
    RawValue::from_string(to_json(&announced)?.replace('\n', "\n  "))
}

/// An object whose values are written as they are.
struct Entries<'a>(Vec<(&'a str, &'a RawValue)>);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}
