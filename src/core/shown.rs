//! Texts from outside in messages and logs.

use lanrage_ipc::unicode::is_hidden;

/// The most characters that are shown of something that came from outside.
const MOST: usize = 200;

/// What may be shown of a text from outside: its beginning, each control character or invisible
/// one as a `?`.
pub(crate) fn shown(text: &str) -> String {
    let plain = |character: char| if is_hidden(character) { '?' } else { character };
    let mut shown: String = text.chars().take(MOST).map(plain).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
