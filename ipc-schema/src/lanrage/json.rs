//! JSON as Python writes it.

use std::fmt::Write;

use serde::{Serialize, Serializer};

use super::NaiveTime;

/// A document as Python's `json.dumps(value, indent=2)` would write it: in ASCII, because LANrage
/// reads its files in whatever encoding the system has.
///
/// # Errors
/// Never for types of this crate.
pub fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    if text.is_ascii() {
        return Ok(text);
    }
    // Outside of strings JSON is ASCII, so that every other character may be escaped.
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

/// A time as Python's `datetime.isoformat()` gives it, and as its older `fromisoformat()` insist:
/// microseconds in six digits, or none.
pub(super) fn python_text(time: &NaiveTime) -> String {
    let micros = time.subsec_nanosecond() / 1000;
    let seconds = time.strftime("%Y-%m-%dT%H:%M:%S");
    if micros == 0 { seconds.to_string() } else { format!("{seconds}.{micros:06}") }
}

/// For `serialize_with`: a time as Python has it.
pub(crate) fn python_time<S: Serializer>(
    time: &NaiveTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&python_text(time))
}
