//! Connections, configured for their use.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, ffi};

use super::files;

/// Time limit of the wait for another process.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// Limit of a value or statement, in bytes: far above our rows. A damaged length can't allocate
/// more memory than this.
const LONGEST: i32 = 1 << 20;

/// Opens an existing database, without locking or writing it.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Opens an existing database read-only.
pub(super) fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn with_flags(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let untrusted = |error: io::Error| failure(ffi::SQLITE_CANTOPEN, &error.to_string());
    files::check_database(path).map_err(untrusted)?;
    // SQLite takes a link anywhere in the path for one, and the state may be behind one.
    let path = match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(directory)), Some(name)) => &directory.join(name),
        _ => path,
    };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// Prepares a connection for writing. Returns false if the file system supports no write-ahead log.
pub(super) fn prepare_writer(connection: &Connection) -> rusqlite::Result<bool> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    // The log is kept and written over; after an unusually large commit it shrinks to this.
    connection.pragma_update(None, "journal_size_limit", 8 << 20)?;
    set_flush(connection, Flush::Commits)?;
    Ok(mode == "wal")
}

/// Operations that flush to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    /// Every commit.
    Commits,
    /// Checkpoints. Commits survive the end of this process, and reach the disk with the next
    /// flush.
    Merges,
    /// None: for a file that is flushed when it is complete.
    Nothing,
}

/// Sets the operations that flush.
pub(super) fn set_flush(connection: &Connection, flush: Flush) -> rusqlite::Result<()> {
    let level = match flush {
        Flush::Commits => "FULL",
        Flush::Merges => "NORMAL",
        Flush::Nothing => "OFF",
    };
    connection.pragma_update(None, "synchronous", level)
}

/// Checkpoints the log into the database, flushes that, and empties the log.
pub(super) fn restart_log(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy { Err(failure(ffi::SQLITE_BUSY, "its log is being read")) } else { Ok(()) }
}

/// Turns a database into one file, without a log until a writer opens it.
pub(super) fn fold(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0))?;
    match mode.as_str() {
        "delete" => Ok(()),
        _ => Err(failure(ffi::SQLITE_IOERR, "its log could not be merged")),
    }
}

fn failure(code: i32, message: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(message.into()))
}

/// Copies one database into another, in one step: a step is consistent, and several would restart
/// after each commit.
pub(super) fn copy_all(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    Backup::new(from, to)?.step(-1).map(drop)
}
