//! A disk that takes no more, for who is not the superuser, too.

use std::fs;
use std::process::Command;

use super::{Daemon, Setup};

/// Starts a daemon or a server that outlives the limit that [`limit_files`] sets.
pub(crate) fn start_with_file_limits(setup: Setup) -> Daemon {
    let plain = setup.command();
    // The limit would otherwise end the process by a signal.
    let script = "trap '' XFSZ; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(plain.get_program()).args(plain.get_args());
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(variables).env("LANRAGE_LOG", "warn");
    let log = fs::File::options().append(true).open(setup.path("log")).expect("the log");
    command.stdout(log.try_clone().expect("share the log")).stderr(log);
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    daemon
}

/// Sets how long, in bytes, the files of a daemon may become; `None` for as long as they like.
pub(crate) fn limit_files(daemon: &Daemon, bytes: Option<u64>) {
    let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let (pid, limit) = (daemon.pid().to_string(), format!("--fsize={limit}:unlimited"));
    let output = Command::new("prlimit").args(["--pid", &pid, &limit]).output();
    let output = output.expect("run prlimit");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{limit}: {told}");
}
