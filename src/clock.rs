//! Clocks of a program: the wall clock, for people, and one for timeouts.

use std::time::Duration;

use jiff::{Timestamp, Unit};

use crate::core::Now;

/// Reads both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Duration,
}

impl Clock {
    /// Returns a clock whose [`Now::elapsed`] starts at zero.
    pub(crate) fn start() -> Self {
        Self { start: awake_and_asleep() }
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Now {
        let wall = Timestamp::now();
        // Milliseconds are enough, and people have to read it.
        let wall = wall.round(Unit::Millisecond).unwrap_or(wall);
        Now { wall, elapsed: self.elapsed() }
    }

    /// Returns the time since the clock's start.
    pub(crate) fn elapsed(&self) -> Duration {
        awake_and_asleep().saturating_sub(self.start)
    }
}

/// Returns the time since some fixed instant. It includes the machine's sleep, and never jumps.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn awake_and_asleep() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let read = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC))
        .map(Duration::from);
    // Both clocks exist on every Linux since 2.6.39.
    read.unwrap_or_default()
}

/// Returns the time since some fixed instant. `Instant` includes sleep on Windows; elsewhere, sleep
/// does not count as silence.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn awake_and_asleep() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed()
}
