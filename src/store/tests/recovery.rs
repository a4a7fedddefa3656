//! Starts with damaged, missing and leftover files.

use std::fs;
use std::path::{Path, PathBuf};

use super::model::Model;
use super::support::{
    Opened, commit, copy_state, database_in, names, noon, open_in, party_of, temp_dir,
};
use crate::core::Write;
use crate::store::{Database, Layout, backup, rotate_backups};

/// A state with two commits, and a backup between them. Returns the database, still open, and
/// the rows of the backup and of the end.
fn backed_up(dir: &Path) -> (Database, Vec<Write>, Vec<Write>) {
    let mut database = open_in(dir).database;
    let mut model = Model::default();
    let (first, second) = (party_of("first", 3, 1), party_of("second", 3, 2));
    commit(&mut database, &first);
    model.apply(&first, &[]);
    let before = model.rows();
    rotate_backups(database.path(), &dir.join(Layout::DAEMON.backups), noon(), 24)
        .unwrap()
        .unwrap();
    commit(&mut database, &second);
    model.apply(&second, &[]);
    (database, before, model.rows())
}

fn newest_backup(dir: &Path) -> PathBuf {
    let backups = dir.join(Layout::DAEMON.backups);
    backups.join(names(&backups).last().unwrap())
}

/// Asserts that a state opens as usual and takes commits.
fn is_usable(opened: Opened, dir: &Path) {
    let Opened { mut database, mut rows, epoch, .. } = opened;
    let more = party_of("zzz", 0, 7);
    commit(&mut database, &more);
    drop(database);
    let again = open_in(dir);
    rows.extend(more);
    rows.sort_by_key(|row| match row {
        Write::PutParty(_) => 0,
        Write::PutMember(..) => 1,
        _ => 2,
    });
    assert_eq!((again.rows, again.epoch, again.recovery), (rows, epoch, None));
}

#[test]
fn damaged_database_is_set_aside_and_the_backup_restored() {
    let origin = temp_dir();
    let (database, before, _) = backed_up(origin.path());
    let dir = temp_dir();
    copy_state(origin.path(), dir.path());
    drop(database);
    let path = database_in(dir.path());
    fs::write(&path, "not a database").unwrap();
    let log = fs::read(dir.path().join("control.db-wal")).unwrap();
    let opened = open_in(dir.path());
    assert_eq!(opened.rows, before);
    assert_ne!(opened.epoch, open_in(origin.path()).epoch);
    assert!(!opened.created);
    let recovery = opened.recovery.clone().unwrap();
    assert_eq!(recovery.at, noon());
    assert_eq!(recovery.reason, "it is not a database");
    assert_eq!(recovery.restored_from, Some(newest_backup(dir.path())));
    let aside = format!("{}.damaged-20261122T171835Z", path.display());
    let expected = ["", "-wal", "-shm"].map(|ending| PathBuf::from(format!("{aside}{ending}")));
    assert_eq!(recovery.set_aside, expected);
    assert_eq!(fs::read(&expected[0]).unwrap(), b"not a database");
    assert_eq!(fs::read(&expected[1]).unwrap(), log);
    is_usable(opened, dir.path());
}

#[test]
fn damaged_header_counts_as_damage() {
    for (damaged, with) in [(60..90, 0x5a), (18..19, 3), (22..23, 0)] {
        let dir = temp_dir();
        let (database, before, _) = backed_up(dir.path());
        drop(database);
        let path = database_in(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        bytes[damaged].fill(with);
        fs::write(&path, bytes).unwrap();
        let opened = open_in(dir.path());
        assert_eq!(opened.rows, before);
        assert_eq!(opened.recovery.unwrap().reason, "its header is damaged");
    }
}

#[test]
fn second_damage_within_a_second_overwrites_nothing() {
    let dir = temp_dir();
    let path = database_in(dir.path());
    for round in 0..3 {
        drop(open_in(dir.path()));
        fs::write(&path, format!("damage {round}")).unwrap();
    }
    drop(open_in(dir.path()));
    let aside = |ending: &str| {
        fs::read_to_string(dir.path().join(format!("control.db.damaged-20261122T171835Z{ending}")))
    };
    assert_eq!(aside("").unwrap(), "damage 0");
    assert_eq!(aside(".2").unwrap(), "damage 1");
    assert_eq!(aside(".3").unwrap(), "damage 2");
}

#[test]
fn damage_without_a_good_backup_starts_empty_and_is_reported() {
    let dir = temp_dir();
    let path = database_in(dir.path());
    let first = open_in(dir.path()).epoch;
    fs::write(&path, "").unwrap();
    fs::create_dir(dir.path().join(Layout::DAEMON.backups)).unwrap();
    fs::write(dir.path().join(Layout::DAEMON.backups).join("control-20260101T000000Z.db"), "bad")
        .unwrap();
    let opened = open_in(dir.path());
    assert!(opened.rows.is_empty() && !opened.created);
    assert_ne!(opened.epoch, first);
    let recovery = opened.recovery.clone().unwrap();
    assert_eq!((recovery.reason.as_str(), &recovery.restored_from), ("it is empty", &None));
    is_usable(opened, dir.path());
}

#[test]
fn damaged_backup_is_skipped() {
    let dir = temp_dir();
    let (database, before, _) = backed_up(dir.path());
    let good = newest_backup(dir.path());
    drop(database);
    let backups = dir.path().join(Layout::DAEMON.backups);
    let newer = |n: u8| backups.join(format!("control-20991122T17183{n}Z.db"));
    fs::write(newer(0), "garbage").unwrap();
    fs::write(newer(1), "").unwrap();
    let mut damaged = fs::read(&good).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0x55);
    fs::write(newer(2), damaged).unwrap();
    let mut newer_schema = fs::read(&good).unwrap();
    newer_schema[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(newer(3), newer_schema).unwrap();
    fs::create_dir(newer(4)).unwrap();
    fs::write(database_in(dir.path()), "damaged").unwrap();
    let opened = open_in(dir.path());
    assert_eq!(opened.recovery.clone().unwrap().restored_from, Some(good));
    assert_eq!(opened.rows, before);
    is_usable(opened, dir.path());
    assert!(!names(&backups).iter().any(|name| name.contains("-wal") || name.contains("-shm")));
}

#[test]
fn emptied_database_with_a_log_is_damage() {
    let origin = temp_dir();
    let (database, before, _) = backed_up(origin.path());
    let dir = temp_dir();
    copy_state(origin.path(), dir.path());
    drop(database);
    let log = fs::read(dir.path().join("control.db-wal")).unwrap();
    assert!(!log.is_empty());
    fs::write(database_in(dir.path()), "").unwrap();
    let opened = open_in(dir.path());
    assert_eq!(opened.rows, before);
    let aside = opened.recovery.clone().unwrap().set_aside;
    assert_eq!(fs::read(&aside[1]).unwrap(), log);
    is_usable(opened, dir.path());
}

#[test]
fn missing_database_with_other_state_files_is_damage() {
    for (left, restored) in [("log", true), ("backup", true), ("damaged", false)] {
        let origin = temp_dir();
        let (database, before, _) = backed_up(origin.path());
        let dir = temp_dir();
        copy_state(origin.path(), dir.path());
        drop(database);
        fs::remove_file(database_in(dir.path())).unwrap();
        if left != "log" {
            fs::remove_file(dir.path().join("control.db-wal")).unwrap();
            fs::remove_file(dir.path().join("control.db-shm")).unwrap();
        }
        if left == "damaged" {
            fs::remove_dir_all(dir.path().join(Layout::DAEMON.backups)).unwrap();
            fs::write(dir.path().join("control.db.damaged-20250101T000000Z"), "x").unwrap();
        }
        let opened = open_in(dir.path());
        assert!(!opened.created);
        let recovery = opened.recovery.clone().unwrap();
        assert_eq!(recovery.reason, "it is missing", "{left}");
        assert_eq!(recovery.set_aside.len(), if left == "log" { 2 } else { 0 });
        assert_eq!(recovery.restored_from.is_some(), restored, "{left}");
        assert_eq!(opened.rows, if restored { before } else { vec![] }, "{left}");
        is_usable(opened, dir.path());
    }
}

#[test]
fn truncated_log_is_reported_and_its_rest_kept() {
    let origin = temp_dir();
    let (database, before, after) = backed_up(origin.path());
    let log = fs::read(origin.path().join("control.db-wal")).unwrap();
    let cuts = [
        ("cut off", log[..log.len() - 1].to_vec()),
        ("header", [&[0; 32], &log[32..]].concat()),
        ("emptied", vec![]),
    ];
    for (what, cut) in cuts {
        let dir = temp_dir();
        copy_state(origin.path(), dir.path());
        fs::write(dir.path().join("control.db-wal"), &cut).unwrap();
        let opened = open_in(dir.path());
        let recovery = opened.recovery.clone().unwrap();
        assert!(recovery.reason.starts_with("the write-ahead log ends early"), "{recovery:?}");
        // What is left was restored from the very files that were set aside.
        assert_eq!(recovery.restored_from.as_ref(), Some(&recovery.set_aside[0]), "{what}");
        assert_eq!(fs::read(&recovery.set_aside[1]).unwrap(), cut, "{what}");
        assert_eq!(opened.rows, if what == "cut off" { before.clone() } else { vec![] }, "{what}");
        is_usable(opened, dir.path());
    }
    // The same without the index: a frame that does not add up is followed by others.
    let dir = temp_dir();
    copy_state(origin.path(), dir.path());
    fs::remove_file(dir.path().join("control.db-shm")).unwrap();
    let mut flipped = log.clone();
    flipped[32 + 100] ^= 1;
    fs::write(dir.path().join("control.db-wal"), &flipped).unwrap();
    assert!(open_in(dir.path()).recovery.is_some());
    // And the whole log without its index is no damage.
    let dir = temp_dir();
    copy_state(origin.path(), dir.path());
    fs::remove_file(dir.path().join("control.db-shm")).unwrap();
    let opened = open_in(dir.path());
    assert_eq!((opened.rows, opened.recovery), (after, None));
    drop(database);
}

#[test]
fn unfinished_commit_in_the_log_is_no_damage() {
    let origin = temp_dir();
    let (mut database, _, after) = backed_up(origin.path());
    let before = fs::read(origin.path().join("control.db-wal")).unwrap();
    let index = fs::read(origin.path().join("control.db-shm")).unwrap();
    commit(&mut database, &party_of("third", 40, 3));
    let log = fs::read(origin.path().join("control.db-wal")).unwrap();
    assert!(log.len() > before.len() + 5000);
    // As a kill leaves it: the frames in part, the index as it was before.
    for length in [before.len() + 10, before.len() + 24, before.len() + 5000, log.len() - 1] {
        let dir = temp_dir();
        copy_state(origin.path(), dir.path());
        fs::write(dir.path().join("control.db-wal"), &log[..length]).unwrap();
        fs::write(dir.path().join("control.db-shm"), &index).unwrap();
        let opened = open_in(dir.path());
        assert_eq!((&opened.rows, &opened.recovery), (&after, &None), "{length}");
    }
}

#[test]
fn files_of_an_interrupted_recovery_are_replaced() {
    let dir = temp_dir();
    let (database, before, after) = backed_up(dir.path());
    drop(database);
    for name in ["control.db.new", "control.db.new-wal", "control.db.new-shm"] {
        fs::write(dir.path().join(name), "half made").unwrap();
    }
    assert_eq!(open_in(dir.path()).rows, after);
    fs::write(database_in(dir.path()), "damaged").unwrap();
    assert_eq!(open_in(dir.path()).rows, before);
    assert!(!names(dir.path()).iter().any(|name| name.starts_with("control.db.new")));
}

#[test]
fn manual_backup_is_restored_like_an_hourly_one() {
    let dir = temp_dir();
    let (database, _, after) = backed_up(dir.path());
    let dest = dir.path().join(Layout::DAEMON.backups).join("control-20300101T000000Z.db");
    backup(database.path(), &dest).unwrap();
    drop(database);
    fs::write(database_in(dir.path()), "damaged").unwrap();
    assert_eq!(open_in(dir.path()).rows, after);
}
