//! Ids that this program chooses.

use anyhow::Context as _;
use lanrage_ipc::model::PartyId;

/// Length of a chosen id: LANrage's users can type no more.
const LENGTH: usize = 20;

/// Alphabet of a chosen id. No character needs escaping in a URL or a command line.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns a party id of 119 random bits.
///
/// # Errors
/// The system gives no random numbers.
pub(crate) fn random_party_id() -> anyhow::Result<PartyId> {
    let mut id = String::with_capacity(LENGTH);
    let mut bytes = [0_u8; 2 * LENGTH];
    while id.len() < LENGTH {
        getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
        let missing = LENGTH - id.len();
        id.extend(bytes.iter().filter_map(character).take(missing));
    }
    Ok(id.parse()?)
}

/// Maps six bits of a byte to a character. Two of the 64 values are skipped, not folded, so that
/// all characters are equally likely.
fn character(byte: &u8) -> Option<char> {
    ALPHABET.get(usize::from(byte & 0x3f)).copied().map(char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ids_are_20_letters_and_digits_and_differ() {
        let ids: Vec<_> = (0..64).map(|_| random_party_id().unwrap()).collect();
        for (index, id) in ids.iter().enumerate() {
            assert_eq!(id.as_str().len(), 20, "{id}");
            assert!(id.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
            assert!(!ids[..index].contains(id), "{id}");
        }
    }

    #[test]
    fn all_characters_are_equally_likely() {
        for character in ALPHABET.map(char::from) {
            let bytes = (0..=u8::MAX).filter(|byte| super::character(byte) == Some(character));
            assert_eq!(bytes.count(), 4, "{character}");
        }
    }
}
