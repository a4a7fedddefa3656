use std::io;
use std::path::{Path, PathBuf};

use super::disk::LARGEST;

/// Why the discovery file can't be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiscoveryError {
    /// The system refused.
    #[error("can't {action} {}: {cause}", path.display())]
    Io {
        /// Action that failed.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Error of the system.
        cause: String,
    },
    /// A directory, a symbolic link, a device or the like is in the file's place.
    #[error("{} is not a regular file: move it away, or name another file", .0.display())]
    NotAFile(PathBuf),
    /// It is larger, or would become larger, than such a file may be.
    #[error("{} is larger than {} MiB: remove entries, or name another file", .0.display(), LARGEST >> 20)]
    TooLarge(PathBuf),
    /// A file can't take the place of one that is mounted by itself, as into a container.
    #[error(
        "{} can't be replaced, since it is mounted by itself: mount the folder that it is in",
        .0.display()
    )]
    Mounted(PathBuf),
    /// Another program wrote the file during each attempt to replace it.
    #[error("{} is written by another program again and again", .0.display())]
    Contended(PathBuf),
    /// Another program has held the lock all the time.
    #[error("{} is locked by another program", .0.display())]
    Locked(PathBuf),
    /// The file is no JSON object; it is being set aside.
    #[error("{} is damaged and is set aside: {reason}; ask again for what is left", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// The daemon is stopping.
    #[error("discovery has stopped")]
    Stopped,
}

impl DiscoveryError {
    pub(super) fn io(action: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), cause: error.to_string() }
    }
}
