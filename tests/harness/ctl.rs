//! Runs lanragectl.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use serde_json::Value;

use super::{Daemon, Setup};

/// lanragectl, for a certain socket.
pub(crate) struct Ctl {
    program: PathBuf,
    socket: PathBuf,
}

/// Exit status and output of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Ctl {
    pub(crate) fn at(socket: &Path) -> Self {
        let program = env!("CARGO_BIN_EXE_lanragectl").into();
        Self { program, socket: socket.to_owned() }
    }

    /// The same from a copy of the program.
    pub(crate) fn copy(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    /// The command of that line, whose words have no spaces in them; not yet run.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(line.split(' ')).arg("--socket").arg(&self.socket);
        command.env_clear().env("HOME", "/nonexistent").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        self.command(line).output().expect("run lanragectl").into()
    }

    /// Runs it with something to read.
    pub(crate) fn fed(&self, line: &str, input: &str) -> Ran {
        let mut command = self.command(line);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("run lanragectl");
        let mut stdin = child.stdin.take().expect("its standard input");
        stdin.write_all(input.as_bytes()).expect("feed lanragectl");
        drop(stdin);
        child.wait_with_output().expect("see lanragectl end").into()
    }

    /// Returns the human-readable output of a command, which must succeed.
    pub(crate) fn text(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}");
        ran.stdout
    }

    /// Returns the JSON document that a command prints. The command must succeed.
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.text(&format!("{line} --json"));
        assert_eq!(text.find('\n'), Some(text.len() - 1), "{line}: {text}");
        serde_json::from_str(&text).expect("a document")
    }

    /// Returns the exit code and `data.code` of a command that must fail. Asserts that the
    /// human-readable message names a remedy, and that the JSON output is the error only.
    pub(crate) fn fails(&self, line: &str) -> (i32, String) {
        let told = self.run(line);
        assert!(told.stderr.starts_with("lanragectl: ") || told.stderr.starts_with("error: "));
        assert!(told.stderr.contains("\nhint: ") || told.code == Some(2), "{}", told.stderr);

        let ran = self.run(&format!("{line} --json"));
        assert_eq!((ran.stdout.as_str(), ran.code), ("", told.code), "{line}");
        let error: Value = serde_json::from_str(&ran.stderr).expect("a document");
        assert!(error["error"]["message"].is_string(), "{line}: {error}");
        let code = error["error"]["data"]["code"].as_str().expect("a code");
        (ran.code.expect("an exit code"), code.to_owned())
    }
}

impl Setup {
    pub(crate) fn ctl(&self) -> Ctl {
        Ctl::at(&self.socket())
    }
}

impl Daemon {
    pub(crate) fn ctl(&self) -> Ctl {
        self.setup.ctl()
    }

    /// Halts it, and waits until it is.
    pub(crate) fn halt(&self) {
        self.signal(Signal::SIGSTOP);
        waitpid(self.pid(), Some(WaitPidFlag::WUNTRACED)).expect("see the daemon halt");
    }
}
