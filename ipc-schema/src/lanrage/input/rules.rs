//! Rules for values. Kinds and messages are pydantic's.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde_json::{Number, Value, json};

use crate::control::Secret;
use crate::model::{Address, CheckedText, LastSeen, Name, NatType, PublicKey};

/// Regular expression of ids.
const ID_PATTERN: &str = "^[A-Za-z0-9_.:-]+$";

/// Rule that a value breaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Pydantic's name of the rule.
    pub kind: &'static str,
    /// Human-readable message.
    pub msg: String,
    /// Parameters of the rule.
    pub ctx: Option<Value>,
}

impl Refusal {
    fn plain(kind: &'static str, msg: impl Into<String>) -> Self {
        Self { kind, msg: msg.into(), ctx: None }
    }

    fn with(kind: &'static str, msg: String, name: &str, value: impl Into<Value>) -> Self {
        Self { kind, msg, ctx: Some(json!({ name: value.into() })) }
    }

    /// Returns the refusal for a rule without a pydantic name, with a text such as `must be …`.
    pub fn value_error(rule: &str) -> Self {
        Self::with("value_error", format!("Value error, {rule}"), "error", rule)
    }
}

pub(super) fn no_object() -> Refusal {
    Refusal::plain("dict_type", "Input should be a valid dictionary")
}

/// Decodes a claim secret. The refusal of a bad one repeats nothing of it.
///
/// # Errors
/// `string_type`, `string_too_short`, `string_too_long`, `string_pattern_mismatch`.
pub fn claim(value: &Value) -> Result<Secret, Refusal> {
    let text = text(value, Secret::SHORTEST_CLAIM, Secret::LONGEST_CLAIM)?;
    let claim = Secret::from(text.to_owned());
    let msg = || format!("String should match pattern '{}'", Secret::CLAIM_PATTERN);
    let refusal =
        || Refusal::with("string_pattern_mismatch", msg(), "pattern", Secret::CLAIM_PATTERN);
    claim.is_claim().then_some(claim).ok_or_else(refusal)
}

/// Decodes any string.
///
/// # Errors
/// `string_type`.
pub fn string(value: &Value) -> Result<&str, Refusal> {
    let refusal = || Refusal::plain("string_type", "Input should be a valid string");
    value.as_str().ok_or_else(refusal)
}

/// Decodes a string of `least` to `most` characters.
///
/// # Errors
/// `string_type`, `string_too_short`, `string_too_long`.
pub fn text(value: &Value, least: usize, most: usize) -> Result<&str, Refusal> {
    let text = string(value)?;
    let plural = |count| if count == 1 { "" } else { "s" };
    // The count stops at the bound.
    let count = text.chars().take(most.saturating_add(1)).count();
    if count < least {
        let msg = format!("String should have at least {least} character{}", plural(least));
        return Err(Refusal::with("string_too_short", msg, "min_length", least));
    }
    if count > most {
        let msg = format!("String should have at most {most} character{}", plural(most));
        return Err(Refusal::with("string_too_long", msg, "max_length", most));
    }
    Ok(text)
}

/// Decodes an id of any kind.
///
/// # Errors
/// Those of [`text`], and `string_pattern_mismatch`.
pub fn id<T: FromStr>(value: &Value) -> Result<T, Refusal> {
    text(value, 1, 128)?.parse().map_err(|_| {
        let msg = format!("String should match pattern '{ID_PATTERN}'");
        Refusal::with("string_pattern_mismatch", msg, "pattern", ID_PATTERN)
    })
}

/// Decodes an id that may be new.
///
/// # Errors
/// Those of [`id`], and `value_error` for one that can't be new.
pub fn new_id<T: CheckedText>(value: &Value) -> Result<T, Refusal> {
    new(id(value)?)
}

/// Decodes a name.
///
/// # Errors
/// Those of [`text`], and `value_error` for control characters or nothing visible.
pub fn name(value: &Value) -> Result<Name, Refusal> {
    new(printable(text(value, 1, 100)?)?)
}

/// Decodes a public key.
///
/// # Errors
/// Those of [`text`], and `value_error` for control and format characters.
pub fn public_key(value: &Value) -> Result<PublicKey, Refusal> {
    new(printable(text(value, 1, 128)?)?)
}

fn new<T: CheckedText>(value: T) -> Result<T, Refusal> {
    value.check_new().map_err(|rule| Refusal::value_error(&rule.to_string()))?;
    Ok(value)
}

fn printable<T: FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|_| Refusal::value_error("must have no control characters"))
}

/// Decodes a whole number from 0 to the type's maximum. It may be a number without a fraction, or a
/// string of such a number.
///
/// # Errors
/// `int_type`, `int_parsing`, `int_from_float`, `greater_than_equal`, `less_than_equal`.
pub fn integer<T: Bounded>(value: &Value) -> Result<T, Refusal> {
    let number = match value {
        Value::Number(number) => whole(number)?,
        Value::String(text) => parsed(text)?,
        _ => return Err(Refusal::plain("int_type", "Input should be a valid integer")),
    };
    let Ok(magnitude) = number else {
        let msg = "Input should be greater than or equal to 0".to_owned();
        return Err(Refusal::with("greater_than_equal", msg, "ge", 0));
    };
    T::try_from(magnitude).map_err(|_| {
        let msg = format!("Input should be less than or equal to {}", T::MOST);
        Refusal::with("less_than_equal", msg, "le", T::MOST)
    })
}

/// Unsigned integer type.
pub trait Bounded: TryFrom<u128> {
    /// Maximum of the type.
    const MOST: u64;
}

impl Bounded for u16 {
    const MOST: u64 = u16::MAX as u64;
}

impl Bounded for u32 {
    const MOST: u64 = u32::MAX as u64;
}

impl Bounded for u64 {
    const MOST: u64 = u64::MAX;
}

/// Any number below 0.
struct Negative;

fn whole(number: &Number) -> Result<Result<u128, Negative>, Refusal> {
    if let Some(magnitude) = number.as_u64() {
        return Ok(Ok(magnitude.into()));
    }
    let float = number.as_f64().unwrap_or(f64::MAX);
    if float.fract() != 0.0 {
        let msg = "Input should be a valid integer, got a number with a fractional part";
        return Err(Refusal::plain("int_from_float", msg));
    }
    // The cast saturates.
    Ok(if float < 0.0 { Err(Negative) } else { Ok(float as u128) })
}

fn parsed(text: &str) -> Result<Result<u128, Negative>, Refusal> {
    let refusal = || {
        let msg = "Input should be a valid integer, unable to parse string as an integer";
        Refusal::plain("int_parsing", msg)
    };
    let trimmed = text.trim();
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let (digits, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|b| b == b'0');
    if !digits.split('_').all(is_number) || !is_whole {
        return Err(refusal());
    }
    // Only digits are left, so a text that does not parse is too large.
    let magnitude = digits.replace('_', "").parse().unwrap_or(u128::MAX);
    Ok(if trimmed.starts_with('-') && magnitude > 0 { Err(Negative) } else { Ok(magnitude) })
}

/// Decodes a NAT type.
///
/// # Errors
/// `enum`.
pub fn nat_type(value: &Value) -> Result<NatType, Refusal> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
        let (last, rest) = NatType::WORDS.split_last().unwrap_or((&"", &[]));
        let expected = format!("'{}' or '{last}'", rest.join("', '"));
        Refusal::with("enum", format!("Input should be {expected}"), "expected", expected)
    })
}

/// Decodes an IP address.
///
/// # Errors
/// `ip_any_address`.
pub fn ip(value: &Value) -> Result<IpAddr, Refusal> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(no_address)
}

/// Decodes an IP address, or `unknown`.
///
/// # Errors
/// `ip_any_address`.
pub fn address(value: &Value) -> Result<Address, Refusal> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(no_address)
}

fn no_address() -> Refusal {
    Refusal::plain("ip_any_address", "value is not a valid IPv4 or IPv6 address")
}

/// Decodes an address with a port: `1.2.3.4:5`, `[::1]:5`, or `unknown` with or without a port.
///
/// # Errors
/// `string_type`, `value_error`.
pub fn endpoint(value: &Value) -> Result<(Address, u16), Refusal> {
    let text = string(value)?;
    let (ip, port) = text.rsplit_once(':').unwrap_or((text, "0"));
    if ip == "unknown"
        && let Ok(port) = port.parse()
    {
        return Ok((Address::Unknown, port));
    }
    text.parse()
        .map(|known: SocketAddr| (Address::Known(known.ip()), known.port()))
        .map_err(|_| Refusal::value_error("must be \"ip:port\", \"[ipv6]:port\" or \"unknown\""))
}

/// Decodes a date and time, with or without an offset.
///
/// # Errors
/// `datetime_type`, `datetime_from_date_parsing`.
pub fn last_seen(value: &Value) -> Result<LastSeen, Refusal> {
    let Some(text) = value.as_str() else {
        return Err(Refusal::plain("datetime_type", "Input should be a valid datetime"));
    };
    text.parse().map_err(|rule| {
        let msg = format!("Input should be a valid datetime or date, {rule}");
        Refusal::with("datetime_from_date_parsing", msg, "error", rule)
    })
}

pub(super) fn list(value: &Value, most: usize) -> Result<&[Value], Refusal> {
    let refusal = || Refusal::plain("list_type", "Input should be a valid list");
    let list = value.as_array().ok_or_else(refusal)?;
    if list.len() > most {
        let length = list.len();
        let msg = format!("List should have at most {most} items after validation, not {length}");
        let ctx = json!({"field_type": "List", "max_length": most, "actual_length": length});
        return Err(Refusal { kind: "too_long", msg, ctx: Some(ctx) });
    }
    Ok(list)
}
