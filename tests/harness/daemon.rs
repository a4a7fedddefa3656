//! A daemon or a server in a directory of its own.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::modes::disk_of_run;
use super::{Client, Http, Response, Ws, eventually};

/// Long enough for a slow machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long until it is looked whether who is listened to is still there.
const LISTEN: Duration = Duration::from_millis(200);

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

/// As [`FAST_REMOTE`], for servers that give no answer: they are soon given up.
pub(crate) fn impatient_remote() -> String {
    fast_remote([("request_timeout", "'3s'")])
}

/// What a daemon or a server starts from. Each test has its own directory, and so its own program.
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

    /// The same without what it has stored.
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

    /// Starts it, expecting it to give up by itself. Returns how, and what it logged.
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

/// A running daemon; killed when this goes.
pub(crate) struct Daemon {
    pub(crate) setup: Setup,
    child: Child,
    /// Where a server serves HTTP.
    address: Option<SocketAddr>,
    /// What it tells its service manager.
    notified: Notifications,
}

impl Daemon {
    fn start(setup: Setup) -> Self {
        let command = setup.command();
        let mut daemon = Self::launch(setup, command);
        daemon.await_ready();
        daemon
    }

    /// Starts a command made from the one of its setup, and does not wait.
    pub(crate) fn launch(setup: Setup, command: Command) -> Self {
        let (child, notified) = spawn(&setup, command);
        Self { setup, child, address: None, notified }
    }

    pub(crate) fn await_ready(&mut self) {
        loop {
            let told = self.notification();
            if told.contains("READY=1") {
                self.address = address(&told).or(self.address);
                return;
            }
        }
    }

    /// The next thing that it tells its service manager.
    pub(crate) fn notification(&mut self) -> String {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(told) = self.notified.next() {
                return told;
            }
            let ended = self.child.try_wait().expect("ask for the daemon's end");
            assert!(ended.is_none(), "the daemon ended:\n{}", self.setup.log());
        }
        panic!("the daemon tells nothing:\n{}", self.setup.log());
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.setup.socket())
    }

    /// Where a server serves HTTP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("an address in what it told")
    }

    /// An HTTP client of a server.
    pub(crate) fn http(&self) -> Http {
        Http::connect(self.address())
    }

    /// A server's metrics. A scrape that comes too soon after others is repeated.
    pub(crate) fn metrics(&self) -> Response {
        let mut http = self.http();
        eventually("the metrics", || {
            let metrics = http.get("/metrics");
            assert!([200, 429].contains(&metrics.status), "{}", metrics.text());
            (metrics.status == 200).then_some(metrics)
        })
    }

    /// A WebSocket client of a server.
    pub(crate) fn ws(&self) -> Ws {
        Ws::connect(self.address())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("signal the daemon");
    }

    /// Stops it in the midst of whatever it does, and waits until it has stopped.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let status = waitpid(self.pid(), Some(WaitPidFlag::WUNTRACED)).expect("wait for its stop");
        assert!(matches!(status, WaitStatus::Stopped(..)), "{status:?}:\n{}", self.setup.log());
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until the connection to the control server is in that state: the whole connection.
    #[track_caller]
    pub(crate) fn await_state(&self, state: &str) -> Value {
        let mut watcher = self.client();
        let subscribed = watcher.call("events.subscribe", json!({"topics": ["connection"]}));
        let mut connection = subscribed["snapshot"]["connection"].clone();
        let until = Instant::now() + PATIENCE;
        while connection["state"] != state {
            assert!(Instant::now() < until, "never {state}, but {connection}");
            let (kind, data) = watcher.event();
            assert_eq!(kind, "connection.changed", "{data}");
            connection = data;
        }
        connection
    }

    /// Has it read another configuration, and waits until it has.
    pub(crate) fn reload(&mut self, config: &str) {
        fs::write(self.setup.path("config.toml"), config).expect("write the configuration");
        self.signal(Signal::SIGHUP);
        while !self.notification().contains("RELOADING=1") {}
        self.await_ready();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> (Setup, ExitStatus) {
        self.signal(Signal::SIGTERM);
        let status = wait(&mut self.child);
        (self.into_setup(), status)
    }

    /// Kills it on the spot.
    pub(crate) fn kill(mut self) -> Setup {
        self.child.kill().expect("kill the daemon");
        wait(&mut self.child);
        self.into_setup()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> (Setup, ExitStatus) {
        let status = wait(&mut self.child);
        (self.into_setup(), status)
    }

    fn into_setup(mut self) -> Setup {
        std::mem::replace(&mut self.setup, Setup::new())
    }

    /// Waits until its log holds a text.
    pub(crate) fn await_log(&self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.setup.log().contains(text) {
            assert!(Instant::now() < until, "{text:?} is not in:\n{}", self.setup.log());
            std::thread::yield_now();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.setup.log());
        }
    }
}

/// The address in `serving http://127.0.0.1:8667 and …`.
fn address(told: &str) -> Option<SocketAddr> {
    let (_, rest) = told.split_once("://")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn spawn(setup: &Setup, mut command: Command) -> (Child, Notifications) {
    let path = setup.path("notify");
    fs::remove_file(&path).ok();
    let notified = UnixDatagram::bind(&path).expect("bind the notification socket");
    let child = command.env("NOTIFY_SOCKET", &path).spawn().expect("start the daemon");
    (child, Notifications::of(notified))
}

/// What comes on a notification socket. It is always read, as a service manager would: a program
/// waits for who does not.
struct Notifications {
    socket: UnixDatagram,
    /// Tests share a program between threads.
    told: Mutex<mpsc::Receiver<String>>,
}

impl Notifications {
    fn of(socket: UnixDatagram) -> Self {
        let heard = socket.try_clone().expect("share the notification socket");
        let (sender, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            // Nothing comes once it is shut down.
            while let Ok(length @ 1..) = heard.recv(&mut buffer) {
                sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).ok();
            }
        });
        Self { socket, told: Mutex::new(told) }
    }

    fn next(&mut self) -> Option<String> {
        self.told.get_mut().expect("the other end").recv_timeout(LISTEN).ok()
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        self.socket.shutdown(Shutdown::Both).ok();
    }
}

/// Runs a command that is to end by itself.
pub(crate) fn end_of(command: &mut Command) -> ExitStatus {
    wait(&mut command.spawn().expect("start the program"))
}

fn wait(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("wait for the daemon") {
            return status;
        }
        if Instant::now() > until {
            child.kill().ok();
            panic!("the daemon does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a path is there.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
