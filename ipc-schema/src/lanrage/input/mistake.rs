//! What is wrong with an input, as FastAPI says it.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::bounded::{self, Encoded};

/// The most mistakes that are told of one input.
pub const MOST_MISTAKES: usize = 32;

/// The longest input that is echoed whole, in bytes of JSON.
const MOST_ECHOED: usize = 1024;

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
    /// characters.
    pub fn echo(input: &Value) -> Value {
        match (input, Self::json(input)) {
            (_, Encoded::Whole(_)) => input.clone(),
            (Value::String(text), Encoded::Cut(_)) => excerpt(text),
            (_, Encoded::Cut(json)) => excerpt(&json),
        }
    }

    /// As [`Mistake::echo`], of the object with these fields.
    pub(super) fn echo_object(fields: &Map<String, Value>) -> Value {
        match Self::json(fields) {
            Encoded::Whole(_) => Value::Object(fields.clone()),
            Encoded::Cut(json) => excerpt(&json),
        }
    }

    fn json(value: &impl Serialize) -> Encoded {
        // A JSON value has a text.
        bounded::encode(value, MOST_ECHOED).unwrap_or_else(|_| Encoded::Cut(String::new()))
    }

    /// That something has to be there and is not; `input` is the echo of what it should have been
    /// in.
    pub fn missing(loc: Vec<Loc>, input: Value) -> Self {
        Self { kind: "missing", loc, msg: "Field required".to_owned(), input, ctx: None }
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
