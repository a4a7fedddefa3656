//! Contents of the discovery file, as other programs left it.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use lanrage_ipc::lanrage::Records;
use lanrage_ipc::model::PartyId;
use lanrage_ipc::unicode::strip_bom;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::DiscoveryError;
use super::announced::Announced;
use super::disk::{self, Version};
use super::entries::{AROUND_ENTRY, Entries};

/// Pauses between the reads of a file that seems to be truncated: its writer may still be at work.
const WRITERS_TIME: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(30), Duration::from_millis(100)];

/// Entry of another program. Its text stays unchanged.
#[derive(Debug)]
pub(super) struct Foreign {
    /// Key as JSON.
    pub(super) key: String,
    party_id: String,
    /// Host of the party, if the entry is readable.
    host_id: Option<String>,
    /// Value.
    pub(super) text: Box<RawValue>,
}

impl Foreign {
    fn new(party_id: String, text: &RawValue) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Hosted {
            host_id: String,
        }
        let hosted: Option<Hosted> = serde_json::from_str(text.get()).ok();
        Ok(Self {
            key: serde_json::to_string(&party_id)?,
            host_id: hosted.map(|hosted| hosted.host_id),
            party_id,
            text: text.to_owned(),
        })
    }

    /// Upper bound of the entry's bytes in the file.
    fn size(&self) -> usize {
        self.key.len() + self.text.get().len() + AROUND_ENTRY
    }
}

/// Contents of the file, which is read again only when its version has changed.
#[derive(Debug, Default)]
pub(super) struct CachedContents {
    contents: Option<Contents>,
    /// Number of times that the file was parsed.
    #[cfg(test)]
    pub(super) parsed: usize,
}

impl CachedContents {
    /// Returns the contents.
    pub(super) fn get(&mut self, path: &Path) -> Result<&mut Contents, DiscoveryError> {
        let contents = match self.contents.take() {
            Some(contents) if contents.version == Version::of(path) => contents,
            _ => {
                #[cfg(test)]
                (self.parsed += 1);
                Contents::read(path, sleep)?
            }
        };
        Ok(self.contents.insert(contents))
    }
}

/// Contents of the file, as last read or written.
#[derive(Debug)]
pub(super) struct Contents {
    /// Version of the file.
    pub(super) version: Version,
    /// Entries of others, in the file's order.
    pub(super) others: Vec<Foreign>,
    /// Parties of this daemon with an entry.
    pub(super) own: BTreeSet<PartyId>,
    /// True if there are entries of this daemon's former parties.
    pub(super) has_former: bool,
    /// Damage that is not repaired yet.
    pub(super) damage: Option<Damage>,
}

/// Damage of a file.
#[derive(Debug)]
pub(super) struct Damage {
    /// Reason.
    pub(super) reason: String,
    /// The whole file.
    pub(super) bytes: Vec<u8>,
}

impl Contents {
    /// Reads the file; a missing one is empty. LANrage empties the file and then writes it, without
    /// the lock, so a file that may be half-written is read again.
    pub(super) fn read(path: &Path, wait: impl Fn(Duration)) -> Result<Self, DiscoveryError> {
        let mut pauses = WRITERS_TIME.into_iter();
        loop {
            // The version comes first, so that a write during the reading is noticed.
            let version = Version::of(path);
            let bytes = disk::read(path)?;
            let may_be_half = bytes.as_ref().is_some_and(|bytes| is_empty(bytes));
            let contents = Self::of(bytes.unwrap_or_default(), version)
                .map_err(|error| DiscoveryError::io("decode", path, &error.into()))?;
            match pauses.next().filter(|_| may_be_half || contents.damage.is_some()) {
                Some(pause) => wait(pause),
                None => return Ok(contents),
            }
        }
    }

    /// Takes the contents of a file. All entries count as those of others until they are claimed.
    fn of(bytes: Vec<u8>, version: Version) -> serde_json::Result<Self> {
        let Records { entries, damage } = match is_empty(&bytes) {
            true => Records::default(),
            false => Records::of_discovery(&bytes),
        };
        let others = entries.into_iter().map(|(key, text)| Foreign::new(key, text));
        let others = others.collect::<serde_json::Result<_>>()?;
        let damage = damage.map(|reason| Damage { reason, bytes });
        Ok(Self { version, others, own: BTreeSet::new(), has_former: false, damage })
    }

    /// Returns for each entry of others if it has room, in `room` bytes altogether.
    pub(super) fn fitting(&self, mut room: usize) -> Vec<bool> {
        let fits = |foreign: &Foreign| {
            let rest = room.checked_sub(foreign.size());
            room = rest.unwrap_or(room);
            rest.is_some()
        };
        self.others.iter().map(fits).collect()
    }

    /// True if the file has entries of this daemon, or damage.
    pub(super) fn needs_write(&self) -> bool {
        !self.own.is_empty() || self.has_former || self.damage.is_some()
    }

    /// Takes in that the file was replaced: it has entries of these parties, and of those others
    /// for which `has_room` is true.
    pub(super) fn replaced(
        &mut self,
        version: Version,
        own: BTreeSet<PartyId>,
        has_room: Vec<bool>,
    ) {
        let mut has_room = has_room.into_iter();
        self.others.retain(|_| has_room.next().unwrap_or_default());
        (self.version, self.own) = (version, own);
        (self.has_former, self.damage) = (false, None);
    }

    /// Separates this daemon's entries from those of others.
    pub(super) fn claim(&mut self, entries: &Entries, announced: &Announced) {
        self.others.retain(|foreign| {
            let Some(host_id) = &foreign.host_id else { return true };
            let present = entries.get(&foreign.party_id);
            match present.filter(|(_, entry)| entry.host_id.as_str() == host_id) {
                Some((party_id, _)) => self.own.insert(party_id.clone()),
                None if announced.contains(&foreign.party_id, host_id) => {
                    self.has_former = true;
                    true
                }
                None => return true,
            };
            false
        });
    }

    /// Returns the parties of this daemon whose ids belong to entries of others.
    pub(super) fn taken(&self, entries: &Entries) -> BTreeSet<PartyId> {
        let others = self.others.iter().filter_map(|foreign| entries.get(&foreign.party_id));
        others.map(|(party_id, _)| party_id.clone()).collect()
    }

    /// Returns the entries of others as records of a document.
    pub(super) fn records(&self) -> Records<'_> {
        let others = self.others.iter();
        let records = others.map(|foreign| (foreign.party_id.clone(), &*foreign.text));
        Records { entries: records.collect(), damage: None }
    }
}

/// An empty file is never damaged.
fn is_empty(bytes: &[u8]) -> bool {
    strip_bom(bytes).trim_ascii().is_empty()
}
