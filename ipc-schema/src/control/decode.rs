//! Decodes frames of clients, and reports their mistakes.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::client::Fields;
use super::{ClientFrame, Inbound, ReqId};
use crate::envelope::{MAX_DEPTH, depth};
use crate::error::ErrorCode;
use crate::lanrage::input::{Mistake, Reader};
use crate::unicode::strip_bom_str;

/// Length of the longest message, in characters.
const LONGEST_MESSAGE: usize = 512;

/// Error of a frame that the server refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadFrame {
    /// Error code: `parse_error`, `invalid_request`, `unknown_method` or `invalid_params`.
    pub code: ErrorCode,
    /// Human-readable message with the field and its rule; at most 512 characters.
    pub message: String,
    /// Id of the frame, if it could be decoded.
    pub req_id: Option<ReqId>,
    /// True for a `hello` with `caps`; its client understands an error code.
    pub names_caps: bool,
}

impl BadFrame {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: shortened(message.into(), LONGEST_MESSAGE),
            req_id: None,
            names_caps: false,
        }
    }
}

/// Reads one frame.
///
/// # Errors
/// [`BadFrame`]
pub fn decode(text: &str) -> Result<Inbound, BadFrame> {
    let text = strip_bom_str(text);
    if depth(text) > MAX_DEPTH {
        return Err(BadFrame::new(ErrorCode::ParseError, "it is nested deeper than 64 levels"));
    }
    let fields = serde_json::from_str(text).map_err(|error| no_object(text, &error))?;
    let refused = |bad| BadFrame { names_caps: names_caps(&fields), ..bad };
    let req_id = read_req_id(&fields).map_err(refused)?;
    match read(&fields) {
        Ok(frame) => Ok(Inbound { frame, req_id }),
        Err(bad) => Err(BadFrame { req_id, ..refused(bad) }),
    }
}

fn no_object(text: &str, error: &serde_json::Error) -> BadFrame {
    match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => BadFrame::new(ErrorCode::ParseError, format!("it is not JSON: {error}")),
        Ok(_) => BadFrame::new(ErrorCode::InvalidRequest, format!("it is not one object: {error}")),
    }
}

fn read_req_id(fields: &Fields<'_>) -> Result<Option<ReqId>, BadFrame> {
    let json = fields.get("req_id").map(|raw| raw.get()).filter(|json| *json != "null");
    let id = json.map(ReqId::from_json).transpose();
    id.map_err(|rule| BadFrame::new(ErrorCode::InvalidRequest, format!("req_id: {rule}")))
}

fn read_type(fields: &Fields<'_>) -> Option<String> {
    fields.get("type").and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// True for a `hello` with `caps`, even if its other fields are invalid.
fn names_caps(fields: &Fields<'_>) -> bool {
    let is_hello = read_type(fields).is_some_and(|kind| is_hello(&kind));
    let caps = fields.get("caps").map(|raw| serde_json::from_str::<Vec<IgnoredAny>>(raw.get()));
    is_hello && caps.is_some_and(|caps| caps.is_ok_and(|caps| !caps.is_empty()))
}

fn is_hello(kind: &str) -> bool {
    ["hello", "auth"].contains(&kind)
}

fn read(fields: &Fields<'_>) -> Result<ClientFrame, BadFrame> {
    let Some(kind) = read_type(fields) else {
        return Err(BadFrame::new(ErrorCode::InvalidRequest, "type: must be a string"));
    };
    let mut values = Map::new();
    for (name, raw) in fields {
        let value = match name.as_str() {
            // The payload is kept letter for letter.
            "signal_data" => Value::Null,
            _ => serde_json::from_str(raw.get()).map_err(|error| {
                let name = shortened(name.clone(), 64);
                BadFrame::new(ErrorCode::InvalidParams, format!("{name:?}: {error}"))
            })?,
        };
        values.insert(name.clone(), value);
    }
    let mut reader = Reader::frame(&values);
    let Some(read) = ClientFrame::read(&kind, &mut reader, fields) else {
        let message = format!("type: {:?} is not known", shortened(kind, 64));
        return Err(BadFrame::new(ErrorCode::UnknownMethod, message));
    };
    reader.finish(read).map_err(|mistakes| {
        let lines: Vec<_> = mistakes.iter().map(Mistake::to_string).collect();
        BadFrame::new(ErrorCode::InvalidParams, lines.join("; "))
    })
}

fn shortened(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}
