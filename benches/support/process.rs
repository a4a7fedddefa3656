//! The servers, each a process of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::client::Client;
use super::echo::ROLE;
use super::http::Http;
use super::site;

/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than any client asks for.
pub(crate) const NO_LIMITS: &str = "
[limits]
requests_per_second = 1_000_000
requests_burst = 1_000_000
registrations_per_minute = 1_000_000
registrations_burst = 1_000_000
tokens = 16_777_216
[ws]
frames_per_second = 1_000_000
frames_burst = 1_000_000
";
/// Interval of the checks for a socket that does not exist yet.
const GLANCE: Duration = Duration::from_micros(100);

/// A daemon or an echo server, on a socket of the system.
pub(crate) struct Server {
    process: Process,
    socket: PathBuf,
}

/// A control server or a site, on a port.
pub(crate) struct Web {
    process: Process,
    pub(crate) address: SocketAddr,
}

/// Ended when this goes.
struct Process {
    child: Child,
    /// Goes after the process; `None` when another goes on with it.
    home: Option<Home>,
}

/// Files of a server: the state on the disk under test, the socket where its path is short.
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
        Self::daemon_with(home, "[limits]\nconnections_per_uid = 256\n", &[])
    }

    /// A daemon of that control server.
    pub(crate) fn remote(url: &str, config: &str) -> anyhow::Result<Self> {
        Self::daemon_with(Home::new()?, config, &["--server", url])
    }

    fn daemon_with(home: Home, text: &str, args: &[&str]) -> anyhow::Result<Self> {
        let config = home.run.path().join("config.toml");
        fs::write(&config, text)?;
        let socket = home.run.path().join("run/control.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanragectl-d"));
        command.arg("--config").arg(config).arg("--socket").arg(&socket);
        command.arg("--state-dir").arg(home.state.path()).args(args);
        Self::start(command, socket, home)
    }

    pub(crate) fn echo() -> anyhow::Result<Self> {
        let home = Home::new()?;
        let socket = home.run.path().join("echo.sock");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ROLE).arg(&socket);
        Self::start(command, socket, home)
    }

    fn start(command: Command, socket: PathBuf, home: Home) -> anyhow::Result<Self> {
        let process = Process::start(command, home, || Client::connect(&socket).is_ok())?;
        Ok(Self { process, socket })
    }

    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::connect(&self.socket)
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks it to end, and does not wait.
    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }
}

impl Web {
    /// A control server that refuses nobody for asking too often.
    pub(crate) fn server() -> anyhow::Result<Self> {
        Self::server_in(Home::new()?, free_address()?, NO_LIMITS)
    }

    /// The same, with further lines of its table `[ws]`.
    pub(crate) fn server_with(ws: &str) -> anyhow::Result<Self> {
        Self::server_in(Home::new()?, free_address()?, &format!("{NO_LIMITS}{ws}"))
    }

    /// A control server with its default limits.
    pub(crate) fn limited_server() -> anyhow::Result<Self> {
        Self::server_in(Home::new()?, free_address()?, "")
    }

    /// The same on that address, with what is there of it.
    pub(crate) fn server_in(home: Home, address: SocketAddr, text: &str) -> anyhow::Result<Self> {
        let config = home.run.path().join("config.toml");
        fs::write(&config, text)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanragectl-server"));
        command.arg("--config").arg(config).arg("--listen").arg(address.to_string());
        command.arg("--socket").arg(home.run.path().join("run/control.sock"));
        command.arg("--state-dir").arg(home.state.path());
        Self::start(command, address, home)
    }

    pub(crate) fn site() -> anyhow::Result<Self> {
        let (home, address) = (Home::new()?, free_address()?);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(site::ROLE).arg(address.to_string());
        Self::start(command, address, home)
    }

    fn start(command: Command, address: SocketAddr, home: Home) -> anyhow::Result<Self> {
        let process = Process::start(command, home, || TcpStream::connect(address).is_ok())?;
        Ok(Self { process, address })
    }

    pub(crate) fn http(&self) -> anyhow::Result<Http> {
        Http::connect(self.address)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Ends it by a signal. Returns what it left.
    pub(crate) fn end(mut self, by: Signal) -> anyhow::Result<Home> {
        self.signal(by);
        self.process.child.wait()?;
        self.process.home.take().context("a process has a home")
    }

    /// Asks it to end, and waits until it has. Returns how long that took.
    pub(crate) fn stop(mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.process.terminate();
        let ended = self.process.child.wait()?;
        ensure!(ended.success(), "it ended badly: {ended}");
        Ok(begun.elapsed())
    }
}

/// One that nobody listens on.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Process {
    fn start(mut command: Command, home: Home, serves: impl Fn() -> bool) -> anyhow::Result<Self> {
        command.env_clear().env("HOME", home.run.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Self { child: command.spawn()?, home: Some(home) };
        let until = Instant::now() + PATIENCE;
        while !serves() {
            if let Some(ended) = process.child.try_wait()? {
                bail!("{command:?} ended: {ended}");
            }
            if Instant::now() > until {
                bail!("{command:?} serves nothing");
            }
            std::thread::sleep(GLANCE);
        }
        Ok(process)
    }

    fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// It may have ended by itself.
    fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            kill(Pid::from_raw(id), signal).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whoever was waited for has no id any more that could be another's.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
            // It may be frozen.
            self.signal(Signal::SIGCONT);
        }
        self.child.wait().ok();
    }
}
