//! State machine of the connection to the control server: attempts, timeouts and backoff. Pure:
//! time and randomness are arguments. The transport executes each [`Output`] and reports each
//! result as an [`Input`].
//!
//! A connection is being attempted, up, or absent. A link without a connection waits for the next
//! attempt, or for an input. The state that it reports is in brackets:
//!
//! | | no server (`local`) | waiting (`reconnecting`, `fallback`) | trying (`connecting`, `reconnecting`, `fallback`) | up (`online`) | refused (`auth_failed`) | stopped (`stopping`) |
//! |---|---|---|---|---|---|---|
//! | `Start` | connects: trying (`connecting`) | – | – | – | connects: trying (`connecting`) | – |
//! | `Retry` | – | connects: trying, in the same state | – | – | connects: trying (`connecting`) | – |
//! | `Opened` | – | – | the first: from now on `connect_timeout` of silence | – | – | – |
//! | `Welcomed` | – | – | up; the last error is cleared | – | – | – |
//! | `Heard` | – | – | once opened, the silence restarts | the silence restarts | – | – |
//! | `Closed` | – | – | lost | lost | – | – |
//! | `Renewed` | – | – | lost | connects at once: trying (`reconnecting`); no attempt has failed | – | – |
//! | `Timer`, when due | – | connects: trying, in the same state | hangs up: lost | see below | – | – |
//! | `LinkSettings` | stored | stored; a wait longer than their longest one is shortened | stored; for this attempt, from `Opened` on | stored | stored | – |
//! | `Detach` | – | `local`, all reset | hangs up; `local`, all reset | hangs up; `local`, all reset | `local`, all reset | – |
//! | `Stop` | stopped | stopped | hangs up; stopped | hangs up; stopped | stopped | – |
//!
//! – means that the input is ignored. Also ignored are inputs about another connection than the
//! present one, and a `Timer` before [`LinkMachine::deadline`].
//!
//! | timer of a connection that is up | action |
//! |---|---|
//! | silence of 9 s | pings, once |
//! | silence of 14 s | hangs up: lost |
//! | up for 30 s | resets the failed attempts: the next loss is the first |
//!
//! | loss: one more failed attempt | next state |
//! |---|---|
//! | final | refused (`auth_failed`) |
//! | displaced by another connection, or at least `max_attempts` failed | waiting (`fallback`) for `probe` ± 20 %, or for `retry_after` if that is longer |
//! | fewer failed | waiting (`reconnecting`) for `retry_after` plus a random wait, whose upper bound doubles each time |
//!
//! An attempt has twice `connect_timeout` until its transport is up. From then on the server may be
//! silent for `connect_timeout` at a time: a long greeting may take longer in all. After two
//! minutes, or `connect_timeout` if that is longer, the attempt is given up in any case. An attempt
//! keeps the state of the wait before it, so that a probe does not look like a reconnect. After
//! `auth_failed` it is unknown again whether the server accepts the daemon, so the attempt is
//! `connecting`.

mod backoff;
mod machine;
#[cfg(test)]
mod tests;

use std::time::Duration;

use lanrage_ipc::model::ConnectionState;

pub(crate) use machine::LinkMachine;

/// Intervals and bounds of attempts. Values below 10 ms count as 10 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkSettings {
    /// Upper bound of the wait after the first failed attempt; doubles with each further one.
    pub(crate) backoff_initial: Duration,
    /// Upper bound of all waits outside of fallback.
    pub(crate) backoff_max: Duration,
    /// Failed attempts in a row until fallback; 0 counts as 1.
    pub(crate) max_attempts: u32,
    /// Wait between two attempts in fallback.
    pub(crate) probe: Duration,
    /// Upper bound of the server's silence until its welcome, once the transport is up; twice that
    /// before.
    pub(crate) connect_timeout: Duration,
}

/// Number of a connection and of its attempt, unique within a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// Reason of a failed attempt or a lost connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Reason in words for an operator, with a remedy where there is one.
    pub(crate) words: String,
    /// Wait that the server requests; at most an hour is granted.
    pub(crate) retry_after: Option<Duration>,
    /// True if further attempts would fail the same way until an operator acts.
    pub(crate) is_final: bool,
    /// True if another connection of the same identity took over: each attempt would displace that
    /// one.
    pub(crate) is_displaced: bool,
}

impl Loss {
    /// Returns a loss for a temporary reason.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), retry_after: None, is_final: false, is_displaced: false }
    }

    /// Returns a loss to another connection of the same identity. `detail` is a sentence about the
    /// server's part in it.
    pub(crate) fn displaced(detail: &str) -> Self {
        let words = format!(
            "another connection with this daemon's identity took over, or its peers were released on the server: is its state directory in use twice? {detail}"
        );
        Self { is_displaced: true, ..Self::new(words) }
    }
}

/// Input of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// A server is configured.
    Start,
    /// The transport is up, and the first frame has been sent.
    Opened(LinkId),
    /// The server accepted the daemon.
    Welcomed(LinkId),
    /// Anything was received from the server.
    Heard(LinkId),
    /// The server is reachable, and has this fault.
    Fault(LinkId, String),
    /// The attempt failed, or the connection is gone. Needs no hang-up.
    Closed(LinkId, Loss),
    /// This side closed the connection in order to open another one.
    Renewed(LinkId),
    /// [`LinkMachine::deadline`] has passed. May be late, or spurious.
    Timer,
    /// Ends the wait for the next attempt.
    Retry,
    /// The daemon stops: no further connection.
    Stop,
    /// No server is configured until the next `Start`.
    Detach,
    /// Changes the settings.
    Settings(LinkSettings),
}

impl Input {
    /// Returns the connection of the input.
    fn about(&self) -> Option<LinkId> {
        match self {
            Self::Opened(id)
            | Self::Welcomed(id)
            | Self::Heard(id)
            | Self::Fault(id, _)
            | Self::Closed(id, _)
            | Self::Renewed(id) => Some(*id),
            _ => None,
        }
    }
}

/// Action for the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Open a connection. No other one is open.
    Connect(LinkId),
    /// End the connection or attempt. Later inputs about it are ignored.
    Hangup(LinkId),
    /// Ping the server.
    Ping(LinkId),
    /// [`LinkMachine::status`] has changed. Comes last, and at most once.
    Changed,
}

/// Status of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkStatus {
    /// Its state.
    pub(crate) state: ConnectionState,
    /// Time at which the state began; zero for the initial one.
    pub(crate) since: Duration,
    /// Failed attempts in a row. A connection that is lost within 30 s counts as one.
    pub(crate) attempt: u32,
    /// Time of the next attempt, during a wait.
    pub(crate) retry_at: Option<Duration>,
    /// Reason of the last failure or loss, until the server answers. While the connection is up: a
    /// fault of the server.
    pub(crate) last_error: Option<String>,
}
