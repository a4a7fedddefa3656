//! The tables of the control server's file that the daemon's has not: their keys, defaults and ranges.

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

/// Of something in a second or a minute, and of how much of it at once. None would refuse everybody.
const RATE: RangeInclusive<usize> = 1..=1_000_000;
/// None, or up to a year.
const PAUSE: RangeInclusive<Duration> = Duration::ZERO..=*INTERVAL.end();
const SOCKETS: RangeInclusive<usize> = 16..=1_000_000;
const SOCKETS_OF_ONE: RangeInclusive<usize> = 1..=*SOCKETS.end();
const RECORDS: RangeInclusive<usize> = 1..=16_777_216;
/// The default of `limits.address_share`.
pub(crate) const ADDRESS_SHARE: usize = 16;
/// A year at most.
const TOKEN_TTL: RangeInclusive<Duration> = seconds(1)..=*INTERVAL.end();

keys! {
    /// `[http]`: how HTTP is spoken.
    pub(crate) struct Http {
        /// What TLS is spoken with; none speaks plain HTTP.
        #[serde(flatten)]
        tls: Option<Tls> = several(Tls::read),
        /// The proxies whose word is taken for whom they forward.
        behind_proxy: Vec<IpNet> = list("[\"127.0.0.1\", \"::1\"]", parse_network),
        /// Whether plain HTTP may be spoken to other machines without a proxy between.
        insecure: bool = boolean(false),
        /// The origins whose web pages may speak to this server, in lower case: `scheme://host[:port]`,
        /// or what a page without a host sends.
        allowed_origins: Vec<String> = list("[\"https://example.org\"]", parse_origin),
        /// The names under which clients reach this server, in lower case: its own pages may speak to it
        /// under them.
        public_names: Vec<String> = list("[\"lan.example.org\"]", parse_public_name),
        /// How long the headers of a request may take, and then its body.
        request_timeout: Duration = within(seconds(10), INTERVAL),
        /// How long a connection may wait for its next request.
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

/// The two files that TLS needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Tls {
    /// The certificate and those that lead from it to a root, as PEM.
    #[serde(rename = "tls_cert")]
    pub(crate) cert: PathBuf,
    /// The certificate's private key, as PEM.
    #[serde(rename = "tls_key")]
    pub(crate) key: PathBuf,
}

impl Tls {
    /// Both files or neither.
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
    /// `[auth]`: how clients and relays show who they are.
    pub(crate) struct Auth {
        /// How long a token is good.
        token_ttl: Duration = within(minutes(24 * 60), TOKEN_TTL),
        /// What a relay has to know to register; none lets every client register relays. It comes from the key of
        /// this name or from the file below.
        #[serde(skip)]
        relay_key: Option<Secret> = secret(|value| match value.as_str() {
            Some("") => Ok(None),
            text => text.and_then(Secret::new).map(Some).ok_or(Secret::RULE),
        }),
        /// The file that holds the relays' key, which the schema does not read.
        relay_key_file: Option<PathBuf> = path_unless(
            relay_key.as_ref().map(|_| "is the second place of the key: keep it or relay_key, not both"),
        ),
    }
}

keys! {
    /// `[limits]`: what a client, or all of them, may use up.
    pub(crate) struct ServerLimits {
        /// Those that the daemon has, too.
        #[serde(flatten)]
        shared: Limits = several(Limits::read),
        /// Requests of a token in a second, or of an address where there is no token.
        requests_per_second: usize = within(200, RATE),
        /// Requests of a token or an address at once.
        requests_burst: usize = within(400, RATE),
        /// Peers that an address registers in a minute.
        registrations_per_minute: usize = within(120, RATE),
        /// Peers that an address registers at once.
        registrations_burst: usize = within(60, RATE),
        /// Tokens that are good at the same time.
        tokens: usize = within(131_072, RECORDS),
        /// Answers that are remembered for requests that are repeated.
        receipts: usize = within(65_536, RECORDS),
        /// Each table is divided by this: one address may fill so much of it, a /48 four times that.
        address_share: usize = within(ADDRESS_SHARE, SHARE),
    }
}

impl Shown for Limits {}

keys! {
    /// `[ws]`: what WebSockets may use up.
    pub(crate) struct Ws(limits: &ServerLimits, or &ServerLimits::default()) {
        /// Bytes of an incoming message, whole or in pieces.
        frame_bytes: usize = within(64 * KIB, KIB..=16 * MIB),
        /// Frames that wait for a client to read.
        queue_frames: usize = within(256, COUNT),
        /// Bytes that wait for a client to read.
        queue_bytes: usize = within(16 * MIB, KIB..=256 * MIB),
        /// Bytes that wait for all clients.
        queue_total_bytes: usize = within(256 * MIB, MIB..=1024 * MIB),
        /// How long a client may take to say who it is.
        first_frame: Duration = within(seconds(10), INTERVAL),
        /// How often a client is asked for a sign of life.
        ping_interval: Duration = within(seconds(30), INTERVAL),
        /// How long the sign of life may take.
        pong_timeout: Duration = within(seconds(10), INTERVAL),
        /// How often a client of LANrage's is told all of its parties.
        refresh: Duration = within(seconds(60), INTERVAL),
        /// Shortest time between two tellings of a party to a client of LANrage's because members changed; may be
        /// zero.
        update_interval: Duration = within(seconds(1), PAUSE),
        /// Frames of any kind that a client sends in a second; as many as requests, unless something else is said.
        frames_per_second: usize = within(limits.requests_per_second, RATE),
        /// Frames of any kind that a client sends at once; as with the frames in a second.
        frames_burst: usize = within(limits.requests_burst, RATE),
        /// WebSockets in all.
        sockets: usize = within(8_192, SOCKETS_OF_ONE),
        /// WebSockets of one address.
        sockets_per_address: usize = within(4_096, SOCKETS_OF_ONE),
    }
}
