//! Locks that allow one daemon for a socket and for a state directory.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::os::FileId;
use crate::os::files::{self, Distrust, Rule};

/// Mode of a lock and of its file with the process id.
const PRIVATE: u32 = 0o600;
/// Size limit of the file with the process id.
const LONGEST_PID: u64 = 32;

/// Lock that is held until this is dropped, by the process that has it open.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock `path`, and writes this process's id beside it. The file outlives the lock:
    /// otherwise two processes could lock two files of one name. `of_holder` describes a process
    /// that holds the lock, for the error.
    ///
    /// # Errors
    /// The process that holds the lock.
    pub(crate) fn acquire(path: &Path, what: &str, of_holder: &str) -> anyhow::Result<Self> {
        let pid_file = pid_file(path);
        let file = files::open_or_create(path, Rule::Own, PRIVATE).map_err(|error| {
            let distrusted = Distrust::is_in(&error);
            let must = format!("{} must be writable for this user", path.display());
            let error = anyhow::Error::from(error);
            let error = if distrusted { error } else { error.context(must) };
            error.context(format!("can't lock {what}"))
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = files::read(&pid_file, Rule::Own, LONGEST_PID).unwrap_or_default();
                let holder = String::from_utf8_lossy(&holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "of unknown id" } else { holder };
                bail!(
                    "another daemon, process {holder}, has {what}{of_holder}: stop it, or give this one another"
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("can't lock {}", path.display()));
            }
        }
        write_pid(&pid_file).with_context(|| format!("can't write {}", pid_file.display()))?;
        Ok(Self { file })
    }

    /// True while the lock's file is still at `path`: after its removal another process could take
    /// a second lock there.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.file.metadata().is_ok_and(|held| FileId::at(path) == Some(FileId::new(&held)))
    }
}

fn write_pid(path: &Path) -> io::Result<()> {
    let mut file = files::open_or_create(path, Rule::Own, PRIVATE)?;
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

/// Returns the path of the process id, beside the lock, since a locked file can't be read on every
/// system.
fn pid_file(lock: &Path) -> PathBuf {
    lock.with_extension("pid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_process_of_the_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("d.lock");
        let first = Lock::acquire(&path, "this", "").expect("free");
        let error = Lock::acquire(&path, "this", "").expect_err("held").to_string();
        assert!(error.contains(&format!("process {},", std::process::id())), "{error}");
        drop(first);
        Lock::acquire(&path, "this", "").expect("free again");
    }
}
