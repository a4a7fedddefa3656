//! Turns of refused requests, one after the other.

use std::hash::Hash;
use std::time::Duration;

use super::{Rate, RetryAfter};
use crate::core::Recent;

/// Gives each refused request of a key its own turn, so that all retries succeed. The turns follow
/// each other at the rate of the bucket. Requests beyond the longest wait are spread over its
/// second half.
#[derive(Debug)]
pub(crate) struct Turns<K> {
    interval: Duration,
    longest: Duration,
    /// First free turn of each key.
    next: Recent<K, Duration>,
    given: u32,
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// Returns turns at a rate. At most `most_keys` keys have turns at the same time.
    pub(crate) fn new(rate: Rate, most_keys: usize) -> Self {
        let interval = rate.per / rate.requests.get();
        // Two periods of turns; one period if that has a single request.
        let most = (2 * u64::from(rate.requests.get() - 1)).max(1);
        let longest = interval.saturating_mul(u32::try_from(most).unwrap_or(u32::MAX));
        Self { interval, longest, next: Recent::new(most_keys), given: 0 }
    }

    /// Returns the wait of a request that was refused at `now`. `soonest` is the wait for the
    /// bucket.
    pub(crate) fn give(&mut self, key: K, soonest: RetryAfter, now: Duration) -> RetryAfter {
        let soonest = now.saturating_add(soonest.0);
        let latest = now.saturating_add(self.longest).max(soonest);
        let free = self.next.get(&key).copied().filter(|free| *free > soonest);
        // The first turn comes as soon as the bucket has room: no turn is before it.
        let Some(free) = free else {
            self.next.put(key, soonest.saturating_add(self.interval));
            return RetryAfter(soonest.saturating_sub(now));
        };
        let share = self.share();
        let turn = if free <= latest {
            self.next.put(key, free.saturating_add(self.interval));
            free.saturating_add(self.interval.mul_f64(share / 2.0))
        } else {
            latest.saturating_sub(self.longest.mul_f64(share / 2.0))
        };
        RetryAfter(turn.saturating_sub(now))
    }

    /// Returns a number from 0 to 1 that is far from the previous ones.
    fn share(&mut self) -> f64 {
        self.given = self.given.wrapping_add(1);
        let golden = 0.618_033_988_749_895;
        (f64::from(self.given) * golden).fract()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Buckets;

    const NOW: Duration = Duration::from_secs(1000);

    fn rate() -> Rate {
        Rate::new(120, Duration::from_secs(60), 60)
    }

    #[test]
    fn refused_requests_get_through_at_their_turns() {
        let (mut buckets, mut turns) = (Buckets::new(rate(), 8), Turns::new(rate(), 8));
        let refused = |now, buckets: &mut Buckets<u8>| buckets.take(1, now).err();
        let waits: Vec<_> = (0..298)
            .filter_map(|_| refused(NOW, &mut buckets).map(|wait| turns.give(1, wait, NOW).0))
            .collect();
        assert_eq!(waits.len(), 238);
        for (number, wait) in waits.iter().enumerate() {
            let turn = Duration::from_millis(500) * (number as u32 + 1);
            assert!((turn..turn + Duration::from_millis(250)).contains(wait), "{number}: {wait:?}");
            assert_eq!(refused(NOW + *wait, &mut buckets), None, "{number}");
        }
    }

    #[test]
    fn waits_are_bounded_and_spread() {
        let mut turns = Turns::new(rate(), 8);
        let waits: Vec<_> = (0..1000)
            .map(|_| turns.give(1, RetryAfter(Duration::from_millis(500)), NOW).0)
            .collect();
        let longest = Duration::from_secs(121);
        assert!(waits.iter().all(|wait| *wait < longest), "{:?}", waits.iter().max());
        let beyond: std::collections::BTreeSet<_> = waits[300..].iter().collect();
        assert_eq!(beyond.len(), 700);
    }

    #[test]
    fn wait_of_a_slow_rate_is_no_longer_than_its_interval() {
        let minute = Duration::from_secs(60);
        let mut turns = Turns::new(Rate::new(1, minute, 2), 8);
        for _ in 0..100 {
            assert!(turns.give(1, RetryAfter(minute), NOW).0 <= minute);
        }
    }

    #[test]
    fn queue_of_turns_is_per_key_and_empties_with_time() {
        let mut turns = Turns::new(rate(), 8);
        let soonest = RetryAfter(Duration::from_millis(400));
        assert_eq!(turns.give(1, soonest, NOW), soonest);
        assert!(turns.give(1, soonest, NOW).0 > Duration::from_millis(899));
        assert_eq!(turns.give(2, soonest, NOW), soonest);
        assert_eq!(turns.give(1, soonest, NOW + Duration::from_secs(10)), soonest);
    }
}
