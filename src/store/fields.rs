//! Typed reader of a row's columns; an invalid value counts as damage.

use std::fmt::Display;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::model::UtcOffset;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::inspect::Fault;
use super::rows::{OF_ELSEWHERE, OF_PEER, OF_RELAY_KEY};
use crate::core::{Owner, User};

/// Reader of a row's columns, in order.
pub(super) struct Fields<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Fields<'a> {
    /// Creates a reader of a row, from its first column on.
    pub(super) fn new(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    fn value(&mut self) -> Result<ValueRef<'a>, Fault> {
        self.next += 1;
        Ok(self.row.get_ref(self.next - 1)?)
    }

    /// Returns the fault of the last column.
    fn broken(&self, rule: &dyn Display) -> Fault {
        let column = self.row.as_ref().column_name(self.next - 1).unwrap_or("?");
        let key = self.row.get_ref(0).ok().and_then(|key| key.as_str().ok()).unwrap_or("?");
        Fault::Damaged(format!("in the row of {key:?}, {column} {rule}"))
    }

    pub(super) fn parse<T, E: Display>(
        &mut self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Fault> {
        let value = self.value()?;
        let text = value.as_str().map_err(|error| self.broken(&error))?;
        parse(text).map_err(|rule| self.broken(&rule))
    }

    /// Parses a nullable column, as [`Self::parse`] does.
    pub(super) fn optional<T, E: Display>(
        &mut self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Fault> {
        if self.value()? == ValueRef::Null {
            return Ok(None);
        }
        self.next -= 1;
        self.parse(parse).map(Some)
    }

    pub(super) fn text<T: FromStr<Err: Display>>(&mut self) -> Result<T, Fault> {
        self.parse(str::parse)
    }

    pub(super) fn integer<T: TryFrom<i64, Error: Display>>(&mut self) -> Result<T, Fault> {
        let number = self.value()?.as_i64().map_err(|error| self.broken(&error))?;
        T::try_from(number).map_err(|rule| self.broken(&rule))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Fault> {
        // `from_microsecond` takes nothing of the last second.
        let since_epoch = SignedDuration::from_micros(self.integer()?);
        Timestamp::from_duration(since_epoch).map_err(|rule| self.broken(&rule))
    }

    /// Reads the owner of the row, by the value of its owner column or by the next column.
    pub(super) fn owner(&mut self, owner: i64) -> Result<Owner, Fault> {
        match (owner, self.value()?) {
            (OF_RELAY_KEY, ValueRef::Null) => Ok(Owner::RelayKey),
            (OF_ELSEWHERE, ValueRef::Null) => Ok(Owner::Elsewhere),
            (OF_PEER, ValueRef::Text(_)) => {
                self.next -= 1;
                self.text().map(Owner::Peer)
            }
            (uid, ValueRef::Null) => match u32::try_from(uid) {
                Ok(uid) => Ok(Owner::User(User(uid))),
                Err(rule) => Err(self.broken(&rule)),
            },
            _ => Err(self.broken(&"does not fit the owner")),
        }
    }

    pub(super) fn utc_offset(&mut self) -> Result<Option<UtcOffset>, Fault> {
        if self.value()? == ValueRef::Null {
            return Ok(None);
        }
        self.next -= 1;
        let minutes = self.integer()?;
        let offset = UtcOffset::from_minutes(minutes);
        offset.map(Some).ok_or_else(|| self.broken(&"is no offset from UTC"))
    }

    pub(super) fn hash(&mut self) -> Result<[u8; 32], Fault> {
        let bytes = self.value()?.as_blob().map_err(|error| self.broken(&error))?;
        bytes.try_into().map_err(|error| self.broken(&error))
    }

    /// Reads a nullable column, as [`Self::hash`] does.
    pub(super) fn optional_hash(&mut self) -> Result<Option<[u8; 32]>, Fault> {
        if self.value()? == ValueRef::Null {
            return Ok(None);
        }
        self.next -= 1;
        self.hash().map(Some)
    }

    /// Reads a nullable column, as [`Self::integer`] does.
    pub(super) fn optional_integer<T: TryFrom<i64, Error: Display>>(
        &mut self,
    ) -> Result<Option<T>, Fault> {
        if self.value()? == ValueRef::Null {
            return Ok(None);
        }
        self.next -= 1;
        self.integer().map(Some)
    }

    /// Reads the checksum, and compares it with the columns before it.
    pub(super) fn seal(&mut self) -> Result<(), Fault> {
        let covered = (0..self.next).map(|index| self.row.get_ref(index));
        let expected = checksum(covered.collect::<Result<Vec<_>, _>>()?.into_iter());
        if self.integer::<i64>()? == expected {
            Ok(())
        } else {
            Err(self.broken(&"does not fit the row"))
        }
    }
}

/// FNV-1a, 64 bits, over each value's type, length and bytes. Each step is invertible, so two rows
/// that differ in one byte never have the same checksum.
pub(super) fn checksum<'a>(values: impl Iterator<Item = ValueRef<'a>>) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for value in values {
        match value {
            ValueRef::Null => {}
            ValueRef::Integer(number) => {
                eat(b"i");
                eat(&number.to_le_bytes());
            }
            ValueRef::Real(number) => {
                eat(b"r");
                eat(&number.to_le_bytes());
            }
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                eat(b"t");
                eat(&(bytes.len() as u64).to_le_bytes());
                eat(bytes);
            }
        }
    }
    hash.cast_signed()
}
