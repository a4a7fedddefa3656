//! This daemon's parties as entries of the discovery file, within a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use lanrage_ipc::lanrage::{AnnouncedParty, python_text, to_json};
use lanrage_ipc::model::{Origin, Party, PartyId, PeerId};

/// Bytes of this daemon's entries in the file: about a thousand parties of eight members.
pub(super) const ROOM: usize = 4 << 20;

/// Upper bound of an entry's bytes besides its key and its value.
pub(super) const AROUND_ENTRY: usize = 16;

/// A member's last sign of life in a rendered entry. The time of the writing replaces it.
const BLANK: &str = r#""last_seen": "0000-01-01T00:00:00""#;
/// Bytes by which the time of the writing may exceed the blank.
const MICROSECONDS: usize = ".123456".len();

/// Parties to announce, rendered once per change.
///
/// Parties of this daemon come first, then copies of a control server's parties from the smallest
/// on, so that a large party pushes out no other.
#[derive(Debug)]
pub(super) struct Entries {
    by_id: BTreeMap<PartyId, Entry>,
    /// The parties of `by_id`; the last one is the first to be left out.
    ranking: BTreeSet<(Rank, PartyId)>,
    /// Parties without room.
    left_out: BTreeSet<PartyId>,
    /// True if bytes were freed since the parties without room were last taken.
    has_freed: bool,
    bytes: usize,
    room: usize,
    /// Number of entries that were rendered.
    #[cfg(test)]
    pub(super) rendered: usize,
}

/// Rank of a party: copies follow, by their number of members.
type Rank = (bool, usize);

/// Rendered entry of a party.
#[derive(Debug)]
pub(super) struct Entry {
    /// Peer id of the party's host.
    pub(super) host_id: PeerId,
    rank: Rank,
    /// JSON with a blank for each time that depends on the writing.
    text: Box<str>,
    /// Upper bound of its bytes in the file.
    pub(super) size: usize,
}

impl Default for Entries {
    fn default() -> Self {
        Self::with_room(ROOM)
    }
}

impl Entries {
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            by_id: BTreeMap::new(),
            ranking: BTreeSet::new(),
            left_out: BTreeSet::new(),
            has_freed: false,
            bytes: 0,
            room,
            #[cfg(test)]
            rendered: 0,
        }
    }

    /// Renders a party in its present state, with times in `zone`; `None` removes it.
    pub(super) fn set(
        &mut self,
        party_id: &PartyId,
        party: Option<&Party>,
        zone: &TimeZone,
    ) -> serde_json::Result<()> {
        let before = self.bytes;
        self.left_out.remove(party_id);
        self.remove(party_id);
        if let Some(party) = party {
            let entry = Entry::new(party, zone)?;
            self.bytes += entry.size;
            self.ranking.insert((entry.rank, party_id.clone()));
            self.by_id.insert(party_id.clone(), entry);
            #[cfg(test)]
            (self.rendered += 1);
        }
        self.has_freed |= self.bytes < before;
        while self.bytes > self.room
            && let Some((_, last)) = self.ranking.last().cloned()
        {
            self.remove(&last);
            self.left_out.insert(last);
        }
        Ok(())
    }

    fn remove(&mut self, party_id: &PartyId) {
        if let Some(entry) = self.by_id.remove(party_id) {
            self.bytes -= entry.size;
            self.ranking.remove(&(entry.rank, party_id.clone()));
        }
    }

    /// Removes all parties.
    pub(super) fn clear(&mut self) {
        self.by_id.clear();
        self.ranking.clear();
        self.left_out.clear();
        (self.has_freed, self.bytes) = (false, 0);
    }

    /// Takes the parties without room if some may have room now.
    pub(super) fn take_left_out(&mut self) -> BTreeSet<PartyId> {
        if mem::take(&mut self.has_freed) { mem::take(&mut self.left_out) } else { BTreeSet::new() }
    }

    /// Number of parties without room.
    pub(super) fn left_out(&self) -> usize {
        self.left_out.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn get(&self, party_id: &str) -> Option<(&PartyId, &Entry)> {
        self.by_id.get_key_value(party_id)
    }

    /// Returns the entries, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PartyId, &Entry)> {
        self.by_id.iter()
    }
}

impl Entry {
    fn new(party: &Party, zone: &TimeZone) -> serde_json::Result<Self> {
        let mut announced = AnnouncedParty::new(party, zone);
        for peer in announced.peers.values_mut() {
            peer.last_seen = DateTime::ZERO;
        }
        // An entry is one step further in than a document. Inside of strings no line ends.
        let text = to_json(&announced)?.replace('\n', "\n  ");
        let times = MICROSECONDS * party.peers.len();
        let rank = match party.origin {
            Origin::Local => (false, 0),
            _ => (true, party.peers.len()),
        };
        Ok(Self {
            host_id: party.host_id.clone(),
            rank,
            size: party.party_id.as_str().len() + text.len() + times + AROUND_ENTRY,
            text: text.into(),
        })
    }

    /// Returns the parts of the JSON. All members count as alive at `now`, as
    /// [`last_seen`] gives it, which goes between two parts.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.text.split(BLANK)
    }

    /// Returns the party as it is written at `now`.
    pub(super) fn announced(&self, now: DateTime) -> serde_json::Result<AnnouncedParty> {
        serde_json::from_str(&self.text.replace(BLANK, &last_seen(now)))
    }
}

/// Returns the member of a peer's JSON that says when it was last seen.
pub(super) fn last_seen(time: DateTime) -> String {
    format!(r#""last_seen": "{}""#, python_text(&time))
}

#[cfg(test)]
mod tests;
