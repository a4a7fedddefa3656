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

/// The command of a setup, with a hard limit of open files.
pub(crate) fn with_file_descriptors(setup: &Setup, hard: u64) -> Command {
    let plain = setup.command();
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={hard}:{hard}")).arg(plain.get_program()).args(plain.get_args());
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(variables);
    let log = std::fs::File::options().append(true).open(setup.path("log")).expect("the log");
    command.stdout(log.try_clone().expect("share the log")).stderr(log);
    command
}

fn set_limit(daemon: &Daemon, limit: &str) {
    let output = Command::new("prlimit").args(["--pid", &daemon.pid().to_string(), limit]).output();
    let output = output.expect("run prlimit");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{limit}: {told}");
}
