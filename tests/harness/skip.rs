//! Tests that need more than the machine has.

use std::io::{self, Write as _};
use std::{env, thread};

/// True for root. Otherwise the calling test is skipped, and `needed` says why it takes root.
#[track_caller]
pub(crate) fn has_root(needed: &str) -> bool {
    let has_root = nix::unistd::geteuid().is_root();
    if !has_root {
        skip(&format!("it takes root {needed}"));
    }
    has_root
}

/// Says on the run's standard error that the calling test is skipped, or proves less, and why. Fails
/// the test where `LANRAGE_TEST_SKIPS=fail` asks for all of them, as `.ci/run` does.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    let must_run = env::var_os("LANRAGE_TEST_SKIPS").is_some_and(|value| value == "fail");
    assert!(!must_run, "skipped: {reason}");
    // Unlike `eprintln`, this is not captured. A test's thread has its name.
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    writeln!(io::stderr(), "skipped: {test}: {reason}").ok();
}
