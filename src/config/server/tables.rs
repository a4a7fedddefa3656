//! The tables of the control server's file that the daemon's has not: their keys, defaults and ranges.

use super::network::{parse_network, parse_origin, parse_public_name};
use crate::config::reader::{self, Table};
use crate::config::tables::{COUNT, INTERVAL, KIB, MIB, SHARE, minutes, seconds};
use crate::config::{Limits, Secret, duration};
use ipnet::IpNet;
use serde::Serialize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of something in a second or a minute, and of how much of it at once. None would refuse everybody.
const RATE: RangeInclusive<usize> = 1..=1_000_000;
/// None, or up to a year.
const PAUSE: RangeInclusive<Duration> = Duration::ZERO..=*INTERVAL.end();
const SOCKETS: RangeInclusive<usize> = 16..=1_000_000;
const RECORDS: RangeInclusive<usize> = 1..=16_777_216;
/// The default of `limits.address_share`.
pub const ADDRESS_SHARE: usize = 16;
/// A year at most.
const TOKEN_TTL: RangeInclusive<Duration> = seconds(1)..=*INTERVAL.end();

/// `[http]`: how HTTP is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Http {
    /// What TLS is spoken with; none speaks plain HTTP.
    #[serde(flatten)]
    pub tls: Option<Tls>,
    /// The proxies whose word is taken for whom they forward.
    pub behind_proxy: Vec<IpNet>,
    /// Whether plain HTTP may be spoken to other machines without a proxy between.
    pub insecure: bool,
    /// The origins whose web pages may speak to this server, in lower case: `scheme://host[:port]`,
    /// or what a page without a host sends.
    pub allowed_origins: Vec<String>,
    /// The names under which clients reach this server, in lower case: its own pages may speak to it
    /// under them.
    pub public_names: Vec<String>,
    /// How long the headers of a request may take, and then its body.
    #[serde(serialize_with = "duration::serialize")]
    pub request_timeout: Duration,
    /// How long a connection may wait for its next request.
    #[serde(serialize_with = "duration::serialize")]
    pub keep_alive: Duration,
    /// Time that a connection may wait for its next request before it has shown a valid token.
    #[serde(serialize_with = "duration::serialize")]
    pub keep_alive_without_token: Duration,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of long replies that wait for all clients to read; one address may have a quarter.
    pub reply_bytes: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address that is no proxy.
    pub connections_per_address: usize,
    /// TLS handshakes in progress.
    pub handshakes: usize,
    /// TLS handshakes in progress of one address that is no proxy.
    pub handshakes_per_address: usize,
    /// Time that a TLS handshake may take.
    #[serde(serialize_with = "duration::serialize")]
    pub handshake_timeout: Duration,
}

/// The two files that TLS needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// The certificate and those that lead from it to a root, as PEM.
    #[serde(rename = "tls_cert")]
    pub cert: PathBuf,
    /// The certificate's private key, as PEM.
    #[serde(rename = "tls_key")]
    pub key: PathBuf,
}

impl Http {
    /// Relative paths start from `directory`.
    pub(super) fn read(table: &mut Table<'_>, directory: &Path) -> Self {
        Self {
            tls: Tls::read(table, directory),
            behind_proxy: table.list("behind_proxy", "[\"127.0.0.1\", \"::1\"]", parse_network),
            insecure: table.boolean("insecure", false),
            allowed_origins: table.list(
                "allowed_origins",
                "[\"https://example.org\"]",
                parse_origin,
            ),
            public_names: table.list("public_names", "[\"lan.example.org\"]", parse_public_name),
            request_timeout: table.duration("request_timeout", seconds(10), INTERVAL),
            keep_alive: table.duration("keep_alive", seconds(75), INTERVAL),
            keep_alive_without_token: table.duration(
                "keep_alive_without_token",
                seconds(5),
                INTERVAL,
            ),
            body_bytes: table.number("body_bytes", 64 * KIB, KIB..=16 * MIB),
            reply_bytes: table.number("reply_bytes", 128 * MIB, MIB..=1024 * MIB),
            connections: table.number("connections", 8_192, SOCKETS),
            connections_per_address: table.number(
                "connections_per_address",
                2_048,
                1..=*SOCKETS.end(),
            ),
            handshakes: table.number("handshakes", 1_024, SOCKETS),
            handshakes_per_address: table.number("handshakes_per_address", 256, 1..=*SOCKETS.end()),
            handshake_timeout: table.duration("handshake_timeout", seconds(5), INTERVAL),
        }
    }
}

impl Tls {
    /// Both files or neither.
    fn read(table: &mut Table<'_>, directory: &Path) -> Option<Self> {
        const CERT: &str = "tls_cert";
        const KEY: &str = "tls_key";
        let both = table.has(CERT) && table.has(KEY);
        let mut file = |key: &'static str, other: &str| {
            table.value(key, None, |value| match reader::path(value, directory) {
                Ok(_) if !both => Err(format!("needs the other half of TLS: give {other}, too")),
                path => path.map(Some).map_err(str::to_owned),
            })
        };
        let (cert, key) = (file(CERT, KEY), file(KEY, CERT));
        Some(Self { cert: cert?, key: key? })
    }
}

/// `[auth]`: how clients and relays show who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Auth {
    /// How long a token is good.
    #[serde(serialize_with = "duration::serialize")]
    pub token_ttl: Duration,
    /// What a relay has to know to register; none lets every client register relays. It comes from the key of this
    /// name or from the file below.
    #[serde(skip)]
    pub relay_key: Option<Secret>,
    /// The file that holds the relays' key.
    pub relay_key_file: Option<PathBuf>,
}

impl Auth {
    /// Relative paths start from `directory`. The file of the relays' key is not read.
    pub(super) fn read(table: &mut Table<'_>, directory: &Path) -> Self {
        let relay_key = table
            .secret("relay_key", |value| match value.as_str() {
                Some("") => Ok(None),
                text => text.and_then(Secret::new).map(Some).ok_or(Secret::RULE),
            })
            .flatten();
        Self {
            token_ttl: table.duration("token_ttl", minutes(24 * 60), TOKEN_TTL),
            relay_key_file: table.value("relay_key_file", None, |value| {
                if relay_key.is_some() {
                    return Err("is the second place of the key: keep it or relay_key, not both");
                }
                reader::path(value, directory).map(Some)
            }),
            relay_key,
        }
    }
}

/// `[limits]`: what a client, or all of them, may use up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerLimits {
    /// Those that the daemon has, too.
    #[serde(flatten)]
    pub shared: Limits,
    /// Requests of a token in a second, or of an address where there is no token.
    pub requests_per_second: usize,
    /// Requests of a token or an address at once.
    pub requests_burst: usize,
    /// Peers that an address registers in a minute.
    pub registrations_per_minute: usize,
    /// Peers that an address registers at once.
    pub registrations_burst: usize,
    /// Tokens that are good at the same time.
    pub tokens: usize,
    /// Answers that are remembered for requests that are repeated.
    pub receipts: usize,
    /// Each table is divided by this: one address may fill so much of it, a /48 four times that.
    pub address_share: usize,
}

/// The keys of `[limits]` that the daemon does without.
pub(in crate::config) const LIMITS_OF_THE_NETWORK: [&str; 7] = [
    "requests_per_second",
    "requests_burst",
    "registrations_per_minute",
    "registrations_burst",
    "tokens",
    "receipts",
    "address_share",
];

impl ServerLimits {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            shared: Limits::read(table),
            requests_per_second: table.number("requests_per_second", 200, RATE),
            requests_burst: table.number("requests_burst", 400, RATE),
            registrations_per_minute: table.number("registrations_per_minute", 120, RATE),
            registrations_burst: table.number("registrations_burst", 60, RATE),
            tokens: table.number("tokens", 131_072, RECORDS),
            receipts: table.number("receipts", 65_536, RECORDS),
            address_share: table.number("address_share", ADDRESS_SHARE, SHARE),
        }
    }
}

/// `[ws]`: what WebSockets may use up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ws {
    /// Bytes of an incoming message, whole or in pieces.
    pub frame_bytes: usize,
    /// Frames that wait for a client to read.
    pub queue_frames: usize,
    /// Bytes that wait for a client to read.
    pub queue_bytes: usize,
    /// Bytes that wait for all clients.
    pub queue_total_bytes: usize,
    /// How long a client may take to say who it is.
    #[serde(serialize_with = "duration::serialize")]
    pub first_frame: Duration,
    /// How often a client is asked for a sign of life.
    #[serde(serialize_with = "duration::serialize")]
    pub ping_interval: Duration,
    /// How long the sign of life may take.
    #[serde(serialize_with = "duration::serialize")]
    pub pong_timeout: Duration,
    /// How often a client of LANrage's is told all of its parties.
    #[serde(serialize_with = "duration::serialize")]
    pub refresh: Duration,
    /// Shortest time between two tellings of a party to a client of LANrage's because members changed; may be zero.
    #[serde(serialize_with = "duration::serialize")]
    pub update_interval: Duration,
    /// Frames of any kind that a client sends in a second.
    pub frames_per_second: usize,
    /// Frames of any kind that a client sends at once.
    pub frames_burst: usize,
    /// WebSockets in all.
    pub sockets: usize,
    /// WebSockets of one address.
    pub sockets_per_address: usize,
}

impl Ws {
    /// A client may send as many frames as it may make requests, unless something else is said.
    pub(super) fn read(table: &mut Table<'_>, limits: &ServerLimits) -> Self {
        Self {
            frame_bytes: table.number("frame_bytes", 64 * KIB, KIB..=16 * MIB),
            queue_frames: table.number("queue_frames", 256, COUNT),
            queue_bytes: table.number("queue_bytes", 16 * MIB, KIB..=256 * MIB),
            queue_total_bytes: table.number("queue_total_bytes", 256 * MIB, MIB..=1024 * MIB),
            first_frame: table.duration("first_frame", seconds(10), INTERVAL),
            ping_interval: table.duration("ping_interval", seconds(30), INTERVAL),
            pong_timeout: table.duration("pong_timeout", seconds(10), INTERVAL),
            refresh: table.duration("refresh", seconds(60), INTERVAL),
            update_interval: table.duration("update_interval", seconds(1), PAUSE),
            frames_per_second: table.number("frames_per_second", limits.requests_per_second, RATE),
            frames_burst: table.number("frames_burst", limits.requests_burst, RATE),
            sockets: table.number("sockets", 8_192, 1..=*SOCKETS.end()),
            sockets_per_address: table.number("sockets_per_address", 4_096, 1..=*SOCKETS.end()),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::read(&mut Table::empty(), Path::new(""))
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self::read(&mut Table::empty(), Path::new(""))
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self::read(&mut Table::empty())
    }
}

impl Default for Ws {
    fn default() -> Self {
        Self::read(&mut Table::empty(), &ServerLimits::default())
    }
}
