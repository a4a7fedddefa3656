//! Modes of a test run, chosen by environment variables of the run.

use std::ffi::OsString;
use std::{env, thread};

use super::slow_disk::shim;

/// Tests that a slow disk cannot be asked of, each with the reason. They run on the plain disk.
const NEEDS_PLAIN_DISK: &[(&str, &str)] = &[];

/// True when the run has time for long tests (`LANRAGE_LONG=1`); prints that a test is skipped
/// otherwise.
pub(crate) fn is_long_run() -> bool {
    let is_long = env::var_os("LANRAGE_LONG").is_some_and(|value| value == "1");
    if !is_long {
        eprintln!("skipped: set LANRAGE_LONG=1 to run it");
    }
    is_long
}

/// The environment that gives a program the disk of the run, `LANRAGE_TEST_DISK`: `20ms` delays
/// each sync, `rare-stalls` delays 5 % of them by 0 to 2 s.
pub(super) fn disk_of_run() -> Vec<(&'static str, OsString)> {
    let calls = match env::var("LANRAGE_TEST_DISK").as_deref() {
        Err(env::VarError::NotPresent) | Ok("") => return Vec::new(),
        Ok("20ms") => "100:20:20",
        Ok("rare-stalls") => "5:0:2000",
        other => panic!("LANRAGE_TEST_DISK is 20ms or rare-stalls, not {other:?}"),
    };
    // The harness of libtest names a test's thread after the test.
    let thread = thread::current();
    let test = thread.name().unwrap_or_default();
    if NEEDS_PLAIN_DISK.iter().any(|(name, _)| *name == test) {
        return Vec::new();
    }
    let shim = shim().expect("LANRAGE_TEST_DISK needs a C compiler (cc)");
    vec![("LD_PRELOAD", shim.into()), ("SLOW_DISK_CALLS", calls.into())]
}
