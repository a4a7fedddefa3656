//! Memory.

use nix::sys::resource::{Resource, setrlimit};

/// Keeps tokens in memory from core files and from the other programs of this user. The files of
/// this process under /proc belong to the superuser from then on, and only that one can debug it.
pub(crate) fn guard_memory() {
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        log::warn!("a crash may leave tokens in a core file: {error}");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        log::warn!("other programs of this user may read this program's memory: {error}");
    }
}
