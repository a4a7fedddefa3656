//! A bounded set of entries in which each address has a share.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::AddressKey;

#[cfg(test)]
mod tests;

/// Upper bounds of the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareLimits {
    /// Upper bound for all addresses together.
    pub(crate) total: usize,
    /// Upper bound for one address.
    pub(crate) per_address: usize,
}

/// The bound that an entry reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShareBound {
    /// [`ShareLimits::total`].
    Total,
    /// [`ShareLimits::per_address`].
    PerAddress,
}

/// Result of adding an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// There was room.
    Admitted,
    /// The new entry replaced an evicted entry.
    Replaced {
        /// Number of the evicted entry.
        evicted: u64,
        /// Its address.
        address: Option<AddressKey>,
        /// The bound that caused the eviction.
        bound: ShareBound,
    },
    /// No room, and nothing to evict. Nothing was added.
    Refused(ShareBound),
}

/// Entries by number, each of an address or of none. An entry with a rank may be evicted, lowest
/// rank first. At the bound of an address, one of its own entries is evicted. At the total bound,
/// an entry of the address with most entries is evicted. Entries without an address have no bound
/// of their own, and are evicted last.
///
/// Each operation takes logarithmic time.
#[derive(Debug)]
pub(crate) struct FairSet<R> {
    limits: ShareLimits,
    entries: HashMap<u64, Entry<R>>,
    addresses: HashMap<Option<AddressKey>, Share<R>>,
    /// Addresses with evictable entries; the last one loses an entry first.
    evictable: BTreeSet<Weight<R>>,
}

/// Number of entries of an address, lowest rank among them, and the address.
type Weight<R> = (usize, Reverse<R>, Option<AddressKey>);

#[derive(Debug)]
struct Entry<R> {
    address: Option<AddressKey>,
    rank: Option<R>,
}

#[derive(Debug)]
struct Share<R> {
    entries: usize,
    ranks: BTreeSet<(R, u64)>,
}

impl<R: Ord + Copy> Share<R> {
    fn weight(&self, address: Option<AddressKey>) -> Option<Weight<R>> {
        let entries = if address.is_some() { self.entries } else { 0 };
        self.ranks.first().map(|(rank, _)| (entries, Reverse(*rank), address))
    }
}

impl<R: Ord + Copy> FairSet<R> {
    /// Returns an empty set.
    pub(crate) fn new(limits: ShareLimits) -> Self {
        let (entries, addresses, evictable) = Default::default();
        Self { limits, entries, addresses, evictable }
    }

    /// Sets new bounds, which apply to later entries.
    pub(crate) fn set_limits(&mut self, limits: ShareLimits) {
        self.limits = limits;
    }

    /// Adds an entry under a unique number.
    pub(crate) fn add(
        &mut self,
        number: u64,
        address: Option<AddressKey>,
        rank: Option<R>,
    ) -> Admission {
        let admission = self.make_room(address);
        if let Admission::Replaced { evicted, .. } = admission {
            self.remove(evicted);
        }
        if !matches!(admission, Admission::Refused(_)) {
            self.entries.insert(number, Entry { address, rank });
            self.update(address, |share| {
                share.entries += 1;
                share.ranks.extend(rank.map(|rank| (rank, number)));
            });
        }
        admission
    }

    /// Finds the entry to evict for a new one.
    fn make_room(&self, address: Option<AddressKey>) -> Admission {
        let share = self.addresses.get(&address);
        let is_full =
            |share: &Share<R>| address.is_some() && share.entries >= self.limits.per_address;
        let (bound, evicted) = if let Some(share) = share.filter(|share| is_full(share)) {
            (ShareBound::PerAddress, share.ranks.first())
        } else if self.entries.len() >= self.limits.total {
            let most = self.evictable.last().and_then(|(.., address)| self.addresses.get(address));
            (ShareBound::Total, most.and_then(|share| share.ranks.first()))
        } else {
            return Admission::Admitted;
        };
        match evicted {
            Some((_, evicted)) => {
                let address = self.entries.get(evicted).and_then(|entry| entry.address);
                Admission::Replaced { evicted: *evicted, address, bound }
            }
            None => Admission::Refused(bound),
        }
    }

    /// Changes the rank of an entry; without a rank it is not evicted. Returns `false` if the entry
    /// is gone.
    pub(crate) fn set_rank(&mut self, number: u64, rank: Option<R>) -> bool {
        let Some(entry) = self.entries.get_mut(&number) else { return false };
        let before = std::mem::replace(&mut entry.rank, rank);
        let address = entry.address;
        self.update(address, |share| {
            if let Some(before) = before {
                share.ranks.remove(&(before, number));
            }
            share.ranks.extend(rank.map(|rank| (rank, number)));
        });
        true
    }

    /// Removes an entry, if it is there.
    pub(crate) fn remove(&mut self, number: u64) {
        let Some(Entry { address, rank }) = self.entries.remove(&number) else { return };
        self.update(address, |share| {
            share.entries -= 1;
            if let Some(rank) = rank {
                share.ranks.remove(&(rank, number));
            }
        });
    }

    /// Changes the share of an address and its position among the evictable addresses.
    fn update(&mut self, address: Option<AddressKey>, change: impl FnOnce(&mut Share<R>)) {
        let fresh = || Share { entries: 0, ranks: BTreeSet::new() };
        let share = self.addresses.entry(address).or_insert_with(fresh);
        if let Some(weight) = share.weight(address) {
            self.evictable.remove(&weight);
        }
        change(share);
        self.evictable.extend(share.weight(address));
        if share.entries == 0 {
            self.addresses.remove(&address);
        }
    }
}
