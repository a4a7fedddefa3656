//! Blocking work on single files. Each step is atomic.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use super::DiscoveryError;
use crate::os::FileId;
use crate::os::files::{self, Distrust, Rule};

/// Limit of the file's size, in bytes.
pub(super) const LARGEST: u64 = 16 * 1024 * 1024;

/// Suffix of a file while it is written. All processes share it, so that the next writer replaces
/// the leftover of a crash.
pub(super) const TEMPORARY: &str = ".tmp";

/// Time limit of the wait for the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Returns `path` with a suffix after its name.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Reads a regular file; `None` if it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, DiscoveryError> {
    match files::read(path, Rule::Shared, LARGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound => Ok(None),
            ErrorKind::FileTooLarge => Err(DiscoveryError::TooLarge(path.into())),
            _ => Err(failure("read", path, &error)),
        },
    }
}

fn failure(action: &'static str, path: &Path, error: &io::Error) -> DiscoveryError {
    match Distrust::is_in(error) {
        true => DiscoveryError::NotAFile(path.into()),
        false => DiscoveryError::io(action, path, error),
    }
}

/// Version of a file, which shows later writes; `None` if it does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version(Option<(FileId, u64, Option<SystemTime>)>);

impl Version {
    /// Device, inode, size and time of the last change.
    pub(super) fn of(path: &Path) -> Self {
        let metadata = fs::symlink_metadata(path).ok();
        Self(metadata.map(|it| (FileId::new(&it), it.len(), it.modified().ok())))
    }
}

/// Replaces a file atomically and durably, or creates it. The mode is kept; a new file is readable
/// by everyone who may enter its directory.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiscoveryError> {
    check_size(path, bytes)?;
    replace_if(path, |file| file.write_all(bytes), || true).map(drop)
}

/// Replaces a file by what `write` writes, unless `is_wanted` returns false just before the rename.
/// Returns the version of the new file.
pub(super) fn replace_if(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    is_wanted: impl FnOnce() -> bool,
) -> Result<Option<Version>, DiscoveryError> {
    // A file of that name is of a crashed process: those alive write one after the other.
    let temporary = sibling(path, TEMPORARY);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(DiscoveryError::io("remove", &temporary, &error));
        }
        _ => {}
    }
    write_new(&temporary, write, mode_of(path))?;
    // A rename changes neither.
    let version = Version::of(&temporary);
    let renamed = match is_wanted() {
        true => fs::rename(&temporary, path).map(|()| Some(version)),
        false => Ok(None),
    };
    if !matches!(renamed, Ok(Some(_))) {
        let _ = fs::remove_file(&temporary);
    }
    match renamed {
        Ok(Some(version)) => sync_directory(path).map(|()| Some(version)),
        Ok(None) => Ok(None),
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {
            Err(DiscoveryError::Mounted(path.into()))
        }
        Err(error) => Err(DiscoveryError::io("write", path, &error)),
    }
}

/// Copies a damaged file beside it. Returns the path of the copy.
pub(super) fn set_aside(
    path: &Path,
    bytes: &[u8],
    now: Timestamp,
) -> Result<PathBuf, DiscoveryError> {
    let kept = sibling(path, &now.strftime(".damaged-%Y%m%dT%H%M%S%.3fZ").to_string());
    write_new(&kept, |file| file.write_all(bytes), mode_of(path))?;
    sync_directory(path)?;
    Ok(kept)
}

/// Creates a file, and removes it again on an error.
fn write_new(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    mode: u32,
) -> Result<(), DiscoveryError> {
    let failed = |error: io::Error| DiscoveryError::io("write", path, &error);
    let mut file = BufWriter::new(files::create_new(path, mode).map_err(failed)?);
    let written = write(&mut file).and_then(|()| file.flush());
    let written = written.and_then(|()| file.get_ref().sync_all()).map_err(failed);
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn check_size(path: &Path, bytes: &[u8]) -> Result<(), DiscoveryError> {
    let too_large = bytes.len() as u64 > LARGEST;
    if too_large { Err(DiscoveryError::TooLarge(path.into())) } else { Ok(()) }
}

/// Mode of new files: programs of other users read them.
const READABLE: u32 = 0o644;

/// Returns the mode of the file, or that of a new one.
#[cfg(unix)]
fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).map_or(READABLE, |metadata| metadata.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode_of(_: &Path) -> u32 {
    READABLE
}

/// Makes a new name in the directory of `path` durable.
fn sync_directory(path: &Path) -> Result<(), DiscoveryError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    files::sync_directory(directory).map_err(|error| DiscoveryError::io("sync", directory, &error))
}

/// Exclusive lock between programs, released when it is dropped or the program ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Acquires the lock; waits up to the time limit.
    pub(super) fn acquire(path: &Path) -> Result<Self, DiscoveryError> {
        let failed = |error: io::Error| failure("lock", path, &error);
        let file = Self::open(path).map_err(failed)?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        let mut pause = Duration::from_millis(1);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(DiscoveryError::Locked(path.into()));
                }
                Err(TryLockError::WouldBlock) => {
                    sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
            }
        }
    }

    /// Read access is enough for a lock; another user may have created the file.
    fn open(path: &Path) -> io::Result<File> {
        match files::open(path, Rule::Shared) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match files::create_new(path, READABLE) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                files::open(path, Rule::Shared)
            }
            created => created,
        }
    }
}
