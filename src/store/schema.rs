//! The schema's versions, forward only.

use rusqlite::{Connection, TransactionBehavior};

/// Every step, with the `user_version` that it leads to. A step that was released never changes.
///
/// A step may add tables, and columns that are null in the rows that are there: checksums pass
/// over nulls. One that rewrites checked columns has to write those rows anew through `rows`.
const MIGRATIONS: &[(u32, &str)] = &[
    (1, include_str!("migrations/0001_initial.sql")),
    (2, include_str!("migrations/0002_identities.sql")),
    (3, include_str!("migrations/0003_remote.sql")),
    (4, include_str!("migrations/0004_server_epoch.sql")),
    (5, include_str!("migrations/0005_shares.sql")),
];

/// The newest version.
pub(super) const VERSION: u32 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Says that a file is this program's: "LANr".
pub(super) const APPLICATION_ID: i32 = 0x4c41_4e72;

/// The version that a database has.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The application that a database says it belongs to.
pub(super) fn application_id(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// Brings a database to the newest version, each step whole or not at all.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let from = version(connection)?;
    for (to, sql) in MIGRATIONS.iter().filter(|(to, _)| *to > from) {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "user_version", to)?;
        step.commit()?;
        if from > 0 {
            log::info!("the database is at schema version {to} now");
        }
    }
    Ok(())
}
