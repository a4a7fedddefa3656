//! Limits of a process, as on a disk that takes no more; they need no superuser.

use std::process::Command;

use super::{Daemon, Setup};

/// Starts a daemon or a server for a test that calls [`limit_files`].
pub(crate) fn start_with_file_limits(setup: Setup) -> Daemon {
    let mut command = setup.command();
    // A log that grows would meet the limit, too.
    command.env("LANRAGE_LOG", "warn");
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    daemon
}

/// Sets how long, in bytes, the files of a daemon may become; `None` for as long as they like.
pub(crate) fn limit_files(daemon: &Daemon, bytes: Option<u64>) {
    let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    set_limit(daemon, &format!("--fsize={limit}:unlimited"));
}

/// Sets how many file descriptors a daemon may have; those that are open stay.
pub(crate) fn limit_descriptors(daemon: &Daemon, count: u64) {
    set_limit(daemon, &format!("--nofile={count}:"));
}

fn set_limit(daemon: &Daemon, limit: &str) {
    let output = Command::new("prlimit").args(["--pid", &daemon.pid().to_string(), limit]).output();
    let output = output.expect("run prlimit");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{limit}: {told}");
}
