//! Unicode rules for names, keys and files.

use unicode_general_category::{GeneralCategory, get_general_category};

/// Blank characters that Unicode counts as letters or symbols: the Hangul fillers and the empty
/// Braille pattern.
const BLANKS: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// True for a character that could control a terminal, break a line or disguise a text. These are
/// controls, format characters, and line and paragraph separators. Private-use characters count,
/// too: a font defines them.
pub fn is_hidden(character: char) -> bool {
    use GeneralCategory::*;
    matches!(
        get_general_category(character),
        Control | Format | LineSeparator | ParagraphSeparator | PrivateUse
    )
}

/// True for a character that is visible by itself.
///
/// An unassigned one counts as visible: later versions of Unicode assign more.
pub fn is_visible(character: char) -> bool {
    use GeneralCategory::*;
    let shows_nothing = matches!(
        get_general_category(character),
        Control
            | Format
            | SpaceSeparator
            | LineSeparator
            | ParagraphSeparator
            | NonspacingMark
            | EnclosingMark
    );
    !shows_nothing && !BLANKS.contains(&character)
}

/// Strips a leading byte order mark from UTF-8 text. Editors on Windows write one, but JSON, TOML
/// and PEM parsers refuse it.
pub fn strip_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Strips a leading byte order mark from a string, as [`strip_bom`].
pub fn strip_bom_str(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_show_nothing_are_known() {
        let hidden = "\0\u{7f}\u{85} \t\n\u{a0}\u{ad}\u{300}\u{34f}\u{61c}\u{115f}\u{180e}\
            \u{200b}\u{200d}\u{2028}\u{202e}\u{2060}\u{20dd}\u{2066}\u{2800}\u{3000}\u{3164}\
            \u{fe0f}\u{feff}\u{ffa0}\u{e0001}\u{e0041}";
        for character in hidden.chars() {
            assert!(!is_visible(character), "{character:?}");
        }
        for character in "aé名मी!€1😀\u{e000}\u{1fffd}".chars() {
            assert!(is_visible(character), "{character:?}");
        }
    }

    #[test]
    fn hidden_characters_are_told_from_those_that_people_write() {
        for character in
            "\0\n\u{7f}\u{9b}\u{ad}\u{200b}\u{2028}\u{2029}\u{202e}\u{feff}\u{e000}\u{10fffd}"
                .chars()
        {
            assert!(is_hidden(character), "{character:?}");
        }
        for character in "a é名 \u{a0}\u{301}\u{fe0f}😀".chars() {
            assert!(!is_hidden(character), "{character:?}");
        }
    }

    #[test]
    fn one_byte_order_mark_is_stripped() {
        assert_eq!(strip_bom("\u{feff}{}".as_bytes()), b"{}");
        assert_eq!(strip_bom("\u{feff}\u{feff}".as_bytes()), "\u{feff}".as_bytes());
        assert_eq!(strip_bom(b"{}"), b"{}");
        assert_eq!(strip_bom(b"\xef\xbb"), b"\xef\xbb");
        assert_eq!((strip_bom_str("\u{feff}{}"), strip_bom_str("{}")), ("{}", "{}"));
    }
}
