//! Secrets of clients: tokens, and the relays' key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanrage_ipc::control::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config;
use crate::core::{ClaimHash, TokenHash};

/// Token of 256 random bits, as 43 characters that need no escaping anywhere.
#[derive(Debug)]
pub(crate) struct Token(Secret);

impl Token {
    /// Creates a token.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(crate) fn fresh() -> Result<Self, getrandom::Error> {
        random_text::<32>().map(|text| Self(text.into()))
    }

    /// Returns its hash, which is stored.
    pub(crate) fn hash(&self) -> TokenHash {
        hash(self.0.expose().as_bytes())
    }

    /// Returns its text, for its peer alone.
    pub(crate) fn into_secret(self) -> Secret {
        self.0
    }
}

/// Returns the hash of a token that a client shows.
pub(crate) fn hash(shown: &[u8]) -> TokenHash {
    TokenHash(Sha256::digest(shown).into())
}

/// Creates a claim secret.
///
/// # Errors
/// The system gives no random numbers.
pub(crate) fn fresh_claim() -> Result<Secret, getrandom::Error> {
    random_text::<18>().map(Secret::from)
}

/// Returns the hash of a claim secret: only that is stored.
pub(crate) fn claim_hash(claim: &Secret) -> ClaimHash {
    ClaimHash(Sha256::digest(claim.expose()).into())
}

/// True if a client's text is the secret. The duration reveals only the secret's length.
pub(crate) fn is_secret(shown: &[u8], secret: &config::Secret) -> bool {
    shown.ct_eq(secret.expose().as_bytes()).into()
}

/// Returns that many random bytes, as url-safe base64 without padding.
///
/// # Errors
/// The system gives no random numbers.
pub(crate) fn random_text<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_43_characters_that_do_not_show() {
        let (token, other) = (Token::fresh().unwrap(), Token::fresh().unwrap());
        let (hash, shown) = (token.hash(), format!("{token:?}"));
        assert_ne!(hash, other.hash());
        let secret = token.into_secret();
        let text = secret.expose();
        assert_eq!(text.len(), 43);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{text}");
        assert!(!shown.contains(text), "{shown}");
        assert_eq!(super::hash(text.as_bytes()), hash);
    }

    #[test]
    fn a_hash_is_the_sha_256_of_the_text() {
        let TokenHash(hash) = hash(b"abc");
        assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
