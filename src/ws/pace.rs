//! Rate limit of a client's frames.

use std::time::Duration;

use crate::config::Ws;
use crate::core::{Buckets, Rate, RetryAfter};

/// Token bucket of frames, with credit for pauses. While the server does not read, the client keeps
/// its pace, and its frames arrive together. Tokens that the full bucket loses in that time are
/// kept as credit.
pub(super) struct Pace {
    bucket: Buckets<()>,
    /// Time that one frame costs.
    cost: Duration,
    credit: Duration,
}

impl Pace {
    pub(super) fn new(limits: &Ws) -> Self {
        let second = Duration::from_secs(1);
        let rate = Rate::new(limits.frames_per_second, second, limits.frames_burst);
        Self {
            bucket: Buckets::new(rate, 1),
            cost: second / rate.requests.get(),
            credit: Duration::ZERO,
        }
    }

    /// Takes a frame at `now`, after the server paused for that long.
    ///
    /// # Errors
    /// Time to wait, if the frame comes too soon.
    pub(super) fn take(&mut self, paused: Duration, now: Duration) -> Result<(), RetryAfter> {
        if !paused.is_zero() {
            self.credit += paused.min(self.bucket.full_for(&(), now));
        }
        let taken = self.bucket.take((), now);
        match (taken, self.credit.checked_sub(self.cost)) {
            (Err(_), Some(left)) => {
                self.credit = left;
                Ok(())
            }
            (taken, _) => taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of frames that come through at `now`.
    fn through(pace: &mut Pace, paused: Duration, now: Duration) -> usize {
        let first = usize::from(pace.take(paused, now).is_ok());
        first + (0..10_000).filter(|_| pace.take(Duration::ZERO, now).is_ok()).count()
    }

    fn pace() -> Pace {
        let rate = Rate::new(100, Duration::from_secs(1), 50);
        let cost = Duration::from_millis(10);
        Pace { bucket: Buckets::new(rate, 1), cost, credit: Duration::ZERO }
    }

    #[test]
    fn a_pause_credits_no_more_than_the_rate() {
        let (none, second) = (Duration::ZERO, Duration::from_secs(1));
        let mut pace = pace();
        assert_eq!(through(&mut pace, none, second), 50);
        // Half of the second filled the bucket; the other half would have been lost.
        assert_eq!(through(&mut pace, second, 2 * second), 100);
        assert_eq!(through(&mut pace, none, 3 * second), 50);
        assert_eq!(through(&mut pace, 9 * second, 13 * second), 50 + 900);
        // Without a pause a client has no credit.
        assert_eq!(through(&mut pace, none, 20 * second), 50);
    }

    #[test]
    fn a_flood_gains_nothing_by_short_pauses() {
        let (mut pace, step) = (pace(), Duration::from_millis(1));
        let came = (0..1000_u32).filter(|n| pace.take(step, step * *n).is_ok()).count();
        assert!(came <= 50 + 100, "{came} in a second");
    }
}
