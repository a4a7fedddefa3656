//! The state on disk: one SQLite file, and the only module that uses SQL.
//!
//! Before any actor starts, [`open()`] checks that the state is exactly the committed one, and
//! reports damage. [`Persister`] is the only writer: a [`Commit`] is answered when it is durable.
//! [`backup()`] and [`rotate_backups`] read on connections of their own, so that commits go on.
//!
//! | file | |
//! |---|---|
//! | `open` | opening of the state directory at a start |
//! | `inspect` | soundness of a database |
//! | `wal` | completeness of the write-ahead log |
//! | `recovery` | setting damaged files aside, restoring the best available state |
//! | `database`, `rows`, `fields`, `connection` | committing rows, rows to columns and back, connections |
//! | `schema` | migrations; `schema.sql` is their result |
//! | `backup`, `rotation` | verified copies, and the hourly ones |
//! | `actor`, `messages` | the writer's thread |
//! | `archive` | the actor that writes backups |
//!
//! # Failures
//!
//! - A damaged file is never an error and never an empty state: see [`Opened::recovery`].
//! - A state that no recovery may touch is an [`OpenError`]: another program's file, a newer schema,
//!   a lock, an unresponsive disk. No file changes then.
//! - A failed commit changes nothing, and the next one may succeed: see [`StoreError`].

mod actor;
mod archive;
mod backup;
mod connection;
mod database;
mod error;
mod fields;
mod files;
mod inspect;
mod messages;
mod open;
mod recovery;
mod rotation;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod wal;

pub(crate) use actor::Persister;
pub(crate) use archive::{Archive, BackUp, RotateBackups};
pub(crate) use backup::backup;
pub(crate) use database::{Committed, Database};
pub(crate) use error::BackupError;
#[cfg(test)]
pub(crate) use error::{OpenError, StoreError, StoreErrorKind};
pub(crate) use messages::{Close, Commit};
pub(crate) use open::{OpenOptions, Opened, make_dir, open};
pub(crate) use recovery::Recovery;
pub(crate) use rotation::rotate_backups;
pub(crate) use rows::{Rows, Sizes};

/// Names of a program's files in its state directory, which the daemon and the server may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Database.
    pub(crate) database: &'static str,
    /// Directory of the backups for recovery.
    pub(crate) backups: &'static str,
}

impl Layout {
    /// Layout of the daemon.
    pub(crate) const DAEMON: Self = Self { database: "control.db", backups: "backups" };
    /// Layout of the server.
    pub(crate) const SERVER: Self = Self { database: "server.db", backups: "server-backups" };
}
