//! Secret text, which never appears in logs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Token or claim secret. Only serialization and [`Secret::expose`] reveal its text.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Length of the longest token, in bytes.
    pub const LONGEST_TOKEN: usize = 512;
    /// Length of the shortest claim secret, in characters: 128 random bits in base64.
    pub(crate) const SHORTEST_CLAIM: usize = 22;
    pub(crate) const LONGEST_CLAIM: usize = 128;
    /// Regular expression of claim secrets.
    pub(crate) const CLAIM_PATTERN: &str = "^[A-Za-z0-9._~-]+$";

    /// True for a well-formed claim secret: 22 to 128 url-safe characters.
    pub fn is_claim(&self) -> bool {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        (Self::SHORTEST_CLAIM..=Self::LONGEST_CLAIM).contains(&self.0.len())
            && self.0.bytes().all(is_safe)
    }

    /// Returns the secret text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Constant-time comparison: its duration reveals only if the lengths are equal.
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
