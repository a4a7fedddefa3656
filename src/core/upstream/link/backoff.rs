//! How long to wait for the next attempt. The only file that knows the library `backoff`.

use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;

use super::Settings;

/// No setting is shorter: nothing spins.
const SHORTEST: Duration = Duration::from_millis(10);
/// No wait need be longer so that nothing spins; a tenth of the initial limit if that is shorter.
const LEAST_WAIT: Duration = Duration::from_millis(50);
/// How far from its middle a probe may come, so that daemons that lost the same server at the same
/// moment don't come back at the same moment.
const PROBE_SPREAD: f64 = 0.2;
/// From the shortest interval so many doublings lead to more than any that is meant.
const MOST_DOUBLINGS: u32 = 64;

impl Settings {
    /// See the field.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout.max(SHORTEST)
    }

    /// The wait after so many attempts that failed: full jitter.
    pub(super) fn backoff_wait(&self, attempt: u32, jitter: f64) -> Duration {
        let (initial, _) = self.bounds();
        let least = (initial / 10).min(LEAST_WAIT);
        let longest = self.longest_backoff(attempt);
        scale(longest, jitter.clamp(0.0, 1.0)).clamp(least, longest)
    }

    /// The longest of these waits.
    pub(super) fn longest_backoff(&self, attempt: u32) -> Duration {
        let (initial, max) = self.bounds();
        interval(initial, max, attempt)
    }

    /// The wait in fallback.
    pub(super) fn probe_wait(&self, jitter: f64) -> Duration {
        let offset = 2.0 * jitter.clamp(0.0, 1.0) - 1.0;
        scale(self.probe.max(SHORTEST), 1.0 + PROBE_SPREAD * offset)
    }

    /// The longest of these waits.
    pub(super) fn longest_probe(&self) -> Duration {
        self.probe_wait(1.0)
    }

    fn bounds(&self) -> (Duration, Duration) {
        let max = self.backoff_max.max(SHORTEST);
        (self.backoff_initial.clamp(SHORTEST, max), max)
    }
}

/// `initial` for the first attempt that failed, twice that for the second, and so on up to `max`.
///
/// The library's own chance and its clock have no part in it: what it would wait for is read
/// before it adds anything to that, and it never gives up.
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

/// What is no number scales nothing; what no span can hold is the longest there is.
fn scale(span: Duration, factor: f64) -> Duration {
    let scaled = if factor.is_nan() { span.as_secs_f64() } else { span.as_secs_f64() * factor };
    Duration::try_from_secs_f64(scaled).unwrap_or(Duration::MAX)
}
