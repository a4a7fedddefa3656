//! Completeness check of a write-ahead log.
//!
//! SQLite reads a log up to its first invalid frame and silently ignores the rest: after a power
//! cut that is an unfinished commit. A damaged or truncated log looks the same to it, and would
//! lose commits silently. The log's index, the `-shm` file, still has the former length of the log,
//! because nobody writes it until the database is opened again. See
//! <https://www.sqlite.org/walformat.html> for both formats.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::files;

const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
const INDEX_HEADER: usize = 48;
const FORMAT: u32 = 3_007_000;
const MAGIC: u32 = 0x377f_0682;

/// Salts that mark the frames of one generation of a log, whose file is reused.
type Salts = [u8; 8];

/// Returns a lower bound of the committed frames in a database's log, from its files. Call it
/// before SQLite opens them.
pub(super) fn committed_frames(database: &Path) -> io::Result<u32> {
    let index = read_index(&files::with_ending(database, "-shm"))?;
    let indexed = index.as_ref().map_or(0, |index| index.frames);
    let mut log = match files::open(&files::with_ending(database, "-wal")) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(indexed),
        Err(error) => return Err(error),
    };
    let length = log.metadata()?.len();
    if length == 0 {
        return Ok(indexed);
    }
    let Some(header) = read_log_header(&mut log)? else {
        // Something was in it.
        return Ok(indexed.max(1));
    };
    match index {
        Some(index) if index.salts == header.salts => Ok(index.frames),
        // After a power cut the index may be that of an earlier generation.
        _ => last_frame(&mut log, length, &header),
    }
}

struct LogHeader {
    page_size: u32,
    salts: Salts,
}

fn read_log_header(log: &mut File) -> io::Result<Option<LogHeader>> {
    let mut bytes = Vec::new();
    log.take(LOG_HEADER).read_to_end(&mut bytes)?;
    if bytes.len() < LOG_HEADER as usize {
        return Ok(None);
    }
    let word = |at: usize| word(&bytes, at, u32::from_be_bytes);
    let order = if word(0) & 1 == 1 { u32::from_be_bytes } else { u32::from_le_bytes };
    let page_size = word(8);
    let sound = word(0) & !1 == MAGIC
        && word(4) == FORMAT
        && page_size.is_power_of_two()
        && checksum(&bytes[..24], order) == (word(24), word(28));
    Ok(sound.then(|| LogHeader { page_size, salts: salts(&bytes, 16) }))
}

/// Last frame of this generation.
fn last_frame(log: &mut File, length: u64, header: &LogHeader) -> io::Result<u32> {
    let stride = FRAME_HEADER + u64::from(header.page_size);
    for index in (0..(length - LOG_HEADER) / stride).rev() {
        let mut frame = [0; FRAME_HEADER as usize];
        log.seek(SeekFrom::Start(LOG_HEADER + index * stride))?;
        log.read_exact(&mut frame)?;
        if salts(&frame, 8) == header.salts {
            return Ok(u32::try_from(index + 1).unwrap_or(u32::MAX));
        }
    }
    Ok(0)
}

struct Index {
    frames: u32,
    salts: Salts,
}

/// Returns the index, if it is valid. It is in the machine's byte order and stored twice, so that
/// one copy is valid at any time.
fn read_index(path: &Path) -> io::Result<Option<Index>> {
    let mut bytes = Vec::new();
    match files::open(path) {
        Ok(file) => file.take(2 * INDEX_HEADER as u64).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(bytes.chunks_exact(INDEX_HEADER).find_map(|copy| {
        let word = |at: usize| word(copy, at, u32::from_ne_bytes);
        let sound = word(0) == FORMAT
            && copy[12] == 1
            && checksum(&copy[..40], u32::from_ne_bytes) == (word(40), word(44));
        sound.then(|| Index { frames: word(16), salts: salts(copy, 32) })
    }))
}

fn word(bytes: &[u8], at: usize, order: fn([u8; 4]) -> u32) -> u32 {
    order([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn salts(bytes: &[u8], at: usize) -> Salts {
    let mut salts = Salts::default();
    salts.copy_from_slice(&bytes[at..at + 8]);
    salts
}

/// Checksum of both formats, over pairs of words.
fn checksum(bytes: &[u8], order: fn([u8; 4]) -> u32) -> (u32, u32) {
    bytes.chunks_exact(8).fold((0, 0), |(first, second): (u32, u32), pair| {
        let first = first.wrapping_add(word(pair, 0, order)).wrapping_add(second);
        let second = second.wrapping_add(word(pair, 4, order)).wrapping_add(first);
        (first, second)
    })
}
