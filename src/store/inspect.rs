//! Inspection of a database: it must hold everything that was committed, and nothing else.

use std::io::{self, Read};
use std::path::Path;

use lanrage_ipc::model::Epoch;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::error::{OpenError, StoreErrorKind, kind};
use super::open::io_error;
use super::rows::Rows;
use super::{connection, files, rows, schema, wal};

/// Kind of the file at a database's path.
pub(super) enum Found {
    /// No file.
    Nothing,
    /// Sound database.
    Sound(Sound),
    /// Database with a truncated write-ahead log: its readable part, and the reason.
    Cut(Connection, String),
    /// Damaged database, with the reason.
    Damaged(String),
}

/// Sound database, whose rows are read.
pub(super) struct Sound {
    /// Connection that is prepared for writing.
    pub(super) connection: Connection,
}

/// Reason why a file's rows can't be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// Error of SQLite.
    Sqlite(rusqlite::Error),
    /// SQLite reads it, but it differs from the committed state.
    Damaged(String),
    /// It belongs to another program or version, and must not be changed.
    Refused(OpenError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Fault {
    /// Returns the damage in words, or the error of a file that can't be judged.
    pub(super) fn judge(self, path: &Path) -> Result<String, OpenError> {
        match self {
            Self::Damaged(reason) => Ok(reason),
            Self::Refused(error) => Err(error),
            Self::Sqlite(error) => match kind(&error) {
                StoreErrorKind::Damaged | StoreErrorKind::Rejected => Ok(error.to_string()),
                StoreErrorKind::Locked => Err(OpenError::Locked(path.into())),
                StoreErrorKind::Full
                | StoreErrorKind::Io
                | StoreErrorKind::ReadOnly
                | StoreErrorKind::Moved => {
                    Err(OpenError::Unusable { path: path.into(), reason: error.to_string() })
                }
            },
        }
    }
}

/// Inspects a database, and opens it if it is sound; `rows` takes its rows. Otherwise only the index
/// of its log may have changed.
pub(super) fn inspect(path: &Path, rows: &mut dyn Rows) -> Result<Found, OpenError> {
    files::check_sole_database(path).map_err(io_error("look at", path))?;
    match read_header(path).map_err(io_error("read", path))? {
        Header::Missing => return Ok(Found::Nothing),
        Header::Bad(reason) => return Ok(Found::Damaged(reason.into())),
        Header::Of(schema::APPLICATION_ID) => {}
        Header::Of(application_id) => {
            return Err(OpenError::Foreign { path: path.into(), application_id });
        }
    }
    let expected = wal::committed_frames(path).map_err(io_error("read", path))?;
    match open_checked(path, expected, rows) {
        Ok(found) => Ok(found),
        Err(fault) => fault.judge(path).map(Found::Damaged),
    }
}

fn open_checked(path: &Path, expected_frames: u32, rows: &mut dyn Rows) -> Result<Found, Fault> {
    let mut connection = connection::open(path)?;
    // Until it is known to be sound, closing it must not merge its log into it.
    let has_log = files::with_ending(path, "-wal").exists();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
    verify(&connection, path)?;
    let frames = frames_read(&connection)?;
    if frames < i64::from(expected_frames) {
        let reason = format!(
            "the write-ahead log ends early: {frames} of its {expected_frames} pages can be read"
        );
        return Ok(Found::Cut(connection, reason));
    }
    let unusable = |reason: &str| {
        Fault::Refused(OpenError::Unusable { path: path.into(), reason: reason.into() })
    };
    if connection.is_readonly("main")? {
        return Err(unusable("it may not be written"));
    }
    schema::migrate(&mut connection)?;
    read(&connection, rows)?;
    if !connection::prepare_writer(&connection)? {
        return Err(unusable("the file system cannot keep a write-ahead log"));
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(Found::Sound(Sound { connection }))
}

/// Checks that a database belongs to this program, has a known schema version, and is complete.
pub(super) fn verify(connection: &Connection, path: &Path) -> Result<(), Fault> {
    match schema::version(connection)? {
        0 => return Err(Fault::Damaged("it has no schema version".into())),
        found if found > schema::VERSION => {
            let known = schema::VERSION;
            return Err(Fault::Refused(OpenError::Newer { path: path.into(), found, known }));
        }
        _ => {}
    }
    let application_id = schema::application_id(connection)?;
    if application_id != schema::APPLICATION_ID {
        return Err(Fault::Refused(OpenError::Foreign { path: path.into(), application_id }));
    }
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        // It has a line for the database, and one for the damage.
        return Err(Fault::Damaged(verdict.lines().collect::<Vec<_>>().join(": ")));
    }
    if connection.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return Err(Fault::Damaged("a member belongs to a party that is not there".into()));
    }
    Ok(())
}

/// Reads all rows of a database of the newest schema. Returns their epoch.
pub(super) fn read(connection: &Connection, rows: &mut dyn Rows) -> Result<Epoch, Fault> {
    let epoch = rows::read_epoch(connection)?;
    rows.begin(&epoch, rows::Sizes::of(connection)?);
    rows::read_all(connection, rows)?;
    Ok(epoch)
}

/// Returns the number of frames of the write-ahead log that SQLite read.
fn frames_read(connection: &Connection) -> rusqlite::Result<i64> {
    let frames: i64 = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))?;
    // It is -1 where no log is kept.
    Ok(frames.max(0))
}

enum Header {
    Missing,
    Bad(&'static str),
    /// Database of the application with this id.
    Of(i32),
}

/// Checks a file without SQLite, which would take an empty file for a new database, and drop its
/// log. Call it only while no connection of this process has the file open: closing the file here
/// would release the locks of that connection.
fn read_header(path: &Path) -> io::Result<Header> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    const APPLICATION_ID: usize = 68;
    let mut header = Vec::new();
    match files::open(path) {
        Ok(file) => file.take(100).read_to_end(&mut header)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Header::Missing),
        Err(error) => return Err(error),
    };
    if header.is_empty() {
        return Ok(Header::Bad("it is empty"));
    }
    if header.len() < 100 || !header.starts_with(MAGIC) {
        return Ok(Header::Bad("it is not a database"));
    }
    // Bytes that are equal in all databases: if they are damaged, the id may be, too.
    let known = header[18..20].iter().all(|version| matches!(version, 1 | 2));
    if !known || header[21..24] != [64, 32, 32] || header[72..92].iter().any(|byte| *byte != 0) {
        return Ok(Header::Bad("its header is damaged"));
    }
    let mut id = [0; 4];
    id.copy_from_slice(&header[APPLICATION_ID..APPLICATION_ID + 4]);
    Ok(Header::Of(i32::from_be_bytes(id)))
}
