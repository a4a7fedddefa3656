//! List of this daemon's entries of the discovery file, kept across crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lanrage_ipc::model::{PartyId, PeerId};
use serde::{Deserialize, Serialize};

use super::DiscoveryError;
use super::disk::{self, Version};

/// Parties with their hosts. A party may have several: the host in the file, and that of the
/// present party with this id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Announced(BTreeMap<PartyId, BTreeSet<PeerId>>);

impl Announced {
    /// Reads the list. A damaged list is set aside: then the entries of removed parties can't be
    /// told from those of others.
    fn read(path: &Path, now: Timestamp) -> Result<Self, DiscoveryError> {
        let Some(bytes) = disk::read(path)? else { return Ok(Self::default()) };
        match serde_json::from_slice(&bytes) {
            Ok(announced) => Ok(announced),
            Err(error) => {
                let kept = disk::set_aside(path, &bytes, now)?;
                disk::replace(path, b"{}")?;
                let (path, kept) = (path.display(), kept.display());
                log::warn!("{path} is damaged ({error}) and is set aside as {kept}");
                Ok(Self::default())
            }
        }
    }

    fn write(&self, path: &Path) -> Result<(), DiscoveryError> {
        let text = serde_json::to_vec(self)
            .map_err(|error| DiscoveryError::io("encode", path, &error.into()))?;
        disk::replace(path, &text)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, party_id: &str, host_id: &str) -> bool {
        self.0.get(party_id).is_some_and(|hosts| hosts.contains(host_id))
    }

    /// Returns the union of two lists.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (party_id, hosts) in &other.0 {
            all.0.entry(party_id.clone()).or_default().extend(hosts.iter().cloned());
        }
        all
    }
}

impl FromIterator<(PartyId, PeerId)> for Announced {
    fn from_iter<I: IntoIterator<Item = (PartyId, PeerId)>>(pairs: I) -> Self {
        let one = |(party_id, host_id)| (party_id, BTreeSet::from([host_id]));
        Self(pairs.into_iter().map(one).collect())
    }
}

/// File of the list, which is read again only when its version has changed.
#[derive(Debug)]
pub(super) struct AnnouncedFile {
    path: PathBuf,
    list: Option<(Version, Announced)>,
}

impl AnnouncedFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, list: None }
    }

    /// Returns the list.
    pub(super) fn get(&mut self, now: Timestamp) -> Result<&Announced, DiscoveryError> {
        let list = match self.list.take() {
            Some(list) if list.0 == Version::of(&self.path) => list,
            _ => {
                let list = Announced::read(&self.path, now)?;
                (Version::of(&self.path), list)
            }
        };
        Ok(&self.list.insert(list).1)
    }

    /// Replaces the list.
    pub(super) fn set(&mut self, announced: Announced) -> Result<(), DiscoveryError> {
        self.list = None;
        announced.write(&self.path)?;
        self.list = Some((Version::of(&self.path), announced));
        Ok(())
    }
}
