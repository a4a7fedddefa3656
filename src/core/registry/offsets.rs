//! Offsets of clients' wall clocks from the wall clock here, which may step.

use lanrage_ipc::model::UtcOffset;

use super::Registry;
use super::changes::Effect;
use super::transaction::Transaction;
use crate::core::command::Now;

impl Registry {
    /// Converts a stored offset to the current wall clock.
    pub(super) fn offset_at(&self, noted: Option<UtcOffset>, now: Now) -> Option<UtcOffset> {
        noted?.after_step(self.clock.ahead(now))
    }
}

impl Transaction<'_> {
    /// Converts a current offset for storage. Until the next clean-up, stored offsets count from
    /// the clock before the step.
    pub(super) fn noted_offset(&self, offset: Option<UtcOffset>) -> Option<UtcOffset> {
        offset?.after_step(-self.registry.clock.ahead(self.now))
    }

    /// Adjusts all stored offsets after a step of the wall clock. This neither refreshes nor
    /// visibly changes the members.
    pub(super) fn follow_clock(&mut self) {
        let minutes = self.registry.clock.ahead(self.now);
        if minutes == 0 {
            return;
        }
        self.registry.clock.follow(minutes);
        self.effect = Some(Effect::ClockFollowed { minutes });
        let mut noted = Vec::new();
        for (party_id, party) in self.registry.parties.iter() {
            for (peer_id, member) in party.members.iter() {
                if let Some(offset) = member.record.utc_offset {
                    noted.push((party_id.clone(), peer_id.clone(), offset));
                }
            }
        }
        for (party_id, peer_id, offset) in noted {
            let Ok(member) = self.member(&party_id, &peer_id) else { continue };
            let (seen, keeper, mut record) = (member.seen, member.keeper, member.record.clone());
            record.utc_offset = offset.after_step(minutes);
            self.put_member(&party_id, record, keeper);
            self.registry.with_member(&party_id, &peer_id, |member| member.seen = seen);
        }
    }
}
