//! Verified copy of the database, made during commits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::connection::Flush;
use super::error::BackupError;
use super::inspect::{self, Fault};
use super::rows::Unused;
use super::{connection, files};
use crate::os::files::{Distrust, check_directory};

/// Copies a consistent snapshot of the database to a free absolute path. The copy is one file,
/// which is verified before it gets its name. Returns its length in bytes. It blocks.
///
/// # Errors
/// No file is left at `dest`, except one that was there before.
pub(crate) fn backup(database_path: &Path, dest: &Path) -> Result<u64, BackupError> {
    if !dest.is_absolute() {
        return Err(BackupError::NotAbsolute(dest.into()));
    }
    let (Some(dir), Some(name)) = (dest.parent(), dest.file_name()) else {
        return Err(BackupError::NoDirectory(dest.into()));
    };
    if !dir.is_dir() {
        return Err(BackupError::NoDirectory(dest.into()));
    }
    // Otherwise the copy could be exchanged for a link while SQLite writes it by its name.
    check_directory(dir, true).map_err(|error| match Distrust::is_in(&error) {
        true => BackupError::Untrusted(error),
        false => io_error("look at", dir)(error),
    })?;
    if dest.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(dest.into()));
    }
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}{PARTIAL}", std::process::id()));
    let partial = Partial(dir.join(partial));
    copy(database_path, &partial.0)?;
    files::sync(&partial.0).map_err(io_error("flush", &partial.0))?;
    let bytes = fs::metadata(&partial.0).map_err(io_error("read", &partial.0))?.len();
    publish(&partial.0, dest)?;
    drop(partial);
    files::sync_dir(dir).map_err(io_error("flush", dir))?;
    Ok(bytes)
}

/// Suffix of the name of an unfinished copy.
pub(super) const PARTIAL: &str = ".partial";

/// Unfinished copy, removed when this is dropped.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        if let Err(error) = files::remove_database(&self.0) {
            log::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    files::create_private(to).map_err(io_error("create", to))?;
    let copied = || -> rusqlite::Result<()> {
        let source = connection::open_read_only(from)?;
        let mut copy = connection::open(to)?;
        connection::set_flush(&copy, Flush::Nothing)?;
        connection::copy_all(&source, &mut copy)?;
        connection::fold(&copy)
    };
    copied().map_err(|error| BackupError::Copy { path: to.into(), reason: error.to_string() })?;
    let sound = || -> Result<(), Fault> {
        let copy = connection::open_read_only(to)?;
        inspect::verify(&copy, to)?;
        inspect::read(&copy, &mut Unused).map(drop)
    };
    sound().map_err(|fault| {
        BackupError::Unsound(fault.judge(to).unwrap_or_else(|error| error.to_string()))
    })
}

/// Gives a finished copy its name, unless the name is taken.
pub(super) fn publish(partial: &Path, dest: &Path) -> Result<(), BackupError> {
    let taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    match fs::hard_link(partial, dest) {
        Ok(()) => Ok(()),
        Err(error) if taken(&error) => Err(BackupError::Exists(dest.into())),
        // A file system without links: reserve the name, then replace the reservation.
        Err(_) => match files::create_private(dest) {
            Ok(_) => fs::rename(partial, dest).map_err(io_error("rename", partial)),
            Err(error) if taken(&error) => Err(BackupError::Exists(dest.into())),
            Err(error) => Err(io_error("create", dest)(error)),
        },
    }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = PathBuf::from(path);
    move |cause| BackupError::Io { action, path, cause }
}
