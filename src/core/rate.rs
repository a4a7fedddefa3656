//! Rate limits: a bounded map of token buckets.

mod addresses;
#[cfg(test)]
mod tests;
mod turns;

pub(crate) use addresses::{AddressBuckets, AddressTurns};
pub(crate) use turns::Turns;

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

/// Rate of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Requests in each `per`, in the long run.
    pub(crate) requests: NonZeroU32,
    /// Period of `requests`.
    pub(crate) per: Duration,
    /// Requests at once, after a pause.
    pub(crate) burst: NonZeroU32,
}

impl Rate {
    /// Returns a rate of `requests` in each `per`, and `burst` at once. Zero counts as one.
    pub(crate) fn new(requests: usize, per: Duration, burst: usize) -> Self {
        let some = |count: usize| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
        };
        Self { requests: some(requests), per, burst: some(burst) }
    }

    /// Multiplies requests and burst by `count`.
    pub(crate) fn times(self, count: NonZeroU32) -> Self {
        let [requests, burst] = [self.requests, self.burst].map(|of| of.saturating_mul(count));
        Self { requests, per: self.per, burst }
    }
}

/// Refusal by an empty bucket, with the wait until the bucket has room for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryAfter(pub(crate) Duration);

impl RetryAfter {
    /// Value for the `Retry-After` header: whole seconds, rounded up, at least 1.
    pub(crate) fn seconds(self) -> u64 {
        let begun = u64::from(self.0.subsec_nanos() > 0);
        self.0.as_secs().saturating_add(begun).max(1)
    }
}

/// An instant in nanoseconds times [`Rate::requests`]. In this unit a request costs exactly
/// [`Rate::per`] at any rate. The longest `Duration` and the largest rate fit.
type Scaled = u128;

/// Token buckets by key, in bounded memory.
///
/// Only the instant at which a bucket will be full again is kept. A missing key has a full bucket,
/// so full buckets can be evicted at any time. Each new key evicts a few of them. If there is still
/// no room, the bucket that is nearest to full is evicted: that forgives the least. A flood of
/// fresh keys thus does not empty the bucket of a key over its limit.
///
/// A known key costs a look-up; a new key also costs a heap insertion, in logarithmic time.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    rate: Rate,
    most_keys: usize,
    full_at: HashMap<K, Scaled>,
    /// One entry for each key, with the instant at the time of the push. The current instant may be
    /// later, or earlier by the requests that were given back.
    soonest: BinaryHeap<Reverse<(Scaled, K)>>,
}

impl<K: Hash + Ord + Clone> Buckets<K> {
    /// Returns an empty map that keeps at most `most_keys` buckets (at least one).
    pub(crate) fn new(rate: Rate, most_keys: usize) -> Self {
        Self {
            rate,
            most_keys: most_keys.max(1),
            full_at: HashMap::new(),
            soonest: BinaryHeap::new(),
        }
    }

    /// Takes one request from the bucket of `key`. `now` counts from any instant and never goes
    /// back.
    ///
    /// # Errors
    /// The wait, if the bucket is empty. Nothing is taken then: a refused request makes no later
    /// one wait longer.
    pub(crate) fn take(&mut self, key: K, now: Duration) -> Result<(), RetryAfter> {
        let now = self.scaled(now);
        let cost = self.rate.per.as_nanos();
        let most_debt = cost * u128::from(self.rate.burst.get());
        if let Entry::Occupied(mut bucket) = self.full_at.entry(key.clone()) {
            let full_at = now.max(*bucket.get()) + cost;
            let excess = (full_at - now).saturating_sub(most_debt);
            if excess > 0 {
                return Err(RetryAfter(self.duration(excess)));
            }
            bucket.insert(full_at);
            return Ok(());
        }
        self.make_room(now);
        self.full_at.insert(key.clone(), now + cost);
        self.soonest.push(Reverse((now + cost, key)));
        Ok(())
    }

    /// Gives one request back to the bucket of `key`. The bucket's eviction order stays as it was.
    pub(crate) fn give_back(&mut self, key: &K) {
        let cost = self.rate.per.as_nanos();
        if let Some(full_at) = self.full_at.get_mut(key) {
            *full_at = full_at.saturating_sub(cost);
        }
    }

    /// Returns the time for which the bucket of `key` has been full at `now`.
    pub(crate) fn full_for(&self, key: &K, now: Duration) -> Duration {
        let full_for = |full_at: &Scaled| {
            let scaled = self.scaled(now).saturating_sub(*full_at);
            let nanos = scaled / u128::from(self.rate.requests.get());
            u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
        };
        self.full_at.get(key).map_or(Duration::MAX, full_for)
    }

    /// Evicts up to two full buckets, so that they shrink faster than new keys arrive. Evicts one
    /// more if there is still no room.
    fn make_room(&mut self, now: Scaled) {
        let _ = self.drop_soonest(now) && self.drop_soonest(now);
        if self.full_at.len() >= self.most_keys {
            self.drop_soonest(Scaled::MAX);
        }
    }

    /// Evicts the bucket that is full soonest, if it is full by `limit`.
    fn drop_soonest(&mut self, limit: Scaled) -> bool {
        while let Some(mut soonest) = self.soonest.peek_mut() {
            let Reverse((then, key)) = &mut *soonest;
            if *then > limit {
                return false;
            }
            match self.full_at.get(key) {
                Some(&full_at) if full_at > *then => *then = full_at,
                _ => {
                    self.full_at.remove(key);
                    PeekMut::pop(soonest);
                    return true;
                }
            }
        }
        false
    }

    fn scaled(&self, time: Duration) -> Scaled {
        time.as_nanos() * u128::from(self.rate.requests.get())
    }

    fn duration(&self, scaled: Scaled) -> Duration {
        let nanos = scaled.div_ceil(u128::from(self.rate.requests.get()));
        u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
    }
}
