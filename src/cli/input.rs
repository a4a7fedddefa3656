//! Values from the command line, checked as they are parsed.

use std::io::{self, Read};
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::SignedDuration;
use lanrage_ipc::unicode::strip_bom;
use serde_json::value::RawValue;

use super::exit::Failure;

/// Limit of a document in bytes: far more than one request to the daemon may have.
pub(super) const LONGEST: u64 = 256 * 1024 * 1024;

/// Parses a duration with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    let duration: SignedDuration =
        text.parse().map_err(|_| "must be a number with its unit, such as 500ms, 5s or 1m")?;
    duration.try_into().map_err(|_| "must not be negative")
}

/// Parser for one of `words`, the values of `T` on the wire.
pub(super) fn one_of<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}

/// JSON text, or `-` for standard input.
#[derive(Debug, Clone)]
pub(super) enum Json {
    Text(Box<RawValue>),
    Stdin,
}

impl FromStr for Json {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        let is_json = |error| format!("not JSON: {error}; a string is written as '\"text\"'");
        serde_json::from_str(text).map(Self::Text).map_err(is_json)
    }
}

impl Json {
    /// Returns the JSON text.
    pub(super) fn read(self) -> Result<Box<RawValue>, Failure> {
        match self {
            Self::Text(json) => Ok(json),
            Self::Stdin => {
                let text =
                    standard_input().map_err(|error| Failure::file("standard input", &error))?;
                serde_json::from_slice(strip_bom(&text)).map_err(|error| {
                    Failure::usage(format!("standard input: not JSON: {error}"), "")
                })
            }
        }
    }
}

/// Reads standard input to its end.
pub(super) fn standard_input() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().take(LONGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LONGEST {
        true => Err(io::Error::other(format!("it is larger than {LONGEST} bytes"))),
        false => Ok(bytes),
    }
}
