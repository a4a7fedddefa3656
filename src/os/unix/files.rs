//! Files.

use std::fs::{self, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use super::own_user;
use crate::os::files::{SUPERUSER, Writers};

/// Identity of a file. The time of its creation tells it from a later one with the same inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

impl FileId {
    /// Identity of the file that the metadata are of.
    pub(crate) fn new(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino(), created: found.created().ok() }
    }

    /// Identity of what is at a path, itself and not what a symbolic link leads to.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().as_ref().map(Self::new)
    }
}

/// Makes opening follow no symbolic link and wait for no other end of a pipe. Rust closes all
/// files on `exec` by itself.
pub(in crate::os) fn harden(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags(O_NOFOLLOW | O_NONBLOCK)
}

/// Names the kind of a file, with its article.
pub(in crate::os) fn describe(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    match () {
        () if kind.is_file() => "a regular file",
        () if kind.is_dir() => "a directory",
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

/// Owner of a symbolic link, where that is neither this user nor the superuser.
pub(in crate::os) fn link_owner(found: &Metadata) -> Option<u32> {
    let owner = found.uid();
    (found.is_symlink() && ![own_user().0, SUPERUSER].contains(&owner)).then_some(owner)
}

/// Users that may change a file, as far as its metadata tell.
pub(in crate::os) fn writers(found: &Metadata) -> Writers {
    Writers { owner: found.uid(), own: own_user().0, mode: found.mode() & 0o7777 }
}

/// Number of names that a file has: hard links.
pub(in crate::os) fn names(found: &Metadata) -> u64 {
    found.nlink()
}
