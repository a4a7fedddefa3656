//! Display of texts from outside in messages and logs.

use lanrage_ipc::unicode::is_hidden;

/// Upper bound of the displayed characters.
const MOST: usize = 200;

/// Returns a displayable form of a text from outside: its beginning, with `?` for each control
/// character and invisible character.
pub(crate) fn shown(text: &str) -> String {
    let plain = |character: char| if is_hidden(character) { '?' } else { character };
    let mut shown: String = text.chars().take(MOST).map(plain).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
