//! A disk that takes no more, and then does.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{party_ids, register};
use crate::harness::{
    Client, Daemon, Setup, assert_error, end_of, eventually, exists, has_root, is_root,
    limit_files, peer, start_with_file_limits,
};

/// Runs a program that is to succeed.
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("run a program");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
}

/// Registers parties until one can't be stored. Returns those that were, and the error.
fn fill(client: &mut Client) -> (Vec<String>, Value) {
    let mut stored = Vec::new();
    loop {
        let party_id = format!("full-{:04}", stored.len());
        let host = json!({"name": "Quake", "party_id": party_id, "host": peer("ann")});
        let mut answer = client.ask("party.register", host).expect("an answer");
        if answer.get("error").is_some() {
            return (stored, answer["error"].take());
        }
        stored.push(party_id);
    }
}

/// With a disk that takes no more until it is told to: nothing is told falsely, all that needs
/// no disk goes on, and when it takes more so does the daemon.
fn survives(daemon: Daemon, take_more: impl FnOnce(&Daemon)) {
    let (mut client, mut other) = (daemon.client(), daemon.client());
    let (mut stored, error) = fill(&mut client);
    assert_eq!(error["data"]["code"], "store_unavailable", "{error}");
    other.call("events.subscribe", json!({"topics": ["party"]}));
    let known = json!({"party_id": "p", "peer_id": "ann"});
    for _ in 0..3 {
        let host = json!({"name": "Quake", "party_id": "refused", "host": peer("ann")});
        assert_eq!(client.refused("party.register", host), "store_unavailable");
        assert_eq!(client.refused("party.leave", known.clone()), "store_unavailable");
        assert_eq!(client.refused("party.get", json!({"party_id": "refused"})), "party_not_found");
        other.call("party.get", json!({"party_id": "p"}));
        other.call("peer.heartbeat", known.clone());
        let status = other.call("status.get", json!({}));
        assert!(status["store"]["last_error"].is_string(), "{status}");
        assert_eq!(status["parties"], 1 + stored.len());
    }

    take_more(&daemon);
    let again = json!({"name": "Quake", "party_id": "again", "host": peer("ann")});
    eventually("a party that is stored again", || {
        let answer = client.ask("party.register", again.clone()).expect("an answer");
        answer.get("error").is_none().then_some(())
    });
    // Nothing was told of what was refused.
    let (kind, data) = other.event();
    assert_eq!((kind.as_str(), &data["party"]["party_id"]), ("party.registered", &json!("again")));
    assert_eq!(client.call("status.get", json!({}))["store"]["last_error"], Value::Null);
    let daemon = daemon.kill().start();
    stored.extend(["again".into(), "p".into()]);
    stored.sort();
    assert_eq!(party_ids(&daemon), stored);
}

/// A file system of its own, gone when this goes.
struct Disk(PathBuf);

impl Disk {
    /// Creates a disk for a setup's state directory.
    fn of_state(setup: &Setup) -> Self {
        let path = setup.state_dir();
        fs::create_dir(&path).expect("a directory");
        let mounted = path.to_str().expect("UTF-8");
        run("mount", &["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", mounted]);
        Self(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["--lazy", self.0.to_str().expect("UTF-8")]);
    }
}

#[test]
fn full_disk_is_told_and_survived() {
    // An ordinary user has no disk to fill: see the limit below.
    if !has_root("to mount a disk") {
        return;
    }
    let setup = Setup::new();
    let disk = Disk::of_state(&setup);
    let filler = disk.0.join("filler");
    let daemon = setup.start();
    register(&mut daemon.client(), "p");
    let mut file = fs::File::create(&filler).expect("a file");
    while file.write_all(&[0; 512]).is_ok() {}
    drop(file);
    survives(daemon, |_| fs::remove_file(filler).expect("removed"));
}

#[test]
fn disk_that_takes_no_longer_files_is_told_and_survived() {
    let daemon = start_with_file_limits(Setup::new());
    register(&mut daemon.client(), "p");
    // Not even a log begun anew has room.
    limit_files(&daemon, Some(1));
    survives(daemon, |daemon| limit_files(daemon, None));
}

#[test]
fn state_on_a_read_only_disk_is_refused_untouched() {
    let setup = Setup::new();
    let _disk = is_root().then(|| Disk::of_state(&setup));
    let daemon = setup.start();
    register(&mut daemon.client(), "p");
    let (setup, _) = daemon.stop();
    let database = setup.state_dir().join("control.db");
    let before = fs::read(&database).expect("the database");
    let state = setup.state_dir();
    let close = |closed: bool| match is_root() {
        true => {
            let option = if closed { "remount,ro" } else { "remount,rw" };
            run("mount", &["-o", option, state.to_str().expect("UTF-8")]);
        }
        false => {
            let mode = std::os::unix::fs::PermissionsExt::from_mode;
            for path in fs::read_dir(&state).expect("a directory").flatten().map(|e| e.path()) {
                if path.is_file() {
                    fs::set_permissions(path, mode(if closed { 0o400 } else { 0o600 }))
                        .expect("set");
                }
            }
        }
    };
    close(true);
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("must be writable for this user"), "{log}");
    close(false);
    assert_eq!(fs::read(&database).expect("the database"), before);
    assert_eq!(party_ids(&setup.start()), ["p"]);
}

#[test]
fn file_size_limit_ends_no_program() {
    let mut daemon = Setup::new().start();
    let discovery = daemon.setup.state_dir().join("discovery.json");
    limit_files(&daemon, Some(1));
    let mut client = daemon.client();
    let host = json!({"name": "Quake", "party_id": "p", "host": peer("ann")});
    assert_eq!(client.refused("party.register", host.clone()), "store_unavailable");
    // This logs, and the log is a file, too.
    daemon.reload("");
    client.call("ping", json!({}));
    limit_files(&daemon, None);
    // A commit that began below the limit takes back what waits behind it.
    eventually("a party that is stored", || {
        let reply = client.ask("party.register", host.clone()).expect("an answer");
        match reply.get("error") {
            None => Some(()),
            Some(error) => {
                assert_error(error, "store_unavailable");
                None
            }
        }
    });

    // The party is stored now, but can't be announced.
    eventually("the announcement", || exists(&discovery).then_some(()));
    limit_files(&daemon, Some(0));
    client.call("peer.heartbeat", json!({"party_id": "p", "peer_id": "ann"}));
    client.call("party.get", json!({"party_id": "p"}));
    limit_files(&daemon, None);
    let (setup, status) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{}", setup.log());
}

#[test]
fn start_below_the_file_size_limit_fails_in_words() {
    let setup = Setup::new();
    let plain = setup.command();
    let mut command = Command::new("sh");
    // 8 KiB: the log fits, the database does not.
    command.args(["-c", "ulimit -f 16; exec \"$@\"", "sh"]);
    command.arg(plain.get_program()).args(plain.get_args());
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(variables).env("LANRAGE_LOG", "warn");
    let log = fs::File::options().append(true).open(setup.path("log")).expect("the log");
    command.stdout(log.try_clone().expect("share the log")).stderr(log);
    let status = end_of(&mut command);
    assert_eq!(status.code(), Some(1), "{}", setup.log());
    assert!(setup.log().contains("control.db"), "{}", setup.log());
}

#[test]
fn state_that_was_removed_acknowledges_nothing() {
    for setup in [Setup::new(), Setup::server()] {
        let daemon = setup.start();
        let mut client = daemon.client();
        register(&mut client, "p");
        let state = daemon.setup.state_dir();
        let elsewhere = daemon.setup.path("elsewhere");
        // The server's socket is in there only by default.
        fs::rename(&state, &elsewhere).expect("move the state away");
        let host = json!({"name": "Quake", "party_id": "q", "host": peer("ann")});
        assert_eq!(client.refused("party.register", host.clone()), "store_unavailable");
        let status = client.call("status.get", json!({}));
        let told = status["store"]["last_error"].as_str().expect("an error");
        assert!(told.contains("removed or replaced while it was open"), "{told}");
        client.call("party.get", json!({"party_id": "p"}));

        // What the daemon made anew meanwhile, such as the discovery file, is in the way.
        eventually("the state in its place", || {
            fs::remove_dir_all(&state).ok();
            fs::rename(&elsewhere, &state).ok()
        });
        client.call("party.register", host);
        let daemon = daemon.kill().start();
        assert_eq!(party_ids(&daemon), ["p", "q"]);
    }
}
