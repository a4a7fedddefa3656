//! Destinations of backups, and sources of restored ones.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use serde_json::{Value, json};

use super::{STRANGER, set_mode};
use crate::harness::{Daemon, Setup, exists, has_root};

fn refused(daemon: &Daemon, name: &str, words: &str) {
    let path = daemon.setup.path(name);
    let mut client = daemon.client();
    let id = client.send("state.backup", json!({"path": path}));
    let answer = client.reply(id);
    assert_eq!(answer["error"]["data"]["code"], "invalid_params", "{answer}");
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.contains(words), "{answer}");
    assert!(!exists(&path), "{name} was written");
}

#[test]
fn copy_goes_into_no_directory_of_others() {
    let daemon = Setup::new().start();
    let make = |name: &str, mode| {
        let path = daemon.setup.path(name);
        fs::create_dir(&path).expect("make a directory");
        set_mode(&path, mode);
        path
    };
    make("open", 0o777);
    refused(&daemon, "open/copy.db", "open may be written by others");
    make("group", 0o770);
    refused(&daemon, "group/copy.db", "group may be written by others");
    if has_root("to have another user's directory") {
        chown(make("theirs", 0o700), Some(STRANGER), None).expect("give it away");
        refused(&daemon, "theirs/copy.db", "theirs belongs to uid 12345");
    }
    // Nobody can take the copy's place there.
    make("sticky", 0o1777);
    let path = daemon.setup.path("sticky/copy.db");
    daemon.client().call("state.backup", json!({"path": path}));
    assert!(exists(&path));
}

#[test]
fn folder_of_backups_that_is_none_is_named_with_what_it_is() {
    for (setup, name) in [(Setup::new(), "backups"), (Setup::server(), "server-backups")] {
        fs::create_dir(setup.state_dir()).expect("make the state directory");
        set_mode(&setup.state, 0o700);
        let path = setup.state.join(name);
        fs::write(&path, "mine").expect("write a file");
        let (status, log) = setup.fails();
        assert_eq!(status.code(), Some(1), "{log}");
        let told = format!("{} is a regular file, and must be a directory", path.display());
        assert!(log.contains(&told), "{log}");
        assert!(!log.contains("must be writable"), "{log}");
        assert_eq!(fs::read(&path).expect("the file"), b"mine");
    }
}

#[test]
fn folder_of_backups_that_becomes_none_is_named_with_what_it_is() {
    let (setup, _) = Setup::new().start().stop();
    let path = setup.state.join("backups");
    fs::remove_dir_all(&path).expect("remove the backups");
    fs::write(&path, "mine").expect("write a file");
    let (setup, _) = setup.start().stop();
    let told = format!("{} is a regular file, and must be a directory", path.display());
    assert!(setup.log().contains(&told), "{}", setup.log());
}

#[test]
fn state_is_restored_from_no_file_of_others() {
    let (setup, _) = Setup::new().start().stop();
    let newest = setup.backups().pop().expect("a backup");
    let kept = setup.path("kept.db");
    fs::rename(&newest, &kept).expect("move the backup");
    symlink(&kept, &newest).expect("make a link");
    fs::write(setup.state.join("control.db"), "damaged").expect("damage the database");
    let daemon = setup.start();
    let recovery = daemon.client().call("status.get", json!({}))["store"]["recovery"].clone();
    assert_eq!(recovery["restored_from"], Value::Null, "{recovery}");
    assert!(daemon.setup.log().contains("is a symbolic link"), "{}", daemon.setup.log());
}
