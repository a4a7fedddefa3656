//! Files that a start opens.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{FAULTS, Fault, STRANGER, look, set_mode, target_of};
use crate::harness::{Setup, exists, has_root, peer, write_secret};

/// A daemon whose state directory is there.
fn daemon() -> Setup {
    with_state(Setup::new())
}

fn server() -> Setup {
    with_state(Setup::server())
}

fn with_state(setup: Setup) -> Setup {
    fs::create_dir(setup.state_dir()).expect("make the state directory");
    set_mode(&setup.state_dir(), 0o700);
    setup
}

/// Starts a program once for each fault of one of its files, and expects each start to be refused
/// by the file's name, with that code, and to change nothing.
fn refuses(make: fn() -> Setup, file: fn(&Setup) -> PathBuf, faults: &[Fault], code: i32) {
    for fault in faults {
        let setup = make();
        let path = file(&setup);
        if !fault.plant(&path) {
            continue;
        }
        let before = look(&path);
        let (status, log) = setup.fails();
        assert_eq!(status.code(), Some(code), "{fault:?}:\n{log}");
        let told = format!("{} {}", path.display(), fault.words());
        assert!(log.contains(&told), "{told:?} is not in:\n{log}");
        // Nothing is said of another daemon: there is none.
        assert!(!log.contains("that daemon"), "{log}");
        assert_eq!(look(&path), before, "{fault:?} of {}", path.display());
        assert!(!exists(&setup.socket()), "{fault:?}: it listened");
    }
}

/// Faults of files that the programs write in place.
const OF_WRITTEN: [Fault; 7] = {
    let [a, b, c, d, e, f] = FAULTS;
    [a, b, c, d, e, f, Fault::SecondName]
};

#[test]
fn locks_and_process_ids_are_no_files_of_others() {
    refuses(daemon, |setup| setup.state.join("lanragectl-d.lock"), &OF_WRITTEN, 1);
    refuses(daemon, |setup| setup.state.join("lanragectl-d.pid"), &OF_WRITTEN, 1);
    refuses(server, |setup| setup.state.join("lanragectl-server.lock"), &OF_WRITTEN, 1);
    refuses(server, |setup| setup.state.join("lanragectl-server.pid"), &OF_WRITTEN, 1);
}

#[test]
fn lock_of_a_socket_is_no_file_of_others() {
    let make = || {
        let setup = Setup::new();
        fs::create_dir(setup.path("run")).expect("make the socket's directory");
        setup
    };
    refuses(make, |setup| setup.path("run/control.sock.lock"), &OF_WRITTEN, 1);
    refuses(make, |setup| setup.path("run/control.sock.pid"), &OF_WRITTEN, 1);
}

#[test]
fn database_is_no_file_of_others() {
    let faults =
        [Fault::Symlink, Fault::Pipe, Fault::WorldWritable, Fault::Foreign, Fault::SecondName];
    for file in [
        |setup: &Setup| setup.state.join("control.db"),
        |setup: &Setup| setup.state.join("control.db-wal"),
        |setup: &Setup| setup.state.join("control.db-shm"),
    ] {
        refuses(|| killed(Setup::new()), file, &faults, 1);
    }
    let of_server = |setup: &Setup| setup.state.join("server.db");
    refuses(|| killed(Setup::server()), of_server, &[Fault::SecondName], 1);
}

/// A program that was killed: it left its database, the log and the index of it.
fn killed(setup: Setup) -> Setup {
    let program = setup.start();
    let party = json!({"name": "Quake", "party_id": "p", "host": peer("ann")});
    program.client().call("party.register", party);
    let setup = program.kill();
    fs::remove_file(setup.socket()).expect("the socket");
    setup
}

#[test]
fn backup_is_restored_by_a_copy_and_not_by_a_link() {
    let (setup, _) = killed(Setup::new()).start().stop();
    let (database, backup) = (setup.state.join("control.db"), setup.backups().pop());
    let backup = backup.expect("a backup");
    fs::remove_file(&database).expect("remove the database");
    fs::hard_link(&backup, &database).expect("link the backup");
    let before = look(&backup);
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    let told = format!("{} has 2 names", database.display());
    assert!(log.contains(&told) && log.contains("put the copy in its place"), "{log}");
    assert_eq!(look(&backup), before);

    fs::remove_file(&database).expect("remove the link");
    fs::copy(&backup, &database).expect("copy the backup");
    // A backup may have further names: it is only read.
    fs::hard_link(&backup, setup.path("kept.db")).expect("link the backup");
    let daemon = setup.start();
    daemon.client().call("party.get", json!({"party_id": "p"}));
    assert_eq!(look(&backup), before);
}

#[test]
fn state_of_lanrage_is_taken_in_from_no_file_of_others() {
    refuses(daemon, |setup| setup.state.join("control_state.json"), &FAULTS, 1);
    refuses(server, |setup| setup.state.join("control_state.json"), &FAULTS, 1);
}

/// Faults of files that an operator names: their links are followed.
const OF_NAMED: [Fault; 5] =
    [Fault::Pipe, Fault::Directory, Fault::WorldWritable, Fault::GroupWritable, Fault::Foreign];

#[test]
fn certificates_and_keys_are_no_files_of_others() {
    let make = || {
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("one");
        let setup = server().config(
            "[http]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n[auth]\nrelay_key_file = 'relay'\n",
        );
        fs::write(setup.path("cert.pem"), made.cert.pem()).expect("write the certificate");
        write_secret(&setup.path("key.pem"), &made.signing_key.serialize_pem());
        write_secret(&setup.path("relay"), "a-key-of-relays-long-enough\n");
        setup
    };
    refuses(make, |setup| setup.path("cert.pem"), &OF_NAMED, 1);
    refuses(make, |setup| setup.path("key.pem"), &OF_NAMED, 1);
    refuses(make, |setup| setup.path("relay"), &OF_NAMED, 2);

    // The group may read a key, and links lead to it: so do Let's Encrypt and Kubernetes.
    let setup = make();
    for name in ["cert.pem", "key.pem", "relay"] {
        set_mode(&setup.path(name), 0o640);
        assert!(Fault::Symlink.plant(&setup.path(name)));
    }
    let (setup, _) = setup.start().stop();
    set_mode(&target_of(&setup.path("key.pem")), 0o644);
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("key.target may be read by everyone"), "{log}");
    assert!(log.contains("chmod o-rwx"), "{log}");
}

#[test]
fn link_of_another_user_leads_to_no_certificate() {
    if !has_root("to have another user's link") {
        return;
    }
    let setup = server().config("[http]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n");
    write_secret(&setup.path("cert.pem"), "x");
    assert!(Fault::Symlink.plant(&setup.path("cert.pem")));
    std::os::unix::fs::lchown(setup.path("cert.pem"), Some(STRANGER), None).expect("give it away");
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("cert.pem is a symbolic link of uid 12345"), "{log}");
}

#[test]
fn authorities_are_no_files_of_others() {
    let make = || {
        let setup = daemon().config("[remote]\nca_file = 'ca.pem'\n");
        let setup = setup.server_url("https://localhost:1");
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("one");
        fs::write(setup.path("ca.pem"), made.cert.pem()).expect("write the certificate");
        setup
    };
    refuses(make, |setup| setup.path("ca.pem"), &OF_NAMED, 1);
}

#[test]
fn configuration_is_no_file_of_others() {
    // The harness writes `config.toml` anew with each start: here is another file.
    for program in [Setup::new as fn() -> Setup, Setup::server] {
        for fault in [Fault::Pipe, Fault::WorldWritable, Fault::GroupWritable, Fault::Foreign] {
            let setup = program();
            let path = setup.path("other.toml");
            if !fault.plant(&path) {
                continue;
            }
            let (code, told) = start_on(&setup, &path);
            assert_eq!(code, Some(2), "{fault:?}:\n{told}");
            assert!(told.contains(&format!("{} {}", path.display(), fault.words())), "{told}");
        }
        let setup = program();
        let path = setup.path("other.toml");
        fs::write(&path, "[store]\nbatch = 'never'\n").expect("write the file");
        assert!(Fault::Symlink.plant(&path));
        let (code, told) = start_on(&setup, &path);
        // The link is followed: a mistake in the file is found.
        assert!(code == Some(2) && told.contains("store.batch"), "{told}");
    }
}

/// Runs a program on a configuration that it has to refuse.
fn start_on(setup: &Setup, config: &Path) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(setup.program);
    command.args(["--config".as_ref(), config.as_os_str()]);
    command.env_clear().env("HOME", setup.dir.path()).stdin(std::process::Stdio::null());
    let output = command.output().expect("run the program");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn files_without_end_are_read_up_to_a_bound() {
    let huge = |path: &Path| {
        write_secret(path, "");
        let file = fs::File::options().write(true).open(path).expect("the file");
        file.set_len(1 << 40).expect("a sparse file");
    };
    let state = daemon();
    huge(&state.state.join("control_state.json"));
    let pid = daemon();
    let holder = pid.state.join("lanragectl-d.lock");
    let lock = fs::File::create(&holder).expect("make the lock");
    set_mode(&holder, 0o600);
    lock.lock().expect("hold the lock");
    huge(&pid.state.join("lanragectl-d.pid"));
    let key = server().config("[auth]\nrelay_key_file = 'relay'\n");
    huge(&key.path("relay"));
    for (setup, code, told) in [
        (&state, 1, "control_state.json is larger than 268435456 bytes"),
        (&pid, 1, "process of unknown id"),
        (&key, 2, "relay"),
    ] {
        let (status, log) = setup.fails();
        assert_eq!(status.code(), Some(code), "{log}");
        assert!(log.contains(told), "{log}");
    }
}

#[test]
fn discovery_file_that_is_none_stops_no_daemon() {
    for fault in [Fault::Symlink, Fault::Pipe, Fault::Directory] {
        for name in ["discovery.json", "discovery.json.lock", "discovery.announced.json"] {
            let setup = daemon();
            let path = setup.state.join(name);
            assert!(fault.plant(&path));
            let before = look(&path);
            let daemon = setup.start();
            let party = json!({"name": "Quake", "party_id": "p", "host": peer("ann")});
            daemon.client().call("party.register", party);
            let (setup, status) = daemon.stop();
            assert_eq!(status.code(), Some(0), "{fault:?} of {name}:\n{}", setup.log());
            assert_eq!(look(&path), before, "{fault:?} of {name}");
        }
    }
}

#[test]
fn entries_that_are_not_taken_in_do_not_fill_the_log() {
    let setup = daemon();
    let entry = |number: u32| (format!("p{number}"), json!({}));
    let parties: serde_json::Map<_, _> = (0..150).map(entry).collect();
    let state = json!({"parties": parties, "relays": {}});
    fs::write(setup.state.join("control_state.json"), state.to_string()).expect("write the state");
    let daemon = setup.start();
    let log = daemon.setup.log();
    assert_eq!(log.matches("was not taken in").count(), 100, "{log}");
    assert!(log.contains("50 more entries were not taken in"), "{log}");
}
