//! Requests to the control server in flight: rate, repetition and answers.
//!
//! A request is sent again under its key if its answer is late, or if the server defers it. The
//! server executes it once.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::ClientFrame;

use super::message::Acked;
use super::pace::{Lane, Pace};
use crate::core::{RequestKey, RetryAfter};

/// Upper bound of the attempts for a request that the server defers.
const MOST_ATTEMPTS: u32 = 5;

/// Upper bound of a background request's wait while the server answers others, in multiples of
/// `patience`.
const MOST_PATIENCES: u32 = 10;

/// Upper bound of the wait that a client's error message states.
const LONGEST_STATED_WAIT: Duration = Duration::from_secs(3600);

/// Pause before a deferred request, where the server states none.
const DEFAULT_PAUSE: Duration = Duration::from_millis(500);

/// Refusal of a request by the server.
#[derive(Debug, Clone)]
pub(crate) struct Rejection {
    /// Reason.
    pub(crate) code: ErrorCode,
    /// Reason in words, safe to show.
    pub(crate) message: String,
    /// Wait before a repetition.
    pub(crate) retry_after: Option<Duration>,
}

/// Reason why a request failed, or why its result is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The server refused it.
    Refused {
        /// Reason.
        code: ErrorCode,
        /// Reason in words, safe to show.
        message: String,
    },
    /// The connection is gone, or the answer did not come in time. The server may have executed it.
    Lost,
}

/// A request without an answer in time.
#[derive(Debug)]
pub(super) struct Expired<P> {
    pub(super) purpose: P,
    /// True if the server has answered no other request meanwhile.
    pub(super) is_silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for a place in the window.
    Outside,
    /// Waits for the rate limit.
    Queued,
    /// Waits for its answer.
    Sent,
    /// Waits for its repetition, since the server deferred it.
    Paused,
}

#[derive(Debug)]
struct Request<P> {
    frame: ClientFrame,
    lane: Lane,
    purpose: P,
    state: State,
    /// True while its answer may arrive.
    is_awaited: bool,
    begun: Duration,
    attempt: u32,
    /// End of the wait for its answer, even if the server answers other requests.
    latest: Duration,
    /// True once its answer is read. Earlier messages are processed first.
    is_read: bool,
    /// Entry in [`Requests::deadlines`].
    deadline: Option<Duration>,
}

/// Requests in flight, each with its purpose.
#[derive(Debug)]
pub(super) struct Requests<P> {
    /// Upper bound of the server's silence while a request waits for its answer.
    patience: Duration,
    pace: Pace,
    requests: HashMap<RequestKey, Request<P>>,
    /// Background requests that wait for a place in the window.
    outside: VecDeque<RequestKey>,
    /// Requests that wait for the rate limit, by lane.
    asked: VecDeque<RequestKey>,
    background: VecDeque<RequestKey>,
    deadlines: BTreeSet<(Duration, RequestKey)>,
    /// Earliest time at which the rate limit permits another request.
    resumes_at: Option<Duration>,
    /// Time of the last answer to any request.
    answered_at: Duration,
}

impl<P> Requests<P> {
    /// Derives `patience`: a request, its repetition and the follow-up fit into `request_timeout`.
    pub(super) fn new(request_timeout: Duration, now: Duration) -> Self {
        let (requests, outside, asked, background, deadlines) = Default::default();
        Self {
            patience: request_timeout * 2 / 5,
            pace: Pace::new(),
            requests,
            outside,
            asked,
            background,
            deadlines,
            resumes_at: None,
            answered_at: now,
        }
    }

    /// Upper bound of the server's silence while a request waits for its answer.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Queues a request. A second request under a key in flight is not sent.
    pub(super) fn start(
        &mut self,
        key: RequestKey,
        frame: ClientFrame,
        lane: Lane,
        purpose: P,
        now: Duration,
    ) {
        if self.requests.contains_key(&key) {
            log::error!("a request is in flight already: key={}", key.0);
            return;
        }
        let latest = now + self.patience * 2;
        let state = match lane {
            Lane::Asked => State::Queued,
            Lane::Background => State::Outside,
        };
        let request = Request {
            frame,
            lane,
            purpose,
            state,
            is_awaited: false,
            begun: now,
            attempt: 1,
            latest,
            is_read: false,
            deadline: None,
        };
        self.requests.insert(key.clone(), request);
        match lane {
            Lane::Asked => self.asked.push_back(key),
            Lane::Background => self.outside.push_back(key),
        }
    }

    /// Returns the next request that may be sent now.
    pub(super) fn poll_send(&mut self, now: Duration) -> Option<(RequestKey, ClientFrame)> {
        while !self.outside.is_empty() && self.pace.enter_window() {
            if let Some(key) = self.outside.pop_front() {
                self.queue(&key);
            }
        }
        self.resumes_at = None;
        let key = match self.take_turn(Lane::Asked, now) {
            Some(key) => key,
            None => self.take_turn(Lane::Background, now)?,
        };
        let patience = self.patience;
        let request = self.requests.get_mut(&key)?;
        (request.state, request.is_awaited) = (State::Sent, true);
        if request.lane == Lane::Background {
            request.latest = now + patience * MOST_PATIENCES;
        }
        let (frame, until) = (request.frame.clone(), request.latest.min(now + patience));
        self.set_deadline(&key, until);
        Some((key, frame))
    }

    fn take_turn(&mut self, lane: Lane, now: Duration) -> Option<RequestKey> {
        let queue = match lane {
            Lane::Asked => &mut self.asked,
            Lane::Background => &mut self.background,
        };
        // Skips requests that were answered, or failed, while they waited.
        while queue.front().is_some_and(|key| !self.requests.contains_key(key)) {
            queue.pop_front();
        }
        queue.front()?;
        match self.pace.take(lane, now) {
            Ok(()) => queue.pop_front(),
            Err(RetryAfter(wait)) => {
                let at = now + wait;
                self.resumes_at = Some(self.resumes_at.map_or(at, |resumes| resumes.min(at)));
                None
            }
        }
    }

    fn set_deadline(&mut self, key: &RequestKey, at: Duration) {
        if let Some(request) = self.requests.get_mut(key) {
            if let Some(before) = request.deadline.replace(at) {
                self.deadlines.remove(&(before, key.clone()));
            }
            self.deadlines.insert((at, key.clone()));
        }
    }

    fn remove(&mut self, key: &str) -> Option<(RequestKey, Request<P>)> {
        let (key, request) = self.requests.remove_entry(key)?;
        if let Some(deadline) = request.deadline {
            self.deadlines.remove(&(deadline, key.clone()));
        }
        match (request.lane, request.state) {
            (Lane::Background, State::Outside) => self.outside.retain(|one| *one != key),
            (Lane::Background, _) => self.pace.leave_window(),
            (Lane::Asked, _) => {}
        }
        Some((key, request))
    }

    /// Notes that the answer to a request is read, and waits in the inbox.
    pub(super) fn answer_read(&mut self, key: &str, now: Duration) {
        if let Some(request) = self.requests.get_mut(key).filter(|one| one.is_awaited) {
            request.is_read = true;
            self.answered_at = now;
        }
    }

    /// Handles an answer. Returns the purpose of the request once it is over. `None` if it will be
    /// sent again, and for an answer to no request.
    pub(super) fn answered(
        &mut self,
        key: &str,
        answer: Result<Acked, Rejection>,
        now: Duration,
    ) -> Option<(P, Result<Acked, RequestError>)> {
        let patience = self.patience;
        let Some(request) = self.requests.get_mut(key).filter(|one| one.is_awaited) else {
            log::debug!("an answer to no request in flight: key={key}");
            return None;
        };
        request.is_read = false;
        if let Err(rejection) = &answer
            && let Some(pause) = rejection.pause()
            && request.may_wait(pause, patience, now)
        {
            (request.state, request.is_awaited) = (State::Paused, false);
            request.attempt += 1;
            let (key, _) = self.requests.get_key_value(key)?;
            self.set_deadline(&key.clone(), now + pause);
            return None;
        }
        let (_, request) = self.remove(key)?;
        let result = answer.map_err(|rejection| {
            let message = rejection.client_message();
            RequestError::Refused { code: rejection.code, message }
        });
        Some((request.purpose, result))
    }

    /// Repeats the requests that are due. Returns one that failed.
    pub(super) fn expire(&mut self, now: Duration) -> Option<Expired<P>> {
        while let Some((at, key)) = self.deadlines.first().cloned() {
            if at > now {
                return None;
            }
            self.deadlines.pop_first();
            let request = self.requests.get_mut(&key)?;
            request.deadline = None;
            if request.state == State::Paused {
                self.queue(&key);
                continue;
            }
            if request.is_read {
                // This machine is still processing earlier messages.
                continue;
            }
            let until = (self.answered_at + self.patience).min(request.latest);
            if until > now {
                self.set_deadline(&key, until);
                continue;
            }
            if request.attempt == 1 && (now < request.latest || request.lane == Lane::Background) {
                request.attempt += 1;
                self.queue(&key);
                continue;
            }
            let (_, request) = self.remove(&key.0)?;
            let is_silent =
                request.lane == Lane::Background || self.answered_at + self.patience <= now;
            return Some(Expired { purpose: request.purpose, is_silent });
        }
        None
    }

    fn queue(&mut self, key: &RequestKey) {
        let Some(request) = self.requests.get_mut(key) else { return };
        request.state = State::Queued;
        match request.lane {
            Lane::Asked => self.asked.push_back(key.clone()),
            // It has a place in the window.
            Lane::Background => self.background.push_back(key.clone()),
        }
    }

    /// Earliest time at which [`Requests::expire`] or [`Requests::poll_send`] is due.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        deadline.into_iter().chain(self.resumes_at).min()
    }

    /// Removes the requests that are not sent yet, except leaves. Returns their purposes.
    pub(super) fn remove_unsent(&mut self) -> Vec<P> {
        let unsent = self.requests.iter().filter(|(_, request)| {
            !request.is_awaited && !matches!(request.frame, ClientFrame::LeaveParty { .. })
        });
        let unsent: Vec<_> = unsent.map(|(key, _)| key.clone()).collect();
        let removed = unsent.iter().filter_map(|key| self.remove(&key.0));
        removed.map(|(_, request)| request.purpose).collect()
    }

    /// Ends all requests. Returns their purposes.
    pub(super) fn end(&mut self) -> Vec<P> {
        (self.outside, self.asked, self.background) = Default::default();
        (self.deadlines, self.resumes_at) = Default::default();
        self.requests.drain().map(|(_, request)| request.purpose).collect()
    }
}

impl<P> Request<P> {
    /// True if the request may be repeated after a pause.
    fn may_wait(&self, pause: Duration, patience: Duration, now: Duration) -> bool {
        // A server to which all clients return at once defers each greeting to its turn: that is
        // worth the whole time.
        let is_greeting = matches!(self.frame, ClientFrame::Hello { .. });
        let longest = if is_greeting { patience * 2 } else { patience };
        // A client's request needs time for another answer after the pause.
        let spent = match self.lane {
            Lane::Asked => now.saturating_sub(self.begun),
            Lane::Background => Duration::ZERO,
        };
        self.attempt < MOST_ATTEMPTS && spent.saturating_add(pause) < longest
    }
}

impl Rejection {
    /// Returns the server's message, with the wait that it requests.
    fn client_message(&self) -> String {
        match self.retry_after.filter(|_| self.code == ErrorCode::RateLimited) {
            Some(wait) => {
                let seconds = RetryAfter(wait.min(LONGEST_STATED_WAIT)).seconds();
                format!("{}; try again in {seconds} s", self.message)
            }
            None => self.message.clone(),
        }
    }

    /// Returns the pause after which the request may succeed.
    fn pause(&self) -> Option<Duration> {
        may_pass(self.code).then(|| self.retry_after.unwrap_or(DEFAULT_PAUSE))
    }
}

/// True for a refusal that is not about the request itself: its intent stays for a later attempt.
pub(super) fn is_no_verdict(code: ErrorCode) -> bool {
    may_pass(code) || matches!(code, ErrorCode::Internal | ErrorCode::Offline)
}

/// True for a refusal for a temporary reason.
fn may_pass(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::RateLimited
            | ErrorCode::StoreUnavailable
            | ErrorCode::Timeout
            | ErrorCode::ShuttingDown
            | ErrorCode::TooManyInFlight
    )
}
