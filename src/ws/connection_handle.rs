//! Handle of one connection: its send queue, its last sign of life, and its end. The session, which
//! reads and writes, the conversation, which answers, and the watch, which closes stuck connections,
//! share it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytestring::ByteString;
use tokio::sync::Notify;

use super::queued::{QueueBytes, Queued};
use crate::config::Ws;
use crate::core::{AddressKey, Buckets, ConnectionId, Rate};
use crate::events::WireFormat;
use crate::http::socket::Hangup;

/// Burst and refill interval of a client's mistakes; beyond them the connection is closed.
const OFFENCES: usize = 32;
const OFFENCE_EVERY: Duration = Duration::from_secs(1);

/// Reason for closing a connection, as a status code of RFC 6455, section 7.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseCode {
    /// The server stops.
    Away = 1001,
    /// The client sent something other than WebSocket frames.
    Protocol = 1002,
    /// It sent a text that is not UTF-8.
    NotUtf8 = 1007,
    /// It broke the rules too often.
    Policy = 1008,
    /// It sent a message above the size limit.
    TooBig = 1009,
    /// The client does not read its frames, and has to reconnect and sync.
    TryAgain = 1013,
    /// Another connection took over all peers of this one.
    Displaced = 4001,
}

/// Item of the send queue.
#[derive(Debug, PartialEq)]
pub(super) enum Out {
    Text(ByteString),
    Ping,
    /// Always the last item.
    Close(CloseCode, String),
}

/// Handle of a connection.
pub(super) struct ConnectionHandle {
    pub(super) id: ConnectionId,
    pub(super) address: IpAddr,
    /// Time at which it was opened, on the clock of timeouts.
    pub(super) opened: Duration,
    /// Limit of frames in the send queue.
    pub(super) most: usize,
    most_bytes: QueueBytes,
    /// Bytes in the send queues of all clients.
    queued: Arc<Queued>,
    out: Mutex<SendQueue>,
    drained: Notify,
    pauses: Mutex<ReadPauses>,
    greeted: AtomicBool,
    /// True if the client sent `caps`, so that it knows more than LANrage's own frames.
    additions: AtomicBool,
    /// Time of the ping that the client has not answered yet; 0 if there is none.
    unanswered_ping_ms: AtomicU64,
    /// Time of the last ping, or else of the connection.
    last_ping_ms: AtomicU64,
    offences: Mutex<Buckets<()>>,
    /// True after another connection took over a peer, until the conversation has noticed.
    has_lost_peer: AtomicBool,
    hangup: Hangup,
}

#[derive(Default)]
struct SendQueue {
    waiting: VecDeque<Out>,
    /// Bytes of the texts.
    bytes: usize,
    /// Time since which only the close frame is left to send.
    closing: Option<Duration>,
    /// True after the session stopped writing.
    gone: bool,
    /// Wakes the session, which waits for an item.
    writer: Option<Waker>,
}

/// Pauses of the server's own reading, while frames wait to be processed.
#[derive(Default)]
struct ReadPauses {
    paused_since: Option<Duration>,
    /// Length of the pauses that [`ConnectionHandle::take_pauses`] has not returned yet.
    paused: Duration,
}

impl ConnectionHandle {
    pub(super) fn new(
        id: ConnectionId,
        address: IpAddr,
        opened: Duration,
        limits: &Ws,
        queued: Arc<Queued>,
        hangup: Hangup,
    ) -> Self {
        let rate = Rate::new(1, OFFENCE_EVERY, OFFENCES);
        Self {
            id,
            address,
            opened,
            most: limits.queue_frames,
            most_bytes: QueueBytes::of(limits),
            queued,
            out: Mutex::default(),
            drained: Notify::new(),
            pauses: Mutex::default(),
            greeted: AtomicBool::new(false),
            additions: AtomicBool::new(false),
            unanswered_ping_ms: AtomicU64::new(0),
            last_ping_ms: AtomicU64::new(millis(opened)),
            offences: Mutex::new(Buckets::new(rate, 1)),
            has_lost_peer: AtomicBool::new(false),
            hangup,
        }
    }

    /// Returns the part of the address that one client has to itself.
    pub(super) fn address_key(&self) -> AddressKey {
        self.address.into()
    }

    /// Queues a frame. A full queue means that the client does not read: the connection ends, and
    /// the client starts afresh on another.
    pub(super) fn send(&self, text: ByteString, now: Duration) {
        let mut out = self.lock();
        if out.closing.is_some() || out.gone {
            return;
        }
        match self.count(&out, &text) {
            Ok(()) => {
                out.bytes += text.len();
                out.push(Out::Text(text));
            }
            Err(key) => {
                let (frames, bytes) = (out.waiting.len(), out.bytes);
                log::debug!(
                    "{:?}: send queue full: frames={frames} bytes={bytes} limit={key}",
                    self.id
                );
                self.forget(&mut out);
                out.close(CloseCode::TryAgain, "too slow: connect again and sync", now);
                self.drained.notify_waiters();
            }
        }
    }

    /// Counts a frame that is about to be queued.
    ///
    /// # Errors
    /// Configuration key of the limit that the frame exceeds.
    fn count(&self, out: &SendQueue, text: &str) -> Result<(), &'static str> {
        if out.waiting.len() >= self.most {
            return Err("ws.queue_frames");
        }
        self.queued.add(self.address_key(), out.bytes, text.len(), self.most_bytes)
    }

    /// Drops all queued items.
    fn forget(&self, out: &mut SendQueue) {
        out.waiting.clear();
        self.queued.remove(self.address_key(), std::mem::take(&mut out.bytes));
    }

    /// Closes the connection after the items that are queued already.
    pub(super) fn close(&self, code: CloseCode, reason: &str, now: Duration) {
        let mut out = self.lock();
        if out.closing.is_none() {
            log::debug!("{:?}: closing: {reason}", self.id);
            out.close(code, reason, now);
            self.drained.notify_waiters();
        }
    }

    /// Drops the queue, because the session writes no more.
    pub(super) fn abandon(&self) {
        let mut out = self.lock();
        out.gone = true;
        self.forget(&mut out);
        drop(out);
        self.drained.notify_waiters();
    }

    /// Returns the bytes of a batch of frames that may be queued at once, each of `least` bytes at
    /// least: half of what is left; 0 while the queue is half full.
    pub(super) fn batch_bytes(&self, least: usize) -> usize {
        let out = self.lock();
        if !out.has_room(self) {
            return 0;
        }
        let frames = self.most.saturating_sub(out.waiting.len()).div_ceil(2);
        let bytes = self.queued.left(self.address_key(), out.bytes, self.most_bytes) / 2;
        bytes.min(frames.saturating_mul(least))
    }

    /// True while the queue is less than half full, by frames and by bytes.
    pub(super) fn has_room(&self) -> bool {
        self.lock().has_room(self)
    }

    /// Waits until there is room, or the session writes no more.
    pub(super) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            if self.is_free() {
                return;
            }
            drained.await;
        }
    }

    fn is_free(&self) -> bool {
        let out = self.lock();
        out.has_room(self) || out.closing.is_some() || out.gone
    }

    /// Pauses or resumes reading from the client. The server may hold an unread pong, so the wait
    /// for it starts afresh on resuming.
    pub(super) fn pause_reading(&self, paused: bool, now: Duration) {
        let mut pauses = lock(&self.pauses);
        if paused {
            pauses.paused_since.get_or_insert(now);
        } else if let Some(since) = pauses.paused_since.take() {
            pauses.paused += now.saturating_sub(since);
            if self.unanswered_ping_at().is_some() {
                self.unanswered_ping_ms.store(millis(now).max(1), Ordering::Relaxed);
            }
        }
    }

    /// Returns the length of the reading pauses since the last call.
    pub(super) fn take_pauses(&self) -> Duration {
        std::mem::take(&mut lock(&self.pauses).paused)
    }

    /// True while the server does not read although the client reads.
    pub(super) fn is_held_up(&self) -> bool {
        lock(&self.pauses).paused_since.is_some() && self.has_room()
    }

    /// Counts a mistake of the client; too many of them end the connection.
    pub(super) fn note_offence(&self, now: Duration) {
        let taken = lock(&self.offences).take((), now);
        if taken.is_err() {
            self.close(CloseCode::Policy, "too many mistakes", now);
        }
    }

    /// Sends a ping.
    pub(super) fn ping(&self, now: Duration) {
        let mut out = self.lock();
        if out.closing.is_none() {
            out.push(Out::Ping);
            self.unanswered_ping_ms.store(millis(now).max(1), Ordering::Relaxed);
            self.last_ping_ms.store(millis(now), Ordering::Relaxed);
        }
    }

    /// Returns the time of the last ping, or else of the connection.
    pub(super) fn last_ping_at(&self) -> Duration {
        Duration::from_millis(self.last_ping_ms.load(Ordering::Relaxed))
    }

    /// Notes a sign of life of the client.
    pub(super) fn note_pong(&self) {
        self.unanswered_ping_ms.store(0, Ordering::Relaxed);
    }

    /// Returns the time of the ping that is not answered yet.
    pub(super) fn unanswered_ping_at(&self) -> Option<Duration> {
        let sent_at = self.unanswered_ping_ms.load(Ordering::Relaxed);
        (sent_at != 0).then(|| Duration::from_millis(sent_at))
    }

    /// Notes the client's first hello.
    pub(super) fn note_hello(&self, additions: bool) {
        self.additions.store(additions, Ordering::Relaxed);
        self.greeted.store(true, Ordering::Relaxed);
    }

    /// Returns the wire format for frames without times.
    pub(super) fn format(&self) -> WireFormat {
        WireFormat { additions: self.additions.load(Ordering::Relaxed), utc_offset: None }
    }

    pub(super) fn is_greeted(&self) -> bool {
        self.greeted.load(Ordering::Relaxed)
    }

    /// Returns the time since which only the close frame is left to send.
    pub(super) fn closing_since(&self) -> Option<Duration> {
        self.lock().closing
    }

    /// Returns the number of queued items.
    pub(super) fn queued(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Notes that another connection took over a peer.
    pub(super) fn lose_peer(&self) {
        self.has_lost_peer.store(true, Ordering::Relaxed);
    }

    /// True once after each [`ConnectionHandle::lose_peer`].
    pub(super) fn take_lost_peer(&self) -> bool {
        self.has_lost_peer.load(Ordering::Relaxed)
            && self.has_lost_peer.swap(false, Ordering::Relaxed)
    }

    /// Closes the socket from outside, in any state of its session.
    pub(super) fn hang_up(&self) {
        self.hangup.now();
    }

    /// Says that the session runs: until it waits again, nothing has to wake it.
    pub(super) fn note_running(&self) {
        self.lock().writer = None;
    }

    /// Takes items out of the queue until `take` returns false. Once the queue is empty, the next
    /// item wakes the session.
    pub(super) fn take_items(&self, waker: &Waker, mut take: impl FnMut(Out) -> bool) {
        let mut out = self.lock();
        let (before, mut wants_more) = (out.bytes, true);
        while wants_more && let Some(item) = out.waiting.pop_front() {
            if let Out::Text(text) = &item {
                out.bytes -= text.len();
            }
            wants_more = take(item);
        }
        if out.waiting.is_empty() {
            // An idle connection holds no memory.
            out.waiting = VecDeque::new();
            out.writer = Some(waker.clone());
        }
        if before > out.bytes {
            self.queued.remove(self.address_key(), before - out.bytes);
        }
        if out.has_room(self) {
            self.drained.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, SendQueue> {
        lock(&self.out)
    }
}

impl SendQueue {
    fn has_room(&self, handle: &ConnectionHandle) -> bool {
        2 * self.waiting.len() < handle.most.max(2) && handle.most_bytes.has_room(self.bytes)
    }

    fn push(&mut self, item: Out) {
        self.waiting.push_back(item);
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    fn close(&mut self, code: CloseCode, reason: &str, now: Duration) {
        self.push(Out::Close(code, reason.to_owned()));
        self.closing = Some(now);
    }
}

/// Locks a mutex, poisoned or not: a panic ends the process, so nothing sees a broken state.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
