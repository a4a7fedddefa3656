//! Rows for a control server: places where secrets may show, and damage.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::support::{
    TOKEN, choice, commit, credential, database_in, intent, member_elsewhere, noon, open_in, parse,
    remote_party, server, shows_token, temp_dir,
};
use crate::core::Write;
use crate::store::{Commit, Layout, backup, rotate_backups};

/// A row of each table, of the credentials one of each sort, in the order of the tables.
fn rows() -> Vec<Write> {
    vec![
        Write::PutIntent(intent("party", "peer", 1)),
        Write::PutCredential(credential(server(1), "peer", 2)),
        Write::PutCredential(credential(server(1), "waiting", 5)),
        Write::PutChoice(choice(6)),
    ]
}

/// A closed state with those rows, and a backup without them. Returns the database.
fn closed(dir: &Path) -> Vec<u8> {
    let mut database = open_in(dir).database;
    rotate_backups(&database_in(dir), &dir.join(Layout::DAEMON.backups), noon(), 1).unwrap();
    commit(&mut database, &rows());
    drop(database);
    fs::read(database_in(dir)).unwrap()
}

/// Flips a bit of the only place where a file has these bytes.
fn flip(bytes: &mut [u8], of: &[u8]) {
    let places: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(of)).collect();
    let [place] = places[..] else { panic!("{places:?}") };
    bytes[place] ^= 1;
}

#[test]
fn bit_flip_in_any_table_is_detected_at_the_start() {
    let (token, claim) = (format!("{TOKEN}.2"), format!("{TOKEN}.5"));
    for (of, row) in [
        ("request '1'", "party"),
        (&token, "https://lan"),
        (&claim, "https://lan"),
        ("https://[", "?"),
    ] {
        let dir = temp_dir();
        let mut bytes = closed(dir.path());
        flip(&mut bytes, of.as_bytes());
        fs::write(database_in(dir.path()), &bytes).unwrap();
        let opened = open_in(dir.path());
        let recovery = opened.recovery.unwrap();
        let says = format!("in the row of \"{row}");
        assert!(recovery.reason.starts_with(&says), "{}", recovery.reason);
        assert!(!recovery.reason.contains(&TOKEN[1..]), "{}", recovery.reason);
        assert!(recovery.restored_from.unwrap().to_str().unwrap().contains("backups"));
        assert_eq!(opened.rows, []);
        assert_eq!(fs::read(&recovery.set_aside[0]).unwrap(), bytes);
    }
}

#[test]
fn intent_and_credential_outlive_their_party_and_member() {
    let dir = temp_dir();
    let mut database = open_in(dir.path()).database;
    let party = Write::PutParty(remote_party("party", 1));
    let member = Write::PutMember(parse("party"), member_elsewhere("peer", 1));
    // The intent has the member's ids.
    let all = [vec![party, member], rows()].concat();
    commit(&mut database, &all);
    assert_eq!(open_in(dir.path()).rows, all);
    let gone = Write::DeleteMember(parse("party"), parse("peer"));
    commit(&mut database, &[gone, Write::DeleteParty(parse("party"))]);
    drop(database);
    let opened = open_in(dir.path());
    assert_eq!((opened.rows, opened.recovery), (rows(), None));
}

#[test]
fn last_write_to_a_row_in_a_commit_wins() {
    let dir = temp_dir();
    let mut database = open_in(dir.path()).database;
    let later = [
        Write::PutIntent(intent("party", "peer", 3)),
        Write::PutCredential(credential(server(1), "peer", 4)),
        Write::PutChoice(choice(9)),
    ];
    // Each differs from the one that is meant in one part of the key.
    let others = [
        Write::PutIntent(intent("other", "peer", 1)),
        Write::PutIntent(intent("party", "other", 1)),
        Write::PutCredential(credential(server(0), "peer", 2)),
        Write::PutCredential(credential(server(1), "other", 2)),
    ];
    let deletions = [
        Write::DeleteIntent(parse("party"), parse("peer")),
        Write::DeleteCredential(server(1), parse("peer")),
        Write::DeleteChoice,
    ];
    commit(&mut database, &[&rows()[..], &others[..], &deletions[..], &later[..]].concat());
    let found = open_in(dir.path()).rows;
    assert_eq!(found.len(), 8, "{found:?}");
    assert!(later.iter().chain(&others).all(|row| found.contains(row)), "{found:?}");
    commit(&mut database, &[&later[..], &deletions[..]].concat());
    let left = open_in(dir.path()).rows;
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(others.iter().all(|row| left.contains(row)), "{left:?}");
}

#[test]
fn token_is_stored_and_appears_in_no_message() {
    let dir = temp_dir();
    let mut opened = open_in(dir.path());
    commit(&mut opened.database, &rows());
    opened.rows = rows();
    let mut shown = vec![
        format!("{opened:?} {opened:#?}"),
        format!("{:?}", Commit { writes: rows(), seen: vec![] }),
        format!("{:?}", opened.database.commit(&rows(), &[])),
    ];
    // A commit and a copy that fail while they handle it.
    let other = Connection::open(database_in(dir.path())).unwrap();
    let forbid = "CREATE TRIGGER no BEFORE INSERT ON credentials BEGIN
        SELECT RAISE(ABORT, 'no'); END";
    other.execute_batch(forbid).unwrap();
    let refused = opened.database.commit(&rows(), &[]).unwrap_err();
    shown.push(format!("{refused} {refused:?}"));
    other.execute_batch("DROP TRIGGER no; UPDATE credentials SET renew_at = 0").unwrap();
    let unsound = backup(&database_in(dir.path()), &dir.path().join("copy.db")).unwrap_err();
    shown.push(format!("{unsound} {unsound:?}"));
    other.execute_batch("UPDATE credentials SET token = CAST(x'ff' || token AS TEXT)").unwrap();
    let unsound = backup(&database_in(dir.path()), &dir.path().join("copy.db")).unwrap_err();
    shown.push(format!("{unsound} {unsound:?}"));
    drop((other, opened));
    let bytes = fs::read(database_in(dir.path())).unwrap();
    assert!(bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()));
    let recovered = open_in(dir.path());
    assert!(recovered.recovery.is_some());
    shown.push(format!("{recovered:?}"));
    for text in shown {
        assert!(!shows_token(&text), "{text}");
    }
}
