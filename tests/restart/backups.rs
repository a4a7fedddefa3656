//! Copies of the state: asked for, and every so often.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::{party, party_ids, register};
use crate::harness::{Daemon, Setup, eventually};

#[test]
fn state_backup_is_a_state_to_start_from() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    register(&mut client, "p");
    let other = Setup::new();
    fs::create_dir(other.state_dir()).expect("a directory");
    let copy = other.state_dir().join("control.db");
    let told = client.call("state.backup", json!({"path": copy}));
    let metadata = fs::metadata(&copy).expect("the copy");
    assert_eq!(told, json!({"path": copy, "bytes": metadata.len()}));
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    // It is of its moment.
    register(&mut client, "q");
    let other = other.start();
    assert_eq!(party_ids(&other), ["p"]);
    let (mut here, mut there) = (party(&daemon, "p"), party(&other, "p"));
    for party in [&mut here, &mut there] {
        for field in ["connected", "last_seen"] {
            party["peers"]["ann"][field].take();
        }
    }
    assert_eq!(here, there);
}

#[test]
fn state_backup_needs_an_absolute_path_that_is_free() {
    let setup = Setup::new();
    let mut command = setup.command();
    command.current_dir(setup.dir.path());
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    let mut client = daemon.client();
    let taken = daemon.setup.path("taken");
    fs::write(&taken, "precious").expect("a file");
    let nowhere = daemon.setup.path("nowhere/copy.db");
    for path in [taken.as_path(), Path::new("./copy.db"), &nowhere, daemon.setup.dir.path()] {
        assert_eq!(client.refused("state.backup", json!({"path": path})), "invalid_params");
    }
    assert_eq!(fs::read(taken).expect("the file"), b"precious");
    assert!(!nowhere.exists() && !daemon.setup.path("copy.db").exists());
}

#[test]
fn regular_backups_are_made_and_rotated() {
    let setup = Setup::new().config("[store]\nbackup_interval = '2ms'\nbackups_kept = 3\n");
    let daemon = setup.start();
    let mut client = daemon.client();
    let mut names = Vec::new();
    for count in 1..=5 {
        register(&mut client, &format!("p{count}"));
        names.push(eventually("a copy of what is there now", || {
            let newest = daemon.setup.backups().pop()?;
            let copy = rusqlite::Connection::open(&newest).ok()?;
            let parties = copy.query_row("SELECT count(*) FROM parties", [], |row| row.get(0));
            (parties.ok() == Some(count)).then_some(newest)
        }));
    }
    eventually("just the newest three", || {
        let kept = daemon.setup.backups();
        (kept.len() == 3 && kept[..] == names[2..]).then_some(())
    });
    let (setup, status) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{}", setup.log());
}
