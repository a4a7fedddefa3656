//! Disks that are full, fail, or may not be written.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;

use nix::libc;

use super::model::Model;
use super::seccomp::{refuse, refuse_opening_to_write};
use super::support::{
    commit, contents, copy_state, database_in, names, open_in, party_of, temp_dir, time, try_open,
};
use crate::core::{Seen, Write};
use crate::store::backup::publish;
use crate::store::{BackupError, Database, OpenError, StoreErrorKind, backup};

const FLUSHES: [libc::c_long; 2] = [libc::SYS_fsync, libc::SYS_fdatasync];

/// Runs something in a thread whose system calls can be made to fail.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().unwrap())
}

fn seen(at: i64) -> Seen {
    Seen { party_id: "party".parse().unwrap(), peer_id: "peer-0".parse().unwrap(), at: time(at) }
}

/// A state with one party, whose log has been begun.
fn begun(dir: &Path) -> (Database, Model) {
    let mut database = open_in(dir).database;
    let mut model = Model::default();
    let rows = party_of("party", 2, 1);
    commit(&mut database, &rows);
    model.apply(&rows, &[]);
    (database, model)
}

#[test]
fn sign_of_life_is_committed_without_a_flush_and_a_change_with_one() {
    let dir = temp_dir();
    let (mut database, mut model) = begun(dir.path());
    let killed = temp_dir();
    aside(|| {
        refuse(&FLUSHES, libc::EIO);
        for at in 1..100 {
            database.commit(&[], &[seen(at)]).unwrap();
        }
        copy_state(dir.path(), killed.path());
        let refused = database.commit(&party_of("other", 1, 2), &[seen(100)]).unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Io, "{refused}");
    });
    model.apply(&[], &[seen(99)]);
    // A kill loses none of them: they are the system's to write.
    assert_eq!(open_in(killed.path()).rows, model.rows());
    let rows = party_of("other", 1, 3);
    commit(&mut database, &rows);
    model.apply(&rows, &[]);
    drop(database);
    assert_eq!(open_in(dir.path()).rows, model.rows());
}

/// Asserts that a failed commit keeps nothing, and that the next one on a healthy disk succeeds.
fn fails_and_recovers(calls: &[libc::c_long], errno: i32, kind: StoreErrorKind) {
    let dir = temp_dir();
    let (mut database, mut model) = begun(dir.path());
    // More than the page cache holds: some of it is written before the commit.
    let large: Vec<Write> = (0..200).flat_map(|n| party_of(format!("large-{n}"), 64, n)).collect();
    aside(|| {
        refuse(calls, errno);
        for rows in [
            &party_of("party", 3, 7),
            &large,
            &vec![Write::DeleteMember("party".parse().unwrap(), "peer-1".parse().unwrap())],
        ] {
            let error = database.commit(rows, &[]).unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.to_string().contains(database.path().to_str().unwrap()), "{error}");
        }
        database.commit(&[], &[seen(5)]).unwrap_err();
    });
    let killed = temp_dir();
    copy_state(dir.path(), killed.path());
    let survivor = open_in(killed.path());
    assert_eq!((survivor.rows, survivor.recovery), (model.rows(), None));

    for rows in [party_of("party", 1, 9), large] {
        commit(&mut database, &rows);
        model.apply(&rows, &[]);
    }
    drop(database);
    let reopened = open_in(dir.path());
    assert_eq!((reopened.rows, reopened.recovery), (model.rows(), None));
}

#[test]
fn log_is_restarted_after_a_failed_flush() {
    let dir = temp_dir();
    let (mut database, mut model) = begun(dir.path());
    let failed = party_of("party-that-failed", 64, 2);
    aside(|| {
        refuse(&FLUSHES, libc::EIO);
        database.commit(&failed, &[]).unwrap_err();
    });
    let holds_it = || {
        let log = fs::read(dir.path().join("control.db-wal")).unwrap();
        log.windows(17).any(|text| text == b"party-that-failed")
    };
    assert!(holds_it());
    let rows = party_of("other", 1, 3);
    commit(&mut database, &rows);
    model.apply(&rows, &[]);
    assert!(!holds_it());
    let killed = temp_dir();
    copy_state(dir.path(), killed.path());
    assert_eq!(open_in(killed.path()).rows, model.rows());
}

#[test]
fn full_disk_fails_the_commit_whole_and_recovers() {
    fails_and_recovers(&[libc::SYS_pwrite64], libc::ENOSPC, StoreErrorKind::Full);
}

#[test]
fn failing_disk_fails_the_commit_whole_and_recovers() {
    fails_and_recovers(&[libc::SYS_pwrite64], libc::EIO, StoreErrorKind::Io);
}

#[test]
fn closed_database_is_reopened_once_possible() {
    let dir = temp_dir();
    let (mut database, mut model) = begun(dir.path());
    database.close();
    let rows = party_of("party", 3, 7);
    aside(|| {
        refuse_opening_to_write(libc::EROFS);
        let error = database.commit(&rows, &[]).unwrap_err();
        assert!(matches!(error.kind, StoreErrorKind::ReadOnly | StoreErrorKind::Io), "{error}");
    });
    commit(&mut database, &rows);
    model.apply(&rows, &[]);
    drop(database);
    assert_eq!(open_in(dir.path()).rows, model.rows());
}

#[test]
fn read_only_state_is_an_error_with_its_path() {
    let dir = temp_dir();
    drop(begun(dir.path()));
    let before = contents(dir.path());
    let error = aside(|| {
        refuse_opening_to_write(libc::EROFS);
        try_open(dir.path()).unwrap_err()
    });
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains(database_in(dir.path()).to_str().unwrap()), "{error}");
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn unusable_directory_is_an_error_with_its_path() {
    let dir = temp_dir();
    let state = dir.path().join("state");
    let check = |error: OpenError| {
        let OpenError::Io { cause, .. } = &error else { panic!("{error}") };
        assert_eq!(cause.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains(state.to_str().unwrap()), "{error}");
        assert!(error.to_string().contains("--state-dir"), "{error}");
    };
    check(aside(|| {
        refuse(&[libc::SYS_mkdirat, libc::SYS_mkdir], libc::EACCES);
        try_open(&state).unwrap_err()
    }));
    fs::create_dir(&state).unwrap();
    check(aside(|| {
        refuse_opening_to_write(libc::EACCES);
        try_open(&state).unwrap_err()
    }));
    assert_eq!(names(&state), [""; 0]);
}

#[test]
fn full_disk_at_the_start_is_no_damage() {
    let dir = temp_dir();
    let (database, model) = begun(dir.path());
    let path = database_in(dir.path());
    fs::create_dir(dir.path().join("backups")).unwrap();
    backup(&path, &dir.path().join("backups/control-20260101T000000Z.db")).unwrap();
    drop(database);
    fs::write(&path, "garbage").unwrap();
    // When the backup is copied, and when the copy is made the state.
    for call in [libc::SYS_write, libc::SYS_pwrite64] {
        let error = aside(|| {
            refuse(&[call], libc::ENOSPC);
            try_open(dir.path()).unwrap_err()
        });
        assert!(matches!(error, OpenError::Io { .. } | OpenError::Unusable { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"garbage");
    }
    assert_eq!(open_in(dir.path()).rows, model.rows());
}

#[test]
fn failed_backup_leaves_no_file() {
    let dir = temp_dir();
    let (database, _) = begun(dir.path());
    let before = names(dir.path());
    let (from, dest) = (database.path().to_path_buf(), dir.path().join("copy.db"));
    let error = aside(|| {
        refuse(&[libc::SYS_pwrite64], libc::ENOSPC);
        backup(&from, &dest).unwrap_err()
    });
    assert!(matches!(error, BackupError::Copy { .. }), "{error}");
    assert_eq!(names(dir.path()), before);
}

#[test]
fn backup_needs_no_hard_links() {
    let dir = temp_dir();
    let (database, _) = begun(dir.path());
    let (from, dest) = (database.path().to_path_buf(), dir.path().join("copy.db"));
    aside(|| {
        refuse(&[libc::SYS_linkat], libc::EPERM);
        let bytes = backup(&from, &dest).unwrap();
        assert_eq!(bytes, fs::metadata(&dest).unwrap().len());
        let taken = publish(&from, &dest);
        assert!(matches!(taken, Err(BackupError::Exists(_))), "{taken:?}");
    });
    assert!(!names(dir.path()).iter().any(|name| name.ends_with(".partial")));
}
