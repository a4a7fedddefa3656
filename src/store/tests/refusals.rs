//! Files that are not this program's to touch.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::support::{commit, contents, database_in, open_in, party_of, temp_dir, try_open};
use crate::store::{OpenError, schema};

/// A closed state with a party in it, after something was done to its database.
fn altered(dir: &Path, sql: &str) {
    let mut opened = open_in(dir);
    commit(&mut opened.database, &party_of("party", 1, 1));
    drop(opened);
    Connection::open(database_in(dir)).unwrap().execute_batch(sql).unwrap();
}

fn refused(dir: &Path, says: &str) -> OpenError {
    let before = contents(dir);
    let error = try_open(dir).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(database_in(dir).to_str().unwrap()), "{text}");
    assert!(text.contains(says), "{text}");
    assert_eq!(contents(dir), before);
    error
}

#[test]
fn newer_schema_is_refused() {
    let dir = temp_dir();
    altered(dir.path(), "PRAGMA user_version = 99");
    let error = refused(dir.path(), "schema version 99");
    assert!(
        matches!(error, OpenError::Newer { found: 99, known: schema::VERSION, .. }),
        "{error:?}"
    );
}

#[test]
fn newer_schema_in_the_log_is_refused() {
    let dir = temp_dir();
    drop(open_in(dir.path()));
    let newer = Connection::open(database_in(dir.path())).unwrap();
    newer.execute_batch("CREATE TABLE later (x); PRAGMA user_version = 99").unwrap();
    // Its log is not merged by our closing the file either.
    let copy = temp_dir();
    super::support::copy_state(dir.path(), copy.path());
    drop(newer);
    let error = refused(copy.path(), "schema version 99");
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
}

#[test]
fn database_of_another_application_is_refused() {
    let dir = temp_dir();
    let other = Connection::open(database_in(dir.path())).unwrap();
    other.execute_batch("PRAGMA application_id = 0x0f055112; CREATE TABLE blob (x)").unwrap();
    drop(other);
    let error = refused(dir.path(), "another application");
    assert!(matches!(error, OpenError::Foreign { application_id: 0x0f05_5112, .. }), "{error:?}");
}

#[test]
fn locked_database_is_refused() {
    let dir = temp_dir();
    drop(open_in(dir.path()));
    let other = Connection::open(database_in(dir.path())).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE").unwrap();
    let error = refused(dir.path(), "locked by another process");
    assert!(matches!(error, OpenError::Locked(_)), "{error:?}");
    drop(other);
    assert!(try_open(dir.path()).is_ok());
}

#[test]
fn directory_in_place_of_the_database_is_refused() {
    let dir = temp_dir();
    fs::create_dir(database_in(dir.path())).unwrap();
    let error = refused(dir.path(), "is a directory");
    assert!(matches!(error, OpenError::Untrusted { .. }), "{error:?}");
}

#[test]
fn file_in_place_of_the_directory_is_refused() {
    let dir = temp_dir();
    let state = dir.path().join("state");
    fs::write(&state, "a file").unwrap();
    let text = try_open(&state).unwrap_err().to_string();
    let told = format!("{} is a regular file, and must be a directory", state.display());
    assert!(text.contains(&told), "{text}");
}
