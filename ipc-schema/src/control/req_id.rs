//! Idempotency key of a client's frame.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Length of the longest id, in characters.
const MOST: usize = 128;

/// Id of a frame: 1 to 128 printable characters, or an integer. The server echoes it as sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReqId {
    /// A string.
    Text(Box<str>),
    /// The decimal digits of an integer, with its sign if it is negative.
    Integer(Box<str>),
}

impl ReqId {
    /// Decodes an id from its JSON text.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn from_json(json: &str) -> Result<Self, &'static str> {
        const RULE: &str = "must be a string of 1 to 128 printable characters, or an integer";
        let digits = json.strip_prefix('-').unwrap_or(json);
        // In valid JSON, a text that starts with a digit is a number without leading zeros.
        if json.len() <= MOST
            && !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Ok(Self::Integer(json.into()));
        }
        let text: String = serde_json::from_str(json).map_err(|_| RULE)?;
        let fits = (1..=MOST).contains(&text.chars().take(MOST + 1).count());
        let is_printable = !text.chars().any(char::is_control);
        if fits && is_printable { Ok(Self::Text(text.into())) } else { Err(RULE) }
    }

    /// Text by which ids are compared; 5 and "5" are the same id.
    pub fn key(&self) -> &str {
        match self {
            Self::Text(key) | Self::Integer(key) => key,
        }
    }
}

impl Serialize for ReqId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(digits) => RawValue::from_string(digits.to_string())
                .map_err(S::Error::custom)?
                .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ReqId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(raw.get()).map_err(D::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ReqId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReqId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Makes what the frame asks for happen once: repeated, it gets the first answer.",
            "anyOf": [
                {"type": "string", "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,128}$"},
                {"type": "integer"},
            ]
        })
    }
}
