//! What is wrong with an input, as FastAPI says it.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::bounded::{self, Encoded};

/// The most mistakes that are told of one input.
pub const MOST_MISTAKES: usize = 32;

/// The longest input that is echoed whole, in bytes of JSON.
const MOST_ECHOED: usize = 1024;

/// Fields whose values are never echoed.
const SECRETS: [&str; 6] =
    ["token", "claim", "authorization", "relay_key", "password", "private_key"];

/// How many characters are echoed of a longer one.
const EXCERPT: usize = 256;

/// A step of the way to a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Loc {
    /// A field of an object.
    Key(String),
    /// A place in an array or a text, from 0.
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

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Mistake {
    /// Which rule is broken, for programs: one of pydantic's names.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where.
    pub loc: Vec<Loc>,
    /// What is wrong, for people.
    pub msg: String,
    /// What was sent, see [`Mistake::echo`].
    pub input: Value,
    /// The rule's own values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Value>,
}

impl Mistake {
    /// What a mistake repeats of an input: all of it up to 1 KiB of JSON, else its first 256
    /// characters. The values of fields that hold secrets are left out.
    pub fn echo(input: &Value) -> Value {
        match input {
            Value::String(text) => repeated(input, |_| excerpt(text)),
            _ => repeated(&Shown(input), |json| excerpt(&json)),
        }
    }

    /// As [`Mistake::echo`], of the object with these fields.
    pub(super) fn echo_object(fields: &Map<String, Value>) -> Value {
        repeated(&ShownFields(fields), |json| excerpt(&json))
    }

    /// As [`Mistake::echo`], of the value of a field.
    pub(super) fn echo_field(loc: &[Loc], input: &Value) -> Value {
        match loc.last() {
            Some(Loc::Key(key)) if is_secret(key) => hidden(),
            _ => Self::echo(input),
        }
    }

    /// That something has to be there and is not; `input` is the echo of what it should have been
    /// in.
    pub fn missing(loc: Vec<Loc>, input: Value) -> Self {
        Self { kind: "missing", loc, msg: "Field required".to_owned(), input, ctx: None }
    }
}

/// A value without its secrets.
struct Shown<'a>(&'a Value);

/// An object without its secrets.
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

/// Stands for a secret.
fn hidden() -> Value {
    Value::String("…".to_owned())
}

/// The value itself, or what `shorten` makes of the beginning of a text that is too long.
fn repeated(value: &impl Serialize, shorten: impl FnOnce(String) -> Value) -> Value {
    match bounded::encode(value, MOST_ECHOED) {
        Ok(Encoded::Whole(_)) => serde_json::to_value(value).unwrap_or_default(),
        Ok(Encoded::Cut(json)) => shorten(json),
        // A JSON value has a text.
        Err(_) => Value::Null,
    }
}

fn excerpt(text: &str) -> Value {
    Value::String(text.chars().take(EXCERPT).chain(['…']).collect())
}

/// One line for people. It repeats nothing of the input but the names of fields.
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
