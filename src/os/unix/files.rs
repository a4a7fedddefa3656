//! Files.

use std::fs::{self, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use super::own_user;
use crate::os::files::{SUPERUSER, Writers};

/// Identity of a file. The creation time distinguishes it from a later one with the same inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

impl FileId {
    /// Returns the identity of the file that the metadata belong to.
    pub(crate) fn new(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino(), created: found.created().ok() }
    }

    /// Returns the identity of a path's file, or of the symbolic link itself.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().as_ref().map(Self::new)
    }
}

/// Makes opening follow no symbolic link, and not wait for the other end of a pipe. Rust closes all
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

/// Returns the owner of a symbolic link, unless that is this user or the superuser.
pub(in crate::os) fn link_owner(found: &Metadata) -> Option<u32> {
    let owner = found.uid();
    (found.is_symlink() && ![own_user().0, SUPERUSER].contains(&owner)).then_some(owner)
}

/// Returns the users that may change a file, according to its metadata.
pub(in crate::os) fn writers(found: &Metadata) -> Writers {
    Writers { owner: found.uid(), own: own_user().0, mode: found.mode() & 0o7777 }
}

/// Returns the number of hard links of a file.
pub(in crate::os) fn names(found: &Metadata) -> u64 {
    found.nlink()
}
