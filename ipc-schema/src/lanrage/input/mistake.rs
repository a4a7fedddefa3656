//! Mistakes in an input, in FastAPI's format.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::bounded::{self, Encoded};

/// Maximum number of mistakes reported for one input.
pub const MOST_MISTAKES: usize = 32;

/// Length of the longest input that is echoed whole, in bytes of JSON.
const MOST_ECHOED: usize = 1024;

/// Fields whose values are never echoed.
const SECRETS: [&str; 6] =
    ["token", "claim", "authorization", "relay_key", "password", "private_key"];

/// Number of characters echoed of a longer input.
const EXCERPT: usize = 256;

/// Step of the path to a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Loc {
    /// Field of an object.
    Key(String),
    /// Index into an array or a text, from 0.
    Index(u64),
}

impl From<&str> for Loc {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl fmt::Display for Loc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Index(index) => index.fmt(f),
        }
    }
}

/// Mistake in an input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Mistake {
    /// Pydantic's name of the broken rule, for programs.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Path of the invalid value.
    pub loc: Vec<Loc>,
    /// Human-readable message.
    pub msg: String,
    /// Echo of the input, see [`Mistake::echo`].
    pub input: Value,
    /// Parameters of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Value>,
}

impl Mistake {
    /// Returns the echo of an input: all of it up to 1 KiB of JSON, otherwise its first 256
    /// characters. The values of secret fields are left out.
    pub fn echo(input: &Value) -> Value {
        match input {
            Value::String(text) => repeated(input, |_| excerpt(text)),
            _ => repeated(&Shown(input), |json| excerpt(&json)),
        }
    }

    /// Returns the echo, as [`Mistake::echo`], of an object with these fields.
    pub(super) fn echo_object(fields: &Map<String, Value>) -> Value {
        repeated(&ShownFields(fields), |json| excerpt(&json))
    }

    /// Returns the echo, as [`Mistake::echo`], of the value of a field.
    pub(super) fn echo_field(loc: &[Loc], input: &Value) -> Value {
        match loc.last() {
            Some(Loc::Key(key)) if is_secret(key) => hidden(),
            _ => Self::echo(input),
        }
    }

    /// Returns the mistake of a missing value; `input` is the echo of the object that should hold
    /// it.
    pub fn missing(loc: Vec<Loc>, input: Value) -> Self {
        Self { kind: "missing", loc, msg: "Field required".to_owned(), input, ctx: None }
    }
}

/// Value serialized without its secrets.
struct Shown<'a>(&'a Value);

/// Object serialized without its secrets.
struct ShownFields<'a>(&'a Map<String, Value>);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => ShownFields(fields).serialize(serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Shown)),
            other => other.serialize(serializer),
        }
    }
}

impl Serialize for ShownFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hidden = hidden();
        let fields = self.0.iter();
        let fields = fields.map(|(key, value)| (key, if is_secret(key) { &hidden } else { value }));
        serializer.collect_map(fields.map(|(key, value)| (key, Shown(value))))
    }
}

fn is_secret(key: &str) -> bool {
    SECRETS.iter().any(|secret| key.eq_ignore_ascii_case(secret))
}

/// Returns the placeholder of a secret.
fn hidden() -> Value {
    Value::String("…".to_owned())
}

/// Returns the value, or the result of `shorten` for the prefix of a text that is too long.
fn repeated(value: &impl Serialize, shorten: impl FnOnce(String) -> Value) -> Value {
    match bounded::encode(value, MOST_ECHOED) {
        Ok(Encoded::Whole(_)) => serde_json::to_value(value).unwrap_or_default(),
        Ok(Encoded::Cut(json)) => shorten(json),
        // Unreachable: every JSON value has a text.
        Err(_) => Value::Null,
    }
}

fn excerpt(text: &str) -> Value {
    Value::String(text.chars().take(EXCERPT).chain(['…']).collect())
}

/// One human-readable line. Of the input, it repeats only names of fields.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.loc.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(f, "{dot}{step}")?;
        }
        let colon = if self.loc.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}", self.msg)
    }
}
