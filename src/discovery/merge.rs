//! Merge of this daemon's parties into the discovery file, as a pure function.

use std::collections::BTreeSet;

use jiff::Zoned;
use lanrage_ipc::lanrage::{AnnouncedParty, to_json};
use lanrage_ipc::model::{Origin, Party, PartyId};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Ours;
use super::announced::Announced;

/// Result of a merge.
#[derive(Debug)]
pub(super) struct Merged {
    /// Text of the new file.
    pub(super) document: String,
    /// True if it differs from the present file.
    pub(super) changed: bool,
    /// This daemon's entries.
    pub(super) announced: Announced,
    /// Our parties whose ids belong to entries of others.
    pub(super) taken: BTreeSet<PartyId>,
    /// Number of our entries without room.
    pub(super) left_out: usize,
}

/// Upper bound of an entry's bytes besides its key and its value.
const AROUND_ENTRY: usize = 16;

/// Merges our parties into the entries of others, and removes our former entries. The document has
/// at most `room` bytes; half of them are reserved for our entries. Parties of this daemon come
/// first, then copies of a control server's parties from the smallest on, so that a large party
/// pushes out no other. Entries without room are left out.
pub(super) fn merge(
    entries: &[(String, &RawValue)],
    ours: &Ours,
    announced: &Announced,
    now: &Zoned,
    room: usize,
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
        left_out: 0,
    };
    let size = |key: &str, record: &RawValue| key.len() + record.get().len() + AROUND_ENTRY;
    let others_size: usize = others.iter().map(|(key, record)| size(key, record)).sum();
    let room = room.saturating_sub(AROUND_ENTRY);
    let our_room = room.saturating_sub(others_size).max(room / 2);
    let mut free: Vec<_> =
        ours.values().filter(|party| !merged.taken.contains(&party.party_id)).collect();
    free.sort_by_key(|party| match party.origin {
        Origin::Local => (false, 0),
        _ => (true, party.peers.len()),
    });
    let (mut written, mut used) = (Vec::new(), 0);
    for party in free {
        let (key, record) = (party.party_id.as_str(), entry(party, now)?);
        if used + size(key, &record) > our_room {
            merged.left_out += 1;
            continue;
        }
        used += size(key, &record);
        written.push((key, record));
        merged.announced.insert(party.party_id.clone(), party.host_id.clone());
        merged.changed = true;
    }
    written.sort_by_key(|(key, _)| *key);
    let mut entries = Vec::new();
    for (key, record) in others {
        if used + size(key, record) > room {
            merged.left_out += 1;
            merged.changed = true;
            continue;
        }
        used += size(key, record);
        entries.push((key.as_str(), *record));
    }
    entries.extend(written.iter().map(|(key, record)| (*key, &**record)));
    merged.document = serde_json::to_string_pretty(&Entries(entries))?;
    Ok(merged)
}

/// Returns the host of the party that an entry announces, if it is readable.
fn host_of(record: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Hosted {
        host_id: String,
    }
    serde_json::from_str(record.get()).ok().map(|hosted: Hosted| hosted.host_id)
}

/// Returns the entry of a party; all of its members count as alive now.
fn entry(party: &Party, now: &Zoned) -> serde_json::Result<Box<RawValue>> {
    let mut announced = AnnouncedParty::new(party, now.time_zone());
    for peer in announced.peers.values_mut() {
        peer.last_seen = now.datetime();
    }
    // An entry is one step further in than a document. Inside of strings no line ends.
    RawValue::from_string(to_json(&announced)?.replace('\n', "\n  "))
}

/// Object whose values are written unchanged.
struct Entries<'a>(Vec<(&'a str, &'a RawValue)>);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lanrage_ipc::lanrage::Records;

    use super::super::fixtures::{foreign, now, ours, party};
    use super::*;

    /// Returns a copy of a control server's party with that many guests.
    fn copy(id: &str, guests: usize) -> Arc<Party> {
        let guests: Vec<_> = (0..guests).map(|number| format!("x{number}")).collect();
        let guests: Vec<_> = guests.iter().map(String::as_str).collect();
        let mut copy = (*party(id, "host", &guests)).clone();
        copy.origin = Origin::Remote;
        Arc::new(copy)
    }

    /// Returns the keys of the document, and the number of omitted entries.
    fn merged(others: &str, parties: &[&Arc<Party>], room: usize) -> (Vec<String>, usize) {
        let records = Records::of_discovery(others.as_bytes());
        let known = Announced::default();
        let merged = merge(&records.entries, &ours(parties), &known, &now(), room).unwrap();
        assert!(merged.document.len() <= room, "{} bytes", merged.document.len());
        let document: serde_json::Value = serde_json::from_str(&merged.document).unwrap();
        let keys = document.as_object().unwrap().keys().cloned().collect();
        (keys, merged.left_out)
    }

    #[test]
    fn parties_of_this_daemon_come_before_copies_and_small_copies_before_large_ones() {
        let (large, small, own) = (copy("a", 40), copy("b", 2), party("z", "host", &["guest"]));
        let all = [&large, &small, &own];
        assert_eq!(merged("{}", &all, 1 << 20), (vec!["a".into(), "b".into(), "z".into()], 0));
        assert_eq!(merged("{}", &all, 6000), (vec!["b".into(), "z".into()], 1));
        assert_eq!(merged("{}", &[&large, &own], 6000), (vec!["z".into()], 1));
    }

    #[test]
    fn entries_of_others_leave_half_of_the_room_to_our_own_parties() {
        let others: serde_json::Map<_, _> =
            (0..40).map(|number| (format!("p{number:02}"), foreign("p", "else"))).collect();
        let others = serde_json::Value::Object(others).to_string();
        let own = party("z", "host", &["guest"]);
        let (keys, left_out) = merged(&others, &[&own], others.len());
        assert!(keys.contains(&"z".to_owned()), "{keys:?}");
        assert!(left_out > 0 && keys.len() + left_out == 41, "{} and {left_out}", keys.len());
    }
}
