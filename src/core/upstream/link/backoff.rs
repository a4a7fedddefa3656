//! Waits before the next attempt. Only this file uses the library `backoff`.

use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;

use super::LinkSettings;

/// Lower bound of each setting, against busy loops.
const SHORTEST: Duration = Duration::from_millis(10);
/// Lower bound of each wait, against busy loops; or a tenth of the initial limit if that is
/// shorter.
const LEAST_WAIT: Duration = Duration::from_millis(50);
/// Relative spread of the probe interval. Daemons that lost the same server at the same moment then
/// do not return at the same moment.
const PROBE_SPREAD: f64 = 0.2;
/// Doublings after which the shortest interval exceeds any sensible bound.
const MOST_DOUBLINGS: u32 = 64;

impl LinkSettings {
    /// Returns the setting, at least [`SHORTEST`].
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout.max(SHORTEST)
    }

    /// Returns the wait after so many failed attempts: full jitter.
    pub(super) fn backoff_wait(&self, attempt: u32, jitter: f64) -> Duration {
        let (initial, _) = self.bounds();
        let least = (initial / 10).min(LEAST_WAIT);
        let longest = self.longest_backoff(attempt);
        scale(longest, jitter.clamp(0.0, 1.0)).clamp(least, longest)
    }

    /// Returns the upper bound of these waits.
    pub(super) fn longest_backoff(&self, attempt: u32) -> Duration {
        let (initial, max) = self.bounds();
        interval(initial, max, attempt)
    }

    /// Returns the wait in fallback.
    pub(super) fn probe_wait(&self, jitter: f64) -> Duration {
        let offset = 2.0 * jitter.clamp(0.0, 1.0) - 1.0;
        scale(self.probe.max(SHORTEST), 1.0 + PROBE_SPREAD * offset)
    }

    /// Returns the upper bound of these waits.
    pub(super) fn longest_probe(&self) -> Duration {
        self.probe_wait(1.0)
    }

    fn bounds(&self) -> (Duration, Duration) {
        let max = self.backoff_max.max(SHORTEST);
        (self.backoff_initial.clamp(SHORTEST, max), max)
    }
}

/// Returns `initial` after the first failed attempt, twice that after the second, and so on up to
/// `max`.
///
/// The library's own jitter and clock are not used: the interval is read before it adds jitter, and
/// it never gives up.
fn interval(initial: Duration, max: Duration, attempt: u32) -> Duration {
    let mut growing = ExponentialBackoffBuilder::new()
        .with_initial_interval(initial)
        .with_max_interval(max)
        .with_multiplier(2.0)
        .with_randomization_factor(0.0)
        .with_max_elapsed_time(None)
        .build();
    for _ in 1..attempt.min(MOST_DOUBLINGS) {
        if growing.current_interval >= max {
            break;
        }
        growing.next_backoff();
    }
    growing.current_interval
}

/// Scales a span. A factor that is not a number counts as 1; an overflow gives the maximum.
fn scale(span: Duration, factor: f64) -> Duration {
    let scaled = if factor.is_nan() { span.as_secs_f64() } else { span.as_secs_f64() * factor };
    Duration::try_from_secs_f64(scaled).unwrap_or(Duration::MAX)
}
