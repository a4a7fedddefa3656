//! Steps of the wall clock.

use jiff::{SignedDuration, Timestamp};

use super::command::Now;

/// Resolution of steps, in minutes: clients' time zones differ by multiples of it.
const QUARTER: i64 = 15;

/// Detects steps of the wall clock: compares it with elapsed time since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ClockSteps {
    /// Wall clock time at the start of elapsed time; `None` before the first look.
    origin: Option<Timestamp>,
}

impl ClockSteps {
    /// Starts with a clock that has not stepped at `now`.
    pub(crate) fn start(now: Now) -> Self {
        Self { origin: origin(now) }
    }

    /// Returns the minutes by which the clock was set forward, rounded to 15. A step below 7.5
    /// minutes counts as 0 and adds up with later steps.
    pub(crate) fn ahead(&self, now: Now) -> i64 {
        let (Some(before), Some(after)) = (self.origin, origin(now)) else { return 0 };
        let (seconds, quarter) = (after.duration_since(before).as_secs(), QUARTER * 60);
        (seconds + quarter / 2).div_euclid(quarter) * QUARTER
    }

    /// Marks a step of `minutes` as handled.
    pub(crate) fn follow(&mut self, minutes: i64) {
        let step = SignedDuration::from_mins(minutes);
        self.origin = self.origin.and_then(|origin| origin.checked_add(step).ok());
    }
}

fn origin(now: Now) -> Option<Timestamp> {
    let elapsed = SignedDuration::try_from(now.elapsed).ok()?;
    now.wall.checked_sub(elapsed).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now(wall_secs: i64, elapsed_secs: u64) -> Now {
        let wall = Timestamp::from_second(1_800_000_000 + wall_secs).expect("a time");
        Now { wall, elapsed: Duration::from_secs(elapsed_secs) }
    }

    #[test]
    fn clock_step_is_reported_in_quarters_of_an_hour() {
        let clock = ClockSteps::start(now(0, 0));
        for (seconds, minutes) in [
            (0, 0),
            (449, 0),
            (450, 15),
            (-449, 0),
            (-480, -15),
            (3600, 60),
            (-3600, -60),
            (-90_000, -1500),
        ] {
            assert_eq!(clock.ahead(now(1000 + seconds, 1000)), minutes, "{seconds} s");
        }
        assert_eq!(ClockSteps::default().ahead(now(3600, 0)), 0);
    }

    #[test]
    fn clock_step_is_reported_until_it_is_followed() {
        let mut clock = ClockSteps::start(now(0, 0));
        clock.follow(clock.ahead(now(3610, 10)));
        assert_eq!(clock.ahead(now(3620, 20)), 0);
        // Steps that are too small to report add up.
        assert_eq!(clock.ahead(now(3620 + 300, 20)), 0);
        assert_eq!(clock.ahead(now(3620 + 460, 20)), 15);
        assert_eq!(clock.ahead(now(20, 20)), -60);
    }
}
