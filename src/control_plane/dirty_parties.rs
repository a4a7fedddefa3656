//! Dirty set: parties with changes for another actor, which takes them in its own time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lanrage_ipc::model::PartyId;
use tokio::sync::Notify;

use crate::core::DirtySet;

/// Dirty parties that were not taken yet.
#[derive(Debug, Default)]
pub(crate) struct DirtyParties {
    noted: Mutex<DirtySet>,
    changed: Notify,
}

impl DirtyParties {
    /// Marks a party as dirty.
    pub(crate) fn note(&self, party_id: PartyId) {
        self.noted().add(party_id);
        self.changed.notify_one();
    }

    /// Marks all parties as dirty.
    pub(crate) fn note_any(&self) {
        *self.noted() = DirtySet::Any;
        self.changed.notify_one();
    }

    /// Waits until a party is dirty.
    pub(crate) async fn wait(&self) {
        while !self.has_any() {
            self.changed.notified().await;
        }
    }

    /// True if a party is dirty.
    pub(crate) fn has_any(&self) -> bool {
        *self.noted() != DirtySet::default()
    }

    /// Takes the dirty parties.
    pub(crate) fn take(&self) -> DirtySet {
        std::mem::take(&mut *self.noted())
    }

    /// Returns the dirty parties, which stay dirty.
    pub(crate) fn get(&self) -> DirtySet {
        self.noted().clone()
    }

    fn noted(&self) -> MutexGuard<'_, DirtySet> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::MOST_DIRTY as MOST_NAMED;

    fn id(number: usize) -> PartyId {
        format!("p{number}").parse().expect("an id")
    }

    #[test]
    fn dirty_parties_are_named_up_to_a_bound() {
        let dirty = DirtyParties::default();
        assert_eq!(dirty.take(), DirtySet::default());
        for number in 0..MOST_NAMED {
            dirty.note(id(number));
            dirty.note(id(0));
        }
        let noted = dirty.take();
        assert!(noted.has(&id(MOST_NAMED - 1)) && !noted.has(&id(MOST_NAMED)));
        assert_eq!(dirty.take(), DirtySet::default());

        (0..=MOST_NAMED).for_each(|number| dirty.note(id(number)));
        assert_eq!(dirty.take(), DirtySet::Any);
    }

    #[tokio::test]
    async fn wait_ends_once_a_party_is_dirty() {
        use futures_util::FutureExt;

        let dirty = DirtyParties::default();
        let mut waits = Box::pin(dirty.wait());
        assert!((&mut waits).now_or_never().is_none());
        dirty.note(id(1));
        assert!((&mut waits).now_or_never().is_some());
        // The remaining parties are still dirty.
        assert!(dirty.wait().now_or_never().is_some());
        dirty.take();
        assert!(dirty.wait().now_or_never().is_none());
    }
}
