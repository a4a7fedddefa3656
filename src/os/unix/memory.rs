//! Memory.

use nix::sys::resource::{Resource, setrlimit};

/// Protects tokens in memory from core files and from this user's other programs. The process's
/// files under /proc then belong to the superuser, and only the superuser can debug it.
pub(crate) fn guard_memory() {
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        log::warn!("a crash may leave tokens in a core file: {error}");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        log::warn!("other programs of this user may read this program's memory: {error}");
    }
}
