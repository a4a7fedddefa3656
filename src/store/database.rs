//! Open database, and its commits.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lanrage_ipc::model::{PartyId, PeerId, RelayId};
use rusqlite::{Connection, TransactionBehavior};

use super::connection::Flush;
use super::error::{StoreError, StoreErrorKind};
use super::{connection, files, rows};
use crate::core::{RequestKey, Seen, ServerKey, TokenHash, Write};
use crate::os::FileId;

/// Open database. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// Identity of the opened file; `None` if the system does not tell it.
    file: Option<FileId>,
    /// `None` after a failure that may have broken the connection: the next commit opens another.
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    connection: Connection,
    flush: Flush,
    /// True if the disk may have failed since the log was started. The system then drops pages that
    /// it could not write: the file has a hole where this process still reads its own bytes.
    suspect: bool,
}

/// Result of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Committed {
    /// Duration.
    pub(crate) took: Duration,
}

impl Database {
    /// Creates the database over a connection that is prepared for writing.
    pub(super) fn new(path: PathBuf, connection: Connection) -> Self {
        Self { file: FileId::at(&path), path, writer: Some(Writer::new(connection)) }
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Commits changes, all or none, and then signs of life of existing members. Without changes it
    /// does not flush.
    ///
    /// # Errors
    /// The commit is reverted, and the next one may succeed. A start finds the reverted commit only
    /// if the disk failed during its flush and this process ended before the next commit.
    pub(crate) fn commit(
        &mut self,
        writes: &[Write],
        seen: &[Seen],
    ) -> Result<Committed, StoreError> {
        let started = Instant::now();
        // SQLite would go on writing a file that nobody finds again.
        if self.file.is_some() && self.file != FileId::at(&self.path) {
            return Err(StoreError::moved(&self.path));
        }
        self.transact(writes, seen).map_err(|error| {
            let error = StoreError::new(&self.path, &error);
            if let Some(writer) = &mut self.writer {
                let is_io = error.kind == StoreErrorKind::Io;
                writer.suspect |= is_io;
                // A connection whose first write failed may fail for ever. With an empty log nothing
                // of a failed commit can be found by the next connection.
                let is_stuck = is_io && log_is_empty(&self.path);
                let is_spoiled = error.kind == StoreErrorKind::Damaged || is_stuck;
                if is_spoiled || !writer.connection.is_autocommit() {
                    self.close();
                }
            }
            error
        })?;
        Ok(Committed { took: started.elapsed() })
    }

    fn transact(&mut self, writes: &[Write], seen: &[Seen]) -> rusqlite::Result<()> {
        if writes.is_empty() && seen.is_empty() {
            return Ok(());
        }
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::open(&self.path)?,
        };
        let writer = self.writer.insert(writer);
        if writer.suspect {
            // A statement that failed may still hold a transaction, which locks the log.
            writer.connection.flush_prepared_statement_cache();
            connection::restart_log(&writer.connection)?;
            writer.suspect = false;
        }
        writer.set_flush(if writes.is_empty() { Flush::Merges } else { Flush::Commits })?;
        let behavior = TransactionBehavior::Immediate;
        let transaction = writer.connection.transaction_with_behavior(behavior)?;
        for write in last_of_each_row(writes) {
            rows::write(&transaction, write)?;
        }
        for seen in seen {
            rows::write_seen(&transaction, seen)?;
        }
        transaction.commit()
    }

    /// Closes the file; a later commit reopens it.
    pub(crate) fn close(&mut self) {
        self.writer = None;
    }
}

impl Writer {
    fn new(connection: Connection) -> Self {
        Self { connection, flush: Flush::Commits, suspect: false }
    }

    fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = connection::open(path)?;
        connection::prepare_writer(&connection)?;
        Ok(Self { suspect: true, ..Self::new(connection) })
    }

    fn set_flush(&mut self, flush: Flush) -> rusqlite::Result<()> {
        if self.flush != flush {
            connection::set_flush(&self.connection, flush)?;
            self.flush = flush;
        }
        Ok(())
    }
}

/// True if the database's log has no frame, or does not exist.
fn log_is_empty(path: &Path) -> bool {
    match fs::metadata(files::with_ending(path, "-wal")) {
        Ok(log) => log.len() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Returns the last write to each row. References are checked at the commit, so the order matters
/// only for speed: sorted rows fill SQLite's pages.
fn last_of_each_row(writes: &[Write]) -> impl Iterator<Item = &Write> {
    #[derive(PartialEq, Eq, Hash)]
    enum Key<'a> {
        Party(&'a PartyId),
        Member(&'a PartyId, &'a PeerId),
        Relay(&'a RelayId),
        Token(&'a TokenHash),
        Receipt(&'a PeerId, &'a RequestKey),
        Intent(&'a PartyId, &'a PeerId),
        Pin(&'a PartyId, &'a PeerId),
        Credential(&'a ServerKey, &'a PeerId),
        Choice,
    }
    let mut done = HashSet::new();
    let last = writes.iter().rev().filter(|write| {
        done.insert(match write {
            Write::PutParty(party) => Key::Party(&party.party_id),
            Write::DeleteParty(id) => Key::Party(id),
            Write::PutMember(party_id, member) => Key::Member(party_id, &member.info.peer_id),
            Write::DeleteMember(party_id, peer_id) => Key::Member(party_id, peer_id),
            Write::PutRelay(relay) => Key::Relay(&relay.relay.relay_id),
            Write::DeleteRelay(id) => Key::Relay(id),
            Write::PutToken(token) => Key::Token(&token.hash),
            Write::DeleteToken(hash) => Key::Token(hash),
            Write::PutReceipt(receipt) => Key::Receipt(&receipt.peer_id, &receipt.key),
            Write::DeleteReceipt(peer_id, key) => Key::Receipt(peer_id, key),
            Write::PutIntent(intent) => Key::Intent(&intent.party_id, &intent.peer_id),
            Write::DeleteIntent(party_id, peer_id) => Key::Intent(party_id, peer_id),
            Write::PutPin(pin) => Key::Pin(&pin.party_id, &pin.peer_id),
            Write::DeletePin(party_id, peer_id) => Key::Pin(party_id, peer_id),
            Write::PutCredential(one) => Key::Credential(&one.server, &one.peer_id),
            Write::DeleteCredential(server, peer_id) => Key::Credential(server, peer_id),
            Write::PutChoice(_) | Write::DeleteChoice => Key::Choice,
        })
    });
    last.collect::<Vec<_>>().into_iter().rev()
}
