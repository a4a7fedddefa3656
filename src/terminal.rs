//! Escaping of untrusted text for terminals and logs.

use std::fmt::Write;

use lanrage_ipc::unicode::is_hidden;

/// Escapes the characters by which text could control a terminal, break a line, or disguise itself,
/// as in `\u{202e}`.
pub(crate) fn visible(text: &str) -> String {
    escaped(text, is_hidden, |character, to| to.extend(character.escape_default()))
}

/// Escapes such characters in a JSON document without a change of its meaning: they occur only
/// within its strings, where escapes are allowed. White space between values stays.
pub(crate) fn visible_json(document: &str) -> String {
    escaped(document, is_hidden_in_document, |character, to| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string never fails.
            let _ = write!(to, "\\u{unit:04x}");
        }
    })
}

/// Escapes such characters in a TOML document. Literal strings, in single quotes, have no escapes:
/// there the document's meaning changes.
pub(crate) fn visible_toml(document: &str) -> String {
    escaped(document, is_hidden_in_document, |character, to| {
        let _ = match u32::from(character) {
            code @ ..=0xffff => write!(to, "\\u{code:04x}"),
            code => write!(to, "\\U{code:08x}"),
        };
    })
}

fn is_hidden_in_document(character: char) -> bool {
    is_hidden(character) && !matches!(character, '\n' | '\r' | '\t')
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String),
) -> String {
    let mut to = String::with_capacity(text.len());
    for character in text.chars() {
        match is_escaped(character) {
            true => escape(character, &mut to),
            false => to.push(character),
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: &str = "\0\u{1b}\u{7f}\u{9b}\u{ad}\u{200b}\u{200f}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{e000}\u{e0041}\u{10fffd}";

    #[test]
    fn nothing_hidden_is_left() {
        for shown in [visible(HIDDEN), visible_json(HIDDEN), visible_toml(HIDDEN)] {
            assert!(shown.is_ascii() && !shown.chars().any(is_hidden), "{shown}");
        }
        assert_eq!(visible("a\u{202e}\nb"), "a\\u{202e}\\nb");
        let plain = "Zoë 名前 🎲 e\u{301} \\ \"";
        assert_eq!(visible(plain), plain);
    }

    #[test]
    fn documents_stay_the_same() {
        let value = serde_json::json!({"name": HIDDEN, "list": [1, "Zoë"]});
        let document = serde_json::to_string_pretty(&value).unwrap();
        let shown = visible_json(&document);
        assert!(shown.contains("\\u202e") && shown.contains("\\udb40\\udc41"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);

        let table = toml::toml! { name = "a\u{202e}\u{e0041}" };
        let shown = visible_toml(&table.to_string());
        assert!(shown.contains("\\u202e\\U000e0041"), "{shown}");
        assert_eq!(shown.parse::<toml::Table>().unwrap(), table);
    }
}
