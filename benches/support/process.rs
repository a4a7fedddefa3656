//! The servers, each a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::bail;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::client::Client;
use super::echo::ROLE;

/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a socket that is not there yet is looked for.
const GLANCE: Duration = Duration::from_micros(100);

/// A daemon or an echo server; ended when this goes.
pub(crate) struct Server {
    child: Child,
    socket: PathBuf,
    /// Goes after the process.
    _home: Home,
}

/// Where a server keeps what it has: the state on the disk under test, the socket where its path
/// is short.
pub(crate) struct Home {
    run: TempDir,
    state: TempDir,
}

impl Home {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let state = tempfile::tempdir_in(disk())?;
        Ok(Self { run: tempfile::tempdir()?, state })
    }
}

/// A directory on the file system that holds the states.
pub(crate) fn disk() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

impl Server {
    pub(crate) fn daemon() -> anyhow::Result<Self> {
        Self::daemon_in(Home::new()?)
    }

    pub(crate) fn daemon_in(home: Home) -> anyhow::Result<Self> {
        let config = home.run.path().join("config.toml");
        fs::write(&config, "[limits]\nconnections_per_uid = 256\n")?;
        let socket = home.run.path().join("run/control.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanragectl-d"));
        command.arg("--config").arg(config).arg("--socket").arg(&socket);
        command.arg("--state-dir").arg(home.state.path());
        Self::start(command, socket, home)
    }

    pub(crate) fn echo() -> anyhow::Result<Self> {
        let home = Home::new()?;
        let socket = home.run.path().join("echo.sock");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ROLE).arg(&socket);
        Self::start(command, socket, home)
    }

    fn start(mut command: Command, socket: PathBuf, home: Home) -> anyhow::Result<Self> {
        command.env_clear().env("HOME", home.run.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        let mut server = Self { child, socket, _home: home };
        let until = Instant::now() + PATIENCE;
        while server.client().is_err() {
            if let Some(ended) = server.child.try_wait()? {
                bail!("{command:?} ended: {ended}");
            }
            if Instant::now() > until {
                bail!("{command:?} serves nothing");
            }
            std::thread::sleep(GLANCE);
        }
        Ok(server)
    }

    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::connect(&self.socket)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        if let Ok(id) = i32::try_from(self.child.id()) {
            kill(Pid::from_raw(id), Signal::SIGTERM).ok();
        }
        self.child.wait().ok();
    }
}
