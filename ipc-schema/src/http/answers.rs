//! Reads what servers answer: this project's own, and LANrage's, which say less and give their
//! times in more ways.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::control::Secret;
use crate::lanrage::{AnnouncedParty, Entries, InvalidRecord, KnownRecords, announce_peers};
use crate::model::{
    CheckedText as _, Epoch, LastSeen, Name, PartyId, PeerId, Relay, RelayId, is_readable,
};
use crate::results::{LeaveStatus, Rejected};
use crate::unicode::strip_bom;

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

/// A party, and beside it what LANrage's own server does not tell.
#[derive(Debug, Clone, PartialEq)]
pub struct PartyAnswer {
    /// Its id.
    pub party_id: PartyId,
    /// The party, with times in UTC.
    pub party: AnnouncedParty,
    /// Its members' addresses in the virtual LAN.
    pub virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
    /// The party's last change, and the stretch of history that it counts in.
    pub change: Option<(Epoch, u64)>,
    /// Guests that are left out, because what is said of them breaks a rule.
    pub rejected: Vec<Rejected>,
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

impl PartyAnswer {
    /// Reads a body. Times without an offset are in UTC.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(body: &[u8]) -> Result<Self, BadAnswer> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            party_id: Option<PartyId>,
            #[serde(borrow)]
            party: &'a RawValue,
            #[serde(default)]
            virtual_ips: BTreeMap<PeerId, Ipv4Addr>,
            epoch: Option<Epoch>,
            seq: Option<u64>,
        }
        /// The id alone: its fault is told as that of any other field of an answer.
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "party_id")]
            _party_id: PartyId,
        }
        let Fields { party_id: beside, party, virtual_ips, epoch, seq } = read(body)?;
        let mut records = KnownRecords::new(TimeZone::UTC);
        let party = records.party(party).map_err(|invalid| {
            match read::<Named>(party.get().as_bytes()) {
                Ok(Named { .. }) => BadAnswer::of_party(invalid),
                Err(BadAnswer { words, .. }) => BadAnswer::new(words),
            }
        })?;
        let party_id = party.party_id.clone();
        if let Some(beside) = beside.filter(|beside| *beside != party_id) {
            let words = format!("party_id: is {beside}, and that of the party is {party_id}");
            return Err(BadAnswer::new(words));
        }
        let (party, rejected) = (party.announce(&TimeZone::UTC), records.rejected);
        Ok(Self { party_id, party, virtual_ips, change: epoch.zip(seq), rejected })
    }

    /// Reads a body that holds the members alone; the rest is as it was `before`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_peers_json(
        body: &[u8],
        party_id: PartyId,
        before: &AnnouncedParty,
    ) -> Result<Self, BadAnswer> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            peers: Entries<'a>,
        }
        let Fields { peers } = read(body)?;
        let mut records = KnownRecords::new(TimeZone::UTC);
        let peers = records.peers(&party_id, &before.host_id, peers);
        let peers = announce_peers(&peers.map_err(BadAnswer::of_party)?, &TimeZone::UTC);
        let party = AnnouncedParty { peers, ..before.clone() };
        let rejected = records.rejected;
        Ok(Self { party_id, party, virtual_ips: BTreeMap::new(), change: None, rejected })
    }

    /// Whether a peer is a member.
    pub fn has(&self, peer_id: &PeerId) -> bool {
        self.party.peers.contains_key(peer_id.as_str())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn party(last_seen: &str) -> Value {
        let peer = json!({"peer_id": "ann", "name": "Ann", "public_key": "a2V5",
            "nat_type": "open", "public_ip": "unknown", "public_port": 0,
            "local_ip": "unknown", "local_port": 0, "last_seen": last_seen});
        json!({"party_id": "p", "name": "n", "host_id": "ann",
            "created_at": "2026-11-22T10:00:00", "peers": {"ann": peer}})
    }

    fn read_party(body: Value) -> Result<PartyAnswer, BadAnswer> {
        PartyAnswer::from_json(body.to_string().as_bytes())
    }

    #[test]
    fn a_party_is_read_with_what_is_beside_it_and_without() {
        let bare = read_party(json!({"party": party("2026-11-22T10:00:00")})).unwrap();
        assert_eq!((bare.change.clone(), bare.virtual_ips.len()), (None, 0));
        assert!(bare.has(&"ann".parse().unwrap()) && !bare.has(&"ben".parse().unwrap()));
        let full = json!({"party": party("2026-11-22T12:00:00+02:00"), "epoch": "e", "seq": 7,
            "virtual_ips": {"ann": "10.66.0.1"}});
        let full = read_party(full).unwrap();
        assert_eq!(full.change, Some(("e".parse().unwrap(), 7)));
        assert_eq!(full.virtual_ips["ann"], Ipv4Addr::new(10, 66, 0, 1));
        // The same moment, said in another way.
        assert_eq!(full.party, bare.party);
    }

    #[test]
    fn a_bad_guest_is_left_out_and_a_bad_party_refused() {
        let mut body = json!({"party": party("2026-11-22T10:00:00")});
        body["party"]["peers"]["ben"] = json!({"peer_id": "ben"});
        let read = read_party(body.clone()).unwrap();
        assert_eq!((read.party.peers.len(), read.rejected.len()), (1, 1));
        body["party"]["peers"]["ann"]["public_port"] = json!(70000);
        let words = read_party(body).unwrap_err().to_string();
        assert!(words.contains("party: host_id") && words.contains("public_port"), "{words}");
        let words = read_party(json!({"party": {}})).unwrap_err().to_string();
        assert!(words.contains("party_id"), "{words}");
    }

    #[test]
    fn an_id_that_urls_lose_is_refused() {
        let known = json!({"party": party("2026-11-22T10:00:00")});
        let mut body = known.clone();
        body["party"]["party_id"] = json!("..");
        let words = read_party(body).unwrap_err().to_string();
        assert!(words.contains("party_id: must not be . or .."), "{words}");
        let mut body = known.clone();
        let mut host = body["party"]["peers"]["ann"].take();
        host["peer_id"] = json!(".");
        body["party"]["host_id"] = json!(".");
        body["party"]["peers"] = json!({".": host});
        let words = read_party(body).unwrap_err().to_string();
        assert!(words.contains("peer_id: must not be . or .."), "{words}");
        let mut body = known;
        let mut guest = body["party"]["peers"]["ann"].clone();
        guest["peer_id"] = json!("..");
        body["party"]["peers"][".."] = guest;
        let read = read_party(body).unwrap();
        assert_eq!((read.party.peers.len(), read.rejected.len()), (1, 1));
    }

    #[test]
    fn an_answer_has_one_party_id() {
        let mut body = json!({"party_id": "p", "party": party("2026-11-22T10:00:00")});
        assert!(read_party(body.clone()).is_ok());
        body["party_id"] = json!("other");
        let bad = read_party(body).unwrap_err();
        assert_eq!(bad.to_string(), "party_id: is other, and that of the party is p");
        assert!(!bad.is_foreign());
    }

    #[test]
    fn answers_of_other_programs_are_told_from_bad_ones() {
        for (body, is_foreign) in [
            ("<html>", true),
            ("", true),
            ("5", true),
            (r#"{"status":"maintenance"}"#, true),
            (r#"{"party":{}}"#, false),
            (r#"{"party":5}"#, false),
        ] {
            let bad = PartyAnswer::from_json(body.as_bytes()).unwrap_err();
            assert_eq!(bad.is_foreign(), is_foreign, "{body}");
        }
        let bad = TokenAnswer::from_json(br#"{"token":"a b"}"#).unwrap_err();
        assert!(!bad.is_foreign());
    }

    #[test]
    fn a_token_is_fit_for_a_header_and_its_time_in_utc() {
        let read = |body: Value| TokenAnswer::from_json(body.to_string().as_bytes());
        let at = "2026-11-22T12:00:00Z".parse().ok();
        for time in ["2026-11-22T12:00:00", "2026-11-22 14:00:00+02:00"] {
            let answer = read(json!({"token": "abc", "expires_at": time})).unwrap();
            assert_eq!(answer.expires_at, at, "{time}");
        }
        assert_eq!(read(json!({"token": "abc"})).unwrap().expires_at, None);
        let long = "t".repeat(Secret::LONGEST_TOKEN + 1);
        for token in ["", "a b", "a\r\nx: y", "é", &long] {
            let words = read(json!({"token": token})).unwrap_err().to_string();
            assert!(words.starts_with("token: "), "{words}");
        }
        assert!(read(json!({"token": "abc", "expires_at": "soon"})).is_err());
    }

    #[test]
    fn relays_that_break_a_rule_are_counted() {
        let relay = json!({"relay_id": "r", "public_ip": "203.0.113.5", "port": 5, "region": "eu",
            "capacity": 9, "registered_at": "2026-11-22T12:00:00"});
        let mut bad = relay.clone();
        bad["port"] = json!(-1);
        let body = json!({"relays": [relay, bad]}).to_string();
        let answer = RelaysAnswer::from_json(body.as_bytes()).unwrap();
        assert_eq!((answer.relays.len(), answer.rejected), (1, 1));
        assert_eq!(answer.relays[0].registered_at.to_string(), "2026-11-22T12:00:00Z");
    }

    #[test]
    fn a_refusal_is_told_by_its_first_mistake() {
        for (body, words) in [
            (r#"{"detail":"No"}"#, Some("No")),
            (
                r#"{"detail":[{"loc":["body","peers",3],"msg":"Bad"},{}]}"#,
                Some("body.peers.3: Bad"),
            ),
            (r#"{"detail":[{"msg":"Bad"}]}"#, Some("Bad")),
            (r#"{"detail":"a\u001b[31mb"}"#, Some("a[31mb")),
            (r#"{"detail":[]}"#, None),
            (r#"{"detail":5}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(detail(body.as_bytes()).as_deref(), words, "{body}");
        }
        let long = json!({"detail": "x".repeat(10_000)}).to_string();
        assert_eq!(detail(long.as_bytes()).unwrap().len(), LONGEST_DETAIL);
    }
}
