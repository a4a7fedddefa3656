//! Incoming request lines.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Id;
use crate::error::{ErrorCode, RpcError};

/// Deepest nesting of arrays and objects in a line.
pub const MAX_DEPTH: usize = 64;

/// Well-formed request whose method is not looked up yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming<'a> {
    /// Id of the request; `None` for a notification, which gets no reply.
    pub id: Option<Id>,
    /// Name of the method.
    pub method: String,
    /// JSON text of `params`; `{}` if absent.
    pub params: &'a str,
}

/// Error of a line that is no request, and the id for the reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Id, if it could be decoded.
    pub id: Option<Id>,
    /// Error for the reply.
    pub error: RpcError,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

/// Distinguishes a `null` field from an absent one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Incoming<'a> {
    /// Parses one line.
    ///
    /// # Errors
    /// `parse_error` for invalid JSON, `invalid_request` for JSON that is no request.
    pub fn parse(line: &'a str) -> Result<Self, Refused> {
        let refuse = |id, code, message: &str| Refused { id, error: RpcError::new(code, message) };
        let invalid = |id, message| refuse(id, ErrorCode::InvalidRequest, message);
        if depth(line) > MAX_DEPTH {
            return Err(refuse(None, ErrorCode::ParseError, "it is nested deeper than 64 levels"));
        }
        let fields: Fields = match serde_json::from_str(line) {
            Ok(fields) if line.trim_start().starts_with('{') => fields,
            outcome => {
                let (code, message) = why_no_object(line, outcome.err());
                return Err(refuse(None, code, &message));
            }
        };
        let id = match fields.id.map(|raw| Id::from_json(raw.get())) {
            Some(None) => return Err(invalid(None, "id: must be a string or a number")),
            Some(id) => id,
            None => None,
        };
        if fields.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
            return Err(invalid(id, "jsonrpc: must be \"2.0\""));
        }
        let Some(Ok(method)) = fields.method.map(|raw| serde_json::from_str(raw.get())) else {
            return Err(invalid(id, "method: must be a string"));
        };
        let params = fields.params.map_or("{}", RawValue::get);
        Ok(Self { id, method, params })
    }
}

/// Returns the error code and message for a line whose fields cannot be read.
fn why_no_object(line: &str, error: Option<serde_json::Error>) -> (ErrorCode, String) {
    // The field decoder stops at the first wrong field; the rest may be invalid JSON.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(line) {
        return (ErrorCode::ParseError, format!("it is not JSON: {error}"));
    }
    let message = match error {
        Some(error) if !line.trim_start().starts_with('[') => {
            format!("it is not a request: {error}")
        }
        _ => "it is an array: there are no batches, send one object per line".to_owned(),
    };
    (ErrorCode::InvalidRequest, message)
}

/// Nesting depth of arrays and objects in a JSON text.
pub(crate) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> (Option<String>, ErrorCode) {
        let refused = Incoming::parse(line).expect_err(line);
        (refused.id.map(|id| id.as_json().to_owned()), refused.error.data.code)
    }

    #[test]
    fn a_request_keeps_its_id_as_written() {
        for id in ["1", "-0", "1.50", "1e400", "\"a\\u0062\"", "18446744073709551616"] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            let request = Incoming::parse(&line).expect("a request");
            assert_eq!(request.id.expect("an id").as_json(), id);
            assert_eq!(request.params, "{}");
        }
        let notification = Incoming::parse(r#"{"jsonrpc":"2.0","method":"ping"}"#).expect("one");
        assert_eq!(notification.id, None);
    }

    #[test]
    fn what_is_no_request_is_told_apart() {
        use ErrorCode::{InvalidRequest, ParseError};
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let deep_params =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{deep}}}}}"#);
        for (line, code) in [
            ("nonsense", ParseError),
            ("{", ParseError),
            ("", ParseError),
            ("1 2", ParseError),
            ("null,", ParseError),
            (r#"{"id":{},"method":"#, ParseError),
            (r#"{"id":1,"id":2} }"#, ParseError),
            (deep.as_str(), ParseError),
            (deep_params.as_str(), ParseError),
            ("[]", InvalidRequest),
            (r#"["2.0",1,"ping"]"#, InvalidRequest),
            ("1", InvalidRequest),
            ("null", InvalidRequest),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, InvalidRequest),
            (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, InvalidRequest),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, InvalidRequest),
        ] {
            assert_eq!(refused(line), (None, code), "{line:.80}");
        }
        for line in [
            r#"{"id":7,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":7}"#,
        ] {
            assert_eq!(refused(line), (Some("7".into()), InvalidRequest), "{line}");
        }
    }

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        assert_eq!(depth(r#"{"a":"[[[\"[["}"#), 1);
        assert_eq!(depth(r#"[{"a":[]}]"#), 3);
    }
}
