//! Bytes that wait for clients, in all and by address.

use std::collections::HashMap;

use super::AddressKey;

/// Divisor: one address may have a quarter of all bytes.
const ADDRESSES: usize = 4;

/// Counts of waiting bytes, in all and by address.
#[derive(Debug, Default)]
pub(crate) struct ByteShares {
    total: usize,
    by_address: HashMap<AddressKey, usize>,
}

impl ByteShares {
    /// Returns the bytes that one address may have, where all may have `most`.
    pub(crate) fn of_address(most: usize) -> usize {
        most / ADDRESSES
    }

    /// True if an address may have further bytes, where all may have `most`.
    pub(crate) fn has_room(&self, address: AddressKey, bytes: usize, most: usize) -> bool {
        bytes <= self.left(address, most)
    }

    /// Returns the bytes that an address may add, where all may have `most`.
    pub(crate) fn left(&self, address: AddressKey, most: usize) -> usize {
        let used = self.by_address.get(&address).copied().unwrap_or_default();
        let own = Self::of_address(most).saturating_sub(used);
        own.min(most.saturating_sub(self.total))
    }

    /// Counts bytes of an address.
    pub(crate) fn add(&mut self, address: AddressKey, bytes: usize) {
        if bytes > 0 {
            self.total += bytes;
            *self.by_address.entry(address).or_default() += bytes;
        }
    }

    /// Ends the count of an address's bytes.
    pub(crate) fn remove(&mut self, address: AddressKey, bytes: usize) {
        self.total -= bytes;
        if let Some(used) = self.by_address.get_mut(&address) {
            *used -= bytes;
            if *used == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// True while nothing waits.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0 && self.by_address.is_empty()
    }
}
