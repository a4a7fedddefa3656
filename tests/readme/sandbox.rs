//! The machine of a new user: a home of its own, and terminals.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::blocks::{Block, is_shown};
use crate::harness::{PATIENCE, Port, disk_of_run, eventually};

/// The server's default port, in whose place the blocks get one that is free.
const PORT: &str = "8667";

/// Ends the output of a command.
const END: &str = "-- end of the command: ";

/// Stands in for cargo: the programs are built already.
const CARGO: &str = r#"#!/bin/sh
case "$*" in
build) ;;
run) exec target/debug/lanragectl-d ;;
"run --bin lanragectl-server") exec target/debug/lanragectl-server ;;
*) echo "the document asks for cargo $*" >&2 && exit 1 ;;
esac
"#;

/// Stands in for git: it clones a folder in which the programs are built, `BUILT`.
const GIT: &str = r#"#!/bin/sh
[ "$1 $2 $3" = "clone REPOSITORY lanragectl" ] || exit 1
mkdir -p lanragectl/target && ln -s "$BUILT" lanragectl/target/debug
"#;

/// A program in a terminal of its own.
struct Terminal {
    line: String,
    child: Child,
}

/// Program that prints the state, and then each change.
pub(super) struct Follower {
    /// Beginning of the line that it prints at first.
    pub(super) now: &'static str,
    /// A command that changes something.
    pub(super) change: &'static str,
    /// Beginning of the line that it prints of that.
    pub(super) then: &'static str,
}

pub(super) struct Sandbox {
    home: TempDir,
    port: Port,
    shell: Child,
    shell_input: ChildStdin,
    shell_output: mpsc::Receiver<String>,
    terminals: Vec<Terminal>,
}

/// True if a program is in `PATH`.
pub(super) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// The lines that a program prints, to both of its outputs.
fn lines(child: &mut Child) -> mpsc::Receiver<String> {
    let output = child.stdout.take().expect("its output");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            sender.send(line).ok();
        }
    });
    lines
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().expect("a home");
        let port = Port::reserve();
        for folder in ["run", "bin"] {
            fs::create_dir(home.path().join(folder)).expect("a folder");
        }
        let runtime = home.path().join("run");
        fs::set_permissions(runtime, fs::Permissions::from_mode(0o700)).expect("close it");
        for (program, text) in [("cargo", CARGO), ("git", GIT)] {
            let path = home.path().join("bin").join(program);
            fs::write(&path, text).expect("a stand-in");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program");
        }
        let mut shell = bash(home.path(), &port);
        let mut shell = shell.stdin(Stdio::piped()).spawn().expect("bash");
        let (shell_input, shell_output) =
            (shell.stdin.take().expect("its input"), lines(&mut shell));
        let terminals = Vec::new();
        Self { home, port, shell, shell_input, shell_output, terminals }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    /// A shell in the folder of the source.
    fn bash(&self) -> Command {
        let mut command = bash(self.home(), &self.port);
        command.current_dir(self.home().join("lanragectl"));
        command
    }

    /// A block with the free port.
    pub(super) fn ported(&self, block: &Block) -> Block {
        let port = self.port.address().port().to_string();
        Block { text: block.text.replace(PORT, &port), ..block.clone() }
    }

    /// Writes a file, and returns its path.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        fs::write(&path, text).expect("write a block");
        path
    }

    /// Starts a program in a terminal of its own, and waits until it prints a text.
    pub(super) fn open_terminal(&mut self, line: &str, told: &str) {
        let mut command = self.bash();
        command.arg("-c").arg(format!("exec {line}"));
        let mut child = command.stdin(Stdio::null()).spawn().expect("bash");
        let output = lines(&mut child);
        self.terminals.push(Terminal { line: line.to_owned(), child });
        await_line(&output, line, |printed| printed.contains(told));
    }

    /// Runs a command in the shell that stays open; it has to succeed. Returns its output.
    pub(super) fn shell(&mut self, command: &str, place: &str) -> Vec<String> {
        let file = self.file("command", command);
        // The command must not read what is next for the shell.
        let run = format!(". {} </dev/null; ended=$?; echo; echo '{END}'$ended", file.display());
        writeln!(self.shell_input, "{run}").expect("the shell runs");
        let what = format!("{place}: {command}");
        let mut output = await_line(&self.shell_output, &what, |line| line.starts_with(END));
        assert_eq!(output.pop(), Some(format!("{END}0")), "{what}: {output:#?}");
        // What comes from the `echo` ends a last line that has no end of its own.
        output.pop_if(|last| last.is_empty());
        output
    }

    /// Runs the commands of a block, and compares their output with the document's.
    pub(super) fn console(&mut self, block: &Block) {
        for command in block.commands() {
            let output = self.shell(command.command, &block.place);
            let (command, shown) = (command.command, command.output);
            assert!(
                shown.is_empty() || is_shown(&shown, &output),
                "{}: another output of {command}: {output:#?}, not {shown:#?}",
                block.place
            );
        }
    }

    fn run(&self, mut command: Command, block: &Block) {
        let output = command.stdin(Stdio::null()).output().expect("run a program");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {told}", block.place);
    }

    pub(super) fn has_module(&self, module: &str) -> bool {
        let mut command = self.bash();
        command.arg("-c").arg(format!("python3 -c 'import {module}'"));
        command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
    }

    /// Runs a program in Python, as its user would: from a file.
    pub(super) fn python(&self, block: &Block) {
        let mut command = self.bash();
        command
            .args(["-c", "exec timeout 60 python3 \"$1\"", "-"])
            .arg(self.file("game.py", &block.text));
        self.run(command, block);
    }

    /// Runs a program in Python that follows changes, until it has printed one.
    pub(super) fn follow(&mut self, block: &Block, follower: &Follower) {
        let mut command = self.bash();
        // Unbuffered, as in a terminal.
        command.args(["-c", "exec python3 -u \"$1\"", "-"]).arg(self.file("game.py", &block.text));
        let mut child = command.stdin(Stdio::null()).spawn().expect("bash");
        let output = lines(&mut child);
        await_line(&output, &block.place, |line| line.starts_with(follower.now));
        self.shell(follower.change, &block.place);
        await_line(&output, &block.place, |line| line.starts_with(follower.then));
        child.kill().expect("kill it");
        child.wait().expect("its end");
    }

    /// Has the daemon check a configuration file.
    pub(super) fn check_configuration(&self, block: &Block) {
        let mut command = self.bash();
        let check = "exec target/debug/lanragectl-d --check-config --config \"$1\"";
        command.args(["-c", check, "-"]).arg(self.file("config.toml", &block.text));
        self.run(command, block);
    }

    /// Stops the programs in the terminals as Ctrl-C does; they have to end well. One that never
    /// ends by itself is killed: where the run ignores SIGINT, it does, too.
    pub(super) fn stop(mut self) {
        for mut terminal in self.terminals.drain(..).rev() {
            if terminal.line.ends_with("watch") {
                terminal.child.kill().expect("kill it");
                terminal.child.wait().expect("its end");
                continue;
            }
            let pid = Pid::from_raw(i32::try_from(terminal.child.id()).expect("a pid"));
            kill(pid, Signal::SIGINT).expect("Ctrl-C");
            let end = || terminal.child.try_wait().expect("ask for its end");
            let status = eventually("the end of a program", end);
            assert!(status.success(), "{}: {status}", terminal.line);
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let terminals = self.terminals.iter_mut().map(|terminal| &mut terminal.child);
        for child in terminals.chain([&mut self.shell]) {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// A shell of the new user; not yet run.
fn bash(home: &Path, port: &Port) -> Command {
    let mut path = vec![home.join("bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let built = Path::new(env!("CARGO_BIN_EXE_lanragectl")).parent().expect("its folder");
    let mut command = Command::new("bash");
    command
        .args(["-c", "exec bash \"$@\" 2>&1", "-"])
        .env_clear()
        .env("PATH", std::env::join_paths(path).expect("a path"))
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("BUILT", built)
        .env("LANRAGE_LISTEN", port.address().to_string())
        .envs(disk_of_run())
        .current_dir(home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Returns the lines up to one that is as wanted, that one too.
fn await_line(
    lines: &mpsc::Receiver<String>,
    what: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|line: &String| is_wanted(line)) {
        let left = until.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => seen.push(line),
            Err(_) => panic!("{what}: ended, or took too long, after {seen:#?}"),
        }
    }
    seen
}
