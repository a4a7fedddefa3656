//! Which parties something was noted of for a control server, from who notes it to who tells it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lanrage_ipc::model::PartyId;
use tokio::sync::Notify;

use crate::core::Noted;

/// The parties of which something was noted and that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Outbox {
    noted: Mutex<Noted>,
    changed: Notify,
}

impl Outbox {
    /// Something was noted of a party.
    pub fn note(&self, party_id: PartyId) {
        self.noted().add(party_id);
        self.changed.notify_one();
    }

    /// What was noted is still to be told.
    pub fn put_back(&self, noted: Noted) {
        match noted {
            Noted::Some(parties) => parties.into_iter().for_each(|party_id| self.note(party_id)),
            Noted::Any => {
                *self.noted() = Noted::Any;
                self.changed.notify_one();
            }
        }
    }

    /// Waits until something is noted.
    pub async fn wait(&self) {
        while *self.noted() == Noted::default() {
            self.changed.notified().await;
        }
    }

    /// Takes what was noted.
    pub fn take(&self) -> Noted {
        std::mem::take(&mut *self.noted())
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::MOST_NOTED as MOST_NAMED;

    fn id(number: usize) -> PartyId {
        format!("p{number}").parse().expect("an id")
    }

    #[test]
    fn the_parties_are_named_as_long_as_they_are_few() {
        let outbox = Outbox::default();
        assert_eq!(outbox.take(), Noted::default());
        for number in 0..MOST_NAMED {
            outbox.note(id(number));
            outbox.note(id(0));
        }
        let noted = outbox.take();
        assert!(noted.has(&id(MOST_NAMED - 1)) && !noted.has(&id(MOST_NAMED)));
        assert_eq!(outbox.take(), Noted::default());

        outbox.put_back(noted);
        outbox.note(id(MOST_NAMED));
        let noted = outbox.take();
        assert_eq!(noted, Noted::Any);
        assert!(noted.has(&id(MOST_NAMED + 1)));
        outbox.note(id(0));
        outbox.put_back(noted);
        assert_eq!(outbox.take(), Noted::Any);
    }

    #[tokio::test]
    async fn who_waits_is_woken_once_something_is_noted() {
        use futures_util::FutureExt;

        let outbox = Outbox::default();
        let mut waits = Box::pin(outbox.wait());
        assert!((&mut waits).now_or_never().is_none());
        outbox.note(id(1));
        assert!((&mut waits).now_or_never().is_some());
        // What is not taken is still there.
        assert!(outbox.wait().now_or_never().is_some());
        outbox.take();
        assert!(outbox.wait().now_or_never().is_none());
    }
}
