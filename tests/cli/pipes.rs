//! Programs whose output nobody reads.

use std::io::{self, BufRead, BufReader, PipeWriter};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Setup, await_clients, eventually};

#[test]
fn watch_ends_once_its_reader_is_gone() {
    let daemon = Setup::new().start();
    let mut other = daemon.client();
    for line in ["watch", "watch --json", "watch --no-snapshot --json"] {
        let mut child = daemon.ctl().command(line).spawn().expect("run lanragectl");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
        stdout.read_line(&mut String::new()).expect("a line");
        drop(stdout);
        let status = eventually("its end", || child.try_wait().expect("look"));
        assert_eq!(status.code(), Some(0), "{line}");
        await_clients(&mut other, 1);
    }
}

#[test]
fn watch_without_a_pipe_goes_on() {
    let daemon = Setup::new().start();
    let mut other = daemon.client();
    for stdout in [Stdio::null(), Stdio::from(tempfile::tempfile().expect("a file"))] {
        let mut child =
            daemon.ctl().command("watch").stdout(stdout).spawn().expect("run lanragectl");
        await_clients(&mut other, 2);
        other.call("ping", json!({}));
        assert_eq!(child.try_wait().expect("look"), None);
        child.kill().expect("end it");
        child.wait().expect("see it end");
        await_clients(&mut other, 1);
    }
}

/// A pipe that nobody reads.
fn unread() -> PipeWriter {
    io::pipe().expect("a pipe").1
}

#[test]
fn closed_pipe_is_no_failure_of_what_was_done() {
    let daemon = Setup::new().start();
    for (line, code) in [
        ("party list", 0),
        ("party list --json", 0),
        ("status", 0),
        ("wait --for ready --json", 0),
        ("wait --for party --party none --timeout 50ms --json", 5),
        ("--help", 0),
    ] {
        let output = daemon.ctl().command(line).stdout(unread()).output().expect("run lanragectl");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(code), "{line}: {stderr}");
        assert_eq!(stderr.is_empty(), code == 0, "{line}: {stderr}");
    }
    for setup in [Setup::new(), Setup::server()] {
        let mut command = Command::new(setup.program);
        command.arg("--check-config").arg("--state-dir").arg(setup.state_dir()).env_clear();
        let output = command.stdout(unread()).output().expect("run it");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(output.stderr, b"", "{output:?}");
    }
}
