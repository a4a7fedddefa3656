//! Opening of the state directory.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lanrage_ipc::model::Epoch;

use super::connection::Flush;
use super::database::Database;
use super::error::OpenError;
use super::inspect::{Found, Sound, inspect};
use super::recovery::{self, Loss, Recovery};
use super::rows::Rows;
use super::{Layout, connection, files, rows, schema};
use crate::os::files::Distrust;

/// SQLite 3.51.3, the oldest accepted version. Earlier ones can lose commits when a checkpoint and
/// a commit coincide.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Location of a program's files.
#[derive(Clone, Copy)]
pub(super) struct Home<'a> {
    pub(super) dir: &'a Path,
    pub(super) layout: Layout,
}

impl Home<'_> {
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join(self.layout.database)
    }

    pub(super) fn backups(&self) -> PathBuf {
        self.dir.join(self.layout.backups)
    }

    /// Path of an unfinished database.
    pub(super) fn new_database(&self) -> PathBuf {
        files::with_ending(&self.database(), ".new")
    }

    /// Prefix of the names of damaged files.
    pub(super) fn aside(&self) -> String {
        format!("{}.damaged-", self.layout.database)
    }
}

/// Options of opening.
pub(crate) struct OpenOptions<'a> {
    /// Present time, for the names of damaged files.
    pub(crate) now: Timestamp,
    /// Names of the files.
    pub(crate) layout: Layout,
    /// Creates a new, unique epoch.
    pub(crate) new_epoch: &'a dyn Fn() -> Epoch,
}

impl fmt::Debug for OpenOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Opened state.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Database to commit to.
    pub(crate) database: Database,
    /// Damage found at the start, with its recovery.
    pub(crate) recovery: Option<Recovery>,
    /// True if there was no state before.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests tell a first start by it"))]
    pub(crate) created: bool,
}

/// Creates the state directory, private to this user, or checks that nobody else may write into the
/// existing one.
///
/// # Errors
/// The error of the system.
pub(crate) fn make_dir(dir: &Path) -> Result<(), OpenError> {
    files::create_private_dir(dir).map_err(|error| {
        let cause = match dir.is_symlink() && !dir.exists() {
            true => io::Error::new(error.kind(), "it is a symbolic link that leads nowhere"),
            false => error,
        };
        io_error("create", dir)(cause)
    })
}

/// Opens the state in a directory, and creates either if it is missing. It blocks, and expects that
/// no other process opens the same state. `rows` takes the stored rows.
///
/// # Errors
/// A state that is unusable without being damaged. No file has changed.
pub(crate) fn open(
    dir: &Path,
    options: &OpenOptions<'_>,
    rows: &mut dyn Rows,
) -> Result<Opened, OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::SqliteTooOld(rusqlite::version()));
    }
    make_dir(dir)?;
    let home = Home { dir, layout: options.layout };
    let path = home.database();
    let loss = match inspect(&path, rows)? {
        Found::Sound(sound) => return Ok(opened(path, sound)),
        Found::Cut(readable, reason) => Loss { reason, readable: Some(readable) },
        Found::Damaged(reason) => Loss { reason, readable: None },
        Found::Nothing if recovery::was_here(home)? => {
            Loss { reason: "it is missing".into(), readable: None }
        }
        Found::Nothing => {
            let sound = create(home, &(options.new_epoch)(), rows)?;
            return Ok(Opened { created: true, ..opened(path, sound) });
        }
    };
    let (sound, recovery) = recovery::recover(home, loss, options, rows)?;
    Ok(Opened { recovery: Some(recovery), ..opened(path, sound) })
}

fn opened(path: PathBuf, sound: Sound) -> Opened {
    let database = Database::new(path, sound.connection);
    Opened { database, recovery: None, created: false }
}

/// Creates an empty state atomically.
fn create(home: Home<'_>, epoch: &Epoch, rows: &mut dyn Rows) -> Result<Sound, OpenError> {
    let new = recovery::new_file(home)?;
    create_at(&new, epoch)?;
    recovery::put_in_place(home, &new, rows)
}

/// Creates an empty database in one file, which is not flushed yet.
pub(super) fn create_at(path: &Path, epoch: &Epoch) -> Result<(), OpenError> {
    files::create_private(path).map_err(io_error("create", path))?;
    let created = || -> rusqlite::Result<()> {
        let mut connection = connection::open(path)?;
        connection::set_flush(&connection, Flush::Nothing)?;
        connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
        schema::migrate(&mut connection)?;
        rows::write_epoch(&connection, epoch)
    };
    created().map_err(unusable(path))
}

pub(super) fn unusable(path: &Path) -> impl FnOnce(rusqlite::Error) -> OpenError {
    move |error| OpenError::Unusable { path: path.into(), reason: error.to_string() }
}

pub(super) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = PathBuf::from(path);
    move |cause| match Distrust::is_in(&cause) {
        true => OpenError::Untrusted { cause },
        false => OpenError::Io { action, path, cause },
    }
}
