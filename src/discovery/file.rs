//! Updates of the discovery file.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Zoned;
use jiff::civil::DateTime;
use lanrage_ipc::lanrage::{AnnouncedParty, ImportedParty, Salvage};
use lanrage_ipc::model::PartyId;
use lanrage_ipc::results::{DiscoveredParty, DiscoverySource, Rejected};

use super::announced::{Announced, AnnouncedFile};
use super::contents::{CachedContents, Damage};
use super::disk::{self, LARGEST, Lock, Version};
use super::document::Document;
use super::entries::{Entries, Entry};
use super::{AnnouncedParties, DiscoveryError};

/// Attempts of an update that another program's writes interrupt.
const ATTEMPTS: usize = 5;

/// Parties that an update could not announce.
#[derive(Debug, Default)]
pub(super) struct Updated {
    /// Parties whose ids belong to entries of others.
    pub(super) taken: BTreeSet<PartyId>,
    /// Number of entries for which the file has no room.
    pub(super) left_out: usize,
    /// True if the file was written.
    pub(super) is_written: bool,
}

/// Discovery file and the list of our entries in it.
#[derive(Debug)]
pub(super) struct DiscoveryFile {
    path: PathBuf,
    lock: PathBuf,
    contents: CachedContents,
    announced: AnnouncedFile,
    /// Time of the last write.
    written_at: Option<DateTime>,
}

impl DiscoveryFile {
    pub(super) fn new(path: PathBuf, announced: PathBuf) -> Self {
        Self {
            lock: disk::sibling(&path, ".lock"),
            path,
            contents: CachedContents::default(),
            announced: AnnouncedFile::new(announced),
            written_at: None,
        }
    }

    /// Updates the file: it then announces exactly our parties, besides those of others, and is
    /// repaired. Returns the parties that are not announced.
    pub(super) fn update(
        &mut self,
        entries: &Entries,
        now: &Zoned,
    ) -> Result<Updated, DiscoveryError> {
        self.update_with(entries, now, || ())
    }

    /// Updates the file; `before_rename` runs just before the rename.
    fn update_with(
        &mut self,
        entries: &Entries,
        now: &Zoned,
        before_rename: impl Fn(),
    ) -> Result<Updated, DiscoveryError> {
        let has_none = entries.is_empty() && self.announced.get(now.timestamp())?.is_empty();
        if has_none && !self.is_damaged() {
            return Ok(Updated::default());
        }
        let _lock = Lock::acquire(&self.lock)?;
        for _ in 0..ATTEMPTS {
            if let Some(updated) = self.attempt(entries, now, &before_rename)? {
                return Ok(updated);
            }
        }
        Err(DiscoveryError::Contended(self.path.clone()))
    }

    /// Returns `None` if another program wrote the file meanwhile: LANrage ignores the lock, and
    /// its write must not be lost.
    fn attempt(
        &mut self,
        entries: &Entries,
        now: &Zoned,
        before_rename: impl Fn(),
    ) -> Result<Option<Updated>, DiscoveryError> {
        let known = self.announced.get(now.timestamp())?;
        let contents = self.contents.get(&self.path)?;
        contents.claim(entries, known);
        let taken = contents.taken(entries);
        let own: Vec<_> = entries.iter().filter(|(id, _)| !taken.contains(*id)).collect();
        let has_room = contents.fitting(LARGEST as usize - size(&own));
        let crowded_out = has_room.iter().filter(|has_room| !**has_room).count();
        if let Some(Damage { reason, bytes }) = &contents.damage {
            let kept = disk::set_aside(&self.path, bytes, now.timestamp())?;
            let (path, kept, left) = (self.path.display(), kept.display(), contents.others.len());
            log::warn!(
                "{path} is damaged ({reason}) and is set aside as {kept}; {left} entries stay"
            );
        }
        // The list covers the file before and after the rename.
        let written: Announced =
            own.iter().map(|(id, entry)| ((*id).clone(), entry.host_id.clone())).collect();
        let both = known.union(&written);
        if both != *known {
            self.announced.set(both.clone())?;
        }
        let is_due = !own.is_empty() || crowded_out > 0 || contents.needs_write();
        if is_due {
            let others = contents.others.iter().zip(&has_room);
            let others = others.filter_map(|(other, has_room)| has_room.then_some(other)).collect();
            let document = Document { others, own: &own, now: now.datetime() };
            let is_same = || {
                before_rename();
                Version::of(&self.path) == contents.version
            };
            let replaced = disk::replace_if(&self.path, |file| document.write(file), is_same)?;
            let Some(version) = replaced else { return Ok(None) };
            let own = own.iter().map(|(id, _)| (*id).clone()).collect();
            contents.replaced(version, own, has_room);
            self.written_at = Some(now.datetime());
        }
        if written != both {
            self.announced.set(written)?;
        }
        let left_out = entries.left_out() + crowded_out;
        Ok(Some(Updated { taken, left_out, is_written: is_due }))
    }

    /// Returns the announcements in the file, with times in the zone of `now`, and the entries that
    /// are not valid parties. Other programs can change this daemon's entries until its next
    /// update, so they are returned as it writes them.
    pub(super) fn list(
        &mut self,
        entries: &Entries,
        now: &Zoned,
    ) -> Result<(AnnouncedParties, Vec<Rejected>), DiscoveryError> {
        let zone = now.time_zone();
        let known = self.announced.get(now.timestamp())?;
        let contents = self.contents.get(&self.path)?;
        if let Some(Damage { reason, .. }) = &contents.damage {
            let (path, reason) = (self.path.clone(), reason.clone());
            return Err(DiscoveryError::Damaged { path, reason });
        }
        contents.claim(entries, known);
        let written_at = self.written_at.unwrap_or_else(|| now.datetime());
        let own = contents.own.iter().filter_map(|party_id| entries.get(party_id.as_str()));
        let own = own.map(|(_, entry)| entry.announced(written_at).map(discovered));
        let own = own.collect::<serde_json::Result<_>>();
        let own = own.map_err(|error| DiscoveryError::io("decode", &self.path, &error.into()))?;
        let Salvage { parties, rejected, .. } = contents.records().salvage(zone);
        let announced = |party: ImportedParty| discovered(party.announce(zone));
        let mut others: Vec<_> = parties.into_iter().map(announced).collect();
        // None pushes out another by its size.
        others.sort_by_key(|discovered| discovered.party.peers.len());
        Ok((AnnouncedParties { own, others }, rejected))
    }

    /// True if the file needs a repair. An unreadable file counts as intact: the next write or
    /// query gets the error.
    fn is_damaged(&mut self) -> bool {
        match self.contents.get(&self.path) {
            Ok(contents) => contents.damage.is_some(),
            Err(error) => {
                log::error!("{error}");
                false
            }
        }
    }
}

fn size(own: &[(&PartyId, &Entry)]) -> usize {
    own.iter().map(|(_, entry)| entry.size).sum()
}

fn discovered(party: AnnouncedParty) -> DiscoveredParty {
    DiscoveredParty { party, source: DiscoverySource::File }
}

#[cfg(test)]
mod tests;
