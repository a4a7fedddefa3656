//! A connection that is read at a bounded rate, and shares the event loop with everything else.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes after which a reader lets other tasks run, although more are there.
const TURN: usize = 64 * 1024;

/// Bytes a second that are read after the first [`BURST`]. A server that floods takes no core: a
/// byte may cost a hundred times as much as its copying, in frames that are empty.
const RATE: i64 = 1 << 20;

/// Bytes that are read at once: more than all parties of a daemon whose peers fill a connection.
const BURST: i64 = 16 << 20;

/// Pause of the reader after the burst.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes that may be read; less than none after a read of more.
struct Credit {
    bytes: i64,
    /// Time of the last increase.
    counted_at: Duration,
}

impl Credit {
    /// Adds what was earned since. Returns true while bytes may be read. `now` counts from the
    /// first read.
    fn earn(&mut self, now: Duration) -> bool {
        let millis = i64::try_from(now.saturating_sub(self.counted_at).as_millis());
        let earned = millis.unwrap_or(i64::MAX).saturating_mul(RATE) / 1000;
        if earned > 0 {
            self.bytes = self.bytes.saturating_add(earned).min(BURST);
            self.counted_at = now;
        }
        self.bytes > 0
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub_unsigned(bytes as u64);
    }
}

/// A stream that is read within [`RATE`].
pub(super) struct Paced<S> {
    inner: S,
    /// Bytes read in this turn.
    in_turn: usize,
    begun: Instant,
    credit: Credit,
    pause: Option<Pin<Box<Sleep>>>,
    /// True once the log says that the server is read no faster.
    is_told: bool,
}

impl<S> Paced<S> {
    pub(super) fn new(inner: S) -> Self {
        let credit = Credit { bytes: BURST, counted_at: Duration::ZERO };
        let (in_turn, begun, pause, is_told) = (0, Instant::now(), None, false);
        Self { inner, in_turn, begun, credit, pause, is_told }
    }

    /// Waits until more may be read.
    fn poll_credit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if self.credit.earn(self.begun.elapsed()) {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut self.is_told, true) {
                log::warn!(
                    "the control server sends more than {RATE} bytes a second: it is read no faster"
                );
            }
            self.pause = Some(Box::pin(sleep(PAUSE)));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_credit(cx));
        if self.in_turn >= TURN {
            self.in_turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_pending() {
            self.in_turn = 0;
        }
        ready!(read)?;
        let count = buf.filled().len() - before;
        self.in_turn += count;
        self.credit.spend(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
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
        let mut credit = Credit { bytes: BURST, counted_at: Duration::ZERO };
        let mut read = 0;
        for millis in 0..10_000 {
            while credit.earn(Duration::from_millis(millis)) {
                credit.spend(TURN);
                read += TURN as i64;
            }
        }
        assert!((BURST + 9 * RATE..BURST + 11 * RATE).contains(&read), "{read}");
        // Silence earns no more than another burst.
        assert!(credit.earn(Duration::from_secs(3600)));
        assert_eq!(credit.bytes, BURST);
    }
}
