//! Messages between the daemon and its service manager.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::harness::{Client, Daemon, Setup, end_of, exists};

/// The daemon under `systemd-socket-activate`, which listens on these sockets of its directory
/// and starts it at the first connection.
fn activated(setup: Setup, sockets: &[&str], names: Option<&str>) -> Daemon {
    let plain = setup.command();
    let mut command = Command::new("systemd-socket-activate");
    for socket in sockets {
        command.arg("--listen").arg(setup.path(socket));
    }
    command.args(names.map(|names| format!("--fdname={names}")));
    command.args(["--setenv=NOTIFY_SOCKET", "--setenv=LANRAGE_LOG=debug", "--setenv=HOME"]);
    command.arg(plain.get_program()).args(plain.get_args());
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(variables);
    let log = fs::File::options().append(true).open(setup.path("log")).expect("the log");
    command.stdout(log.try_clone().expect("share the log")).stderr(log);
    let daemon = Daemon::launch(setup, command);
    for socket in sockets {
        let path = daemon.setup.path(socket);
        daemon.await_log(&format!("Listening on {}", path.display()));
    }
    daemon
}

/// A line of a notification.
fn value<'a>(notification: &'a str, key: &str) -> Option<&'a str> {
    notification.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn ready_is_told_once_the_socket_is_served() {
    let setup = Setup::new();
    let command = setup.command();
    let mut daemon = Daemon::launch(setup, command);
    let first = daemon.notification();
    daemon.client().call("ping", json!({}));
    assert_eq!(value(&first, "READY"), Some("1"));
    let status = value(&first, "STATUS").expect("a status");
    assert!(status.contains("local mode"), "{status}");
    assert!(status.contains(&daemon.setup.socket().display().to_string()), "{status}");
}

#[test]
fn ready_is_not_told_by_a_start_that_fails_at_its_last_step() {
    let setup = Setup::new();
    // The import is what comes last before the socket is served.
    fs::create_dir_all(setup.state_dir().join("control_state.json")).expect("an obstacle");
    let path = setup.path("notify");
    let notified = UnixDatagram::bind(&path).expect("bind the notification socket");
    let status = end_of(setup.command().env("NOTIFY_SOCKET", &path));
    assert_eq!(status.code(), Some(1), "{}", setup.log());
    assert!(setup.log().contains("control_state.json is a directory"), "{}", setup.log());
    notified.set_nonblocking(true).expect("do not wait");
    let told = notified.recv(&mut [0; 1024]).expect_err("something was told");
    assert_eq!(told.kind(), ErrorKind::WouldBlock);
    assert!(!exists(&setup.socket()), "the socket is left");
}

#[test]
fn reload_is_told_from_start_to_end() {
    let mut daemon = Setup::new().start();
    let before = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the time");
    daemon.signal(Signal::SIGHUP);
    let begin = daemon.notification();
    let after = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the time");
    assert_eq!(value(&begin, "RELOADING"), Some("1"));
    let at: i64 = value(&begin, "MONOTONIC_USEC").expect("a time").parse().expect("a number");
    let micros = |time: nix::sys::time::TimeSpec| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1000;
    assert!((micros(before)..=micros(after)).contains(&at), "{before} {at} {after}");
    let end = daemon.notification();
    assert_eq!(value(&end, "READY"), Some("1"));
}

#[test]
fn stop_is_told() {
    let mut daemon = Setup::new().start();
    daemon.signal(Signal::SIGTERM);
    let told = daemon.notification();
    assert_eq!(value(&told, "STOPPING"), Some("1"));
    assert!(value(&told, "STATUS").is_some());
    daemon.wait();
}

#[test]
fn watchdog_is_fed_again_and_again() {
    let setup = Setup::new();
    let mut command = setup.command();
    command.env("WATCHDOG_USEC", "20000");
    let mut daemon = Daemon::launch(setup, command);
    for _ in 0..5 {
        while value(&daemon.notification(), "WATCHDOG") != Some("1") {}
    }
}

#[test]
fn log_has_priorities_for_the_journal_and_times_for_people() {
    let setup = Setup::new();
    let mut command = setup.command();
    let log = fs::metadata(setup.path("log")).expect("the log");
    command.env("JOURNAL_STREAM", format!("{}:{}", log.dev(), log.ino()));
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    daemon.reload("nonsense = 1\n");
    let (setup, _) = daemon.stop();
    let log = setup.log();
    for line in log.lines() {
        let priority = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let (priority, _) = priority.unwrap_or_else(|| panic!("no priority: {line}"));
        assert!(["3", "4", "6", "7"].contains(&priority), "{line}");
    }
    let has = |start: &str, text: &str| {
        log.lines().any(|line| line.starts_with(start) && line.contains(text))
    };
    assert!(has("<6>", "serving"), "{log}");
    assert!(has("<3>", "nonsense"), "{log}");

    // The variable alone, inherited from somewhere, is not the journal.
    let setup = Setup::new();
    let mut command = setup.command();
    command.env("JOURNAL_STREAM", "1:1");
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    let log = daemon.setup.log();
    assert!(!log.contains("<6>") && log.contains("INFO"), "{log}");
}

#[test]
fn socket_that_was_handed_over_is_served_and_stays() {
    for names in [Some("control"), Some("lanragectl-d.socket"), None] {
        let mut daemon = activated(Setup::new(), &["handed.sock"], names);
        let handed = daemon.setup.path("handed.sock");
        let mut client = Client::connect(&handed);
        client.call("ping", json!({}));
        daemon.await_ready();
        assert!(!exists(&daemon.setup.socket()), "it made a socket of its own");
        daemon.await_log("serving the socket that the service manager handed over");
        let inode = fs::metadata(&handed).expect("the socket").ino();
        let (setup, status) = daemon.stop();
        assert_eq!(status.code(), Some(0), "{}", setup.log());
        assert_eq!(client.notification()["method"], "goaway");
        assert_eq!(fs::metadata(&handed).expect("the socket is gone").ino(), inode);
    }
}

#[test]
fn socket_to_serve_is_chosen_by_its_name() {
    let sockets = ["first.sock", "second.sock"];
    let mut daemon = activated(Setup::new(), &sockets, Some("metrics:control"));
    let _unheard = UnixStream::connect(daemon.setup.path("first.sock")).expect("connect");
    let mut client = Client::connect(&daemon.setup.path("second.sock"));
    assert_eq!(client.call("status.get", json!({}))["clients"], 1);
    daemon.await_ready();
    assert!(!exists(&daemon.setup.socket()), "it made a socket of its own");
}

#[test]
fn sockets_of_other_names_are_left_alone() {
    let sockets = ["first.sock", "second.sock"];
    let mut daemon = activated(Setup::new(), &sockets, Some("metrics:web"));
    // This starts it.
    let _unheard = UnixStream::connect(daemon.setup.path("first.sock")).expect("connect");
    daemon.await_ready();
    assert_eq!(daemon.client().call("status.get", json!({}))["clients"], 1);
    daemon.await_log("names=metrics:web");
    let (setup, _) = daemon.stop();
    assert!(!exists(&setup.socket()) && exists(&setup.path("first.sock")));
}

#[test]
fn units_use_the_state_directory_that_is_checked() {
    for (setup, name) in [(Setup::new(), "lanragectl-d"), (Setup::server(), "lanragectl-server")] {
        let mut command = Command::new(setup.program);
        command.args(["--system", "--check-config", "--config", "/nonexistent"]).env_clear();
        let output = command.output().expect("run it");
        let config = String::from_utf8(output.stdout).expect("UTF-8");
        let config: toml::Table = config.parse().expect("the effective configuration");
        let unit = format!("{}/systemd/system/{name}.service", env!("CARGO_MANIFEST_DIR"));
        let unit = fs::read_to_string(unit).expect("the unit");
        assert_eq!(value(&unit, "ExecStart"), Some(&*format!("/usr/bin/{name} --system")));
        let directory = value(&unit, "StateDirectory").expect("a directory");
        let used = format!("/var/lib/{directory}");
        assert_eq!(config["state_dir"].as_str(), Some(&*used), "{name}");
    }
}

/// A size as units and `--check-config` write it, in MiB.
fn mebibytes(text: &str) -> f64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let number: f64 = digits.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    match text[digits.len()..].trim_start().chars().next() {
        Some('G') => number * 1024.0,
        Some('M') => number,
        _ => panic!("{text} is in neither GiB nor MiB"),
    }
}

#[test]
fn units_have_room_for_what_the_limits_admit() {
    for (setup, name, folders) in [
        (Setup::new(), "lanragectl-d", &["system", "user"][..]),
        (Setup::server(), "lanragectl-server", &["system"]),
    ] {
        let mut command = Command::new(setup.program);
        command.args(["--system", "--check-config", "--config", "/nonexistent"]).env_clear();
        let output = command.output().expect("run it");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let sum = text.lines().find_map(|line| line.strip_prefix("# all together"));
        let sum = mebibytes(sum.expect("the sum").trim());
        let config: toml::Table = text.parse().expect("the effective configuration");
        let count = |table: &str, key: &str| -> i64 {
            config.get(table).and_then(|table| table.get(key)?.as_integer()).unwrap_or(0)
        };
        let files = count("limits", "connections") + 2 * count("http", "connections");
        for folder in folders {
            let unit = format!("{}/systemd/{folder}/{name}.service", env!("CARGO_MANIFEST_DIR"));
            let unit = fs::read_to_string(unit).expect("the unit");
            let of_unit = |key| value(&unit, key).unwrap_or_else(|| panic!("{name} has no {key}"));
            let high = mebibytes(of_unit("MemoryHigh"));
            assert!(high > sum, "{name}: MemoryHigh is {high} MiB, the limits admit {sum} MiB");
            assert!(mebibytes(of_unit("MemoryMax")) > high, "{name}");
            let most: i64 = of_unit("LimitNOFILE").parse().expect("a number");
            assert!(most > 2 * files, "{name}: {most} files for {files} of connections");
            assert_eq!(of_unit("LimitCORE"), "0", "{name}");
        }
    }
}
