//! Files.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// Identity of a file. The time of its creation tells it from a later one with the same inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

impl FileId {
    /// Identity of the file that the metadata are of.
    pub fn new(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino(), created: found.created().ok() }
    }

    /// Identity of what is at a path, itself and not what a symbolic link leads to.
    pub fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().as_ref().map(Self::new)
    }
}
