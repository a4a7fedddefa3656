//! Backups: on request, and periodic. They are made beside the writer, one at a time.

use std::path::PathBuf;

use actix::prelude::*;
use jiff::Timestamp;

use super::{BackupError, Database, Layout, backup, rotate_backups};

/// Writes a verified backup to a free path; answered with its size in bytes.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, BackupError>")]
pub(crate) struct BackUp {
    /// Destination.
    pub(crate) path: PathBuf,
}

/// Adds a backup to those for recovery, and removes the oldest beyond `kept`.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct RotateBackups {
    /// Number of backups to keep.
    pub(crate) kept: usize,
}

/// Actor that writes backups of the state.
#[derive(Debug)]
pub(crate) struct Archive {
    database: PathBuf,
    layout: Layout,
}

impl Archive {
    /// Creates the actor of a database.
    pub(crate) fn new(database: &Database, layout: Layout) -> Self {
        Self { database: database.path().to_owned(), layout }
    }
}

impl Actor for Archive {
    type Context = Context<Self>;
}

impl Handler<BackUp> for Archive {
    type Result = AtomicResponse<Self, Result<u64, BackupError>>;

    fn handle(&mut self, BackUp { path }: BackUp, _: &mut Self::Context) -> Self::Result {
        let database = self.database.clone();
        let copying = tokio::task::spawn_blocking(move || backup(&database, &path));
        AtomicResponse::new(Box::pin(async { finished(copying.await) }.into_actor(self)))
    }
}

impl Handler<RotateBackups> for Archive {
    type Result = AtomicResponse<Self, ()>;

    fn handle(
        &mut self,
        RotateBackups { kept }: RotateBackups,
        _: &mut Self::Context,
    ) -> Self::Result {
        let database = self.database.clone();
        let backups = database.with_file_name(self.layout.backups);
        let rotating = tokio::task::spawn_blocking(move || {
            rotate_backups(&database, &backups, Timestamp::now(), kept)
        });
        let told = async {
            match finished(rotating.await) {
                Ok(Some(path)) => log::info!("the state was copied to {}", path.display()),
                Ok(None) => log::debug!("backup skipped: the newest one has the same state"),
                Err(error) => log::error!("the regular backup failed: {error}"),
            }
        };
        AtomicResponse::new(Box::pin(told.into_actor(self)))
    }
}

/// Returns the result of the blocking thread, whose panic ends the process.
fn finished<T>(
    result: Result<Result<T, BackupError>, tokio::task::JoinError>,
) -> Result<T, BackupError> {
    result.unwrap_or_else(|error| Err(BackupError::Unsound(error.to_string())))
}
