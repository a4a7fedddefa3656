//! Validated text: a value of these types is checked once, at its creation.
//!
//! Each type holds an `Arc<str>`, so that a clone only increments a counter.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::unicode;

/// Error of an invalid text: the rule that it breaks, as a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(&'static str);

/// Text type with an extra rule for new values; stored values may predate that rule.
pub trait CheckedText: FromStr<Err = InvalidText> {
    /// Checks the rule for new values.
    ///
    /// # Errors
    /// The broken rule.
    fn check_new(&self) -> Result<(), InvalidText>;
}

const ID_RULE: &str = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -";
const NAME_RULE: &str = "must be 1 to 100 characters, none of them a control character";
const KEY_RULE: &str = "must be 1 to 128 printable characters";

const NEW_ID_RULE: &str = "must not be . or .., which are lost from URLs";
const NEW_NAME_RULE: &str = "must have a visible character";
const NEW_KEY_RULE: &str = "must have no format characters, such as direction marks or \
    zero-width spaces, no separators of lines, and no characters for private use";

fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_printable(text: &str, most: usize) -> bool {
    // A character has at most four bytes, so a longer text needs no count.
    !text.is_empty()
        && text.len() <= 4 * most
        && text.chars().count() <= most
        && !text.chars().any(char::is_control)
}

fn is_new_id(text: &str) -> bool {
    !matches!(text, "." | "..")
}

fn is_new_name(text: &str) -> bool {
    text.chars().any(unicode::is_visible)
}

fn is_new_key(text: &str) -> bool {
    !text.chars().any(unicode::is_hidden)
}

/// Defines a type from its rule and its rule for new values. Each rule has a message and a check.
/// The last value is the schema's `not`.
macro_rules! checked_text {
    (
        $(#[$doc:meta])* $name:ident, $rule:expr, $check:expr, $new_rule:expr, $new_check:expr,
        $pattern:expr, $not:expr
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl CheckedText for $name {
            fn check_new(&self) -> Result<(), InvalidText> {
                if $new_check(&self.0) { Ok(()) } else { Err(InvalidText($new_rule)) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(InvalidText($rule)) }
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "not": {"pattern": $not},
                    "description": format!("{}; {}", $rule, $new_rule),
                })
            }
        }
    };
}

#[cfg(feature = "schema")]
const ID_PATTERN: &str = "^[A-Za-z0-9_.:-]{1,128}$";
#[cfg(feature = "schema")]
const NAME_PATTERN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,100}$";
#[cfg(feature = "schema")]
const KEY_PATTERN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,128}$";

#[cfg(feature = "schema")]
const ID_NOT: &str = "^\\.{1,2}$";
/// Lists only the common characters, because some validators lack Unicode categories.
#[cfg(feature = "schema")]
const NAME_NOT: &str = "^[\\s\\u00ad\\u061c\\u115f\\u1160\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0]*$";
/// The same for keys, see [`NAME_NOT`].
#[cfg(feature = "schema")]
const KEY_NOT: &str =
    "[\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ue000-\\uf8ff\\ufeff]";

checked_text!(
    /// Id of a party.
    PartyId, ID_RULE, is_id, NEW_ID_RULE, is_new_id, ID_PATTERN, ID_NOT
);
checked_text!(
    /// Id of a peer, the same in all its parties.
    PeerId, ID_RULE, is_id, NEW_ID_RULE, is_new_id, ID_PATTERN, ID_NOT
);
checked_text!(
    /// Id of a relay.
    RelayId, ID_RULE, is_id, NEW_ID_RULE, is_new_id, ID_PATTERN, ID_NOT
);
checked_text!(
    /// Human-readable name of a party, a peer or a region.
    Name, NAME_RULE, |text| is_printable(text, 100), NEW_NAME_RULE, is_new_name, NAME_PATTERN,
    NAME_NOT
);
checked_text!(
    /// WireGuard public key of a peer, as its owner gave it.
    PublicKey, KEY_RULE, |text| is_printable(text, 128), NEW_KEY_RULE, is_new_key, KEY_PATTERN,
    KEY_NOT
);
checked_text!(
    /// Id of a history; sequence numbers are comparable only within one epoch.
    Epoch, ID_RULE, is_id, NEW_ID_RULE, is_new_id, ID_PATTERN, ID_NOT
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_to_its_alphabet_and_length() {
        assert!("A-z_0.9:x".parse::<PartyId>().is_ok());
        assert!("x".repeat(128).parse::<PartyId>().is_ok());
        for bad in ["", "a b", "a/b", "é", "a\n", &"x".repeat(129)] {
            assert!(bad.parse::<PartyId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_counted_in_characters_and_has_no_controls() {
        assert!("é".repeat(100).parse::<Name>().is_ok());
        for bad in ["", "a\u{7}", "a\u{85}", &"é".repeat(101)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn new_values_keep_rules_that_stored_ones_may_break() {
        for id in [".", ".."] {
            assert!(id.parse::<PartyId>().unwrap().check_new().is_err(), "{id}");
            assert!(id.parse::<PeerId>().unwrap().check_new().is_err(), "{id}");
            assert!(id.parse::<RelayId>().unwrap().check_new().is_err(), "{id}");
        }
        for id in ["...", ".a", "a.", "-", "..-"] {
            assert!(id.parse::<PartyId>().unwrap().check_new().is_ok(), "{id}");
        }
        for name in [" ", "\u{200b}", "\u{202e}\u{2066}", "\u{3164}", "\u{a0}\u{fe0f}"] {
            assert!(name.parse::<Name>().unwrap().check_new().is_err(), "{name:?}");
        }
        assert!("a\u{200d}b".parse::<Name>().unwrap().check_new().is_ok());
        for key in ["k\u{202e}", "k\u{2028}", "k\u{e000}"] {
            assert!(key.parse::<PublicKey>().unwrap().check_new().is_err(), "{key:?}");
        }
        assert!(
            "not base64, as LANrage takes it".parse::<PublicKey>().unwrap().check_new().is_ok()
        );
    }
}
