//! What is wrong with an input, as FastAPI says it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

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
        let json = input.to_string();
        if json.len() <= MOST_ECHOED {
            return input.clone();
        }
        let text = input.as_str().unwrap_or(&json);
        Value::String(text.chars().take(EXCERPT).chain(['…']).collect())
    }

    /// That something has to be there and is not; `input` is what it should have been in.
    pub fn missing(loc: Vec<Loc>, input: &Value) -> Self {
        let msg = "Field required".to_owned();
        Self { kind: "missing", loc, msg, input: Self::echo(input), ctx: None }
    }
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
