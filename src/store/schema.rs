//! Versions of the schema, forward only.

use rusqlite::{Connection, TransactionBehavior};

/// Migrations, with the `user_version` that each leads to. A released migration never changes.
///
/// A migration may add tables, and columns that are null in existing rows: checksums skip nulls. A
/// migration that rewrites checked columns has to write those rows again through `rows`.
const MIGRATIONS: &[(u32, &str)] = &[
    (1, include_str!("migrations/0001_initial.sql")),
    (2, include_str!("migrations/0002_identities.sql")),
    (3, include_str!("migrations/0003_remote.sql")),
    (4, include_str!("migrations/0004_server_epoch.sql")),
    (5, include_str!("migrations/0005_shares.sql")),
];

/// Newest version.
pub(super) const VERSION: u32 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Application id of this program's files: "LANr".
pub(super) const APPLICATION_ID: i32 = 0x4c41_4e72;

/// Reads the schema version of a database.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Reads the application id of a database.
pub(super) fn application_id(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// Migrates a database to the newest version; each migration is atomic.
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
