//! Session of one connection.

mod sending;

use std::io;
use std::pin::pin;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use lanrage_ipc::codec::{LineDecoder, LineError};
use lanrage_ipc::envelope::notification_line;
use lanrage_ipc::event::GoawayParams;
use lanrage_ipc::results::Role;
use lanrage_ipc::{ErrorCode, RpcError};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::connection_limiter::ConnectionPermit;
use super::outgoing::Outgoing;
use super::requests::Requests;
use super::subscriptions::Subscriptions;
use super::translate::Translator;
use crate::config::Limits;
use crate::control_plane::Query;
use crate::core::command;
use crate::os;

/// Bound of unwritten bytes below which events are taken from their queue. Beyond it they stay in
/// the queue, which is bounded and handles overflow.
const EVENTS_BELOW: usize = 64 * 1024;
/// Bytes up to which replies are gathered while further lines are unread.
const GATHERED: usize = 16 * 1024;
/// Time in which a refused client may still send before its connection is cut, so that it can read
/// the reason.
const LINGER: Duration = Duration::from_secs(1);
/// Delay of a client's reconnect after a goodbye, in milliseconds.
const RECONNECT_AFTER_MS: u64 = 1000;
/// Time limit of the requests in flight at a goodbye.
const FAREWELL: Duration = Duration::from_secs(3);

/// Session that serves a connection until it ends.
pub(super) struct IpcSession {
    translator: Translator,
    decoder: LineDecoder,
    /// True while the decoder may hold another whole line.
    unread: bool,
    partial_since: Option<Instant>,
    requests: Requests,
    subscriptions: Subscriptions,
    outgoing: Outgoing,
    /// Time at which the client last read something, or had nothing to read.
    taken: Instant,
    phase: Phase,
    permit: ConnectionPermit,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Reads and answers.
    Open,
    /// Reads no more; requests in flight are answered until then.
    Closing { until: Instant },
    /// Drops the client's input, after it broke a rule, until it has read the reason.
    Refused { until: Instant },
}

impl IpcSession {
    pub(super) fn new(translator: Translator, permit: ConnectionPermit) -> Self {
        let limits = &translator.settings.limits;
        Self {
            decoder: LineDecoder::new(limits.frame_in),
            unread: false,
            partial_since: None,
            requests: Requests::new(translator.clone()),
            subscriptions: Subscriptions::new(translator.caller.connection, limits),
            outgoing: Outgoing::default(),
            taken: Instant::now(),
            phase: Phase::Open,
            translator,
            permit,
        }
    }

    /// Serves the connection, then releases its members and subscriptions.
    pub(super) async fn run(mut self, stream: Stream, stopping: watch::Receiver<Option<String>>) {
        let connection = self.translator.caller.connection;
        log::debug!("{connection:?}: opened, as {:?}", self.translator.role);
        let is_stopping = || stopping.borrow().is_some();
        match self.serve(&stream, stopping.clone()).await {
            Ok(()) => log::debug!("{connection:?}: closed"),
            Err(error) => log::debug!("{connection:?}: closed: {error}"),
        }
        os::close(stream);
        // When the daemon stops, the members of this connection stay connected to the end.
        if is_stopping() {
            return;
        }
        self.requests.abandon();
        for key in self.requests.subscribing().chain(self.subscriptions.end_all()) {
            self.translator.ask(|reply| Query::Unsubscribe(key, reply)).await.ok();
        }
        // The members stay alive until the control plane knows that the connection is gone.
        while let Err(error) = self.translator.ask(command!(Disconnect)).await {
            log::warn!("{connection:?}: peers not released yet: {error}");
            if error.data.code != ErrorCode::Timeout {
                break;
            }
        }
    }

    async fn serve(
        &mut self,
        stream: &Stream,
        mut stopping: watch::Receiver<Option<String>>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 8 * 1024];
        let (mut reader, mut writer) = (stream, stream);
        let queue = self.subscriptions.queue.clone();
        while !self.is_over() {
            self.translator.account.set_outgoing(self.outgoing.owned());
            if let Some((resume, key, interest)) = self.subscriptions.next_resumed() {
                self.requests.resume(resume, key, interest);
            }
            if self.unread && self.may_take_more() {
                self.take_line();
                // Other tasks run between two lines of one client, and ready answers are sent
                // before the next line.
                tokio::task::yield_now().await;
                // Nothing else may happen after the last line.
                if self.is_over() {
                    break;
                }
            }
            let busy = self.unread && self.may_take_more();
            let is_starved = !self.translator.account.has_room(0);
            let account = self.translator.account.clone();
            let deadline = self.deadline();
            let timer = pin!(tokio::time::sleep_until(deadline.unwrap_or(self.taken)));
            tokio::select! {
                biased;
                reason = stop_reason(&mut stopping), if self.phase == Phase::Open => {
                    self.send_goaway(reason)?;
                }
                answered = self.requests.next(), if !self.requests.is_empty() => {
                    answered.into_iter().for_each(|answered| self.answered(answered));
                }
                wrote = self.outgoing.write_some(&mut writer), if self.may_write(busy) => {
                    wrote?;
                    self.taken = Instant::now();
                }
                () = self.permit.evicted(), if self.phase == Phase::Open => self.evicted(),
                () = self.permit.cut_off() => return Err(io::Error::other("evicted")),
                delivery = queue.next(), if self.may_deliver() => self.deliver(delivery, &queue)?,
                read = reader.read(&mut buffer), if self.may_read() => self.read(&buffer[..read?]),
                () = account.freed(), if is_starved => {}
                () = timer, if deadline.is_some() => self.timed_out()?,
                () = std::future::ready(()), if busy => {}
            }
        }
        Ok(())
    }

    fn limits(&self) -> &Limits {
        &self.translator.settings.limits
    }

    /// True if nothing is left to do.
    fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Closing { until } => {
                let idle = self.requests.is_empty() && self.outgoing.is_empty() && !self.unread;
                idle || Instant::now() >= until
            }
            Phase::Refused { until } => Instant::now() >= until,
        }
    }

    /// True while there is room for replies. A client that does not read is not read from.
    fn may_take_more(&self) -> bool {
        self.outgoing.len() < self.limits().frame_out && self.translator.account.has_room(0)
    }

    fn may_read(&self) -> bool {
        match self.phase {
            Phase::Open => !self.unread && self.may_take_more(),
            Phase::Closing { .. } => false,
            Phase::Refused { .. } => true,
        }
    }

    fn may_write(&self, busy: bool) -> bool {
        !self.outgoing.is_empty() && (!busy || self.outgoing.len() >= GATHERED)
    }

    /// True while events may be sent: they follow the reply that names their subscription.
    fn may_deliver(&self) -> bool {
        !self.subscriptions.is_empty()
            && !self.requests.is_subscribing()
            && self.outgoing.len() < EVENTS_BELOW
            && self.translator.account.has_room(0)
            && self.phase == Phase::Open
    }

    /// Returns the earliest deadline.
    fn deadline(&self) -> Option<Instant> {
        let limits = self.limits();
        let stalled = (!self.outgoing.is_empty()).then(|| self.taken + limits.write_stall);
        let over = match self.phase {
            Phase::Open => None,
            Phase::Closing { until } | Phase::Refused { until } => Some(until),
        };
        [stalled, self.line_due(), self.idle_until(), over].into_iter().flatten().min()
    }

    /// Returns the time at which an observer without requests is disconnected.
    fn idle_until(&self) -> Option<Instant> {
        let is_idle = self.translator.role == Role::Observer
            && self.phase == Phase::Open
            && self.requests.is_empty();
        is_idle.then(|| self.permit.last_request() + self.limits().observer_idle)
    }

    /// Returns the deadline of a begun line; `None` while nothing is read, since it can't end then.
    fn line_due(&self) -> Option<Instant> {
        let since = self.partial_since.filter(|_| self.may_read())?;
        Some(since + self.limits().partial_frame)
    }

    fn timed_out(&mut self) -> io::Result<()> {
        let (now, limits) = (Instant::now(), self.limits());
        if !self.outgoing.is_empty() && now >= self.taken + limits.write_stall {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"));
        }
        if self.line_due().is_some_and(|due| now >= due) {
            let message = format!("the line did not end within {:?}", limits.partial_frame);
            self.refuse(RpcError::new(ErrorCode::Timeout, message).hint("end each line with \\n"));
        } else if self.idle_until().is_some_and(|until| now >= until) {
            let message = format!("no request came for {:?}", limits.observer_idle);
            self.refuse(
                RpcError::new(ErrorCode::Timeout, message).hint("connect for each request"),
            );
        }
        Ok(())
    }

    fn evicted(&mut self) {
        let message = "another observer needs the connection, which was idle longest";
        let hint = "connect again, or have limits.observers raised";
        self.refuse(RpcError::new(ErrorCode::RateLimited, message).hint(hint));
    }

    fn read(&mut self, bytes: &[u8]) {
        match (self.phase, bytes.is_empty()) {
            (Phase::Open, false) => {
                self.decoder.push(bytes);
                self.unread = true;
            }
            (Phase::Open, true) => {
                // The client sends no more, but gets its answers, also to an unterminated last
                // line.
                self.decoder.finish();
                self.unread = true;
                let until = Instant::now() + self.limits().request_timeout;
                self.close(Phase::Closing { until });
            }
            // The client gets the queued output, and the reason of its refusal.
            (Phase::Refused { until }, true) => self.phase = Phase::Closing { until },
            (Phase::Refused { .. } | Phase::Closing { .. }, _) => {}
        }
    }

    fn take_line(&mut self) {
        match self.decoder.next_line() {
            None => {
                self.unread = false;
                let begun = self.phase == Phase::Open && self.decoder.is_partial();
                let since = self.partial_since.unwrap_or_else(Instant::now);
                self.partial_since = begun.then_some(since);
            }
            Some(Ok(line)) => {
                self.partial_since = None;
                self.permit.refresh();
                if let Some(answered) = self.requests.take(line, &mut self.subscriptions) {
                    self.answered(answered);
                }
            }
            Some(Err(error @ LineError::NotUtf8)) => {
                self.partial_since = None;
                self.send_unaddressed_error(RpcError::new(
                    ErrorCode::ParseError,
                    error.to_string(),
                ));
            }
            Some(Err(error @ LineError::TooLong { .. })) => {
                self.refuse(RpcError::new(ErrorCode::FrameTooLarge, error.to_string()));
            }
        }
    }

    /// Sends an error, and begins to close.
    fn refuse(&mut self, error: RpcError) {
        log::debug!("{:?}: refused: {error}", self.translator.caller.connection);
        self.send_unaddressed_error(error);
        self.unread = false;
        self.close(Phase::Refused { until: Instant::now() + LINGER });
    }

    fn send_goaway(&mut self, reason: String) -> io::Result<()> {
        let params = GoawayParams { reason, reconnect_after_ms: RECONNECT_AFTER_MS };
        self.send(notification_line("goaway", &params)?);
        self.unread = false;
        self.close(Phase::Closing { until: Instant::now() + FAREWELL });
        Ok(())
    }

    fn close(&mut self, phase: Phase) {
        self.partial_since = None;
        self.phase = phase;
    }
}

/// Waits until the daemon stops, and returns the reason.
async fn stop_reason(stopping: &mut watch::Receiver<Option<String>>) -> String {
    match stopping.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        Err(_) => std::future::pending().await,
    }
}
