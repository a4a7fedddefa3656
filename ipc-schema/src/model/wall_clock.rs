//! Wall clocks of clients, inferred from the times that they send.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};

/// Years of accepted times; Python's `datetime` supports no others.
const YEARS: RangeInclusive<i16> = 1..=9999;

/// True for a time that all clients can parse, in UTC.
pub fn is_readable(time: Timestamp) -> bool {
    YEARS.contains(&Offset::UTC.to_datetime(time).year())
}

/// Granularity of offsets, in seconds: the offset of every zone in use is a multiple of it.
const STEP: i64 = 15 * 60;

/// Offset of a wall clock from UTC: a multiple of 15 minutes from -12:00 to +14:00.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcOffset {
    minutes: i16,
}

impl UtcOffset {
    /// Returns the offset for minutes ahead of UTC; `None` for an offset that no zone uses.
    pub fn from_minutes(minutes: i16) -> Option<Self> {
        let is_used = (-12 * 60..=14 * 60).contains(&minutes) && minutes % 15 == 0;
        is_used.then_some(Self { minutes })
    }

    /// Returns the minutes ahead of UTC.
    pub fn minutes(self) -> i16 {
        self.minutes
    }

    /// Infers the wall clock of a client that sends `last_seen` at `now`, to the nearest quarter of
    /// an hour. Returns `None` for an offset that no zone uses.
    pub fn infer(last_seen: LastSeen, now: Timestamp) -> Option<Self> {
        let seconds = match last_seen.offset {
            Some(offset) => i64::from(offset.seconds()),
            None => Offset::UTC.to_timestamp(last_seen.local).ok()?.as_second() - now.as_second(),
        };
        let minutes = (seconds + STEP / 2).div_euclid(STEP) * (STEP / 60);
        Self::from_minutes(minutes.try_into().ok()?)
    }

    /// Returns the offset of the same client relative to a clock that was put forward by `minutes`.
    /// Returns `None` for an offset that no zone uses.
    pub fn after_step(self, minutes: i64) -> Option<Self> {
        let shifted = i64::from(self.minutes).checked_sub(minutes)?;
        Self::from_minutes(shifted.try_into().ok()?)
    }

    /// Returns the time zone with this fixed offset.
    pub fn zone(self) -> TimeZone {
        // The offset is at most 14 hours and jiff allows 25, so the UTC default is unreachable.
        let offset = Offset::from_seconds(i32::from(self.minutes) * 60).unwrap_or(Offset::UTC);
        TimeZone::fixed(offset)
    }
}

/// Time that a client sent, by its wall clock, with the offset if it sent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen {
    /// Time of its wall clock.
    pub local: DateTime,
    /// Offset from UTC, if the client sent one.
    pub offset: Option<Offset>,
}

impl std::str::FromStr for LastSeen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "it must be an ISO 8601 date and time";
        const RANGE: &str = "it must be in the years 1 to 9999";
        let pieces = Pieces::parse(text).map_err(|_| RULE)?;
        let local = pieces.date().to_datetime(pieces.time().ok_or(RULE)?);
        let offset = pieces.to_numeric_offset();
        let is_readable = YEARS.contains(&local.year())
            && offset.is_none_or(|offset| offset.to_timestamp(local).is_ok_and(is_readable));
        if is_readable { Ok(Self { local, offset }) } else { Err(RANGE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infer(last_seen: &str) -> Option<i16> {
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        UtcOffset::infer(last_seen.parse().expect("a time"), now).map(UtcOffset::minutes)
    }

    #[test]
    fn a_clock_is_inferred_to_the_quarter_of_an_hour() {
        for (last_seen, minutes) in [
            ("2026-11-22T12:00:00", Some(0)),
            ("2026-11-22T12:07:29.999999", Some(0)),
            ("2026-11-22 12:07:30", Some(15)),
            ("2026-11-22T11:52:31", Some(0)),
            ("2026-11-22T11:52:29", Some(-15)),
            ("2026-11-22T17:30:04.5", Some(330)),
            ("2026-11-22T00:00:00", Some(-720)),
            ("2026-11-23T02:00:00", Some(840)),
            ("2026-11-23T02:10:00", None),
            ("2026-11-21T23:50:00", None),
            ("9999-12-31T23:59:59", None),
            ("0001-01-01T00:00:00", None),
        ] {
            assert_eq!(infer(last_seen), minutes, "{last_seen}");
        }
    }

    #[test]
    fn an_offset_that_is_named_counts_whatever_the_time() {
        for (last_seen, minutes) in [
            ("1999-01-01T00:00:00Z", Some(0)),
            ("1999-01-01T00:00:00+02:00", Some(120)),
            ("1999-01-01 00:00:00.123456-0330", Some(-210)),
            ("1999-01-01T00:00:00+05:38", Some(345)),
            ("1999-01-01T00:00:00+14:15", None),
            ("9999-12-30T09:59:59-12:00", Some(-720)),
            ("0001-01-01T14:00:00+14:00", Some(840)),
        ] {
            assert_eq!(infer(last_seen), minutes, "{last_seen}");
        }
    }

    #[test]
    fn a_step_of_our_clock_moves_the_offsets_of_others() {
        let offset = |minutes| UtcOffset::from_minutes(minutes).expect("an offset");
        assert_eq!(offset(120).after_step(60), Some(offset(60)));
        assert_eq!(offset(0).after_step(-60), Some(offset(60)));
        for step in [900, -900, 7, i64::MIN] {
            assert_eq!(offset(0).after_step(step), None, "{step}");
        }
    }

    #[test]
    fn what_is_no_date_and_time_is_refused() {
        for text in ["", "yesterday", "2026-11-22", "2026-02-30T10:00", "2026-11-22T10:00 junk"] {
            assert!(text.parse::<LastSeen>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn times_outside_the_years_1_to_9999_are_refused() {
        for text in [
            "-000001-01-01T00:00:00",
            "-009999-01-01T00:00:00",
            "0000-12-31T23:59:59",
            "0001-01-01T13:59:59+14:00",
            "9999-12-31T23:59:59-12:00",
        ] {
            assert!(text.parse::<LastSeen>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_zone_s_clock_is_ahead_by_the_offset() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("a time");
        for minutes in (-720..=840).step_by(15) {
            let offset = UtcOffset::from_minutes(minutes).expect("an offset");
            let local = offset.zone().to_datetime(now);
            assert_eq!(UtcOffset::infer(LastSeen { local, offset: None }, now), Some(offset));
        }
        for minutes in [-735, 7, 855] {
            assert_eq!(UtcOffset::from_minutes(minutes), None, "{minutes}");
        }
    }
}
