//! JSON in the format of Python.

use std::fmt::Write;

use serde::{Serialize, Serializer};

use super::NaiveTime;

/// Encodes a document as Python's `json.dumps(value, indent=2)` does. It is in ASCII, because
/// LANrage reads its files in the system's encoding.
///
/// # Errors
/// Never for types of this crate.
pub fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    if text.is_ascii() {
        return Ok(text);
    }
    // JSON is ASCII outside of strings, so every other character may be escaped.
    let mut ascii = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    Ok(ascii)
}

/// Formats a time as Python's `datetime.isoformat()` does: microseconds in six digits, or none.
/// Older versions of `fromisoformat()` require it.
pub fn python_text(time: &NaiveTime) -> String {
    let micros = time.subsec_nanosecond() / 1000;
    let seconds = time.strftime("%Y-%m-%dT%H:%M:%S");
    if micros == 0 { seconds.to_string() } else { format!("{seconds}.{micros:06}") }
}

/// Serializes a time in Python's format, for `serialize_with`.
pub(crate) fn python_time<S: Serializer>(
    time: &NaiveTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&python_text(time))
}
