//! The connection to the control server: when to make it, how long to wait for it, when it is
//! gone. Pure: time and chance are arguments, and the transport is whoever does what [`Output`]
//! says and tells with [`Input`] what came of it.
//!
//! A connection is tried, up, or not there; a link without one waits for the next attempt, or for
//! somebody to tell it. What it then calls itself is in brackets:
//!
//! | | nobody asked (`local`) | waiting (`reconnecting`, `fallback`) | trying (`connecting`, `reconnecting`, `fallback`) | up (`online`) | refused (`auth_failed`) | stopped (`stopping`) |
//! |---|---|---|---|---|---|---|
//! | `Start` | connects: trying (`connecting`) | – | – | – | connects: trying (`connecting`) | – |
//! | `Retry` | – | connects: trying, under the same name | – | – | connects: trying (`connecting`) | – |
//! | `Opened` | – | – | the first: from now on `connect_timeout` of silence | – | – | – |
//! | `Welcomed` | – | – | up; the last error is forgotten | – | – | – |
//! | `Heard` | – | – | once opened, the silence begins anew | the silence begins anew | – | – |
//! | `Closed` | – | – | lost | lost | – | – |
//! | `Renewed` | – | – | lost | connects at once: trying (`reconnecting`); no attempt has failed | – | – |
//! | `Timer`, when due | – | connects: trying, under the same name | hangs up: lost | see below | – | – |
//! | `Settings` | taken | taken; an attempt that they would not put off so long comes sooner | taken; for this attempt, from `Opened` on | taken | taken | – |
//! | `Detach` | – | `local`, all forgotten | hangs up; `local`, all forgotten | hangs up; `local`, all forgotten | `local`, all forgotten | – |
//! | `Stop` | stopped | stopped | hangs up; stopped | hangs up; stopped | stopped | – |
//!
//! – means that the input is passed over, and so is what is about another connection than the
//! present one, and a `Timer` before [`Link::deadline`].
//!
//! | the timer of a connection that is up | then |
//! |---|---|
//! | nothing heard for 9 s | pings, once |
//! | nothing heard for 14 s | hangs up: lost |
//! | up for 30 s | no attempt has failed: the next loss is the first |
//!
//! | lost: one more attempt has failed | then |
//! |---|---|
//! | for good | refused (`auth_failed`) |
//! | displaced by another connection, or `max_attempts` of them or more | waiting (`fallback`) for `probe`, give or take a fifth, or for `retry_after` if that is longer |
//! | fewer | waiting (`reconnecting`) for `retry_after`, and at random up to a limit that doubles each time |
//!
//! An attempt has twice `connect_timeout` until its transport is up. From then on the server may be
//! silent for `connect_timeout` at a time: who has much to tell is welcome late. After two minutes,
//! or `connect_timeout` if that is longer, it is given up whatever it says. An attempt keeps the
//! name of the wait before it, so that probing does not look like coming back. After `auth_failed` nobody knows better than
//! at the start whether the server lets the daemon in: the attempt is called `connecting`.

mod backoff;
mod machine;
#[cfg(test)]
mod tests;

use std::time::Duration;

use lanrage_ipc::model::ConnectionState;

pub(crate) use machine::Link;

/// How often to try, and how long. Values below 10 ms count as 10 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The longest wait after the first attempt that failed; doubles with each.
    pub(crate) backoff_initial: Duration,
    /// The longest wait of all, but for those in fallback.
    pub(crate) backoff_max: Duration,
    /// After so many attempts that failed in a row it is fallback; 0 counts as 1.
    pub(crate) max_attempts: u32,
    /// The wait between two attempts in fallback.
    pub(crate) probe: Duration,
    /// The longest silence of the server until its welcome, once the transport is up; twice that
    /// before.
    pub(crate) connect_timeout: Duration,
}

/// The number of a connection, and of the attempt to make it. No two of a link are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// Why an attempt failed, or a connection went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loss {
    /// In words that a person understands, with what to do about it where there is something.
    pub(crate) words: String,
    /// How long the server wants not to be asked; an hour at most is granted.
    pub(crate) retry_after: Option<Duration>,
    /// Whether another attempt would end the same way, until somebody does something about it.
    pub(crate) is_final: bool,
    /// True when another connection of the same identity took over: each attempt displaces that.
    pub(crate) is_displaced: bool,
}

impl Loss {
    /// For a reason that may pass by itself.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), retry_after: None, is_final: false, is_displaced: false }
    }

    /// For another connection of the same identity that took over. `detail` is a sentence of the
    /// server's part in it.
    pub(crate) fn displaced(detail: &str) -> Self {
        let words = format!(
            "another connection with this daemon's identity took over: is its state directory in use twice? {detail}"
        );
        Self { is_displaced: true, ..Self::new(words) }
    }
}

/// What the link is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// There is a server to be connected to.
    Start,
    /// The transport is up, and the first word has been sent.
    Opened(LinkId),
    /// The server let the daemon in.
    Welcomed(LinkId),
    /// Anything came from the server.
    Heard(LinkId),
    /// The server is there, and fails in this way.
    Fault(LinkId, String),
    /// The attempt failed, or the connection is gone. Not to be hung up again.
    Closed(LinkId, Loss),
    /// This side closed the connection, in order to have another.
    Renewed(LinkId),
    /// [`Link::deadline`] has come. May be late, or come for nothing.
    Timer,
    /// Don't wait for the next attempt.
    Retry,
    /// The daemon stops: no connection ever again.
    Stop,
    /// There is no server any more, until the next `Start`.
    Detach,
    /// Other settings from now on.
    Settings(Settings),
}

impl Input {
    /// The connection that it is about.
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

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Make a connection. There is no other.
    Connect(LinkId),
    /// End the connection, or the attempt. Nothing that is told of it afterwards counts.
    Hangup(LinkId),
    /// Ask the server for a sign of life.
    Ping(LinkId),
    /// [`Link::status`] is another now. Comes last, and once.
    Changed,
}

/// How it is with the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkStatus {
    /// Its state.
    pub(crate) state: ConnectionState,
    /// When that began; zero for what was so from the first.
    pub(crate) since: Duration,
    /// How many attempts have failed in a row. A connection that was lost within 30 s is one.
    pub(crate) attempt: u32,
    /// When the next attempt comes, as long as one is waited for.
    pub(crate) retry_at: Option<Duration>,
    /// Why the last attempt failed or the connection went, until the server answers; or how the
    /// server fails while the connection is up.
    pub(crate) last_error: Option<String>,
}
