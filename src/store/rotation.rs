//! Backups for recovery: `control-20261122T171835Z.db`, the newest ones up to a limit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use lanrage_ipc::model::Epoch;

use super::backup::{PARTIAL, backup, io_error};
use super::error::BackupError;
use super::inspect::{self, Fault};
use super::{connection, files};
use crate::core::Write;
use crate::os::files::check_directory;

const PREFIX: &str = "control-";
const SUFFIX: &str = ".db";

/// Writes a backup named by the time, unless the newest one differs only in signs of life, and
/// removes the oldest beyond `keep` (at least one). Files of other names are left alone. Returns
/// the new backup. It blocks.
///
/// # Errors
/// No backup was removed then.
pub(crate) fn rotate_backups(
    database_path: &Path,
    backups_dir: &Path,
    now: Timestamp,
    keep: usize,
) -> Result<Option<PathBuf>, BackupError> {
    files::create_private_dir(backups_dir).map_err(io_error("create", backups_dir))?;
    remove_partial(backups_dir).map_err(io_error("clean", backups_dir))?;
    let mut backups = list(backups_dir).map_err(io_error("list", backups_dir))?;
    let made = match backups.last() {
        Some(newest) if same_state(database_path, newest) => None,
        newest => {
            let name = next_name(newest.map(PathBuf::as_path), now);
            let dest = backups_dir.join(name);
            backup(database_path, &dest)?;
            backups.push(dest.clone());
            Some(dest)
        }
    };
    let surplus = backups.len().saturating_sub(keep.max(1));
    for old in &backups[..surplus] {
        files::remove(old).map_err(io_error("remove", old))?;
    }
    Ok(made)
}

/// Formats a time as part of a file's name.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Returns the backups in a directory, oldest first; none if it does not exist.
pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match check_directory(dir, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        checked => checked?,
    }
    let mut backups = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if made_at(&path).is_some() {
            backups.push(path);
        }
    }
    backups.sort();
    Ok(backups)
}

/// Returns the time of a backup by its name; `None` for other names.
fn made_at(path: &Path) -> Option<Timestamp> {
    let name = path.file_name()?.to_str()?;
    let at = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let time: Timestamp = at.parse().ok()?;
    (stamp(time) == at).then_some(time)
}

/// Returns the name of the next backup. Names only grow, so that the newest by name is the newest
/// also after a clock step back.
fn next_name(newest: Option<&Path>, now: Timestamp) -> String {
    let after = newest.and_then(made_at).and_then(|at| at.checked_add(1.second()).ok());
    let at = after.map_or(now, |after| after.max(now));
    format!("{PREFIX}{}{SUFFIX}", stamp(at))
}

/// True if two databases differ only in signs of life. An unreadable one differs.
fn same_state(database: &Path, backup: &Path) -> bool {
    match (read_durable(database), read_durable(backup)) {
        (Ok(now), Ok(then)) => now == then,
        _ => false,
    }
}

fn read_durable(path: &Path) -> Result<(Vec<Write>, Epoch), Fault> {
    let connection = connection::open_read_only(path)?;
    // One transaction: all tables at one moment.
    let transaction = connection.unchecked_transaction()?;
    inspect::verify(&transaction, path)?;
    let mut rows = Vec::new();
    let epoch = inspect::read(&transaction, &mut rows)?;
    for row in &mut rows {
        if let Write::PutMember(_, member) = row {
            member.last_seen = Timestamp::UNIX_EPOCH;
        }
    }
    Ok((rows, epoch))
}

/// Removes unfinished copies of ended processes.
fn remove_partial(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&format!(".{PREFIX}")) && name.ends_with(PARTIAL) {
            files::remove_database(&entry.path())?;
        }
    }
    Ok(())
}
