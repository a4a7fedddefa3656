//! Text of the discovery file.

use std::io::{self, Write};

use jiff::civil::DateTime;
use lanrage_ipc::model::PartyId;

use super::contents::Foreign;
use super::entries::{Entry, last_seen};

/// Contents of a new file: entries of others, then this daemon's.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// Entries of others that have room.
    pub(super) others: Vec<&'a Foreign>,
    /// This daemon's entries.
    pub(super) own: &'a [(&'a PartyId, &'a Entry)],
    /// Time of the writing.
    pub(super) now: DateTime,
}

impl Document<'_> {
    /// Writes the text as Python's `json.dumps(document, indent=2)` lays it out.
    pub(super) fn write(&self, file: &mut impl Write) -> io::Result<()> {
        let now = last_seen(self.now);
        let mut next = "\n";
        file.write_all(b"{")?;
        for foreign in &self.others {
            write!(file, "{next}  {}: {}", foreign.key, foreign.text)?;
            next = ",\n";
        }
        for (party_id, entry) in self.own {
            // Ids need no escapes.
            write!(file, "{next}  \"{party_id}\": ")?;
            let mut parts = entry.parts();
            file.write_all(parts.next().unwrap_or_default().as_bytes())?;
            for part in parts {
                file.write_all(now.as_bytes())?;
                file.write_all(part.as_bytes())?;
            }
            next = ",\n";
        }
        let is_empty = self.others.is_empty() && self.own.is_empty();
        file.write_all(if is_empty { b"}" } else { b"\n}" })
    }
}
