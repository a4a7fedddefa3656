//! Rate limit of a client's frames.

use std::time::Duration;

use crate::config::Ws;
use crate::core::{Buckets, Rate, RetryAfter};

/// Token bucket of frames, with credit for pauses. While the server does not read, the client keeps
/// its pace, and its frames arrive together. Tokens that the full bucket loses in that time are
/// kept as credit.
pub(super) struct FrameRate {
    bucket: Buckets<()>,
    /// Time that one frame costs.
    cost: Duration,
    credit: Duration,
}

impl FrameRate {
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
    fn through(rate: &mut FrameRate, paused: Duration, now: Duration) -> usize {
        let first = usize::from(rate.take(paused, now).is_ok());
        first + (0..10_000).filter(|_| rate.take(Duration::ZERO, now).is_ok()).count()
    }

    fn limit() -> FrameRate {
        let rate = Rate::new(100, Duration::from_secs(1), 50);
        let cost = Duration::from_millis(10);
        FrameRate { bucket: Buckets::new(rate, 1), cost, credit: Duration::ZERO }
    }

    #[test]
    fn read_pause_credits_frames_at_the_rate_at_most() {
        let (none, second) = (Duration::ZERO, Duration::from_secs(1));
        let mut rate = limit();
        assert_eq!(through(&mut rate, none, second), 50);
        // Half of the second filled the bucket; the other half would have been lost.
        assert_eq!(through(&mut rate, second, 2 * second), 100);
        assert_eq!(through(&mut rate, none, 3 * second), 50);
        assert_eq!(through(&mut rate, 9 * second, 13 * second), 50 + 900);
        // Without a pause a client has no credit.
        assert_eq!(through(&mut rate, none, 20 * second), 50);
    }

    #[test]
    fn flood_with_short_pauses_gets_no_extra_credit() {
        let (mut rate, step) = (limit(), Duration::from_millis(1));
        let came = (0..1000_u32).filter(|n| rate.take(step, step * *n).is_ok()).count();
        assert!(came <= 50 + 100, "{came} in a second");
    }
}
