//! The socket's file goes away, or becomes another's, while its program runs.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::harness::{Client, Daemon, Setup, eventually};

const QUICK: &str = "[cleanup]\ninterval = '50ms'\n";
const SLOW: &str = "[cleanup]\ninterval = '1h'\n";
const BOUND_AGAIN: &str = "socket bound again";

/// A client of the socket's path, once one can connect.
fn reconnected(path: &Path) -> Client {
    Client::over(eventually("a connection", || UnixStream::connect(path).ok()))
}

/// Has another file take the socket's place at once, so that no look at it falls in between.
fn displace(socket: &Path, make: impl FnOnce(&Path)) {
    let other = socket.with_file_name("other");
    make(&other);
    fs::rename(&other, socket).expect("take the socket's place");
}

fn warnings(daemon: &Daemon, text: &str) -> usize {
    let log = daemon.setup.log();
    log.lines().filter(|line| line.contains("WARN") && line.contains(text)).count()
}

fn binds_again(program: Setup, remove: fn(&Path)) {
    let daemon = program.config(QUICK).start();
    let socket = daemon.setup.socket();
    let mut before = daemon.client();
    remove(&socket);
    reconnected(&socket).call("status.get", json!({}));
    daemon.await_log(BOUND_AGAIN);
    assert_eq!(warnings(&daemon, BOUND_AGAIN), 1, "{}", daemon.setup.log());
    before.call("ping", json!({}));

    let mut second = Setup::new();
    second.socket = socket.clone();
    let (status, log) = second.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("process {},", daemon.pid())), "{log}");

    let (setup, status) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{}", setup.log());
    assert!(fs::symlink_metadata(&socket).is_err(), "the socket's file is left");
}

#[test]
fn socket_file_that_was_removed_is_bound_again() {
    binds_again(Setup::new(), |socket| fs::remove_file(socket).expect("remove the file"));
    binds_again(Setup::new().arg("--system"), |socket| {
        // At once: the daemon binds the socket again while a directory is emptied.
        let directory = socket.parent().expect("a directory");
        fs::rename(directory, directory.with_extension("gone")).expect("move the directory");
    });
    binds_again(Setup::server(), |socket| fs::remove_file(socket).expect("remove the file"));
}

#[test]
fn socket_file_with_a_stale_socket_in_its_place_is_reclaimed() {
    binds_again(Setup::new(), |socket| {
        displace(socket, |other| drop(UnixListener::bind(other).expect("bind a socket")));
    });
}

#[test]
fn second_daemon_is_told_that_the_socket_comes_back() {
    let daemon = Setup::new().config(SLOW).start();
    fs::remove_file(daemon.setup.socket()).expect("remove the file");
    let mut second = Setup::new();
    second.socket = daemon.setup.socket();
    let (status, log) = second.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("process {},", daemon.pid())), "{log}");
    assert!(log.contains("binds it again") && log.contains("stop it"), "{log}");
}

#[test]
fn socket_file_with_a_foreign_file_in_its_place_is_left() {
    let daemon = Setup::new().config(QUICK).start();
    let socket = daemon.setup.socket();
    displace(&socket, |other| fs::write(other, "precious").expect("write a file"));
    daemon.await_log("is no socket");
    assert_eq!(fs::read(&socket).expect("the file"), b"precious");
    // A problem is logged once, however often it is seen.
    fs::remove_file(&socket).expect("remove the other file");
    drop(reconnected(&socket));
    assert_eq!(warnings(&daemon, "clients can't reach the socket"), 1, "{}", daemon.setup.log());

    let mut foreign = None;
    displace(&socket, |other| foreign = Some(UnixListener::bind(other).expect("listen")));
    daemon.await_log("another program listens");
    daemon.signal(Signal::SIGTERM);
    let (setup, status) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{}", setup.log());
    let found = fs::symlink_metadata(&socket).expect("the other's file is gone");
    assert!(found.file_type().is_socket());
    drop(foreign);
}

/// A program in the socket's place that accepts nothing, and a connection that waits for it.
fn busy_listener(path: &Path) -> (Socket, UnixStream) {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    socket.bind(&SockAddr::unix(path).expect("an address")).expect("bind it");
    socket.listen(0).expect("listen");
    let waiting = UnixStream::connect(path).expect("fill its queue");
    (socket, waiting)
}

#[test]
fn socket_file_of_a_busy_program_is_not_waited_for() {
    let daemon = Setup::new().config(QUICK).start();
    let socket = daemon.setup.socket();
    let mut before = daemon.client();
    let mut busy = None;
    displace(&socket, |other| busy = Some(busy_listener(other)));
    daemon.await_log("another program listens");
    before.call("ping", json!({}));

    let mut second = Setup::new();
    second.socket = second.path("busy.sock");
    let _busy = busy_listener(&second.socket);
    let (status, log) = second.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("another program listens"), "{log}");
}
