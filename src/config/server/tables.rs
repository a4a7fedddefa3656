//! Tables of the control server's file that the daemon's lacks: their keys, defaults and ranges.

use super::network::{parse_network, parse_origin, parse_public_name};
use crate::config::keys::{Shown, keys};
use crate::config::reader::Table;
use crate::config::tables::{COUNT, INTERVAL, KIB, MIB, SHARE, minutes, seconds};
use crate::config::{Limits, Secret};
use ipnet::IpNet;
use serde::Serialize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Range of rates and bursts; 0 would refuse every request.
const RATE: RangeInclusive<usize> = 1..=1_000_000;
/// Range of durations from 0 to a year.
const PAUSE: RangeInclusive<Duration> = Duration::ZERO..=*INTERVAL.end();
const SOCKETS: RangeInclusive<usize> = 16..=1_000_000;
const SOCKETS_OF_ONE: RangeInclusive<usize> = 1..=*SOCKETS.end();
const RECORDS: RangeInclusive<usize> = 1..=16_777_216;
/// Default of `limits.address_share`.
pub(crate) const ADDRESS_SHARE: usize = 16;
/// Range of token lifetimes, up to a year.
const TOKEN_TTL: RangeInclusive<Duration> = seconds(1)..=*INTERVAL.end();

keys! {
    /// `[http]`: settings of HTTP.
    pub(crate) struct Http {
        /// TLS files; without them the server speaks plain HTTP.
        #[serde(flatten)]
        tls: Option<Tls> = several(Tls::read),
        /// Trusted proxies: their `X-Forwarded-*` headers are believed.
        behind_proxy: Vec<IpNet> = list("[\"127.0.0.1\", \"::1\"]", parse_network),
        /// True if other machines may use plain HTTP without a proxy in between.
        insecure: bool = boolean(false),
        /// Origins whose web pages may send requests, in lower case: `scheme://host[:port]`, or the
        /// value that a page without a host sends.
        allowed_origins: Vec<String> = list("[\"https://example.org\"]", parse_origin),
        /// Names under which clients reach this server, in lower case. Pages of the server itself
        /// may use them.
        public_names: Vec<String> = list("[\"lan.example.org\"]", parse_public_name),
        /// Time limit of a request's headers, and then of its body.
        request_timeout: Duration = within(seconds(10), INTERVAL),
        /// Time that a connection may wait for its next request.
        keep_alive: Duration = within(seconds(75), INTERVAL),
        /// Time that a connection may wait for its next request before it has shown a valid token.
        keep_alive_without_token: Duration = within(seconds(5), INTERVAL),
        /// Bytes of a request's body.
        body_bytes: usize = within(64 * KIB, KIB..=16 * MIB),
        /// Bytes of long replies that wait for all clients to read; one address may have a quarter.
        reply_bytes: usize = within(128 * MIB, MIB..=1024 * MIB),
        /// Connections in all.
        connections: usize = within(8_192, SOCKETS),
        /// Connections of one address that is no proxy.
        connections_per_address: usize = within(2_048, SOCKETS_OF_ONE),
        /// TLS handshakes in progress.
        handshakes: usize = within(1_024, SOCKETS),
        /// TLS handshakes in progress of one address that is no proxy.
        handshakes_per_address: usize = within(256, SOCKETS_OF_ONE),
        /// Time that a TLS handshake may take.
        handshake_timeout: Duration = within(seconds(5), INTERVAL),
    }
}

/// Pair of files that TLS needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Tls {
    /// Certificate and its chain, as PEM.
    #[serde(rename = "tls_cert")]
    pub(crate) cert: PathBuf,
    /// Private key of the certificate, as PEM.
    #[serde(rename = "tls_key")]
    pub(crate) key: PathBuf,
}

impl Tls {
    /// Reads both files or neither.
    fn read(table: &mut Table<'_>) -> Option<Self> {
        const CERT: &str = "tls_cert";
        const KEY: &str = "tls_key";
        let both = table.has(CERT) && table.has(KEY);
        let mut file = |key, other| {
            let refusal = format!("needs the other half of TLS: give {other}, too");
            table.path_unless(key, (!both).then_some(refusal))
        };
        let (cert, key) = (file(CERT, KEY), file(KEY, CERT));
        Some(Self { cert: cert?, key: key? })
    }
}

keys! {
    /// `[auth]`: authentication of clients and relays.
    pub(crate) struct Auth {
        /// Lifetime of a token.
        token_ttl: Duration = within(minutes(24 * 60), TOKEN_TTL),
        /// Key that registers relays; without it every client may register them. It comes from this
        /// key of the configuration or from the file below.
        #[serde(skip)]
        relay_key: Option<Secret> = secret(|value| match value.as_str() {
            Some("") => Ok(None),
            text => text.and_then(Secret::new).map(Some).ok_or(Secret::RULE),
        }),
        /// File with the relays' key, which the schema does not read.
        relay_key_file: Option<PathBuf> = path_unless(
            relay_key.as_ref().map(|_| "is the second place of the key: keep it or relay_key, not both"),
        ),
    }
}

keys! {
    /// `[limits]`: limits of one client, or of all.
    pub(crate) struct ServerLimits {
        /// Limits that the daemon has, too.
        #[serde(flatten)]
        shared: Limits = several(Limits::read),
        /// Requests per second of a token, or of an address without a token.
        requests_per_second: usize = within(200, RATE),
        /// Burst of requests of a token or an address.
        requests_burst: usize = within(400, RATE),
        /// Registrations per minute of an address.
        registrations_per_minute: usize = within(120, RATE),
        /// Burst of registrations of an address.
        registrations_burst: usize = within(60, RATE),
        /// Valid tokens.
        tokens: usize = within(131_072, RECORDS),
        /// Receipts of requests that may be repeated.
        receipts: usize = within(65_536, RECORDS),
        /// Divisor of each table: one address may fill that part of it, a /48 four times that.
        address_share: usize = within(ADDRESS_SHARE, SHARE),
    }
}

impl Shown for Limits {}

keys! {
    /// `[ws]`: limits of WebSockets.
    pub(crate) struct Ws(limits: &ServerLimits, or &ServerLimits::default()) {
        /// Bytes of an incoming message, whole or fragmented.
        frame_bytes: usize = within(64 * KIB, KIB..=16 * MIB),
        /// Frames in a client's send queue.
        queue_frames: usize = within(256, COUNT),
        /// Bytes in a client's send queue.
        queue_bytes: usize = within(16 * MIB, KIB..=256 * MIB),
        /// Bytes in the send queues of all clients.
        queue_total_bytes: usize = within(256 * MIB, MIB..=1024 * MIB),
        /// Time limit of a client's hello.
        first_frame: Duration = within(seconds(10), INTERVAL),
        /// Interval between pings.
        ping_interval: Duration = within(seconds(30), INTERVAL),
        /// Time limit of a pong.
        pong_timeout: Duration = within(seconds(10), INTERVAL),
        /// Interval at which a LANrage client is sent all of its parties.
        refresh: Duration = within(seconds(60), INTERVAL),
        /// Shortest time between two `party_update` frames to a LANrage client because members
        /// changed; may be zero.
        update_interval: Duration = within(seconds(1), PAUSE),
        /// Frames per second of a client; the rate of requests by default.
        frames_per_second: usize = within(limits.requests_per_second, RATE),
        /// Burst of a client's frames; the burst of requests by default.
        frames_burst: usize = within(limits.requests_burst, RATE),
        /// WebSockets in all.
        sockets: usize = within(8_192, SOCKETS_OF_ONE),
        /// WebSockets of one address.
        sockets_per_address: usize = within(4_096, SOCKETS_OF_ONE),
    }
}
