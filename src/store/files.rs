//! Files as the store wants them: private, and on the disk when it says so.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) use crate::os::files::sync_directory as sync_dir;
use crate::os::files::{self, Rule};

/// Mode of a file of the store.
const PRIVATE: u32 = 0o600;

/// Most bytes of a backup that is read: far above what any limits admit.
const LARGEST: u64 = 16 << 30;

/// Suffixes of the files that SQLite puts beside a database.
pub(super) const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A path with an ending put after its name.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Creates a file that only this user may read, whatever the umask is. It must not be there. What
/// SQLite puts beside a database has the database's mode.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    files::create_new(path, PRIVATE)
}

/// Opens a file of the store to read it.
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

/// Checks the files of a database that this process is to write: under a second name another process
/// could write them too, since SQLite's locks of a log go by its path.
pub(super) fn check_sole_database(path: &Path) -> io::Result<()> {
    database_files(path).try_for_each(|file| files::check_to_write(&file))
}

fn database_files(path: &Path) -> impl Iterator<Item = PathBuf> {
    [""].into_iter().chain(SIDE_FILES).map(move |ending| with_ending(path, ending))
}

/// Creates a directory that only this user may enter, whatever the umask is, unless one is there
/// in which nobody else may put files.
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

/// Writes a private file that must not be there.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_private(path)?.write_all(bytes)
}

/// Waits until a file is on the disk.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    files::open_to_write(path, Rule::Own)?.sync_all()
}

/// Removes a file, unless there is none.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a database that nobody has open, and what SQLite put beside it.
pub(super) fn remove_database(path: &Path) -> io::Result<()> {
    for ending in SIDE_FILES {
        remove(&with_ending(path, ending))?;
    }
    remove(path)
}
