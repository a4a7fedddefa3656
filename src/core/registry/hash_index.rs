//! Index of slots by a key that the slot itself holds.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

/// Slots of a table, by the hash of a key. The key itself is not stored, so an entry takes 8 bytes.
/// A key may have several slots.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct HashIndex {
    entries: HashTable<Entry>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    slot: u32,
}

impl Entry {
    /// Returns the hash for the table, which takes the position from the low bits and a tag from
    /// the high bits.
    fn table_hash(self) -> u64 {
        (u64::from(self.hash) << 32) | u64::from(self.hash)
    }
}

impl HashIndex {
    fn entry(&self, key: &impl Hash, slot: u32) -> Entry {
        Entry { hash: self.hasher.hash_one(key) as u32, slot }
    }

    /// Adds a slot of a key.
    pub(super) fn insert(&mut self, key: &impl Hash, slot: u32) {
        let entry = self.entry(key, slot);
        self.entries.insert_unique(entry.table_hash(), entry, |entry| entry.table_hash());
    }

    /// Removes a slot of a key.
    pub(super) fn remove(&mut self, key: &impl Hash, slot: u32) {
        let entry = self.entry(key, slot);
        let is_same = |other: &Entry| (other.hash, other.slot) == (entry.hash, entry.slot);
        if let Ok(found) = self.entries.find_entry(entry.table_hash(), is_same) {
            found.remove();
        }
    }

    /// Returns the slots that may hold a key, each once. The caller compares the keys.
    pub(super) fn slots<'a, K: Hash>(&'a self, key: &K) -> impl Iterator<Item = u32> + use<'a, K> {
        let entry = self.entry(key, 0);
        let same = move || {
            let found = self.entries.iter_hash(entry.table_hash());
            found.filter(move |other| other.hash == entry.hash).map(|other| other.slot)
        };
        let is_first = move |(at, slot): &(usize, u32)| !same().take(*at).any(|one| one == *slot);
        same().enumerate().filter(is_first).map(|(_, slot)| slot)
    }

    /// Makes room for further entries.
    pub(super) fn reserve(&mut self, more: usize) {
        self.entries.reserve(more, |entry| entry.table_hash());
    }

    /// Number of entries.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_has_its_slots_each_once_until_they_are_removed() {
        let mut index = HashIndex::default();
        let slots = |index: &HashIndex, key: &str| {
            let mut slots: Vec<_> = index.slots(&key).collect();
            slots.sort_unstable();
            slots
        };
        (0..100).for_each(|number| index.insert(&format!("k{number}").as_str(), number));
        index.insert(&"k7", 200);
        // Two keys of one slot may have the same hash.
        index.insert(&"k7", 7);
        assert_eq!(slots(&index, "k7"), [7, 200]);
        index.remove(&"k7", 7);
        assert_eq!(slots(&index, "k7"), [7, 200]);
        index.remove(&"k7", 7);
        assert_eq!(slots(&index, "k7"), [200]);
        index.remove(&"k8", 200);
        assert_eq!((slots(&index, "k7"), slots(&index, "k8")), (vec![200], vec![8]));
        assert_eq!((slots(&index, "none"), index.len()), (vec![], 100));
    }
}
