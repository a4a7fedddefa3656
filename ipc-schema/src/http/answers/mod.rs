//! Reads what servers answer: this project's own, and LANrage's, which say less and give their
//! times in more ways.

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

pub use party::PartyAnswer;

/// The longest `detail` that is repeated, in characters.
const LONGEST_DETAIL: usize = 512;

/// Why an answer can't be read.
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

    /// True where the body is no JSON, or lacks the keys that every control server gives: another
    /// program answered.
    pub fn is_foreign(&self) -> bool {
        self.is_foreign
    }
}

/// What `GET /` answers, as far as it tells a control server from another one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServiceAnswer {
    /// What the server calls itself.
    pub service: String,
    /// Whether it does a request once that comes twice under one `Idempotency-Key`. LANrage's own
    /// server does not.
    #[serde(default)]
    pub idempotency_key: bool,
    /// True if a registration may be repeated under the secret in its header `Claim`.
    #[serde(default)]
    pub claim: bool,
}

/// What registering a peer id answers.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenAnswer {
    /// What proves that a client speaks for the peer.
    pub token: Secret,
    /// Until when the token is good, where that is said.
    pub expires_at: Option<Timestamp>,
}

/// What a request for relays answers.
#[derive(Debug, Clone, PartialEq)]
pub struct RelaysAnswer {
    /// The relays that break no rule.
    pub relays: Vec<Relay>,
    /// How many are left out.
    pub rejected: usize,
}

/// What leaving a party answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StatusAnswer {
    /// Fate of the party.
    pub status: LeaveStatus,
}

/// Answer to the end of a peer's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RevokedAnswer {
    /// Number of tokens that ended.
    pub revoked: u64,
}

macro_rules! from_json {
    ($($name:ident)*) => {$(
        impl $name {
            /// Reads a body.
            ///
            /// # Errors
            /// What is wrong with it.
            pub fn from_json(body: &[u8]) -> Result<Self, BadAnswer> {
                read(body)
            }
        }
    )*};
}
from_json! { ServiceAnswer StatusAnswer RevokedAnswer }

impl TokenAnswer {
    /// Reads a body. A time without an offset is one in UTC.
    ///
    /// # Errors
    /// What is wrong with it; it repeats nothing of the token.
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
    /// Reads a body. Times without an offset are in UTC.
    ///
    /// # Errors
    /// What is wrong with it as a whole.
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

/// Why a server refuses something, in its own words: its `detail`, or the first mistake there.
/// `None` where a body has no such thing.
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

/// A mistake in one line: where, and what.
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

/// A time with its offset, or else in UTC.
fn instant(field: &str, text: &str) -> Result<Timestamp, BadAnswer> {
    let bad = |rule: &str| BadAnswer::new(format!("{field}: {rule}"));
    let LastSeen { local, offset } = text.parse().map_err(bad)?;
    let offset = offset.unwrap_or(Offset::UTC);
    let time = offset.to_timestamp(local).ok().filter(|time| is_readable(*time));
    time.ok_or_else(|| bad("it is out of range"))
}
