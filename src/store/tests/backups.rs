//! Copies made while commits go on, and the hourly ones.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use jiff::{Timestamp, ToSpan};
use rusqlite::Connection;

use super::model::Model;
use super::support::{
    Opened, commit, database_in, names, noon, open_in, parse, party_of, temp_dir, time,
};
use crate::core::{Seen, Write};
use crate::store::backup::publish;
use crate::store::{BackupError, backup, rotate_backups};

fn open_copy(copy: &Path) -> Opened {
    let dir = temp_dir();
    fs::copy(copy, database_in(dir.path())).unwrap();
    open_in(dir.path())
}

#[test]
fn backup_is_one_private_file() {
    let dir = temp_dir();
    let mut opened = open_in(dir.path());
    let rows = party_of("party", 5, 1);
    commit(&mut opened.database, &rows);
    let target = temp_dir();
    let dest = target.path().join("copy.db");
    let bytes = backup(opened.database.path(), &dest).unwrap();
    assert_eq!(bytes, fs::metadata(&dest).unwrap().len());
    assert_eq!(names(target.path()), ["copy.db"]);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&dest).unwrap()) & 0o7777, 0o600);
    let copy = open_copy(&dest);
    assert_eq!((copy.rows, copy.epoch, copy.recovery), (rows, opened.epoch, None));
}

#[test]
fn backup_refuses_an_existing_path() {
    let dir = temp_dir();
    let opened = open_in(dir.path());
    let from = opened.database.path();
    let refuse = |dest: &Path| {
        let error = backup(from, dest).unwrap_err();
        assert!(error.blames_destination(), "{error}");
        error
    };
    assert!(matches!(refuse(Path::new("copy.db")), BackupError::NotAbsolute(_)));
    assert!(matches!(refuse(&dir.path().join("no/copy.db")), BackupError::NoDirectory(_)));
    let root = dir.path().ancestors().last().unwrap();
    assert!(matches!(refuse(root), BackupError::NoDirectory(_)));
    assert!(matches!(refuse(&from.join("copy.db")), BackupError::NoDirectory(_)));
    let taken = dir.path().join("taken");
    fs::write(&taken, "mine").unwrap();
    for dest in [taken.as_path(), from, dir.path()] {
        assert!(matches!(refuse(dest), BackupError::Exists(_)));
    }
    // Also when it appears while the copy is made.
    let late = publish(from, &taken);
    assert!(matches!(late, Err(BackupError::Exists(_))), "{late:?}");
    assert_eq!(fs::read(&taken).unwrap(), b"mine");
    #[cfg(unix)]
    {
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(matches!(refuse(&link), BackupError::Exists(_)));
    }
}

#[test]
fn backup_of_a_damaged_database_is_removed() {
    let dir = temp_dir();
    let mut opened = open_in(dir.path());
    commit(&mut opened.database, &party_of("party", 5, 1));
    let other = Connection::open(database_in(dir.path())).unwrap();
    other.execute_batch("UPDATE members SET name = 'other' WHERE peer_id = 'peer-3'").unwrap();
    let dest = dir.path().join("copy.db");
    let error = backup(&database_in(dir.path()), &dest).unwrap_err();
    assert!(matches!(error, BackupError::Unsound(_)), "{error}");
    assert!(error.to_string().contains("checksum"), "{error}");
    assert!(!names(dir.path()).iter().any(|name| name.contains("copy")));
}

#[test]
fn backup_during_commits_is_consistent() {
    let dir = temp_dir();
    let mut opened = open_in(dir.path());
    commit(&mut opened.database, &party_of("party", 30, 0));
    let path = opened.database.path().to_path_buf();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                commit(&mut opened.database, &party_of("party", 30, number));
            }
            number
        });
        for copy in 0..15 {
            let dest = dir.path().join(format!("copy-{copy}.db"));
            backup(&path, &dest).unwrap();
            let copy = open_copy(&dest);
            let Write::PutParty(party) = &copy.rows[0] else { panic!("{:?}", copy.rows[0]) };
            let number = u16::try_from(party.seq).unwrap();
            assert!(copy.rows == sorted(party_of("party", 30, number)), "a mixture");
        }
        done.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 15);
    });
}

fn sorted(rows: Vec<Write>) -> Vec<Write> {
    let mut model = Model::default();
    model.apply(&rows, &[]);
    model.rows()
}

#[test]
fn hourly_backups_are_rotated() {
    let dir = temp_dir();
    let mut database = open_in(dir.path()).database;
    let backups = dir.path().join("backups");
    let path = database.path().to_path_buf();
    let rotate = |at: Timestamp| rotate_backups(&path, &backups, at, 3).unwrap();
    let hour = |n: i64| noon().checked_add((n * 3600).seconds()).unwrap();

    let first = rotate(noon()).unwrap();
    assert_eq!(first, backups.join("control-20261122T171835Z.db"));
    assert_eq!(rotate(hour(1)), None, "nothing has changed");
    commit(&mut database, &party_of("party", 1, 1));
    assert!(rotate(hour(2)).is_some());
    let seen = Seen { party_id: parse("party"), peer_id: parse("peer-0"), at: time(1) };
    database.commit(&[], &[seen]).unwrap();
    assert_eq!(rotate(hour(3)), None, "a sign of life is no change");

    let others = [
        "control-2026.db",
        "control-20261122T171835Z.db.old",
        "control-.db",
        "control-20261122T191835+0200.db",
    ];
    for other in others {
        fs::write(backups.join(other), "mine").unwrap();
    }
    fs::write(backups.join(".control-20261122T171835Z.db.1.partial"), "half").unwrap();
    for n in 4..8 {
        let number = u16::try_from(n).unwrap();
        commit(&mut database, &party_of("party", 1, number));
        assert!(rotate(hour(n)).is_some());
    }
    let mut expected: Vec<_> = ["22", "23"].map(|h| format!("control-20261122T{h}1835Z.db")).into();
    expected.push("control-20261123T001835Z.db".into());
    expected.extend(others.map(String::from));
    expected.sort();
    assert_eq!(names(&backups), expected);
}

#[test]
fn backups_keep_their_order_after_a_clock_step_back() {
    let dir = temp_dir();
    let mut database = open_in(dir.path()).database;
    let backups = dir.path().join("backups");
    let path = database.path().to_path_buf();
    rotate_backups(&path, &backups, noon(), 1).unwrap().unwrap();
    let rows = party_of("party", 1, 1);
    commit(&mut database, &rows);
    let back = parse("2001-01-01T00:00:00Z");
    let newer = rotate_backups(&path, &backups, back, 1).unwrap().unwrap();
    assert_eq!(names(&backups), ["control-20261122T171836Z.db"]);
    assert_eq!(open_copy(&newer).rows, rows);
}

#[test]
fn damaged_newest_backup_does_not_suppress_the_next() {
    let dir = temp_dir();
    let database = open_in(dir.path()).database;
    let backups = dir.path().join("backups");
    let first = rotate_backups(database.path(), &backups, noon(), 24).unwrap().unwrap();
    fs::write(&first, "damaged").unwrap();
    let second = rotate_backups(database.path(), &backups, noon(), 24).unwrap().unwrap();
    assert!(open_copy(&second).recovery.is_none());
}
