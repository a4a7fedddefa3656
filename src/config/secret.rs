//! Values that must not appear in logs.

use std::fmt;

/// Limit of the characters of a secret.
const MOST: usize = 512;

/// Secret of the configuration: it has no `Display`, is not serialized, and its `Debug` is
/// redacted.
///
/// `==` detects changes of the configuration. Input of a client needs a comparison in constant
/// time.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Rule that [`Secret::new`] checks, for messages.
    pub(super) const RULE: &str = "must be 1 to 512 printable ASCII characters without spaces";

    /// Creates a secret from a text that fits into a header; `None` for any other.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let fits = (1..=MOST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// Returns the secret itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_must_fit_a_header() {
        for text in ["x", "a-b_c.d~e+f/g==", &"x".repeat(512)] {
            assert_eq!(Secret::new(text).unwrap().expose(), text);
        }
        for text in ["", " ", "a b", "a\n", "é", "a\u{7f}", &"x".repeat(513)] {
            assert_eq!(Secret::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn secret_is_hidden_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Some(Secret(…))");
    }
}
