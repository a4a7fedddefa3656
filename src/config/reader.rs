//! Reads a TOML document table by table, and notes every mistake with its place.
//!
//! A schema is a function that asks a [`Table`] for each key it knows, with the key's default. What it did not ask for is
//! unknown. A mistake leaves the default in place and the reading goes on, so that all of them come out at once.

use super::{Mistake, duration};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most characters of a document that a message repeats.
const MOST_SHOWN: usize = 60;

/// The most mistakes that are told at once.
const MOST_MISTAKES: usize = 20;

/// A table that is being read.
pub(super) struct Table<'t> {
    text: &'t str,
    /// What precedes a key in messages: nothing, or the table's name and a dot.
    prefix: String,
    /// What nobody asked for yet.
    entries: DeTable<'t>,
    known: Vec<&'static str>,
    /// By their offset in the text.
    mistakes: Vec<(usize, String)>,
}

/// Reads `text` by `schema`; if there are mistakes, the first ones come in the order of the text.
pub(super) fn read<T>(
    text: &str,
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
    let mut table = Table { text, entries, ..Table::empty() };
    let value = schema(&mut table);
    let mut mistakes = table.finish();
    if mistakes.is_empty() {
        return Ok(value);
    }
    mistakes.sort();
    mistakes.truncate(MOST_MISTAKES);
    Err(mistakes
        .into_iter()
        .map(|(offset, message)| Mistake { line: position(text, offset).0, column: None, message })
        .collect())
}

/// The line and the column of an offset, both from 1; the column counts characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl<'t> Table<'t> {
    /// The table of an empty document, of which a schema gets its defaults.
    pub(super) fn empty() -> Self {
        Self {
            text: "",
            prefix: String::new(),
            entries: DeTable::new(),
            known: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// Whether the document has `key`, and nobody asked for it yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Lets `keys` hold anything.
    pub(super) fn ignore(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.take(key);
        }
    }

    /// Lets `keys` hold anything, and tells nobody of them: they are of other programs.
    pub(super) fn disregard(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.entries.remove(*key);
        }
    }

    /// The table under `key`, read by `schema`; an empty one if it is not there.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        schema: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let mut table =
            Table { text: self.text, prefix: format!("{}{key}.", self.prefix), ..Table::empty() };
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

    /// A duration within `range`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        self.value(key, default, |value| self::duration(value, &range))
    }

    /// A whole number within `range`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> usize {
        self.value(key, default, |value| whole_number(value, &range))
    }

    /// A whole number within `range`, and no higher than the value of another key.
    pub(super) fn number_up_to(
        &mut self,
        key: &'static str,
        default: usize,
        range: RangeInclusive<usize>,
        (other_key, most): (&str, usize),
    ) -> usize {
        self.value(key, default, |value| match whole_number(value, &range)? {
            number if number > most => Err(format!(
                "is more than {other_key}, which is {most}: lower the one or raise the other"
            )),
            number => Ok(number),
        })
    }

    /// True or false.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, default, |value| value.as_bool().ok_or("is neither true nor false"))
    }

    /// A list of whole numbers within `range`; empty if it is not there.
    pub(super) fn numbers(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Vec<u32> {
        self.list(key, "[1000, 1001]", |value| whole_number(value, &range))
    }

    /// A list of whatever `parse` makes of each element; empty if it is not there. `example` shows how to write one.
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

    /// A path; a relative one starts from `directory`.
    pub(super) fn path(&mut self, key: &'static str, directory: &Path) -> Option<PathBuf> {
        self.value(key, None, |value| path(value, directory).map(Some))
    }

    /// As [`Table::value`], of a value that no message may repeat; nothing if it is not there.
    pub(super) fn secret<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, E>,
    ) -> Option<T> {
        let (offset, value) = self.take(key)?;
        parse(value.get_ref()).map_err(|why| self.mistake(offset, key, &why.to_string())).ok()
    }

    /// Whatever `parse` makes of the value. Its error goes on from the value, as in `is not a duration`.
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
        self.mistakes.push((offset, format!("{}{key}: {what}", self.prefix)));
    }

    /// A value as the document has it.
    fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        match value.get_ref() {
            DeValue::Table(_) => kind(value.get_ref()).to_owned(),
            _ => excerpt(self.text.get(value.span()).unwrap_or_default()),
        }
    }

    /// All mistakes, unknown keys among them.
    fn finish(mut self) -> Vec<(usize, String)> {
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

/// The duration that a value is, within `range`.
pub(super) fn duration(
    value: &DeValue<'_>,
    range: &RangeInclusive<Duration>,
) -> Result<Duration, String> {
    let duration = value
        .as_str()
        .and_then(duration::parse)
        .ok_or("is not a duration: write it as \"250ms\", \"5s\" or \"5m\"")?;
    Duration::try_from(duration)
        .ok()
        .filter(|duration| range.contains(duration))
        .ok_or_else(|| out_of_range(duration::short(*range.start()), duration::short(*range.end())))
}

/// The path that a value is; a relative one starts from `directory`.
pub(super) fn path(value: &DeValue<'_>, directory: &Path) -> Result<PathBuf, &'static str> {
    match value.as_str() {
        None => Err("is not a path: write it in quotes"),
        Some("") => Err("is not a path: leave the key out for the default"),
        Some(path) if path.contains('\0') => Err("is not a path: it has a NUL"),
        Some(path) => Ok(directory.join(path)),
    }
}

fn whole_number<T>(value: &DeValue<'_>, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: Copy + Display + PartialOrd + TryFrom<i128>,
{
    let integer = value.as_integer().ok_or("is not a whole number")?;
    i128::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .and_then(|number| T::try_from(number).ok())
        .filter(|number| range.contains(number))
        .ok_or_else(|| out_of_range(range.start(), range.end()))
}

fn out_of_range(least: impl Display, most: impl Display) -> String {
    format!("is out of range: it must be from {least} to {most}")
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

/// One line of a piece of the document, not longer than a message bears.
fn excerpt(piece: &str) -> String {
    let line = piece.lines().next().unwrap_or_default();
    let start: String = line.chars().take(MOST_SHOWN).collect();
    if start.len() < piece.len() { start + "…" } else { start }
}

#[cfg(test)]
mod tests;
