use std::io;
use std::path::{Path, PathBuf};

use super::disk::LARGEST;

/// Failure to read or write the discovery file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiscoveryError {
    /// The system returned an error.
    #[error("can't {action} {}: {cause}", path.display())]
    Io {
        /// Action that failed.
        action: &'static str,
        /// File of the action.
        path: PathBuf,
        /// Error of the system.
        cause: String,
    },
    /// The path is a directory, a symbolic link, a device or the like.
    #[error("{} is not a regular file: move it away, or name another file", .0.display())]
    NotAFile(PathBuf),
    /// The file exceeds the size limit, or would exceed it.
    #[error("{} is larger than {} MiB: remove entries, or name another file", .0.display(), LARGEST >> 20)]
    TooLarge(PathBuf),
    /// The file is a mount point, as in a container, and can't be replaced.
    #[error(
        "{} can't be replaced, since it is mounted by itself: mount the folder that it is in",
        .0.display()
    )]
    Mounted(PathBuf),
    /// Another program wrote the file during each attempt to replace it.
    #[error("{} is written by another program again and again", .0.display())]
    Contended(PathBuf),
    /// Another program held the lock for the whole wait.
    #[error("{} is locked by another program", .0.display())]
    Locked(PathBuf),
    /// The file is no JSON object; it is set aside.
    #[error("{} is damaged and is set aside: {reason}; ask again for the remaining entries", path.display())]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// The control plane did not return the parties to announce.
    #[error("can't read the parties: {0}")]
    Unread(String),
    /// The daemon is stopping.
    #[error("discovery has stopped")]
    Stopped,
}

impl DiscoveryError {
    pub(super) fn io(action: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), cause: error.to_string() }
    }
}
