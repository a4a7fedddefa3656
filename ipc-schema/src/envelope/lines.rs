//! Outgoing lines.

use serde::Serialize;

use super::Id;
use crate::bounded::{self, Encoded};
use crate::error::RpcError;

/// Removes the line breaks between the tokens of a JSON text. A text from a file, for example, is
/// embedded letter for letter and may contain them.
pub fn one_line(json: String) -> String {
    // A JSON string contains no raw line break: each one stands between tokens.
    // Two searches by bytes are faster than one by characters.
    if !json.contains('\n') && !json.contains('\r') {
        return json;
    }
    let (mut in_string, mut escaped) = (false, false);
    let kept = json.chars().filter(|&char| {
        let keep = in_string || !char.is_ascii_whitespace();
        match char {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        keep
    });
    kept.collect()
}

/// Encodes a request as one line.
///
/// # Errors
/// Never for params of this crate's types.
pub fn request_line(id: &Id, method: &str, params: &impl Serialize) -> serde_json::Result<String> {
    let method = serde_json::to_string(method)?;
    let params = one_line(serde_json::to_string(params)?);
    let id = id.as_json();
    Ok(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":{method},\"params\":{params}}}\n"))
}

/// Encodes a reply as one line. An error without an id has the id `null`.
///
/// # Errors
/// Never for results of this crate's types.
pub fn reply_line(
    id: Option<&Id>,
    outcome: &Result<impl Serialize, RpcError>,
) -> serde_json::Result<String> {
    let id = id.map_or("null", Id::as_json);
    let (name, value) = match outcome {
        Ok(result) => ("result", one_line(serde_json::to_string(result)?)),
        Err(error) => ("error", serde_json::to_string(error)?),
    };
    Ok(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{name}\":{value}}}\n"))
}

/// Encodes a successful reply as one line of at most `most` bytes. Encoding stops at the limit, and
/// a longer line is discarded.
///
/// # Errors
/// Never for results of this crate's types.
pub fn bounded_reply_line(
    id: Option<&Id>,
    result: &impl Serialize,
    most: usize,
) -> serde_json::Result<Option<String>> {
    let head = result_head(id);
    let room = most.saturating_sub(head.len() + RESULT_TAIL.len());
    Ok(bounded_result(result, room)?.map(|json| head + &json + RESULT_TAIL))
}

/// Encodes the result of a reply, as one line without its end, in at most `most` bytes. Encoding
/// stops at the limit. [`result_head`] and [`RESULT_TAIL`] belong around it.
///
/// # Errors
/// Never for results of this crate's types.
pub fn bounded_result(result: &impl Serialize, most: usize) -> serde_json::Result<Option<String>> {
    Ok(match bounded::encode(result, most)? {
        Encoded::Whole(json) => Some(one_line(json)),
        Encoded::Cut(_) => None,
    })
}

/// Returns the part of a reply before its result.
pub fn result_head(id: Option<&Id>) -> String {
    let id = id.map_or("null", Id::as_json);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":")
}

/// Part of a reply after its result.
pub const RESULT_TAIL: &str = "}\n";

/// Encodes a notification as one line of at most `most` bytes. Encoding stops at the limit, and a
/// longer line is discarded.
///
/// # Errors
/// Never for params of this crate's types.
pub fn bounded_notification_line(
    method: &str,
    params: &impl Serialize,
    most: usize,
) -> serde_json::Result<Option<String>> {
    let head = notification_head(method);
    let room = most.saturating_sub(head.len() + RESULT_TAIL.len());
    Ok(match bounded::encode(params, room)? {
        Encoded::Whole(json) => Some(head + &one_line(json) + RESULT_TAIL),
        Encoded::Cut(_) => None,
    })
}

fn notification_head(method: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":")
}

/// Encodes a notification as one line.
///
/// # Errors
/// Never for params of this crate's types.
pub fn notification_line(method: &str, params: &impl Serialize) -> serde_json::Result<String> {
    let params = one_line(serde_json::to_string(params)?);
    Ok(notification_head(method) + &params + RESULT_TAIL)
}

/// Encodes the part of an `event` line that all subscriptions share.
///
/// # Errors
/// Never for events of this crate's types.
pub fn event_body(event: &crate::Event) -> serde_json::Result<String> {
    let object = serde_json::to_string(event)?;
    // The event's fields follow those of the subscription: its opening brace becomes a comma.
    Ok(format!(",{}}}\n", &object[1..]))
}

/// Encodes the part of an `event` line for one subscription; [`event_body`] follows it.
pub fn event_head(subscription: &str, seq: u64) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{{\"subscription\":\"{subscription}\",\"seq\":{seq}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn what_is_sent_is_one_line() {
        let pretty = concat!("{\n  ", r#""a b" : [ "\" \\","#, "\r\n\t1 ],\n", r#" "c": " " }"#);
        let raw = RawValue::from_string(pretty.to_owned()).expect("JSON");
        let compact = r#"{"a b":["\" \\",1],"c":" "}"#;
        assert_eq!(one_line(pretty.to_owned()), compact);
        for line in [
            request_line(&Id::from(1), "m", &raw).expect("encodes"),
            reply_line(None, &Ok(&raw)).expect("encodes"),
            notification_line("n", &raw).expect("encodes"),
        ] {
            assert_eq!(line.find(['\n', '\r']), Some(line.len() - 1), "{line:?}");
        }
        assert_eq!(one_line(r#"{ "a": 1.0 }"#.to_owned()), r#"{ "a": 1.0 }"#);
    }

    #[test]
    fn a_bounded_line_is_the_line_or_none() {
        let (id, result) = (Id::from(7), ["a", "b"]);
        let line = reply_line(Some(&id), &Ok(result)).expect("encodes");
        let bounded = |most| bounded_reply_line(Some(&id), &result, most).expect("encodes");
        assert_eq!(bounded(line.len()), Some(line.clone()));
        assert_eq!(bounded(line.len() - 1), None);
        let line = notification_line("n", &result).expect("encodes");
        let bounded = |most| bounded_notification_line("n", &result, most).expect("encodes");
        assert_eq!(bounded(line.len()), Some(line.clone()));
        assert_eq!(bounded(line.len() - 1), None);
    }
}
