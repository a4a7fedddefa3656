//! TOML reader that works table by table, and notes every mistake with its place.
//!
//! A schema is a function that asks a [`Table`] for each known key, with its default. All other
//! keys are unknown. A mistake leaves the default in place, and reading continues, so that all
//! mistakes are reported together. The macro `keys!` writes the schema of a struct whose fields are
//! keys.

use super::Mistake;
use super::keys::Ranged;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Limit of the characters of a document that a message repeats.
const MOST_SHOWN: usize = 60;

/// Limit of the reported mistakes.
const MOST_MISTAKES: usize = 20;

/// Table that is being read.
pub(super) struct Table<'t> {
    text: &'t str,
    /// Base of relative paths.
    directory: &'t Path,
    /// Prefix of keys in messages: nothing, or the table's name and a dot.
    prefix: String,
    /// Entries that the schema has not asked for yet.
    entries: DeTable<'t>,
    known: Vec<&'static str>,
    /// Mistakes by their offset in the text.
    mistakes: BTreeSet<(usize, String)>,
}

/// Reads `text` by `schema`. The first mistakes are reported in the order of the text. Relative
/// paths start from `directory`.
pub(super) fn read<T>(
    text: &str,
    directory: &Path,
    schema: impl FnOnce(&mut Table<'_>) -> T,
) -> Result<T, Vec<Mistake>> {
    let entries = match DeTable::parse(text) {
        Ok(entries) => entries.into_inner(),
        Err(error) => {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            return Err(vec![Mistake {
                line,
                column: Some(column),
                message: error.message().to_owned(),
            }]);
        }
    };
    let mut table = Table { text, directory, entries, ..Table::empty() };
    let value = schema(&mut table);
    let mistakes = table.finish();
    if mistakes.is_empty() {
        return Ok(value);
    }
    Err(mistakes
        .into_iter()
        .take(MOST_MISTAKES)
        .map(|(offset, message)| Mistake { line: position(text, offset).0, column: None, message })
        .collect())
}

/// Returns the line and the column of an offset, both from 1; the column counts characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl<'t> Table<'t> {
    /// Returns the table of an empty document, which gives a schema its defaults.
    pub(super) fn empty() -> Self {
        Self {
            text: "",
            directory: Path::new(""),
            prefix: String::new(),
            entries: DeTable::new(),
            known: Vec::new(),
            mistakes: BTreeSet::new(),
        }
    }

    /// True if the document has `key`, and the schema has not asked for it yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Accepts anything in the keys of `schema`, except those already read.
    pub(super) fn ignore<T>(&mut self, schema: impl FnOnce(&mut Table<'_>) -> T) {
        for key in keys_of(schema) {
            if !self.known.contains(&key) {
                self.take(key);
            }
        }
    }

    /// Ignores keys like [`Table::ignore`], but lists them in no message: they belong to other
    /// programs.
    pub(super) fn disregard<T>(&mut self, schema: impl FnOnce(&mut Table<'_>) -> T) {
        for key in keys_of(schema) {
            self.entries.remove(key);
        }
    }

    /// Reads a value that consists of several keys of this table.
    pub(super) fn several<T>(
        &mut self,
        _: &'static str,
        schema: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        schema(self)
    }

    /// Reads the table under `key` by `schema`; a missing table counts as empty.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        schema: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let prefix = format!("{}{key}.", self.prefix);
        let (text, directory) = (self.text, self.directory);
        let mut table = Table { text, directory, prefix, ..Table::empty() };
        if let Some((offset, value)) = self.take(key) {
            match value.into_inner() {
                DeValue::Table(entries) => table.entries = entries,
                other => self.mistake(
                    offset,
                    key,
                    &format!("is not a table, but {}: write [{key}]", kind(&other)),
                ),
            }
        }
        let value = schema(&mut table);
        self.mistakes.extend(table.finish());
        value
    }

    /// Reads a value within `range`.
    pub(super) fn within<T: Ranged>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
    ) -> T {
        self.value(key, default, |value| T::parse(value, &range))
    }

    /// Reads a value within `range` and up to that of another key of this table: its own, or
    /// `other_default`. A missing value is `default`, or that bound if it is lower.
    pub(super) fn up_to<T: Ranged>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
        (other_key, other_default): (&'static str, T),
    ) -> T {
        let other = self.entries.get(other_key);
        let other = other.and_then(|value| T::parse(value.get_ref(), &range).ok());
        let most = other.unwrap_or(other_default);
        let other_key = format!("{}{other_key}", self.prefix);
        let default = if default > most { most } else { default };
        self.value(key, default, |value| match T::parse(value, &range)? {
            value if value > most => Err(format!(
                "is more than {other_key}, which is {}: lower the one or raise the other",
                most.written()
            )),
            value => Ok(value),
        })
    }

    /// Reads a boolean.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, default, |value| value.as_bool().ok_or("is neither true nor false"))
    }

    /// Reads a list, with each element parsed by `parse`; a missing list is empty. `example` shows
    /// the syntax.
    pub(super) fn list<T, E: Display>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, E>,
    ) -> Vec<T> {
        let Some((offset, value)) = self.take(key) else {
            return Vec::new();
        };
        let Some(elements) = value.get_ref().as_array() else {
            let shown = self.shown(&value);
            self.mistake(offset, key, &format!("{shown} is not a list: write it as {example}"));
            return Vec::new();
        };
        elements
            .iter()
            .filter_map(|element| self.parsed(key, element.span().start, element, &parse))
            .collect()
    }

    /// Reads a path.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.path_unless(key, None::<&str>)
    }

    /// Reads a path that is refused for this reason if there is one.
    pub(super) fn path_unless(
        &mut self,
        key: &'static str,
        refusal: Option<impl Display>,
    ) -> Option<PathBuf> {
        let directory = self.directory;
        self.value(key, None, |value| match (path(value, directory)?, refusal) {
            (_, Some(refusal)) => Err(refusal.to_string()),
            (path, None) => Ok(Some(path)),
        })
    }

    /// Reads a value like [`Table::value`], but no message may repeat it.
    pub(super) fn secret<T: Default, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, E>,
    ) -> T {
        let Some((offset, value)) = self.take(key) else { return T::default() };
        parse(value.get_ref()).unwrap_or_else(|why| {
            self.mistake(offset, key, &why.to_string());
            T::default()
        })
    }

    /// Reads a value by `parse`. Its error continues the message after the value, as in `is not a
    /// duration`.
    pub(super) fn value<T, E: Display>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, E>,
    ) -> T {
        match self.take(key) {
            None => default,
            Some((offset, value)) => self.parsed(key, offset, &value, parse).unwrap_or(default),
        }
    }

    fn parsed<T, E: Display>(
        &mut self,
        key: &str,
        offset: usize,
        value: &Spanned<DeValue<'_>>,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, E>,
    ) -> Option<T> {
        parse(value.get_ref())
            .map_err(|why| {
                let shown = self.shown(value);
                self.mistake(offset, key, &format!("{shown} {why}"));
            })
            .ok()
    }

    /// Takes the value of a key, with the offset of the key.
    fn take(&mut self, key: &'static str) -> Option<(usize, Spanned<DeValue<'t>>)> {
        self.known.push(key);
        let (key, value) = self.entries.remove_entry(key)?;
        Some((key.span().start, value))
    }

    fn mistake(&mut self, offset: usize, key: &str, what: &str) {
        self.mistakes.insert((offset, format!("{}{key}: {what}", self.prefix)));
    }

    /// Returns a value as the document has it.
    fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        match value.get_ref() {
            DeValue::Table(_) => kind(value.get_ref()).to_owned(),
            _ => excerpt(self.text.get(value.span()).unwrap_or_default()),
        }
    }

    /// Returns all mistakes, including unknown keys.
    fn finish(mut self) -> BTreeSet<(usize, String)> {
        for (key, _) in std::mem::take(&mut self.entries) {
            let nearest = self
                .known
                .iter()
                .map(|known| (strsim::damerau_levenshtein(known, key.get_ref()), known))
                .min()
                .filter(|(distance, known)| *distance <= known.len() / 3);
            let hint = match nearest {
                Some((_, known)) => format!("did you mean `{known}`?"),
                None => format!("known here are {}", self.known.join(", ")),
            };
            let written = excerpt(self.text.get(key.span()).unwrap_or_default());
            self.mistake(key.span().start, &written, &format!("unknown key; {hint}"));
        }
        self.mistakes
    }
}

/// Returns the keys that a schema asks a table for.
fn keys_of<T>(schema: impl FnOnce(&mut Table<'_>) -> T) -> Vec<&'static str> {
    let mut table = Table::empty();
    schema(&mut table);
    table.known
}

/// Parses a path; a relative one starts from `directory`.
fn path(value: &DeValue<'_>, directory: &Path) -> Result<PathBuf, &'static str> {
    match value.as_str() {
        None => Err("is not a path: write it in quotes"),
        Some("") => Err("is not a path: leave the key out for the default"),
        Some(path) if path.contains('\0') => Err("is not a path: it has a NUL"),
        Some(path) => Ok(directory.join(path)),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Returns the first line of a piece of the document, shortened for a message.
fn excerpt(piece: &str) -> String {
    let line = piece.lines().next().unwrap_or_default();
    let start: String = line.chars().take(MOST_SHOWN).collect();
    if start.len() < piece.len() { start + "…" } else { start }
}

#[cfg(test)]
mod tests;
