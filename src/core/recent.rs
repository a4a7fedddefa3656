//! A bounded map that evicts its oldest entry.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// The latest entries, `most` of them at most.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    most: usize,
    entries: HashMap<K, (u64, V)>,
    by_age: BTreeMap<u64, K>,
    put: u64,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    /// Returns an empty map. `most` is at least 1.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), entries: HashMap::new(), by_age: BTreeMap::new(), put: 0 }
    }

    /// Puts an entry, which becomes the youngest. The oldest is evicted when the map is full.
    pub(crate) fn put(&mut self, key: K, value: V) {
        self.remove(&key);
        if self.entries.len() >= self.most
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.put += 1;
        self.by_age.insert(self.put, key.clone());
        self.entries.insert(key, (self.put, value));
    }

    /// Returns the value of a key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((age, _)) = self.entries.remove(key) {
            self.by_age.remove(&age);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_recent_map_evicts_its_oldest_entry() {
        let mut recent = Recent::new(2);
        recent.put("a", 1);
        recent.put("b", 2);
        recent.put("a", 3);
        recent.put("c", 4);
        assert_eq!(["a", "b", "c"].map(|key| recent.get(&key).copied()), [Some(3), None, Some(4)]);
        recent.remove(&"a");
        recent.put("d", 5);
        assert_eq!(["a", "c", "d"].map(|key| recent.get(&key).copied()), [None, Some(4), Some(5)]);
        assert_eq!((recent.entries.len(), recent.by_age.len()), (2, 2));
    }
}
