//! The state machine of the link.

use std::time::Duration;

use lanrage_ipc::model::ConnectionState;

use super::{Input, LinkId, LinkSettings, LinkStatus, Loss, Output};

/// Silence after which the server is pinged.
const PING_AFTER: Duration = Duration::from_secs(9);
/// Silence after which the connection counts as lost: a half-open connection is found within 15 s.
const SILENCE_LIMIT: Duration = Duration::from_secs(14);
/// Time online after which the failed attempts are forgotten. A server that accepts and drops
/// connections is thus not asked ever faster.
const SETTLED_AFTER: Duration = Duration::from_secs(30);
/// Upper bound of the time until the welcome, however much the server sends. `connect_timeout`
/// counts if it is longer.
const GREETING_LIMIT: Duration = Duration::from_secs(120);
/// Upper bound of the server's `retry_after`.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(3600);

/// Intended state of the connection to the control server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkMachine {
    settings: LinkSettings,
    phase: Phase,
    since: Duration,
    attempt: u32,
    last_error: Option<String>,
    last_id: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Local,
    /// The wait ends at `until`, and never before `not_before`, whatever the settings.
    Waiting {
        pace: Pace,
        until: Duration,
        not_before: Duration,
    },
    /// `pace` is that of the wait before. `limit` counts from `heard`: the last sign of life, or
    /// before that the time at which the attempt opened or began.
    Trying {
        id: LinkId,
        pace: Option<Pace>,
        opened: Option<Duration>,
        heard: Duration,
        limit: Duration,
    },
    /// Online since [`LinkMachine::since`].
    Up {
        id: LinkId,
        heard: Duration,
        pinged: bool,
    },
    Refused,
    Stopping,
}

/// Rule for the wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Backoff,
    Probe,
}

/// Source of numbers uniform in [0, 1).
type Jitter<'a> = &'a mut dyn FnMut() -> f64;

impl LinkMachine {
    /// Returns a link without a server: `local`.
    pub(crate) fn new(settings: LinkSettings) -> Self {
        Self {
            settings,
            phase: Phase::Local,
            since: Duration::ZERO,
            attempt: 0,
            last_error: None,
            last_id: 0,
        }
    }

    /// Handles an input. Returns the actions, in this order. `now` counts from any instant,
    /// includes the machine's sleep, and never goes back; `jitter` is uniform in [0, 1).
    pub(crate) fn handle(
        &mut self,
        input: Input,
        now: Duration,
        jitter: Jitter<'_>,
    ) -> Vec<Output> {
        let before = self.status();
        let mut outputs: Vec<Output> = self.step(input, now, jitter).into_iter().collect();
        if self.status() != before {
            outputs.push(Output::Changed);
        }
        outputs
    }

    /// Time at which [`Input::Timer`] is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Local | Phase::Refused | Phase::Stopping => None,
            Phase::Waiting { until, .. } => Some(until),
            Phase::Trying { opened, heard, limit, .. } => {
                let silent_at = heard.saturating_add(limit);
                Some(opened.map_or(silent_at, |at| silent_at.min(greeted_by(at, limit))))
            }
            Phase::Up { heard, pinged, .. } => {
                let limit = if pinged { SILENCE_LIMIT } else { PING_AFTER };
                let silent_at = heard.saturating_add(limit);
                let settles = self.attempt > 0;
                Some(if settles { silent_at.min(self.settled_at()) } else { silent_at })
            }
        }
    }

    /// Returns the status.
    pub(crate) fn status(&self) -> LinkStatus {
        let retry_at = match self.phase {
            Phase::Waiting { until, .. } => Some(until),
            _ => None,
        };
        LinkStatus {
            state: self.state(),
            since: self.since,
            attempt: self.attempt,
            retry_at,
            last_error: self.last_error.clone(),
        }
    }

    /// True while the server answers.
    pub(crate) fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Up { .. })
    }

    /// Returns the connection that is up or being attempted.
    pub(crate) fn link(&self) -> Option<LinkId> {
        match self.phase {
            Phase::Trying { id, .. } | Phase::Up { id, .. } => Some(id),
            _ => None,
        }
    }

    fn state(&self) -> ConnectionState {
        match self.phase {
            Phase::Local => ConnectionState::Local,
            Phase::Trying { pace: None, .. } => ConnectionState::Connecting,
            Phase::Waiting { pace: Pace::Backoff, .. }
            | Phase::Trying { pace: Some(Pace::Backoff), .. } => ConnectionState::Reconnecting,
            Phase::Waiting { pace: Pace::Probe, .. }
            | Phase::Trying { pace: Some(Pace::Probe), .. } => ConnectionState::Fallback,
            Phase::Up { .. } => ConnectionState::Online,
            Phase::Refused => ConnectionState::AuthFailed,
            Phase::Stopping => ConnectionState::Stopping,
        }
    }

    /// Implements the table of the module. No input causes more than one action.
    fn step(&mut self, input: Input, now: Duration, jitter: Jitter<'_>) -> Option<Output> {
        if input.about().is_some_and(|id| self.link() != Some(id)) {
            return None;
        }
        match (input, self.phase) {
            (_, Phase::Stopping) => None,
            (Input::Start, Phase::Local | Phase::Refused) | (Input::Retry, Phase::Refused) => {
                Some(self.connect(None, now))
            }
            (Input::Retry, Phase::Waiting { pace, .. }) => Some(self.connect(Some(pace), now)),
            (Input::Opened(_), Phase::Trying { id, pace, opened: None, .. }) => {
                let limit = self.settings.connect_timeout();
                self.phase = Phase::Trying { id, pace, opened: Some(now), heard: now, limit };
                None
            }
            (Input::Heard(_), Phase::Trying { id, pace, opened: Some(at), limit, .. }) => {
                self.phase = Phase::Trying { id, pace, opened: Some(at), heard: now, limit };
                None
            }
            (Input::Welcomed(id), Phase::Trying { .. }) => {
                self.last_error = None;
                self.enter(Phase::Up { id, heard: now, pinged: false }, now);
                None
            }
            (Input::Heard(id), Phase::Up { .. }) => {
                self.phase = Phase::Up { id, heard: now, pinged: false };
                None
            }
            (Input::Fault(_, words), Phase::Up { .. }) => {
                self.last_error = Some(words);
                None
            }
            (Input::Closed(_, lost), _) => {
                self.lose(lost, now, jitter);
                None
            }
            (Input::Renewed(_), Phase::Up { .. }) => {
                self.settle(now);
                Some(self.connect(Some(Pace::Backoff), now))
            }
            (Input::Renewed(_), _) => {
                self.lose(Loss::new("another connection is wanted"), now, jitter);
                None
            }
            (Input::Timer, _) => self.timer(now, jitter),
            (Input::Settings(settings), _) => {
                self.settings = settings;
                self.hasten(now);
                None
            }
            (Input::Detach, _) => {
                (self.attempt, self.last_error) = (0, None);
                self.hang_up(Phase::Local, now)
            }
            (Input::Stop, _) => self.hang_up(Phase::Stopping, now),
            (Input::Start | Input::Retry, _)
            | (Input::Opened(_) | Input::Welcomed(_) | Input::Heard(_) | Input::Fault(..), _) => {
                None
            }
        }
    }

    fn timer(&mut self, now: Duration, jitter: Jitter<'_>) -> Option<Output> {
        match self.phase {
            Phase::Waiting { pace, until, .. } if now >= until => {
                Some(self.connect(Some(pace), now))
            }
            Phase::Trying { id, opened, heard, limit, .. }
                if self.deadline().is_some_and(|deadline| now >= deadline) =>
            {
                let words = match opened {
                    Some(at) if now < heard.saturating_add(limit) => {
                        format!("no welcome within {}", Words(greeted_by(at, limit) - at))
                    }
                    _ => format!("no answer within {}", Words(limit)),
                };
                self.lose(Loss::new(words), now, jitter);
                Some(Output::Hangup(id))
            }
            Phase::Up { id, heard, pinged } => {
                let silence = now.saturating_sub(heard);
                if silence >= SILENCE_LIMIT {
                    let words =
                        format!("the server has not been heard for {}", Words(SILENCE_LIMIT));
                    self.lose(Loss::new(words), now, jitter);
                    return Some(Output::Hangup(id));
                }
                self.settle(now);
                if silence < PING_AFTER || pinged {
                    return None;
                }
                self.phase = Phase::Up { id, heard, pinged: true };
                Some(Output::Ping(id))
            }
            _ => None,
        }
    }

    fn connect(&mut self, pace: Option<Pace>, now: Duration) -> Output {
        self.last_id += 1;
        let id = LinkId(self.last_id);
        let limit = self.settings.connect_timeout().saturating_mul(2);
        self.enter(Phase::Trying { id, pace, opened: None, heard: now, limit }, now);
        Output::Connect(id)
    }

    /// Handles the loss of the connection or attempt.
    fn lose(&mut self, lost: Loss, now: Duration, jitter: Jitter<'_>) {
        self.settle(now);
        self.attempt = self.attempt.saturating_add(1);
        self.last_error = Some(lost.words);
        if lost.is_final {
            return self.enter(Phase::Refused, now);
        }
        let asked = lost.retry_after.unwrap_or_default().min(RETRY_AFTER_LIMIT);
        let (pace, wait) = if lost.is_displaced || self.attempt >= self.settings.max_attempts {
            (Pace::Probe, self.settings.probe_wait(jitter()).max(asked))
        } else {
            let wait = self.settings.backoff_wait(self.attempt, jitter());
            (Pace::Backoff, asked.saturating_add(wait))
        };
        let (until, not_before) = (now.saturating_add(wait), now.saturating_add(asked));
        self.enter(Phase::Waiting { pace, until, not_before }, now);
    }

    /// Resets the failed attempts once the connection has been up for long enough. Silence beyond
    /// its limit does not count as up: the machine may have slept.
    fn settle(&mut self, now: Duration) {
        if let Phase::Up { heard, .. } = self.phase
            && now.min(heard.saturating_add(SILENCE_LIMIT)) >= self.settled_at()
        {
            self.attempt = 0;
        }
    }

    /// Time at which an open connection has been up for long enough.
    fn settled_at(&self) -> Duration {
        self.since.saturating_add(SETTLED_AFTER)
    }

    /// Shortens the wait to the longest one of the new settings.
    fn hasten(&mut self, now: Duration) {
        if let Phase::Waiting { pace, until, not_before } = self.phase {
            let latest = match pace {
                Pace::Backoff => {
                    now.max(not_before).saturating_add(self.settings.longest_backoff(self.attempt))
                }
                Pace::Probe => now.saturating_add(self.settings.longest_probe()).max(not_before),
            };
            self.phase = Phase::Waiting { pace, until: until.min(latest), not_before };
        }
    }

    fn hang_up(&mut self, phase: Phase, now: Duration) -> Option<Output> {
        let hangup = self.link().map(Output::Hangup);
        self.enter(phase, now);
        hangup
    }

    fn enter(&mut self, phase: Phase, now: Duration) {
        let before = self.state();
        self.phase = phase;
        if self.state() != before {
            self.since = now;
        }
    }
}

/// Time at which a connection is given up that has no welcome, however much it receives.
fn greeted_by(opened: Duration, silence_limit: Duration) -> Duration {
    opened.saturating_add(GREETING_LIMIT.max(silence_limit))
}

/// A duration in words.
struct Words(Duration);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{} s", self.0.as_secs()),
            _ => write!(f, "{} ms", self.0.as_millis()),
        }
    }
}

#[cfg(test)]
impl LinkMachine {
    /// Sets the number of failed attempts.
    pub(super) fn set_attempt(&mut self, attempt: u32) {
        self.attempt = attempt;
    }
}
