//! The two clocks: the wall's, for people, and one for timeouts.

use std::time::Duration;

use jiff::{Timestamp, Unit};

use crate::core::Now;

/// Reads both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Duration,
}

impl Clock {
    /// A clock whose [`Now::elapsed`] starts at zero.
    pub(crate) fn start() -> Self {
        Self { start: awake_and_asleep() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Now {
        let wall = Timestamp::now();
        // Nobody needs more than milliseconds, and people have to read it.
        let wall = wall.round(Unit::Millisecond).unwrap_or(wall);
        Now { wall, elapsed: self.elapsed() }
    }

    /// How long it has run.
    pub(crate) fn elapsed(&self) -> Duration {
        awake_and_asleep().saturating_sub(self.start)
    }
}

/// Time since some fixed instant; goes on while the machine sleeps, and never jumps.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn awake_and_asleep() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let read = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC))
        .map(Duration::from);
    // Both clocks exist on every Linux since 2.6.39.
    read.unwrap_or_default()
}

/// Time since some fixed instant. `Instant` counts sleep on Windows; where it does not, a sleep
/// doesn't count as silence.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn awake_and_asleep() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed()
}
