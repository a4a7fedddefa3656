//! Decodes the answers of servers: this project's own and LANrage's. LANrage's answers have fewer
//! fields, and more formats of times.

mod party;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::control::Secret;
use crate::lanrage::InvalidRecord;
use crate::model::{CheckedText as _, LastSeen, Name, Relay, RelayId, is_readable};
use crate::results::LeaveStatus;
use crate::unicode::strip_bom;

pub use party::{PartyAnswer, PeersAnswer};

/// Length of the longest `detail` that is repeated, in characters.
const LONGEST_DETAIL: usize = 512;

/// Error of an answer that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct BadAnswer {
    words: String,
    is_foreign: bool,
}

impl BadAnswer {
    fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), is_foreign: false }
    }

    fn of_party(invalid: InvalidRecord) -> Self {
        Self::new(format!("party: {invalid}"))
    }

    /// True if another program answered: the body is no JSON, or lacks the keys of every control
    /// server.
    pub fn is_foreign(&self) -> bool {
        self.is_foreign
    }
}

/// Answer to `GET /`, as far as it distinguishes control servers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServiceAnswer {
    /// Name of the service.
    pub service: String,
    /// True if the server supports `Idempotency-Key`. LANrage's own server does not.
    #[serde(default)]
    pub idempotency_key: bool,
    /// True if a registration may be repeated under the secret in its header `Claim`.
    #[serde(default)]
    pub claim: bool,
}

/// Answer to the registration of a peer id.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenAnswer {
    /// Token that proves ownership of the peer id.
    pub token: Secret,
    /// Time at which the token expires, if the server states it.
    pub expires_at: Option<Timestamp>,
}

/// Answer to a request for relays.
#[derive(Debug, Clone, PartialEq)]
pub struct RelaysAnswer {
    /// Valid relays.
    pub relays: Vec<Relay>,
    /// Number of invalid relays that were left out.
    pub rejected: usize,
}

/// Answer to leaving a party.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StatusAnswer {
    /// Fate of the party.
    pub status: LeaveStatus,
}

/// Answer to the revocation of a peer's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RevokedAnswer {
    /// Number of revoked tokens.
    pub revoked: u64,
}

macro_rules! from_json {
    ($($name:ident)*) => {$(
        impl $name {
            /// Decodes a body.
            ///
            /// # Errors
            /// Mistake in the body.
            pub fn from_json(body: &[u8]) -> Result<Self, BadAnswer> {
                read(body)
            }
        }
    )*};
}
from_json! { ServiceAnswer StatusAnswer RevokedAnswer }

impl TokenAnswer {
    /// Decodes a body. A time without an offset is in UTC.
    ///
    /// # Errors
    /// Mistake in the body; the message repeats nothing of the token.
    pub fn from_json(body: &[u8]) -> Result<Self, BadAnswer> {
        #[derive(Deserialize)]
        struct Fields {
            token: Secret,
            expires_at: Option<String>,
        }
        let Fields { token, expires_at } = read(body)?;
        let is_visible = |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.expose().is_empty() || !is_visible(token.expose()) {
            return Err(BadAnswer::new("token: must be visible ASCII characters"));
        }
        if token.expose().len() > Secret::LONGEST_TOKEN {
            let most = Secret::LONGEST_TOKEN;
            return Err(BadAnswer::new(format!("token: must have {most} characters at most")));
        }
        let expires_at = expires_at.map(|text| instant("expires_at", &text)).transpose()?;
        Ok(Self { token, expires_at })
    }
}

impl RelaysAnswer {
    /// Decodes a body. Times without an offset are in UTC.
    ///
    /// # Errors
    /// Mistake in the body as a whole.
    pub fn from_json(body: &[u8]) -> Result<Self, BadAnswer> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            relays: Vec<&'a RawValue>,
        }
        let all = read::<Fields>(body)?.relays;
        let count = all.len();
        let relays: Vec<_> = all.into_iter().filter_map(relay).collect();
        Ok(Self { rejected: count - relays.len(), relays })
    }
}

fn relay(record: &RawValue) -> Option<Relay> {
    #[derive(Deserialize)]
    struct Fields {
        relay_id: RelayId,
        public_ip: IpAddr,
        port: u16,
        region: Name,
        capacity: u32,
        registered_at: String,
    }
    let Fields { relay_id, public_ip, port, region, capacity, registered_at } =
        serde_json::from_str(record.get()).ok()?;
    relay_id.check_new().ok()?;
    let registered_at = instant("registered_at", &registered_at).ok()?;
    Some(Relay { relay_id, public_ip, port, region, capacity, registered_at })
}

/// Returns the server's message: its `detail`, or the first mistake in it. Returns `None` for a
/// body without one.
pub fn detail(body: &[u8]) -> Option<String> {
    let mut body: Value = serde_json::from_slice(strip_bom(body)).ok()?;
    let words = match body.get_mut("detail")?.take() {
        Value::String(words) => words,
        Value::Array(mistakes) => mistake(mistakes.first()?)?,
        _ => return None,
    };
    let is_shown = |c: &char| !c.is_control();
    Some(words.chars().filter(is_shown).take(LONGEST_DETAIL).collect())
}

/// Formats a mistake as one line with its location and message.
fn mistake(mistake: &Value) -> Option<String> {
    let words = mistake.get("msg")?.as_str()?;
    let place = mistake.get("loc").and_then(Value::as_array).into_iter().flatten();
    let steps = place.map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned));
    let place: Vec<_> = steps.collect();
    Some(if place.is_empty() { words.to_owned() } else { format!("{}: {words}", place.join(".")) })
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BadAnswer> {
    let mut deserializer = serde_json::Deserializer::from_slice(strip_bom(body));
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let words = error.into_inner();
        match path.as_str() {
            "." => BadAnswer { words: words.to_string(), is_foreign: true },
            path => BadAnswer::new(format!("{path}: {words}")),
        }
    })
}

/// Parses a time; without an offset it is in UTC.
fn instant(field: &str, text: &str) -> Result<Timestamp, BadAnswer> {
    let bad = |rule: &str| BadAnswer::new(format!("{field}: {rule}"));
    let LastSeen { local, offset } = text.parse().map_err(bad)?;
    let offset = offset.unwrap_or(Offset::UTC);
    let time = offset.to_timestamp(local).ok().filter(|time| is_readable(*time));
    time.ok_or_else(|| bad("it is out of range"))
}
