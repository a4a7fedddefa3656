//! Stream with a bounded read rate, which yields to other tasks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes after which a reader yields to other tasks although more can be read.
const YIELD_AFTER: usize = 64 * 1024;

/// Bytes a second after the first [`BURST`]. The bound keeps a flooding server from occupying a
/// core: a byte of empty frames costs a hundred times as much as its copying.
const RATE: i64 = 1 << 20;

/// Bytes that are read at once: more than all parties of a daemon whose peers fill a connection.
const BURST: i64 = 16 << 20;

/// Interval at which a throttled reader tries again.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes that may be read; less than none after a read of more.
struct ByteBudget {
    bytes: i64,
    /// Time of the last refill, from the first read.
    refilled_at: Duration,
}

impl ByteBudget {
    /// Adds the bytes for the time since the last refill. Returns true while bytes may be read.
    /// `now` counts from the first read.
    fn refill(&mut self, now: Duration) -> bool {
        let millis = i64::try_from(now.saturating_sub(self.refilled_at).as_millis());
        let bytes = millis.unwrap_or(i64::MAX).saturating_mul(RATE) / 1000;
        if bytes > 0 {
            self.bytes = self.bytes.saturating_add(bytes).min(BURST);
            self.refilled_at = now;
        }
        self.bytes > 0
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub_unsigned(bytes as u64);
    }
}

/// Stream that is read within [`RATE`].
pub(super) struct Throttled<S> {
    inner: S,
    /// Bytes read since the reader last yielded.
    since_yield: usize,
    started: Instant,
    budget: ByteBudget,
    /// Pause of a throttled reader.
    pause: Option<Pin<Box<Sleep>>>,
    /// True once the log has warned of the rate.
    has_warned: bool,
}

impl<S> Throttled<S> {
    pub(super) fn new(inner: S) -> Self {
        let budget = ByteBudget { bytes: BURST, refilled_at: Duration::ZERO };
        let (since_yield, started, pause, has_warned) = (0, Instant::now(), None, false);
        Self { inner, since_yield, started, budget, pause, has_warned }
    }

    /// Waits until more may be read.
    fn poll_budget(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if self.budget.refill(self.started.elapsed()) {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut self.has_warned, true) {
                log::warn!("control server exceeds the read rate: bytes_per_second={RATE}");
            }
            self.pause = Some(Box::pin(sleep(PAUSE)));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Throttled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_budget(cx));
        if self.since_yield >= YIELD_AFTER {
            self.since_yield = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_pending() {
            self.since_yield = 0;
        }
        ready!(read)?;
        let count = buf.filled().len() - before;
        self.since_yield += count;
        self.budget.spend(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Throttled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_at_a_bounded_rate_after_the_burst() {
        let mut budget = ByteBudget { bytes: BURST, refilled_at: Duration::ZERO };
        let mut read = 0;
        for millis in 0..10_000 {
            while budget.refill(Duration::from_millis(millis)) {
                budget.spend(YIELD_AFTER);
                read += YIELD_AFTER as i64;
            }
        }
        assert!((BURST + 9 * RATE..BURST + 11 * RATE).contains(&read), "{read}");
        // A silent hour refills one burst at most.
        assert!(budget.refill(Duration::from_secs(3600)));
        assert_eq!(budget.bytes, BURST);
    }
}
