//! A running daemon or server.

use std::fs;
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{Client, Http, Response, Setup, Ws, eventually, pause};

/// Long enough for a slow machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Longest wait for one notification, before the caller checks that the process is alive.
const LISTEN: Duration = Duration::from_millis(200);

/// A running daemon; killed when this goes.
pub(crate) struct Daemon {
    pub(crate) setup: Setup,
    child: Child,
    /// Address at which a server serves HTTP.
    address: Option<SocketAddr>,
    /// Notifications to the service manager.
    notified: Notifications,
}

impl Daemon {
    pub(super) fn start(setup: Setup) -> Self {
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

    /// Returns the next notification to the service manager.
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

    /// Address at which a server serves HTTP.
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

    /// Suspends the process, and waits until it is suspended.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let status = waitpid(self.pid(), Some(WaitPidFlag::WUNTRACED)).expect("wait for its stop");
        assert!(matches!(status, WaitStatus::Stopped(..)), "{status:?}:\n{}", self.setup.log());
    }

    /// Resumes the process.
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

    /// Kills the process.
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
            pause();
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

/// Reader of a notification socket. It always reads, as a service manager does, because a program
/// blocks on a full socket.
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
        pause();
    }
}

/// True if the path exists.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
