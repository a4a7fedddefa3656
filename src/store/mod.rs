//! The state on disk: one SQLite file, and the only module that uses SQL.
//!
//! [`open()`] makes sure, before any actor starts, that what it hands out is exactly what was
//! committed, and says so where it is not. [`Persister`] is the one writer: a [`Commit`] is
//! answered when it is durable. [`backup()`] and [`rotate_backups`] read on a connection of their
//! own, so that commits go on meanwhile.
//!
//! | file | |
//! |---|---|
//! | `open` | what becomes of the state directory at a start |
//! | `inspect` | whether a database is sound |
//! | `wal` | whether the write-ahead log still holds all that was committed to it |
//! | `recovery` | setting damaged files aside, putting the best that is left in their place |
//! | `database`, `rows`, `fields`, `connection` | committing rows, rows to columns and back, connections |
//! | `schema` | migrations; `schema.sql` is what they add up to |
//! | `backup`, `rotation` | verified copies, and the hourly ones |
//! | `actor`, `messages` | the writer's thread |
//! | `archive` | the actor that makes copies |
//!
//! # What may fail, and how it shows
//!
//! - A damaged file is never an error and never an empty state: see [`Opened::recovery`].
//! - What no recovery should touch is an [`OpenError`]: another program's file, a newer schema, a
//!   lock, a disk that does not answer. Then every file is as it was.
//! - A commit that fails has changed nothing, and the next one may succeed: see [`StoreError`].

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

/// Names of a program's files in its state directory, which the daemon and the server may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The database.
    pub(crate) database: &'static str,
    /// The directory of the backups that recovery looks for.
    pub(crate) backups: &'static str,
}

impl Layout {
    /// The daemon's.
    pub(crate) const DAEMON: Self = Self { database: "control.db", backups: "backups" };
    /// The server's.
    pub(crate) const SERVER: Self = Self { database: "server.db", backups: "server-backups" };
}
