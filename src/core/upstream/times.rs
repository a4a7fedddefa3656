//! Conversion of the server's times to this machine's clock.

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::model::is_readable;

use super::session::Session;
use crate::core::Now;
use crate::core::reconcile::{ServerMember, ServerParty};

/// Difference in seconds below which two clocks show the same time.
const SAME: i64 = 2;

/// Conversion of the server's times to this machine's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Current time of this machine.
    pub(super) now: Timestamp,
    /// Lead of the server's clock, in seconds.
    pub(super) ahead: i64,
}

impl Times {
    /// Converts the times of a party.
    pub(super) fn convert_party(self, party: &mut ServerParty) {
        party.created_at = self.ours(party.created_at);
        party.members.values_mut().for_each(|member| self.convert_member(member));
    }

    /// Converts the time of a member.
    pub(super) fn convert_member(self, member: &mut ServerMember) {
        member.last_seen = self.ours(member.last_seen);
    }

    fn ours(self, theirs: Timestamp) -> Timestamp {
        let ahead = if self.ahead.abs() < SAME { 0 } else { self.ahead };
        let shifted = theirs.checked_sub(SignedDuration::from_secs(ahead)).ok();
        // A stored time must be readable again, whatever the server's clock shows.
        shifted.filter(|time| is_readable(*time)).unwrap_or(theirs).min(self.now)
    }
}

impl Session {
    pub(super) fn times(&self) -> Times {
        let ahead = self.settings.clock_ahead - set_since(self.opened, self.now);
        Times { now: self.now.wall, ahead }
    }
}

/// Seconds by which this machine's wall clock was set forward; negative if it was set back.
fn set_since(before: Now, now: Now) -> i64 {
    let elapsed = now.elapsed.saturating_sub(before.elapsed);
    let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
    // Whole seconds: the two clocks are not read at the same instant.
    now.wall.duration_since(before.wall).saturating_sub(elapsed).as_secs()
}
