//! Decodes the fields of an object and collects their mistakes.

use serde_json::{Map, Value};

use super::rules::{self, Refusal};
use super::{Loc, MOST_MISTAKES, Mistake};

/// Decoder of one object.
///
/// Each method returns `None` for a field with a mistake. Decoding goes on, so that all mistakes
/// are reported at once.
#[derive(Debug)]
pub struct Reader<'a> {
    fields: &'a Map<String, Value>,
    place: Vec<Loc>,
    /// True if the mistake of a missing field echoes the object.
    tells_object: bool,
    /// Echo of the object, once a field is missing.
    echo: Option<Value>,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    /// Returns a reader for the body of a request.
    pub fn body(fields: &'a Map<String, Value>) -> Self {
        Self { place: vec!["body".into()], ..Self::frame(fields) }
    }

    /// Returns a reader for the parameters of a query.
    pub fn query(fields: &'a Map<String, Value>) -> Self {
        Self { place: vec!["query".into()], tells_object: false, ..Self::frame(fields) }
    }

    /// Returns a reader for a frame of a WebSocket.
    pub fn frame(fields: &'a Map<String, Value>) -> Self {
        Self { fields, place: Vec::new(), tells_object: true, echo: None, mistakes: Vec::new() }
    }

    /// Returns the raw value of a field, unless it is null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    /// Decodes a required field.
    pub fn required<T>(
        &mut self,
        key: &str,
        rule: impl FnOnce(&'a Value) -> Result<T, Refusal>,
    ) -> Option<T> {
        match self.fields.get(key) {
            Some(value) => self.check(key, value, rule),
            None => {
                self.missing(key);
                None
            }
        }
    }

    /// Decodes a field that may be absent or null: `Some(None)` then.
    pub fn optional<T>(
        &mut self,
        key: &str,
        rule: impl FnOnce(&'a Value) -> Result<T, Refusal>,
    ) -> Option<Option<T>> {
        match self.get(key) {
            Some(value) => self.check(key, value, rule).map(Some),
            None => Some(None),
        }
    }

    /// Decodes a field that may be absent, but not null.
    pub fn defaulted<T>(
        &mut self,
        key: &str,
        default: T,
        rule: impl FnOnce(&'a Value) -> Result<T, Refusal>,
    ) -> Option<T> {
        match self.fields.get(key) {
            Some(value) => self.check(key, value, rule),
            None => Some(default),
        }
    }

    /// Decodes a required object with `read`.
    pub fn object<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
    ) -> Option<T> {
        let Some(value) = self.fields.get(key) else {
            self.missing(key);
            return None;
        };
        self.within(key, value, read)
    }

    /// Decodes a list that may be absent or null; `rule` checks each entry.
    pub fn list<T>(
        &mut self,
        key: &str,
        most: usize,
        rule: impl Fn(&Value) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        let entries = self.optional(key, |value| rules::list(value, most))?.unwrap_or_default();
        let check_entry = |(index, entry)| {
            let refuse = |refusal| self.refuse([key.into(), Loc::Index(index)], refusal, entry);
            rule(entry).map_err(refuse).ok()
        };
        let checked: Vec<_> = (0..).zip(entries).map(check_entry).collect();
        checked.into_iter().collect()
    }

    /// Decodes an object of objects that may be absent or null. `rule` checks each key, and `read`
    /// decodes each value.
    pub fn objects<K, T>(
        &mut self,
        key: &str,
        rule: impl Fn(&str) -> Result<K, Refusal>,
        read: impl Fn(&mut Reader<'a>) -> Option<T>,
    ) -> Option<Vec<(K, T)>> {
        let entries = match self.get(key) {
            None => return Some(Vec::new()),
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                self.refuse([key.into()], rules::no_object(), other);
                return None;
            }
        };
        let mut outer = self.inner(key, entries);
        let read_entry = |(name, value): (&String, &'a Value)| match rule(name) {
            Ok(key) => outer.within(name, value, &read).map(|value| (key, value)),
            Err(refusal) => {
                // The path omits the key, which may be any text.
                outer.refuse([], refusal, &Value::String(name.clone()));
                None
            }
        };
        let read: Vec<_> = entries.iter().map(read_entry).collect();
        self.mistakes = outer.mistakes;
        read.into_iter().collect()
    }

    /// Returns the decoded value if there are no mistakes.
    ///
    /// # Errors
    /// The mistakes, at most [`MOST_MISTAKES`], in the order of decoding.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Vec<Mistake>> {
        let mistakes = self.mistakes;
        read.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }

    fn within<T>(
        &mut self,
        key: &str,
        value: &'a Value,
        read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
    ) -> Option<T> {
        let Value::Object(fields) = value else {
            self.refuse([key.into()], rules::no_object(), value);
            return None;
        };
        let mut inner = self.inner(key, fields);
        let read = read(&mut inner);
        self.mistakes = inner.mistakes;
        read
    }

    /// Returns a reader for the object under `key`. The mistakes move to it, so that one bound
    /// covers all.
    fn inner(&mut self, key: &str, fields: &'a Map<String, Value>) -> Self {
        Self {
            fields,
            place: self.at([key.into()]),
            tells_object: self.tells_object,
            echo: None,
            mistakes: std::mem::take(&mut self.mistakes),
        }
    }

    fn check<T>(
        &mut self,
        key: &str,
        value: &'a Value,
        rule: impl FnOnce(&'a Value) -> Result<T, Refusal>,
    ) -> Option<T> {
        rule(value).map_err(|refusal| self.refuse([key.into()], refusal, value)).ok()
    }

    fn missing(&mut self, key: &str) {
        if self.is_full() {
            return;
        }
        let input = match self.tells_object {
            // Encoded once, because any number of fields may be missing.
            true => self.echo.get_or_insert_with(|| Mistake::echo_object(self.fields)).clone(),
            false => Value::Null,
        };
        self.mistakes.push(Mistake::missing(self.at([key.into()]), input));
    }

    fn refuse<const N: usize>(&mut self, loc: [Loc; N], refusal: Refusal, input: &Value) {
        if self.is_full() {
            return;
        }
        let Refusal { kind, msg, ctx } = refusal;
        let input = Mistake::echo_field(&loc, input);
        let loc = self.at(loc);
        self.mistakes.push(Mistake { kind, loc, msg, input, ctx });
    }

    /// True once the maximum number of mistakes is reached; further ones cost no work.
    fn is_full(&self) -> bool {
        self.mistakes.len() >= MOST_MISTAKES
    }

    fn at<const N: usize>(&self, loc: [Loc; N]) -> Vec<Loc> {
        self.place.iter().cloned().chain(loc).collect()
    }
}
