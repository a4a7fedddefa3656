//! Raw JSON, which is forwarded as is or decoded later.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Any JSON value as its text, letter for letter. It takes as much memory as the text; a parsed
/// value may take ninety times as much.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// Encodes a value; `null` if its encoding fails.
    pub fn encode(value: &impl Serialize) -> Self {
        Self(to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// Returns the JSON text.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }

    /// Decodes the text as a type. Unknown fields are ignored.
    ///
    /// # Errors
    /// Error of the decoder.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_json())
    }
}

impl From<Box<RawValue>> for RawJson {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw)
    }
}

impl From<&Value> for RawJson {
    fn from(value: &Value) -> Self {
        Self::encode(value)
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for RawJson {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RawJson".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}
