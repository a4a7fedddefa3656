//! Splits a document into its records.

use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::salvage::shortened;
use crate::unicode::strip_bom;

/// Raw records of a document, up to the first syntax error.
///
/// The parser does not recurse, so deep nesting of the input costs no stack.
#[derive(Debug, Default)]
pub struct Records<'a> {
    /// Keys and values, in the document's order; a key may be repeated.
    pub entries: Vec<(String, &'a RawValue)>,
    /// Error that prevented reading the document to its end.
    pub damage: Option<String>,
}

impl<'a> Records<'a> {
    /// Returns the records of a `control_state.json`: `{"parties": {id: party}, …}`.
    pub fn of_state(document: &'a [u8]) -> Self {
        Self::read(document, true)
    }

    /// Returns the records of a `discovery.json`: `{id: party}`.
    pub fn of_discovery(document: &'a [u8]) -> Self {
        Self::read(document, false)
    }

    fn read(document: &'a [u8], is_state: bool) -> Self {
        let mut records = Self::default();
        let mut open = None;
        let mut deserializer = serde_json::Deserializer::from_slice(strip_bom(document));
        let collector = Collector { entries: &mut records.entries, open: &mut open };
        let outcome = if is_state {
            StateCollector(collector).deserialize(&mut deserializer)
        } else {
            collector.deserialize(&mut deserializer)
        };
        if let Err(error) = outcome.and_then(|()| deserializer.end()) {
            let what = if error.is_eof() { "it is cut off" } else { "it is damaged" };
            let place = open.map(|key: String| format!(", in the record {key:?}"));
            let reason = format!("{what}: {error}{}", place.unwrap_or_default());
            records.damage = Some(shortened(reason));
        }
        records
    }
}

/// Collects the entries of an object in order; an error keeps those before it.
struct Collector<'c, 'de> {
    entries: &'c mut Vec<(String, &'de RawValue)>,
    /// Key whose value is being decoded.
    open: &'c mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Collector<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Collector<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of records by id")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            let key = self.open.insert(key);
            let record = map.next_value()?;
            self.entries.push((std::mem::take(key), record));
            *self.open = None;
        }
        Ok(())
    }
}

/// Nested records of a record: those of its peers.
pub(crate) struct Entries<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entries = Vec::new();
        Collector { entries: &mut entries, open: &mut None }.deserialize(deserializer)?;
        Ok(Self(entries))
    }
}

struct StateCollector<'c, 'de>(Collector<'c, 'de>);

impl<'de> DeserializeSeed<'de> for StateCollector<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for StateCollector<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `parties`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(Collector { entries, open }) = self;
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "parties" {
                found = true;
                map.next_value_seed(Collector { entries: &mut *entries, open: &mut *open })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if found { Ok(()) } else { Err(de::Error::missing_field("parties")) }
    }
}
