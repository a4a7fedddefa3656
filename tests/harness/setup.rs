//! Directory, configuration and arguments that a daemon or a server starts from.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use tempfile::TempDir;

use super::modes::disk_of_run;
use super::{Daemon, end_of};

/// A daemon's configuration that tries again soon, and waits long for a server that answers late.
pub(crate) const FAST_REMOTE: &str = "[remote]\nheartbeat = '1s'\nconnect_timeout = '5s'\n\
    request_timeout = '10s'\nbackoff_initial = '20ms'\nbackoff_max = '200ms'\nmax_attempts = 3\n\
    probe = '200ms'\n";

/// [`FAST_REMOTE`] with other values for some of its keys.
pub(crate) fn fast_remote<const N: usize>(changes: [(&str, &str); N]) -> String {
    let mut lines: Vec<_> = FAST_REMOTE.lines().map(str::to_owned).collect();
    for (key, value) in changes {
        let line = lines.iter_mut().find(|line| line.starts_with(&format!("{key} = ")));
        *line.unwrap_or_else(|| panic!("FAST_REMOTE has no {key}")) = format!("{key} = {value}");
    }
    lines.join("\n") + "\n"
}

/// [`FAST_REMOTE`] with short timeouts, for servers that give no answer.
pub(crate) fn impatient_remote() -> String {
    fast_remote([("request_timeout", "'3s'")])
}

/// Setup of a daemon or a server. Each test has its own directory, and so its own program.
pub(crate) struct Setup {
    pub(crate) dir: TempDir,
    pub(crate) program: &'static str,
    /// The configuration file's text.
    pub(crate) config: String,
    /// Arguments beside those that name its socket, state and configuration.
    pub(crate) args: Vec<String>,
    /// Environment variables beside those of every program.
    pub(crate) env: Vec<(&'static str, OsString)>,
    pub(crate) socket: PathBuf,
    pub(crate) state: PathBuf,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (socket, state) = (dir.path().join("run/control.sock"), dir.path().join("state"));
        let program = env!("CARGO_BIN_EXE_lanragectl-d");
        let (config, args, env) = Default::default();
        Self { dir, program, config, args, env, socket, state }
    }

    /// Of a server, on a port that the system chooses.
    pub(crate) fn server() -> Self {
        let program = env!("CARGO_BIN_EXE_lanragectl-server");
        let args = ["--listen", "127.0.0.1:0"].map(str::to_owned).to_vec();
        Self { program, args, ..Self::new() }
    }

    /// The same with another argument.
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// The same with another environment variable: the program starts with a cleared environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Of a daemon in remote mode.
    pub(crate) fn server_url(self, url: &str) -> Self {
        self.arg("--server").arg(url)
    }

    /// The same server on this address, be it another than before. A [`super::Port`] keeps one free
    /// for a server that comes and goes.
    pub(crate) fn restart_on(mut self, address: SocketAddr) -> Self {
        let flag = self.args.iter().position(|arg| arg == "--listen").expect("a server");
        self.args[flag + 1] = address.to_string();
        self
    }

    /// Returns the same setup without its stored state.
    pub(crate) fn wiped(self) -> Self {
        match fs::remove_dir_all(&self.state) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("wipe the state: {error}"),
            _ => self,
        }
    }

    /// The same with a configuration file of this text.
    pub(crate) fn config(mut self, config: &str) -> Self {
        self.config = config.to_owned();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.state.clone()
    }

    /// The command that starts it, its log in `log`; not yet run.
    pub(crate) fn command(&self) -> Command {
        let config = self.path("config.toml");
        fs::write(&config, &self.config).expect("write the configuration");
        let log = fs::File::options().create(true).append(true).open(self.path("log"));
        let log = log.expect("open the log");
        let mut command = Command::new(self.program);
        command
            .arg("--config")
            .arg(config)
            .arg("--socket")
            .arg(self.socket())
            .arg("--state-dir")
            .arg(self.state_dir())
            .args(&self.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("LANRAGE_LOG", "debug")
            .envs(disk_of_run())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log);
        command
    }

    /// Starts it and waits until it serves its socket.
    pub(crate) fn start(self) -> Daemon {
        Daemon::start(self)
    }

    /// Starts the program and expects it to exit. Returns its status and its log.
    pub(crate) fn fails(&self) -> (ExitStatus, String) {
        (end_of(&mut self.command()), self.log())
    }

    /// The regular backups, oldest first.
    pub(crate) fn backups(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.state.join("backups")).into_iter().flatten().flatten();
        let mut backups: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        backups.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
        backups.sort();
        backups
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}
