//! Text that no log may show.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A token or a claim secret. Its text comes out only on the wire and where it is asked for.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Bytes of the longest token.
    pub const LONGEST_TOKEN: usize = 512;
    /// Bounds of a claim secret, in characters. 128 random bits in base64 have the least of them.
    pub(crate) const SHORTEST_CLAIM: usize = 22;
    pub(crate) const LONGEST_CLAIM: usize = 128;
    /// The alphabet of claim secrets, as a pattern.
    pub(crate) const CLAIM_PATTERN: &str = "^[A-Za-z0-9._~-]+$";

    /// True for a text that may be a claim secret: 22 to 128 url-safe characters.
    pub fn is_claim(&self) -> bool {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        (Self::SHORTEST_CLAIM..=Self::LONGEST_CLAIM).contains(&self.0.len())
            && self.0.bytes().all(is_safe)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// How long it takes tells nothing but whether the lengths are the same.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.bytes().zip(other.0.bytes());
        let difference = pairs.fold(0, |found, (a, b)| std::hint::black_box(found | (a ^ b)));
        self.0.len() == other.0.len() && difference == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
