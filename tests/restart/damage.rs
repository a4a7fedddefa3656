//! A state that was damaged while nobody looked.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{party, party_ids, register};
use crate::harness::{Daemon, Setup, eventually};

/// A stopped daemon's setup with the party `p`, of which there is a regular backup.
fn backed_up() -> Setup {
    let daemon = Setup::new().config("[store]\nbackup_interval = '2ms'\n").start();
    register(&mut daemon.client(), "p");
    eventually("a backup", || {
        let newest = daemon.setup.backups().pop()?;
        let copy = rusqlite::Connection::open(newest).ok()?;
        copy.query_row("SELECT 1 FROM parties", [], |_| Ok(())).ok()
    });
    let (mut setup, _) = daemon.stop();
    setup.config.clear();
    setup
}

fn database(setup: &Setup) -> PathBuf {
    setup.state_dir().join("control.db")
}

fn recovery(daemon: &Daemon) -> Value {
    daemon.client().call("status.get", json!({}))["store"]["recovery"].take()
}

/// The files of a state directory with their contents.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(dir).expect("a directory").flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).expect("bytes")))
        .collect();
    files.sort();
    files
}

#[test]
fn damaged_state_is_replaced_by_the_newest_backup() {
    let garble = |path: &Path| {
        let mut bytes = fs::read(path).expect("the database");
        bytes[4096..8192].fill(0xa5);
        fs::write(path, bytes).expect("damaged");
    };
    let cut = |path: &Path| {
        let file = fs::File::options().write(true).open(path).expect("the database");
        file.set_len(5000).expect("cut");
    };
    let empty = |path: &Path| fs::write(path, b"").expect("emptied");
    let overwrite = |path: &Path| fs::write(path, "{\"parties\": {}}").expect("overwritten");
    let damages: [&dyn Fn(&Path); 4] = [&garble, &cut, &empty, &overwrite];
    for damage in damages {
        let setup = backed_up();
        let newest = setup.backups().pop().expect("a backup");
        damage(&database(&setup));
        let damaged = fs::read(database(&setup)).expect("the database");

        let daemon = setup.start();
        let recovery = recovery(&daemon);
        let reason = recovery["reason"].as_str().expect("a reason");
        assert!(!reason.contains(char::is_control), "{reason:?}");
        assert!(recovery["at"].is_string(), "{recovery}");
        assert_eq!(recovery["restored_from"], json!(newest));
        let aside = recovery["set_aside"][0].as_str().expect("a file");
        assert!(aside.contains("control.db.damaged-"), "{aside}");
        assert_eq!(fs::read(aside).expect("the damaged file"), damaged);
        assert_eq!(party(&daemon, "p")["peers"]["ann"]["virtual_ip"], "10.66.0.1");
        let log = daemon.setup.log();
        assert!(log.contains("ERROR") && log.contains("was restored from"), "{log}");

        // It is whole again, and tells of it no more.
        register(&mut daemon.client(), "q");
        let daemon = daemon.kill().start();
        assert_eq!(self::recovery(&daemon), Value::Null);
        assert_eq!(party_ids(&daemon), ["p", "q"]);
    }
}

#[test]
fn restored_state_has_another_epoch() {
    let setup = backed_up();
    let daemon = setup.start();
    let before = party(&daemon, "p")["epoch"].take();
    let (setup, _) = daemon.stop();
    fs::write(database(&setup), "damaged").expect("damaged");
    let after = party(&setup.start(), "p")["epoch"].take();
    assert_ne!(before, after);
}

#[test]
fn damaged_state_without_a_backup_is_empty_with_a_warning() {
    let setup = backed_up();
    for backup in setup.backups() {
        fs::write(backup, "damaged as well").expect("damaged");
    }
    fs::write(database(&setup), "damaged").expect("damaged");
    let daemon = setup.start();
    assert_eq!(party_ids(&daemon), [""; 0]);
    let recovery = recovery(&daemon);
    assert_eq!(recovery["restored_from"], Value::Null);
    assert!(recovery["reason"].is_string(), "{recovery}");
    let log = daemon.setup.log();
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("empty")), "{log}");
}

#[test]
fn missing_state_is_restored_from_a_backup() {
    let setup = backed_up();
    fs::remove_file(database(&setup)).expect("removed");
    let daemon = setup.start();
    assert_eq!(party_ids(&daemon), ["p"]);
    assert!(recovery(&daemon)["restored_from"].is_string());
}

#[test]
fn state_of_a_newer_version_is_refused_untouched() {
    let setup = backed_up();
    let connection = rusqlite::Connection::open(database(&setup)).expect("the database");
    connection.pragma_update(None, "user_version", 99).expect("updated");
    connection.close().expect("closed");
    let before = files(&setup.state_dir());
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("schema version 99"), "{log}");
    let is_database = |(path, _): &&(PathBuf, Vec<u8>)| path.extension().is_some_and(|e| e == "db");
    let after = files(&setup.state_dir());
    let databases = |files: &[(PathBuf, Vec<u8>)]| -> Vec<_> {
        files.iter().filter(is_database).cloned().collect()
    };
    assert!(databases(&before) == databases(&after), "it was touched");
    let damaged = |files: &[(PathBuf, Vec<u8>)]| {
        files.iter().any(|(path, _)| path.to_string_lossy().contains("damaged"))
    };
    assert!(!damaged(&after), "it was set aside");
}
