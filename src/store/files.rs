//! Private and durable files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) use crate::os::files::sync_directory as sync_dir;
use crate::os::files::{self, Rule};

/// Mode of a file of the store.
const PRIVATE: u32 = 0o600;

/// Limit of a backup's size, in bytes: far above a state at all limits.
const LARGEST: u64 = 16 << 30;

/// Suffixes of the files that SQLite puts beside a database.
pub(super) const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Returns a path with a suffix after its name.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Creates a file that only this user may read, with any umask; it must not exist. SQLite gives the
/// side files of a database the database's mode.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    files::create_new(path, PRIVATE)
}

/// Opens a file of the store for reading.
pub(super) fn open(path: &Path) -> io::Result<File> {
    files::open(path, Rule::Own)
}

/// Reads a backup.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    files::read(path, Rule::Own, LARGEST)
}

/// Checks the files that SQLite opens for a database.
pub(super) fn check_database(path: &Path) -> io::Result<()> {
    database_files(path).try_for_each(|file| files::check(&file, Rule::Own))
}

/// Checks the files of a database that this process writes: another process could write them under
/// a second name, since SQLite's locks of a log go by its path.
pub(super) fn check_sole_database(path: &Path) -> io::Result<()> {
    database_files(path).try_for_each(|file| files::check_to_write(&file))
}

fn database_files(path: &Path) -> impl Iterator<Item = PathBuf> {
    [""].into_iter().chain(SIDE_FILES).map(move |ending| with_ending(path, ending))
}

/// Creates a directory that only this user may enter, with any umask, or checks that nobody else
/// may write into the existing one.
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return files::check_directory(path, false);
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

/// Writes a new private file; it must not exist.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_private(path)?.write_all(bytes)
}

/// Flushes a file to the disk.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    files::open_to_write(path, Rule::Own)?.sync_all()
}

/// Removes a file, if it exists.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a closed database with its side files.
pub(super) fn remove_database(path: &Path) -> io::Result<()> {
    for ending in SIDE_FILES {
        remove(&with_ending(path, ending))?;
    }
    remove(path)
}
