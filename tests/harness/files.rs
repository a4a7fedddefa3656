//! Files of daemons.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::daemon::PATIENCE;

/// Interval of polls: short beside a wait, and long beside the work of a poll.
const POLL: Duration = Duration::from_millis(5);

/// Lets the polled programs have the processor until the next poll.
pub(crate) fn pause() {
    std::thread::sleep(POLL);
}

/// Polls `look` until it returns a value.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "never came: {what}");
        pause();
    }
}

/// Writes a file that its owner alone may read, as the servers want their keys.
pub(crate) fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).expect("write a secret");
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("close it to others");
}

/// A file of JSON.
pub(crate) fn json_file(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}:\n{text}", path.display()))
}
