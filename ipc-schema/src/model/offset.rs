//! How far a wall clock is from UTC.

/// How far a wall clock is from UTC, in quarters of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcOffset(i16);

impl UtcOffset {
    /// Of so many minutes; none if no place on earth has it.
    pub fn from_minutes(minutes: i16) -> Option<Self> {
        ((-12 * 60..=14 * 60).contains(&minutes) && minutes % 15 == 0).then_some(Self(minutes))
    }

    /// In minutes.
    pub fn minutes(self) -> i16 {
        self.0
    }
}
