//! The header `Idempotency-Key`: a request that is repeated under the same key is done once. It is
//! the counterpart of `req_id` on a WebSocket.
//!
//! draft-ietf-httpapi-idempotency-key-header defines it as a string of RFC 9651, in double quotes.
//! Many clients omit the quotes, so a bare word is accepted as the same key.

use serde_json::{Value, json};

use crate::lanrage::input::Mistake;

/// Name of the header.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Length of the longest key, in characters: the same as that of a `req_id`.
const MOST: usize = 128;

/// Idempotency key: 1 to 128 characters of printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Returns a key with the given text; `None` if a header cannot carry it.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=MOST).contains(&text.len());
        (fits && text.bytes().all(is_printable)).then(|| Self(text.to_owned()))
    }

    /// Decodes the header, which may have one value; `None` if it is absent.
    ///
    /// # Errors
    /// Mistake in the values.
    pub fn from_values<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, Vec<Mistake>> {
        let mut values = values.into_iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            let msg = "Idempotency-Key is there more than once: send one";
            return Err(vec![mistake("value_error", msg.to_owned(), Value::Null, None)]);
        }
        let shown = Value::String(String::from_utf8_lossy(value).into_owned());
        let Some(text) = unquoted(value) else {
            let msg = "Idempotency-Key should be printable ASCII in double quotes, with \\ before \
                each \" and \\ in it: send it so";
            return Err(vec![mistake("string_pattern_mismatch", msg.to_owned(), shown, None)]);
        };
        if text.is_empty() {
            let msg = "Idempotency-Key should have at least 1 character: send a UUID, or leave \
                the header out";
            let ctx = Some(json!({"min_length": 1}));
            return Err(vec![mistake("string_too_short", msg.to_owned(), shown, ctx)]);
        }
        if text.len() > MOST {
            let msg = format!(
                "Idempotency-Key should have at most {MOST} characters: send a shorter one, such \
                 as a UUID"
            );
            let ctx = Some(json!({"max_length": MOST}));
            return Err(vec![mistake("string_too_long", msg, shown, ctx)]);
        }
        Ok(Some(Self(text)))
    }

    /// Returns the mistake of a key that was used for a request with another body.
    pub fn reused() -> Mistake {
        let msg = "Idempotency-Key was used for a request with another body: send a fresh one";
        mistake("value_error", msg.to_owned(), Value::Null, None)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the value of the header.
    pub fn to_value(&self) -> String {
        format!("\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn mistake(kind: &'static str, msg: String, input: Value, ctx: Option<Value>) -> Mistake {
    let loc = vec!["header".into(), IDEMPOTENCY_KEY.into()];
    Mistake { kind, loc, msg, input: Mistake::echo(&input), ctx }
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Parses a value: a string in double quotes, or a bare word.
fn unquoted(value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    if !value.bytes().all(is_printable) {
        return None;
    }
    let Some(quoted) = value.strip_prefix('"') else {
        let is_word = !value.contains([' ', '"', '\\', ',', ';']);
        return is_word.then(|| value.to_owned());
    };
    let mut text = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(text),
            '\\' => match rest.next()? {
                escaped @ ('"' | '\\') => text.push(escaped),
                _ => return None,
            },
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<String, Vec<Mistake>> {
        IdempotencyKey::from_values([value.as_bytes()]).map(|key| key.unwrap().0)
    }

    #[test]
    fn a_key_is_read_quoted_or_bare() {
        let uuid = "8e03978e-40d5-43e8-bc93-6894a57f9324";
        let long = "x".repeat(MOST);
        for (value, text) in [
            (format!("\"{uuid}\""), uuid),
            (format!(" {uuid}\t"), uuid),
            (r#""a \"b\" \\ c""#.to_owned(), r#"a "b" \ c"#),
            ("\" \"".to_owned(), " "),
            (format!("\"{long}\""), &long),
        ] {
            assert_eq!(read(&value).unwrap(), text, "{value}");
        }
        assert_eq!(IdempotencyKey::from_values([]).unwrap(), None);
    }

    #[test]
    fn what_is_no_key_says_what_to_send() {
        let long = "x".repeat(MOST + 1);
        for (value, kind) in [
            ("", "string_too_short"),
            ("\"\"", "string_too_short"),
            (&*long, "string_too_long"),
            (&*format!("\"{long}\""), "string_too_long"),
            ("\"a", "string_pattern_mismatch"),
            ("\"", "string_pattern_mismatch"),
            ("\"a\"b", "string_pattern_mismatch"),
            ("\"a\"; b=1", "string_pattern_mismatch"),
            ("\"a\", \"b\"", "string_pattern_mismatch"),
            ("a, b", "string_pattern_mismatch"),
            ("a b", "string_pattern_mismatch"),
            ("\"a\\b\"", "string_pattern_mismatch"),
            ("\"ß\"", "string_pattern_mismatch"),
            ("a\u{7f}", "string_pattern_mismatch"),
        ] {
            let mistake = read(value).unwrap_err().remove(0);
            assert_eq!(mistake.kind, kind, "{value}");
            assert_eq!(mistake.loc, ["header".into(), "idempotency-key".into()]);
            assert!(mistake.msg.contains("Idempotency-Key") && mistake.msg.contains("send"));
        }
        let twice = IdempotencyKey::from_values([&b"a"[..], b"b"]).unwrap_err();
        assert!(twice[0].msg.contains("more than once"), "{twice:?}");
        assert!(IdempotencyKey::from_values([&b"\xff"[..]]).is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["4dAg.7", r#"a "b" \"#, " "] {
            let key = IdempotencyKey::new(text).unwrap();
            assert_eq!(read(&key.to_value()).unwrap(), text);
        }
        for text in ["", "ß", "a\nb", &"x".repeat(MOST + 1)] {
            assert_eq!(IdempotencyKey::new(text), None);
        }
    }
}
