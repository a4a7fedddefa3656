//! Recovery: sets a damaged state aside, and restores the best available one.
//!
//! The replacement is written and verified first; until then no file changes. A start that is
//! interrupted between the renames finds no database the next time, and recovers again.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lanrage_ipc::model::Epoch;
use rusqlite::Connection;

use super::connection::Flush;
use super::error::OpenError;
use super::inspect::{self, Fault, Found, Sound};
use super::open::{Home, OpenOptions, create_at, io_error, unusable};
use super::rows::{Rows, Unused};
use super::{connection, files, rotation, rows, schema};

/// Recovery from a damaged state at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Time of the start.
    pub(crate) at: Timestamp,
    /// Damage.
    pub(crate) reason: String,
    /// Present paths of the damaged files.
    pub(crate) set_aside: Vec<PathBuf>,
    /// Source of the restored state: the newest good backup, or the readable rows of the damaged
    /// files; `None` if the state is empty.
    pub(crate) restored_from: Option<PathBuf>,
}

/// Damaged state.
pub(super) struct Loss {
    /// Reason, in words.
    pub(super) reason: String,
    /// Database, if its readable part is sound.
    pub(super) readable: Option<Connection>,
}

/// True if a directory without a database had a state before.
pub(super) fn was_here(home: Home<'_>) -> Result<bool, OpenError> {
    let (dir, path) = (home.dir, home.database());
    if files::SIDE_FILES.iter().any(|ending| files::with_ending(&path, ending).exists()) {
        return Ok(true);
    }
    let aside = home.aside();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let name = entry.map_err(io_error("list", dir))?.file_name();
        if name.to_string_lossy().starts_with(&aside) {
            return Ok(true);
        }
    }
    Ok(!backups(home)?.is_empty())
}

/// Sets the files of a state aside. Restores their readable rows, else the newest good backup, else
/// an empty state. Since history was lost, the epoch is a new one.
pub(super) fn recover(
    home: Home<'_>,
    loss: Loss,
    options: &OpenOptions<'_>,
    rows: &mut dyn Rows,
) -> Result<(Sound, Recovery), OpenError> {
    let path = home.database();
    let aside = free_name(home, options.now);
    log::error!("{}: {}", path.display(), loss.reason);
    let epoch = (options.new_epoch)();
    let new = new_file(home)?;
    let mut source = None;
    if let Some(readable) = loss.readable
        && adopt_readable(&readable, &new, &epoch)?
    {
        source = Some(aside.clone());
    }
    if source.is_none() {
        source = adopt_newest_backup(home, &new, &epoch)?;
    }
    if source.is_none() {
        create_at(&new, &epoch)?;
    }
    let set_aside = set_aside(&path, &aside)?;
    let sound = put_in_place(home, &new, rows)?;
    match &source {
        Some(source) => log::error!("the state was restored from {}", source.display()),
        None => {
            let backups = home.backups();
            log::error!("no backup in {} is good: the state is empty", backups.display());
        }
    }
    for path in &set_aside {
        log::error!("previous state kept as {}", path.display());
    }
    let (at, reason) = (options.now, loss.reason);
    Ok((sound, Recovery { at, reason, set_aside, restored_from: source }))
}

/// Returns the path for a new database, without leftovers of an earlier attempt.
pub(super) fn new_file(home: Home<'_>) -> Result<PathBuf, OpenError> {
    let new = home.new_database();
    files::remove_database(&new).map_err(io_error("remove", &new))?;
    Ok(new)
}

/// Renames a new database to its final path, and opens it; `rows` takes its rows.
pub(super) fn put_in_place(
    home: Home<'_>,
    new: &Path,
    rows: &mut dyn Rows,
) -> Result<Sound, OpenError> {
    let (dir, path) = (home.dir, home.database());
    files::sync(new).map_err(io_error("flush", new))?;
    fs::rename(new, &path).map_err(io_error("rename", new))?;
    files::sync_dir(dir).map_err(io_error("flush", dir))?;
    match inspect::inspect(&path, rows)? {
        Found::Sound(sound) => Ok(sound),
        Found::Cut(_, reason) | Found::Damaged(reason) => {
            Err(OpenError::Unusable { path, reason: format!("just written, yet {reason}") })
        }
        Found::Nothing => {
            Err(OpenError::Unusable { path, reason: "just written, yet gone".into() })
        }
    }
}

/// Returns a name for a damaged database that is free for it and its side files.
fn free_name(home: Home<'_>, now: Timestamp) -> PathBuf {
    let base = home.dir.join(format!("{}{}", home.aside(), rotation::stamp(now)));
    let taken = |path: &Path| {
        let mut endings = files::SIDE_FILES.iter().chain([&""]);
        endings.any(|ending| files::with_ending(path, ending).symlink_metadata().is_ok())
    };
    let others = (2..).map(|n: u32| files::with_ending(&base, &format!(".{n}")));
    std::iter::once(base.clone()).chain(others).find(|path| !taken(path)).unwrap_or(base)
}

/// Renames a database and its side files, the database first: an orphaned log is detected, and a
/// log beside another database would damage it.
fn set_aside(path: &Path, aside: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut moved = Vec::new();
    for ending in [""].into_iter().chain(files::SIDE_FILES) {
        let from = files::with_ending(path, ending);
        let to = files::with_ending(aside, ending);
        match fs::rename(&from, &to) {
            Ok(()) => moved.push(to),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("rename", &from)(error)),
        }
    }
    Ok(moved)
}

/// Adopts the readable rows of a database. Returns true if they are sound.
fn adopt_readable(readable: &Connection, new: &Path, epoch: &Epoch) -> Result<bool, OpenError> {
    files::create_private(new).map_err(io_error("create", new))?;
    let copied = || -> rusqlite::Result<()> {
        let mut copy = connection::open(new)?;
        connection::set_flush(&copy, Flush::Nothing)?;
        connection::copy_all(readable, &mut copy)?;
        connection::fold(&copy)
    };
    copied().map_err(unusable(new))?;
    adopt(new, epoch, "its readable rows")
}

/// Adopts the newest good backup. Returns its path.
fn adopt_newest_backup(
    home: Home<'_>,
    new: &Path,
    epoch: &Epoch,
) -> Result<Option<PathBuf>, OpenError> {
    for backup in backups(home)?.into_iter().rev() {
        let what = format!("the backup {}", backup.display());
        match files::read(&backup) {
            Ok(bytes) => {
                files::write_private(new, &bytes).map_err(io_error("write", new))?;
                if adopt(new, epoch, &what)? {
                    return Ok(Some(backup));
                }
            }
            Err(error) => log::error!("not restored from {what}: {error}"),
        }
    }
    Ok(None)
}

/// Starts a new epoch in a copy if it is good, and removes it if not.
fn adopt(new: &Path, epoch: &Epoch, what: &str) -> Result<bool, OpenError> {
    let adopted = || -> Result<(), Fault> {
        let mut connection = connection::open(new)?;
        connection::set_flush(&connection, Flush::Nothing)?;
        inspect::verify(&connection, new)?;
        schema::migrate(&mut connection)?;
        inspect::read(&connection, &mut Unused)?;
        rows::write_epoch(&connection, epoch)?;
        Ok(connection::fold(&connection)?)
    };
    let Err(fault) = adopted() else { return Ok(true) };
    let reason = match fault.judge(new) {
        Ok(reason) => reason,
        Err(error @ (OpenError::Foreign { .. } | OpenError::Newer { .. })) => error.to_string(),
        // The error says nothing about the copy: a failed start is better than an older or empty
        // state.
        Err(error) => return Err(error),
    };
    log::error!("not restored from {what}: {reason}");
    files::remove_database(new).map_err(io_error("remove", new))?;
    Ok(false)
}

fn backups(home: Home<'_>) -> Result<Vec<PathBuf>, OpenError> {
    let dir = home.backups();
    rotation::list(&dir).map_err(io_error("list", &dir))
}
