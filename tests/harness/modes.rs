//! Modes of a test run, chosen by environment variables of the run.

use std::ffi::OsString;
use std::{env, thread};

use super::extent::is_long;
use super::slow_disk::shim;

/// Tests that run on the plain disk in a mode, by how their names begin, each with the reason.
const NEEDS_PLAIN_DISK: &[(&str, &str, &str)] = &[
    (
        "rare-stalls",
        "remote_faults::chaos::",
        "its daemons give a server up after 400 ms, so that many faults fit into a history",
    ),
    (
        "rare-stalls",
        "remote_faults::outbox::",
        "hundreds of commits one after the other, each twentieth a stall, take minutes",
    ),
];

/// True when the run has time for long tests (`LANRAGE_LONG=1`); prints that a test is skipped
/// otherwise.
pub(crate) fn is_long_run() -> bool {
    if !is_long() {
        eprintln!("skipped: set LANRAGE_LONG=1 to run it");
    }
    is_long()
}

/// The environment that gives a program the disk of the run, `LANRAGE_TEST_DISK`: `20ms` delays
/// each sync, `rare-stalls` delays 5 % of them by 0 to 2 s.
pub(crate) fn disk_of_run() -> Vec<(&'static str, OsString)> {
    let mode = env::var("LANRAGE_TEST_DISK").unwrap_or_default();
    let calls = match mode.as_str() {
        "" => return Vec::new(),
        "20ms" => "100:20:20",
        "rare-stalls" => "5:0:2000",
        other => panic!("LANRAGE_TEST_DISK is 20ms or rare-stalls, not {other:?}"),
    };
    // A test's thread has its name.
    let thread = thread::current();
    let test = thread.name().unwrap_or_default();
    let mut exceptions = NEEDS_PLAIN_DISK.iter();
    if exceptions.any(|(of_mode, name, _)| *of_mode == mode && test.starts_with(name)) {
        return Vec::new();
    }
    let shim = shim().expect("LANRAGE_TEST_DISK needs a C compiler (cc)");
    vec![("LD_PRELOAD", shim.into()), ("SLOW_DISK_CALLS", calls.into())]
}
