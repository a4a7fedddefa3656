//! The writer as an actor.

use actix::{SyncArbiter, System};

use super::support::{names, open_in, party_of, temp_dir};
use crate::health::Ping;
use crate::store::{Close, Commit, Persister, StoreErrorKind};

#[test]
fn commit_is_answered_once_it_is_durable() {
    let dir = temp_dir();
    let rows = party_of("party", 2, 1);
    System::new().block_on(async {
        let persister = Persister::new(open_in(dir.path()).database);
        let address = SyncArbiter::start(1, move || persister.clone());
        address.send(Ping).await.unwrap();
        let commit = Commit { writes: rows.clone(), seen: vec![] };
        let committed = address.send(commit).await.unwrap().unwrap();
        assert!(!committed.took.is_zero());
        let killed = temp_dir();
        super::support::copy_state(dir.path(), killed.path());
        assert_eq!(open_in(killed.path()).rows, rows);

        let orphan =
            Commit { writes: rows[1..].iter().cloned().map(elsewhere).collect(), seen: vec![] };
        let error = address.send(orphan).await.unwrap().unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Rejected);

        assert_eq!(names(dir.path()), ["control.db", "control.db-shm", "control.db-wal"]);
        address.send(Close).await.unwrap();
        assert_eq!(names(dir.path()), ["control.db"]);
    });
    assert_eq!(open_in(dir.path()).rows, rows);
}

fn elsewhere(row: crate::core::Write) -> crate::core::Write {
    match row {
        crate::core::Write::PutMember(_, member) => {
            crate::core::Write::PutMember("nowhere".parse().unwrap(), member)
        }
        other => other,
    }
}
