//! Blocking work on single files, each step of it all or nothing.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use super::DiscoveryError;
use crate::os::FileId;

/// The largest file that is read or written, in bytes.
pub(super) const LARGEST: u64 = 16 * 1024 * 1024;

/// What comes after the name of a file that is being written. It is the same for every process, so
/// that what one that crashed left behind is cleared away by the next one that writes.
pub(super) const TEMPORARY: &str = ".tmp";

/// How long the lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// `path` with something after its name.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// A regular file's bytes; `None` where nothing is.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, DiscoveryError> {
    let failed = |error: &_| DiscoveryError::io("read", path, error);
    // Before it is opened: opening a pipe would wait for its other end.
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
        Ok(metadata) if !metadata.is_file() => return Err(DiscoveryError::NotAFile(path.into())),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    check_size(path, &bytes)?;
    Ok(Some(bytes))
}

/// State of a file by which a later write is noticed; `None` where there is no file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version(Option<(FileId, u64, Option<SystemTime>)>);

impl Version {
    /// Device, inode, size and time of the last change.
    pub(super) fn of(path: &Path) -> Self {
        let metadata = fs::symlink_metadata(path).ok();
        Self(metadata.map(|it| (FileId::new(&it), it.len(), it.modified().ok())))
    }
}

/// Puts a file of these bytes in the place of the one that is there, if one is, at once and for
/// good. The mode stays as it is; a new file may be read by everyone who may enter its directory.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiscoveryError> {
    replace_if(path, bytes, || true).map(drop)
}

/// The same, unless `is_wanted` says no once all is written but the name. Returns what it said.
pub(super) fn replace_if(
    path: &Path,
    bytes: &[u8],
    is_wanted: impl FnOnce() -> bool,
) -> Result<bool, DiscoveryError> {
    check_size(path, bytes)?;
    // A file of that name is of a crashed process: those alive write one after the other.
    let temporary = sibling(path, TEMPORARY);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(DiscoveryError::io("remove", &temporary, &error));
        }
        _ => {}
    }
    write_new(&temporary, bytes, mode_of(path))?;
    let renamed = match is_wanted() {
        true => fs::rename(&temporary, path).map(|()| true),
        false => Ok(false),
    };
    if !matches!(renamed, Ok(true)) {
        let _ = fs::remove_file(&temporary);
    }
    match renamed {
        Ok(true) => sync_directory(path).map(|()| true),
        Ok(false) => Ok(false),
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {
            Err(DiscoveryError::Mounted(path.into()))
        }
        Err(error) => Err(DiscoveryError::io("write", path, &error)),
    }
}

/// Keeps the bytes of a damaged file beside it, and tells where.
pub(super) fn set_aside(
    path: &Path,
    bytes: &[u8],
    now: Timestamp,
) -> Result<PathBuf, DiscoveryError> {
    let kept = sibling(path, &now.strftime(".damaged-%Y%m%dT%H%M%S%.3fZ").to_string());
    write_new(&kept, bytes, mode_of(path))?;
    sync_directory(path)?;
    Ok(kept)
}

/// Writes a file that was not there, and removes it again on an error.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DiscoveryError> {
    let failed = |error: std::io::Error| DiscoveryError::io("write", path, &error);
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    let written = set_mode(&file, mode)
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .map_err(failed);
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn check_size(path: &Path, bytes: &[u8]) -> Result<(), DiscoveryError> {
    let too_large = bytes.len() as u64 > LARGEST;
    if too_large { Err(DiscoveryError::TooLarge(path.into())) } else { Ok(()) }
}

/// Of files that other users' programs shall read.
const READABLE: u32 = 0o644;

/// The mode of the file, or that of a new one.
#[cfg(unix)]
fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).map_or(READABLE, |metadata| metadata.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode_of(_: &Path) -> u32 {
    READABLE
}

/// Sets a mode whatever the umask is; where files have none, does nothing.
#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &File, _: u32) -> std::io::Result<()> {
    Ok(())
}

/// Makes a new name in the directory of `path` survive a loss of power.
#[cfg(unix)]
fn sync_directory(path: &Path) -> Result<(), DiscoveryError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| DiscoveryError::io("sync", directory, &error))
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> Result<(), DiscoveryError> {
    Ok(())
}

/// An exclusive lock between programs, released when it is dropped or the program dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock, for a time.
    pub(super) fn acquire(path: &Path) -> Result<Self, DiscoveryError> {
        let failed = |error: std::io::Error| DiscoveryError::io("lock", path, &error);
        // Opening a pipe would wait for its other end.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(DiscoveryError::NotAFile(path.into()));
        }
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

    /// To hold a lock it is enough to read the file, which another user may have made.
    fn open(path: &Path) -> std::io::Result<File> {
        match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => set_mode(&file, READABLE).map(|()| file),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => File::open(path),
            Err(error) => Err(error),
        }
    }
}
