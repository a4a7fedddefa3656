//! Contents and updates of the discovery file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use jiff::Zoned;
use jiff::tz::TimeZone;
use lanrage_ipc::lanrage::{ImportedParty, Records, Salvage};
use lanrage_ipc::model::PartyId;
use lanrage_ipc::results::{DiscoveredParty, DiscoverySource, Rejected};
use lanrage_ipc::unicode::strip_bom;

use super::announced::Announced;
use super::disk::{self, Lock, Version};
use super::merge::merge;
use super::{DiscoveryError, Ours};

/// Pauses between the reads of a file that seems to be truncated: its writer may still be at work.
const WRITERS_TIME: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(30), Duration::from_millis(100)];

/// Attempts of an update that another program's writes interrupt.
const ATTEMPTS: usize = 5;

/// Contents of a discovery file.
#[derive(Debug)]
pub(super) struct Listing {
    /// Parties, by id.
    pub(super) parties: Vec<DiscoveredParty>,
    /// Entries that are not valid parties.
    pub(super) rejected: Vec<Rejected>,
}

/// Parties that an update could not announce.
#[derive(Debug, Default)]
pub(super) struct Updated {
    /// Parties whose ids belong to entries of others.
    pub(super) taken: BTreeSet<PartyId>,
    /// Number of entries for which the file has no room.
    pub(super) left_out: usize,
}

/// Discovery file and the list of our entries in it.
#[derive(Debug)]
pub(super) struct DiscoveryFile {
    path: PathBuf,
    lock: PathBuf,
    announced: PathBuf,
}

impl DiscoveryFile {
    pub(super) fn new(path: PathBuf, announced: PathBuf) -> Self {
        Self { lock: disk::sibling(&path, ".lock"), path, announced }
    }

    /// Updates the file: it then announces exactly our parties, besides those of others, and is
    /// repaired. Returns the parties that are not announced.
    pub(super) fn update(&self, ours: &Ours, now: &Zoned) -> Result<Updated, DiscoveryError> {
        self.update_with(ours, now, || ())
    }

    /// Updates the file; `before_rename` runs just before the rename.
    fn update_with(
        &self,
        ours: &Ours,
        now: &Zoned,
        before_rename: impl Fn(),
    ) -> Result<Updated, DiscoveryError> {
        let known = Announced::read(&self.announced, now.timestamp())?;
        if ours.is_empty() && known.is_empty() && !self.is_damaged() {
            return Ok(Updated::default());
        }
        let _lock = Lock::acquire(&self.lock)?;
        for _ in 0..ATTEMPTS {
            if let Some(updated) = self.attempt(ours, now, &before_rename)? {
                return Ok(updated);
            }
        }
        Err(DiscoveryError::Contended(self.path.clone()))
    }

    /// Returns `None` if another program wrote the file meanwhile: LANrage ignores the lock, and
    /// its write must not be lost.
    fn attempt(
        &self,
        ours: &Ours,
        now: &Zoned,
        before_rename: impl Fn(),
    ) -> Result<Option<Updated>, DiscoveryError> {
        let known = Announced::read(&self.announced, now.timestamp())?;
        let (bytes, version) = self.read_settled(sleep)?;
        let records = records(&bytes);
        let merged = merge(&records.entries, ours, &known, now, disk::LARGEST as usize)
            .map_err(|error| DiscoveryError::io("encode", &self.path, &error.into()))?;
        if let Some(reason) = &records.damage {
            let kept = disk::set_aside(&self.path, &bytes, now.timestamp())?;
            let (path, kept, left) = (self.path.display(), kept.display(), records.entries.len());
            log::warn!(
                "{path} is damaged ({reason}) and is set aside as {kept}; {left} entries stay"
            );
        }
        let both = known.union(&merged.announced);
        if both != known {
            both.write(&self.announced)?;
        }
        if merged.changed || records.damage.is_some() {
            let is_same = || {
                before_rename();
                Version::of(&self.path) == version
            };
            if !disk::replace_if(&self.path, merged.document.as_bytes(), is_same)? {
                return Ok(None);
            }
        }
        if merged.announced != both {
            merged.announced.write(&self.announced)?;
        }
        Ok(Some(Updated { taken: merged.taken, left_out: merged.left_out }))
    }

    /// Returns the contents of the file; its times are those of `zone`.
    pub(super) fn list(&self, zone: &TimeZone) -> Result<Listing, DiscoveryError> {
        let bytes = self.read()?;
        let records = records(&bytes);
        if let Some(reason) = records.damage {
            return Err(DiscoveryError::Damaged { path: self.path.clone(), reason });
        }
        let Salvage { parties, rejected, .. } = records.salvage(zone);
        let discovered = |party: ImportedParty| DiscoveredParty {
            party: party.announce(zone),
            source: DiscoverySource::File,
        };
        Ok(Listing { parties: parties.into_iter().map(discovered).collect(), rejected })
    }

    /// True if the file needs a repair. An unreadable file counts as intact: the next write or
    /// query gets the error.
    fn is_damaged(&self) -> bool {
        match self.read() {
            Ok(bytes) => records(&bytes).damage.is_some(),
            Err(error) => {
                log::error!("{error}");
                false
            }
        }
    }

    fn read(&self) -> Result<Vec<u8>, DiscoveryError> {
        self.read_settled(sleep).map(|(bytes, _)| bytes)
    }

    /// Reads the file and its version; a missing file is empty. LANrage empties the file and then
    /// writes it, without the lock, so a file that may be half-written is read again.
    fn read_settled(&self, wait: impl Fn(Duration)) -> Result<(Vec<u8>, Version), DiscoveryError> {
        let mut pauses = WRITERS_TIME.into_iter();
        loop {
            // The version comes first, so that a write during the reading is noticed.
            let version = Version::of(&self.path);
            let bytes = disk::read(&self.path)?;
            let is_whole =
                bytes.as_ref().is_none_or(|bytes| Records::of_discovery(bytes).damage.is_none());
            match pauses.next().filter(|_| !is_whole) {
                Some(pause) => wait(pause),
                None => return Ok((bytes.unwrap_or_default(), version)),
            }
        }
    }
}

/// Returns the file's records. An empty file is never damaged.
fn records(bytes: &[u8]) -> Records<'_> {
    if strip_bom(bytes).trim_ascii().is_empty() {
        Records::default()
    } else {
        Records::of_discovery(bytes)
    }
}

#[cfg(test)]
mod tests;
