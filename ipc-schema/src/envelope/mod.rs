//! JSON-RPC 2.0 envelopes: one message per line.

mod incoming;
mod lines;

use std::fmt;

pub(crate) use incoming::depth;
pub use incoming::{Incoming, MAX_DEPTH, Refused};
pub use lines::*;

/// Id of a request: a string or a number, echoed letter for letter.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// Decodes an id from the JSON text of a string or a number; `None` for anything else.
    pub fn from_json(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        (first == b'"' || first == b'-' || first.is_ascii_digit()).then(|| Self(text.into()))
    }

    /// Returns the JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
