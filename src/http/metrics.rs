//! Metrics for Prometheus.
//!
//! Labels have only values that the program itself names: a client can't make a new series.

#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use lanrage_ipc::ErrorCode;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

/// Media type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Route label of requests without a route.
pub(crate) const OTHER: &str = "other";

/// Reasons of rejections. Each has a series from the start, at zero.
pub(crate) const REASONS: [&str; 10] = [
    "conflict",
    "forbidden",
    "invalid",
    "not_found",
    "overloaded",
    "rate_limited",
    "store_unavailable",
    "stopping",
    "too_large",
    "unauthorized",
];

/// Upper bounds of the latency buckets, in seconds: from a read of memory to a slow disk.
const LATENCIES: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

const METHODS: [Method; 7] = [
    Method::DELETE,
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PATCH,
    Method::POST,
    Method::PUT,
];

/// Direction of a WebSocket frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From a client.
    In,
    /// To a client.
    Out,
}

/// Values that other parts count, and that a scrape asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Gauges {
    /// Parties.
    pub(crate) parties: usize,
    /// Memberships: a peer in two parties counts twice.
    pub(crate) peers: usize,
    /// Relays.
    pub(crate) relays: usize,
    /// Tokens that are still valid.
    pub(crate) tokens: usize,
    /// WebSocket connections.
    pub(crate) websockets: usize,
    /// Changes that wait for a commit.
    pub(crate) store_pending: usize,
    /// Frames in the send queues of all WebSocket connections.
    pub(crate) queued_frames: usize,
    /// Commits since the start.
    pub(crate) commits: u64,
    /// Commits that failed, since the start.
    pub(crate) commit_failures: u64,
    /// Peers evicted since the start.
    pub(crate) evicted_peers: u64,
    /// Parties evicted since the start.
    pub(crate) evicted_parties: u64,
    /// Relays evicted since the start.
    pub(crate) evicted_relays: u64,
    /// Uptime of the program.
    pub(crate) uptime: Duration,
}

/// All series of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    rejections: IntCounterVec,
    frames_in: IntCounterVec,
    frames_out: IntCounterVec,
    /// Gauges are set and read in one step, so that concurrent scrapes do not mix.
    asked: Mutex<Asked>,
}

/// Series of [`Gauges`].
#[derive(Debug)]
struct Asked {
    parties: IntGauge,
    peers: IntGauge,
    relays: IntGauge,
    tokens: IntGauge,
    websockets: IntGauge,
    store_pending: IntGauge,
    queued_frames: IntGauge,
    commits: IntCounter,
    commit_failures: IntCounter,
    evictions: IntCounterVec,
    uptime: Gauge,
}

impl Metrics {
    /// Registers all series, at zero.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        let metrics = Self {
            requests: make.counters(
                "http_requests_total",
                "HTTP requests answered.",
                &["route", "method", "status"],
            ),
            durations: make.durations(),
            rejections: make.counters(
                "rejections_total",
                "Requests and frames refused, by reason.",
                &["reason"],
            ),
            frames_in: make.counters(
                "websocket_frames_in_total",
                "WebSocket frames received, by type.",
                &["type"],
            ),
            frames_out: make.counters(
                "websocket_frames_out_total",
                "WebSocket frames sent, by type.",
                &["type"],
            ),
            asked: Mutex::new(make.asked()),
            registry: registry.clone(),
        };
        make.build_info();
        for reason in REASONS {
            metrics.rejections.with_label_values(&[reason]);
        }
        metrics
    }

    /// Counts an answered request. `route` is the template, or [`OTHER`].
    pub(crate) fn observe(
        &self,
        route: &'static str,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        // A client may make up any method.
        let method = if METHODS.contains(method) { method.as_str() } else { OTHER };
        self.requests.with_label_values(&[route, method, status.as_str()]).inc();
        self.durations.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// Counts a refusal, for one of [`REASONS`].
    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejections.with_label_values(&[reason]).inc();
    }

    /// Counts a refusal by its code, as an answer over HTTP is counted by its status.
    pub(crate) fn rejected_with(&self, code: ErrorCode) {
        use ErrorCode::*;
        let reason = match code {
            PermissionDenied => "forbidden",
            RateLimited => "rate_limited",
            PartyNotFound | PeerNotFound | NotAMember => "not_found",
            PartyExists | PartyFull => "conflict",
            FrameTooLarge => "too_large",
            StoreUnavailable => "store_unavailable",
            ShuttingDown => "stopping",
            Timeout | TooManyInFlight => "overloaded",
            // Internal errors are no refusals.
            Internal => return,
            _ => "invalid",
        };
        self.rejected(reason);
    }

    /// Counts a WebSocket frame of a known type, or [`OTHER`].
    pub(crate) fn frame(&self, direction: Direction, kind: &'static str) {
        let frames = match direction {
            Direction::In => &self.frames_in,
            Direction::Out => &self.frames_out,
        };
        frames.with_label_values(&[kind]).inc();
    }

    /// Returns all series, in [`CONTENT_TYPE`].
    pub(crate) fn text(&self, now: &Gauges) -> Vec<u8> {
        let families = {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.set(now);
            self.registry.gather()
        };
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&families, &mut text)
            .expect("a Vec takes it, and every family has a name and a series");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Asked {
    fn set(&self, now: &Gauges) {
        for (gauge, value) in [
            (&self.parties, now.parties),
            (&self.peers, now.peers),
            (&self.relays, now.relays),
            (&self.tokens, now.tokens),
            (&self.websockets, now.websockets),
            (&self.store_pending, now.store_pending),
            (&self.queued_frames, now.queued_frames),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let evicted = |kind| self.evictions.with_label_values(&[kind]);
        for (counter, total) in [
            (&self.commits, now.commits),
            (&self.commit_failures, now.commit_failures),
            (&evicted("peer"), now.evicted_peers),
            (&evicted("party"), now.evicted_parties),
            (&evicted("relay"), now.evicted_relays),
        ] {
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        self.uptime.set(now.uptime.as_secs_f64());
    }
}

/// Creates series and registers them.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn asked(&self) -> Asked {
        Asked {
            parties: self.gauge("parties", "Parties."),
            peers: self.gauge("peers", "Members of all parties."),
            relays: self.gauge("relays", "Relays."),
            tokens: self.gauge("tokens", "Valid tokens."),
            websockets: self.gauge("websocket_connections", "WebSocket connections."),
            store_pending: self.gauge("store_pending", "Changes that wait for a commit."),
            queued_frames: self
                .gauge("websocket_queued_frames", "Frames that wait for slow WebSocket clients."),
            commits: self.counter("commits_total", "Commits of the store."),
            commit_failures: self
                .counter("commit_failures_total", "Commits of the store that failed."),
            evictions: self.counters(
                "evictions_total",
                "What was removed because it was silent.",
                &["kind"],
            ),
            uptime: self.registered(Gauge::with_opts(opts(
                "uptime_seconds",
                "Time since the server started.",
            ))),
        }
    }

    fn build_info(&self) {
        let opts = opts("build_info", "Always 1; the labels tell the build.");
        self.registered(IntGaugeVec::new(opts, &["version"]))
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
    }

    fn durations(&self) -> HistogramVec {
        let opts = opts("http_request_duration_seconds", "Time to answer an HTTP request.");
        let opts = HistogramOpts::from(opts).buckets(LATENCIES.to_vec());
        self.registered(HistogramVec::new(opts, &["route"]))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.registered(IntCounterVec::new(opts(name, help), labels))
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.registered(IntCounter::with_opts(opts(name, help)))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.registered(IntGauge::with_opts(opts(name, help)))
    }

    fn registered<C: Collector + Clone + 'static>(&self, series: prometheus::Result<C>) -> C {
        let series = series.expect("the names in this file are valid");
        self.0.register(Box::new(series.clone())).expect("the names in this file differ");
        series
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("lanrage")
}
