//! Memory of the programs, which other programs of the same user can't read.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Client, Daemon, NOBODY, Setup, eventually, is_root, skip};

/// Asserts that a process leaves no core, and that its files under /proc are the superuser's, as
/// those are of a process that its user may not debug.
fn assert_guarded(pid: u32) {
    let owner = || fs::metadata(format!("/proc/{pid}/environ")).expect("a process").uid();
    eventually("files of the superuser's", || (owner() == 0).then_some(()));
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("one");
    let words: Vec<_> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}

/// Makes a command run as a user who is not the superuser, whose own files belong to that one in
/// any case.
fn as_user(command: &mut Command, setup: &Setup) {
    if is_root() {
        chown(setup.dir.path(), Some(NOBODY), Some(NOBODY)).expect("give the directory away");
        command.uid(NOBODY).gid(NOBODY);
    }
}

#[test]
fn memory_is_closed_to_other_programs_of_the_user() {
    let mut version = Command::new(env!("CARGO_BIN_EXE_lanragectl"));
    let setup = Setup::new();
    as_user(&mut version, &setup);
    if !version.arg("--version").stdout(Stdio::null()).status().is_ok_and(|it| it.success()) {
        return skip("the programs are in a folder that other users can't enter");
    }
    for setup in [Setup::new(), Setup::server()] {
        let mut command = setup.command();
        as_user(&mut command, &setup);
        let daemon = Daemon::launch(setup, command);
        let socket = daemon.setup.socket();
        // It can't report that it serves: that user does not reach the harness' socket.
        let stream = eventually("a daemon that listens", || UnixStream::connect(&socket).ok());
        // Who is at the other end is seen as before.
        let role = Client::over(stream).call("hello", json!({}))["role"].clone();
        assert_eq!(role, "admin");
        assert_guarded(u32::try_from(daemon.pid().as_raw()).expect("a process id"));

        let mut watch = daemon.ctl().command("watch");
        as_user(&mut watch, &daemon.setup);
        let mut watch = watch.spawn().expect("run lanragectl");
        assert_guarded(watch.id());
        watch.kill().expect("end it");
        watch.wait().expect("see it end");
    }
}
