//! List of this daemon's entries of the discovery file, kept across crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use lanrage_ipc::model::{PartyId, PeerId};
use serde::{Deserialize, Serialize};

use super::{DiscoveryError, disk};

/// Parties with their hosts. A party may have several: the host in the file, and that of the
/// present party with this id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Announced(BTreeMap<PartyId, BTreeSet<PeerId>>);

impl Announced {
    /// Reads the list. A damaged list is set aside: then the entries of removed parties can't be
    /// told from those of others.
    pub(super) fn read(path: &Path, now: Timestamp) -> Result<Self, DiscoveryError> {
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

    pub(super) fn write(&self, path: &Path) -> Result<(), DiscoveryError> {
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

    pub(super) fn insert(&mut self, party_id: PartyId, host_id: PeerId) {
        self.0.entry(party_id).or_default().insert(host_id);
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
