//! Bounds of the tables that were reached, as the operator is told.

use std::collections::HashMap;
use std::time::Duration;

use crate::core::Refusal;

/// Time between two warnings of one cause.
const INTERVAL: Duration = Duration::from_secs(60);

/// Bounds that were reached, by the remedy, with the time of the last warning. There are as many
/// remedies as bounds.
#[derive(Debug, Default)]
pub(super) struct BoundsReached(HashMap<String, Duration>);

impl BoundsReached {
    /// Warns of a refusal for lack of room, once a minute for each bound.
    pub(super) fn warn(&mut self, refusal: &Refusal, elapsed: Duration) {
        let Some(remedy) = refusal.remedy() else { return };
        let last = self.0.get(&remedy);
        if last.is_none_or(|last| elapsed.saturating_sub(*last) >= INTERVAL) {
            log::warn!("a limit is reached: {refusal}; remedy: {remedy}");
            self.0.insert(remedy, elapsed);
        }
    }
}
