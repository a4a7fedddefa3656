//! Counts of refusals by limits, reported periodically.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::AddressKey;

/// Time between two reports of one limit and address.
const PAUSE: Duration = Duration::from_secs(60);
/// Upper bound of the separate counts.
const MOST_COUNTS: usize = 256;

/// Refusals to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusalReport<L> {
    /// The limit that was reached.
    pub(crate) limit: L,
    /// Address that reached it; `None` for the shared count of further addresses.
    pub(crate) address: Option<AddressKey>,
    /// Refusals since the last report.
    pub(crate) refused: u64,
}

/// Counts of refusals by limit and address, in bounded memory. Addresses beyond the bound share one
/// count of each limit.
#[derive(Debug)]
pub(crate) struct RefusalCounts<L> {
    counts: HashMap<(L, Option<AddressKey>), Count>,
}

#[derive(Debug, Default)]
struct Count {
    refused: u64,
    told_at: Option<Duration>,
}

impl<L: Copy + Hash + Ord> RefusalCounts<L> {
    /// Returns empty counts.
    pub(crate) fn new() -> Self {
        Self { counts: HashMap::new() }
    }

    /// Counts a refusal.
    pub(crate) fn add(&mut self, limit: L, address: AddressKey) {
        let key = (limit, Some(address));
        let is_counted = self.counts.len() < MOST_COUNTS || self.counts.contains_key(&key);
        let key = if is_counted { key } else { (limit, None) };
        self.counts.entry(key).or_default().refused += 1;
    }

    /// Returns the reports that are due, in order. Each limit and address is reported at most once
    /// in [`PAUSE`]. A count without refusals since its last report is dropped.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<RefusalReport<L>> {
        let is_due = |count: &Count| {
            count.told_at.is_none_or(|told_at| now.saturating_sub(told_at) >= PAUSE)
        };
        self.counts.retain(|_, count| count.refused > 0 || !is_due(count));
        let mut reports = Vec::new();
        for ((limit, address), count) in &mut self.counts {
            if count.refused > 0 && is_due(count) {
                let (limit, address) = (*limit, *address);
                reports.push(RefusalReport { limit, address, refused: count.refused });
                *count = Count { refused: 0, told_at: Some(now) };
            }
        }
        reports.sort_by_key(|report| (report.limit, report.address));
        reports
    }
}

impl<L: Copy + Hash + Ord> Default for RefusalCounts<L> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn address(number: u32) -> AddressKey {
        IpAddr::from(Ipv4Addr::from(number)).into()
    }

    fn report(limit: u8, address: Option<AddressKey>, refused: u64) -> RefusalReport<u8> {
        RefusalReport { limit, address, refused }
    }

    #[test]
    fn refusals_are_reported_once_a_minute_by_limit_and_address() {
        let mut counts = RefusalCounts::new();
        let at = Duration::from_secs;
        for _ in 0..240 {
            counts.add(1, address(1));
        }
        counts.add(2, address(1));
        counts.add(1, address(2));
        assert_eq!(
            counts.due(at(1)),
            [
                report(1, Some(address(1)), 240),
                report(1, Some(address(2)), 1),
                report(2, Some(address(1)), 1)
            ]
        );
        counts.add(1, address(1));
        counts.add(1, address(1));
        assert_eq!(counts.due(at(60)), []);
        assert_eq!(counts.due(at(61)), [report(1, Some(address(1)), 2)]);
        assert_eq!((counts.due(at(122)), counts.counts.len()), (vec![], 0));
    }

    #[test]
    fn addresses_beyond_the_bound_share_one_count() {
        let mut counts = RefusalCounts::new();
        for number in 0..10_000 {
            counts.add(1, address(number));
        }
        let reports = counts.due(Duration::ZERO);
        assert_eq!(reports.len(), MOST_COUNTS + 1);
        assert_eq!(reports[0], report(1, None, 10_000 - MOST_COUNTS as u64));
    }
}
