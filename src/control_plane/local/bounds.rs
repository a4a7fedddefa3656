//! Warnings of reached bounds, for the operator.

use std::collections::HashMap;
use std::time::Duration;

use crate::core::{Payer, Refusal};

/// Interval between two warnings of one bound and client.
const INTERVAL: Duration = Duration::from_secs(60);
/// Upper bound of the entries; further clients share one entry of each bound.
const MOST_ENTRIES: usize = 256;

/// Reached bounds, by the remedy and the client whose share is used up.
#[derive(Debug, Default)]
pub(super) struct BoundsReached(HashMap<(String, Option<Payer>), Reached>);

#[derive(Debug, Default)]
struct Reached {
    told_at: Option<Duration>,
    /// Refusals since the last warning.
    refused: u64,
}

impl BoundsReached {
    /// Warns of a refusal for lack of room, once a minute for each bound and client.
    pub(super) fn warn(&mut self, refusal: &Refusal, elapsed: Duration) {
        let Some(remedy) = refusal.remedy() else { return };
        let client = match refusal {
            Refusal::ShareFull { payer, .. } => Some(payer.clone()),
            _ => None,
        };
        if let Some(count) = self.count(remedy.clone(), client, elapsed) {
            log::warn!("a limit is reached: {refusal}; remedy: {remedy}; count={count}");
        }
    }

    /// Counts a refusal. Returns the refusals since the last warning, where one is due.
    fn count(&mut self, remedy: String, client: Option<Payer>, elapsed: Duration) -> Option<u64> {
        let is_due = |reached: &Reached| {
            reached.told_at.is_none_or(|at| elapsed.saturating_sub(at) >= INTERVAL)
        };
        let mut key = (remedy, client);
        if self.0.len() >= MOST_ENTRIES && !self.0.contains_key(&key) {
            self.0.retain(|_, reached| !is_due(reached));
            if self.0.len() >= MOST_ENTRIES {
                key.1 = None;
            }
        }
        let reached = self.0.entry(key).or_default();
        reached.refused += 1;
        is_due(reached).then(|| {
            reached.told_at = Some(elapsed);
            std::mem::take(&mut reached.refused)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn client(number: u32) -> Option<Payer> {
        Some(Payer::Address(IpAddr::from(Ipv4Addr::from(number)).into()))
    }

    #[test]
    fn overload_is_logged_once_a_minute_for_each_client_with_its_count() {
        let mut bounds = BoundsReached::default();
        let mut count = |number, seconds| {
            bounds.count("raise it".to_owned(), client(number), Duration::from_secs(seconds))
        };
        assert_eq!([count(1, 0), count(1, 1), count(2, 1)], [Some(1), None, Some(1)]);
        assert_eq!([count(1, 59), count(1, 60), count(2, 60)], [None, Some(3), None]);
    }

    #[test]
    fn many_clients_share_an_entry() {
        let mut bounds = BoundsReached::default();
        let told = (0..10_000).filter(|number| {
            bounds.count("raise it".to_owned(), client(*number), Duration::ZERO).is_some()
        });
        assert_eq!(told.count(), MOST_ENTRIES + 1);
        assert_eq!(bounds.0.len(), MOST_ENTRIES + 1);
        let later = bounds.count("raise it".to_owned(), client(1), INTERVAL);
        assert_eq!((later, bounds.0.len()), (Some(1), MOST_ENTRIES + 1));
    }
}
