//! Files that the daemon replaces, and those that it leaves alone, to serve its socket.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use serde_json::json;

use crate::harness::{Daemon, Setup, end_of, exists, has_root};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("a file").permissions().mode() & 0o7777
}

/// Expects a second daemon to give up and name the first, and the first to go on.
fn refuses_a_second(first: &Daemon, second: &Setup, what: &Path) {
    let (status, log) = second.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("process {},", first.pid())), "{log}");
    assert!(log.contains(&what.display().to_string()), "{log}");
    first.client().call("ping", json!({}));
}

#[test]
fn second_daemon_on_the_socket_names_the_first() {
    let first = Setup::new().start();
    let mut second = Setup::new();
    second.socket = first.setup.socket();
    refuses_a_second(&first, &second, &first.setup.socket());
}

#[test]
fn second_daemon_on_the_state_names_the_first() {
    let first = Setup::new().start();
    let mut second = Setup::new();
    second.state = first.setup.state_dir();
    refuses_a_second(&first, &second, &first.setup.state_dir());
    assert!(!exists(&second.socket()), "it listened");
}

#[test]
fn socket_of_a_killed_daemon_is_reclaimed() {
    let setup = Setup::new().start().kill();
    assert!(exists(&setup.socket()), "nothing was left to reclaim");
    let daemon = setup.start();
    daemon.client().call("ping", json!({}));
}

#[test]
fn socket_mode_is_for_the_user_or_for_all_of_the_system() {
    let user = Setup::new().start();
    let directory = |setup: &Setup| mode(setup.socket().parent().expect("a directory"));
    assert_eq!((mode(&user.setup.socket()), directory(&user.setup)), (0o600, 0o700));
    assert_eq!(mode(&user.setup.state_dir()), 0o700);
    let mut setup = Setup::new();
    setup.args.push("--system".into());
    let system = setup.start();
    assert_eq!((mode(&system.setup.socket()), directory(&system.setup)), (0o666, 0o755));
    assert_eq!(mode(&system.setup.state_dir()), 0o700);
}

#[test]
fn socket_path_with_a_foreign_file_is_refused() {
    let file = |path: &Path| fs::write(path, "precious").expect("write a file");
    let directory = |path: &Path| fs::create_dir(path).expect("make a directory");
    let link = |path: &Path| symlink("nowhere", path).expect("make a link");
    let obstacles: [&dyn Fn(&Path); 3] = [&file, &directory, &link];
    for put in obstacles {
        let setup = Setup::new();
        let socket = setup.socket();
        fs::create_dir(socket.parent().expect("a directory")).expect("make the directory");
        put(&socket);
        let before = fs::symlink_metadata(&socket).expect("the obstacle");
        let (status, log) = setup.fails();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("is no socket") && log.contains("--socket"), "{log}");
        let after = fs::symlink_metadata(&socket).expect("the obstacle is gone");
        assert_eq!((before.ino(), before.mtime()), (after.ino(), after.mtime()));
        assert!(after.is_dir() || after.is_symlink() || fs::read(&socket).unwrap() == b"precious");
    }
}

#[test]
fn socket_that_another_program_serves_is_refused() {
    let setup = Setup::new();
    fs::create_dir(setup.socket().parent().expect("a directory")).expect("make the directory");
    let listener = UnixListener::bind(setup.socket()).expect("listen");
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("another program listens"), "{log}");
    listener.set_nonblocking(true).expect("do not wait");
    while listener.accept().is_ok() {}
    let _client = UnixStream::connect(setup.socket()).expect("the socket is still there");
    listener.accept().expect("and it is still the same");
}

#[test]
fn socket_directory_that_others_may_write_to_is_refused() {
    for open in [0o777, 0o775, 0o1777] {
        let setup = Setup::new();
        let directory = setup.path("run");
        fs::create_dir(&directory).expect("make the directory");
        fs::set_permissions(&directory, fs::Permissions::from_mode(open)).expect("open it");
        // In a sticky one nobody can take the socket's place.
        if open == 0o1777 {
            setup.start();
            continue;
        }
        let (status, log) = setup.fails();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("others may put files"), "{log}");
        assert!(log.contains(&format!("mode {open:04o}")), "{log}");
        assert_eq!(mode(&directory), open);
    }
}

#[test]
fn socket_directory_of_another_user_is_refused() {
    if !has_root("to make a directory of another user") {
        // `/proc` is root's and closed to others.
        let mut setup = Setup::new();
        setup.socket = "/proc/control.sock".into();
        let (status, log) = setup.fails();
        assert_eq!(status.code(), Some(1), "{log}");
        return;
    }
    let setup = Setup::new();
    let directory = setup.path("run");
    fs::create_dir(&directory).expect("make the directory");
    std::os::unix::fs::chown(&directory, Some(12_345), None).expect("give it away");
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("others may put files"), "{log}");
}

#[test]
fn socket_path_over_the_length_limit_is_refused() {
    let mut setup = Setup::new();
    let room = 107 - setup.dir.path().as_os_str().len() - "/run/".len();
    let longest = setup.dir.path().join("run").join("s".repeat(room));
    setup.socket = longest.clone();
    let daemon = setup.start();
    daemon.client().call("ping", json!({}));
    let (mut setup, _) = daemon.stop();

    let mut longer = longest.into_os_string();
    longer.push(OsStr::new("s"));
    setup.socket = longer.into();
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("has 108 bytes, and may have 107"), "{log}");
}

#[test]
fn state_directory_that_can_not_be_made_is_named() {
    let mut file = Setup::new();
    fs::write(file.path("state"), "precious").expect("write a file");
    file.state = file.path("state");
    // Nobody may make files there, not even the superuser.
    let mut closed = Setup::new();
    closed.state = "/proc/sys/kernel".into();
    let mut nowhere = Setup::new();
    nowhere.state = "/proc/sys/kernel/lanrage".into();
    for setup in [&file, &closed, &nowhere] {
        let status = end_of(&mut setup.command());
        let log = setup.log();
        assert_eq!(status.code(), Some(1), "{log}");
        let state = setup.state_dir().display().to_string();
        assert!(
            log.contains(&format!("state directory {state}")) || log.contains("--state-dir"),
            "{log}"
        );
        assert!(!exists(&setup.socket()), "it listened");
    }
    assert_eq!(fs::read(file.path("state")).expect("the file"), b"precious");
}
