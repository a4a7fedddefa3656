//! Writer, with a thread of its own because commits wait for the disk.

use std::sync::{Arc, Mutex, PoisonError};

use actix::{Actor, Handler, SyncContext};

use super::database::{Committed, Database};
use super::error::StoreError;
use super::messages::{Close, Commit};

/// The only writer of the database; started with one thread:
///
/// The arbiter's queue is unbounded: the sender keeps one [`Commit`] in flight and gathers the next
/// meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Persister(Arc<Mutex<Database>>);

impl Persister {
    /// Creates the writer of a database.
    pub(crate) fn new(database: Database) -> Self {
        Self(Arc::new(Mutex::new(database)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Database) -> T) -> T {
        // A commit that panicked was rolled back by the transaction's drop.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Actor for Persister {
    type Context = SyncContext<Self>;
}

impl Handler<Commit> for Persister {
    type Result = Result<Committed, StoreError>;

    fn handle(&mut self, commit: Commit, _: &mut Self::Context) -> Self::Result {
        self.with(|database| database.commit(&commit.writes, &commit.seen))
    }
}

crate::health::answers_ping!(Persister);

impl Handler<Close> for Persister {
    type Result = ();

    fn handle(&mut self, _: Close, _: &mut Self::Context) {
        self.with(Database::close);
    }
}
