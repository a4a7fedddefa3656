//! Differences between systems behind one set of names: the local socket, users, signals, the
//! service manager. Also the only way to open a file.

pub(crate) mod files;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{
    FileId, LocalSocket, Signals, check_socket_path, close, guard_memory, has_group, in_group,
    inherited, is_own_directory, networks, notify, own_user, peer, raise_file_limit,
};
#[cfg(unix)]
use unix::{describe, harden, link_owner, names, writers};
#[cfg(windows)]
use windows::{describe, harden, link_owner, names, writers};

#[cfg(windows)]
pub(crate) use windows::{
    FileId, LocalSocket, Signals, check_socket_path, close, guard_memory, has_group, in_group,
    inherited, is_own_directory, networks, notify, own_user, peer, raise_file_limit,
};

/// Request of the system to the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Stop, for this reason.
    Stop(String),
    /// Reload the configuration.
    Reload,
}
