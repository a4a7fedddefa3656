//! Errors of the store, with their remedies.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Failure to open the state. No file was changed, except during a recovery, which loses none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The directory or a file in it cannot be used.
    #[error(
        "cannot {action} {}: {cause}: the state directory must be writable for this user \
         (or choose another one, --state-dir)", path.display()
    )]
    Io {
        /// Action that failed.
        action: &'static str,
        /// Path of the action.
        path: PathBuf,
        /// Error of the system.
        cause: io::Error,
    },
    /// Other users can change the directory or a file in it.
    #[error("cannot use the state: {cause}; or choose another state directory, --state-dir")]
    Untrusted {
        /// Reason, with the path.
        cause: io::Error,
    },
    /// SQLite can't use the file, although it is not damaged.
    #[error(
        "cannot use {}: {reason}: this user must be able to write it and its directory, and the \
         disk must have room", path.display()
    )]
    Unusable {
        /// The database.
        path: PathBuf,
        /// Message of SQLite.
        reason: String,
    },
    /// Another process has the file open.
    #[error("{} is locked by another process: stop that one first", .0.display())]
    Locked(PathBuf),
    /// The file was written by another application.
    #[error(
        "{} is a database of another application (its application_id is {application_id:#x}): \
         move it away, or choose another --state-dir", path.display()
    )]
    Foreign {
        /// The database.
        path: PathBuf,
        /// Application id of the file.
        application_id: i32,
    },
    /// The file was written by a newer version of this program.
    #[error(
        "{} has schema version {found}, and this program knows none above {known}: run the newer \
         version again, or choose another --state-dir", path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Schema version of the file.
        found: u32,
        /// Newest schema version that this program knows.
        known: u32,
    },
    /// The linked SQLite has a bug that can lose commits.
    #[error("SQLite {0} cannot be trusted with a write-ahead log: 3.51.3 is the oldest that can")]
    SqliteTooOld(&'static str),
}

/// Failure of a commit, which is reverted; the next may succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub(crate) struct StoreError {
    /// Kind of the failure.
    pub(crate) kind: StoreErrorKind,
    /// The database.
    pub(crate) path: PathBuf,
    /// Message of SQLite.
    pub(crate) detail: String,
}

/// Kind of a failed commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreErrorKind {
    /// The disk or quota is full.
    Full,
    /// The disk fails, or the file cannot be reached.
    Io,
    /// The file may not be written.
    ReadOnly,
    /// Another process holds the file.
    Locked,
    /// The file is damaged.
    Damaged,
    /// The file was removed or replaced while it was open.
    Moved,
    /// The rows break a rule of the schema: a defect of the caller.
    Rejected,
}

impl StoreError {
    pub(super) fn new(path: &Path, error: &rusqlite::Error) -> Self {
        Self { kind: kind(error), path: path.into(), detail: error.to_string() }
    }

    pub(super) fn moved(path: &Path) -> Self {
        let detail = "removed or replaced while it was open".into();
        Self { kind: StoreErrorKind::Moved, path: path.into(), detail }
    }

    fn words(&self) -> String {
        let path = self.path.display();
        let detail = &self.detail;
        match self.kind {
            StoreErrorKind::Full => format!("no room on the disk of {path}: free some ({detail})"),
            StoreErrorKind::Io => format!("cannot write {path}: check its disk ({detail})"),
            StoreErrorKind::ReadOnly => {
                format!("{path} is read-only: make it writable for this user ({detail})")
            }
            StoreErrorKind::Locked => format!("{path} is locked by another process ({detail})"),
            StoreErrorKind::Damaged => {
                format!("{path} is damaged: the next start sets it aside and recovers ({detail})")
            }
            StoreErrorKind::Moved => {
                format!(
                    "{path} was {detail}: put it back, or restart to continue with the present file"
                )
            }
            StoreErrorKind::Rejected => format!("{path} does not take these rows ({detail})"),
        }
    }
}

/// Returns the kind of an SQLite error.
pub(super) fn kind(error: &rusqlite::Error) -> StoreErrorKind {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return StoreErrorKind::Rejected;
    };
    match failure.code {
        ErrorCode::DiskFull => StoreErrorKind::Full,
        ErrorCode::ReadOnly => StoreErrorKind::ReadOnly,
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed => StoreErrorKind::Locked,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreErrorKind::Damaged,
        // The file ends before its stated length.
        _ if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ => {
            StoreErrorKind::Damaged
        }
        ErrorCode::Unknown
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch
        | ErrorCode::SchemaChanged
        | ErrorCode::TooBig => StoreErrorKind::Rejected,
        _ => StoreErrorKind::Io,
    }
}

/// Failure of a backup, which leaves no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The destination is a relative path.
    #[error("must be an absolute path, and is {}", .0.display())]
    NotAbsolute(PathBuf),
    /// The destination exists.
    #[error("{} exists already: nothing is overwritten, choose another name", .0.display())]
    Exists(PathBuf),
    /// Other users can replace the copy.
    #[error("cannot write there: {0}; or name another directory")]
    Untrusted(io::Error),
    /// The destination names no file.
    #[error("{} must name a file in an existing directory", .0.display())]
    NoDirectory(PathBuf),
    /// A file cannot be written or read.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// Action that failed.
        action: &'static str,
        /// Path of the action.
        path: PathBuf,
        /// Error of the system.
        cause: io::Error,
    },
    /// SQLite could not copy.
    #[error("cannot copy the database to {}: {reason}", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// Message of SQLite.
        reason: String,
    },
    /// The copy is not sound.
    #[error("the copy of the database is not sound, and was not kept: {0}")]
    Unsound(String),
}

impl BackupError {
    /// True if another destination may help.
    pub(crate) fn blames_destination(&self) -> bool {
        matches!(
            self,
            Self::NotAbsolute(_) | Self::Exists(_) | Self::NoDirectory(_) | Self::Untrusted(_)
        )
    }
}
