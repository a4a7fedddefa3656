//! Pipelined requests, passed on one at a time.
//!
//! The HTTP library decodes every request that it has read, up to 128 KiB of them. A decoded head
//! takes several KiB of memory until its answer is written. So each accepted connection is wrapped:
//! the wrapper passes a request on after the answer to the previous one. A client that does not
//! read its answers is not read from (backpressure).
//!
//! The library also waits forever for the rest of a head, except for the first of its connection.
//! So the wrapper holds further heads back until they are complete. Meanwhile the library sees an
//! idle connection, which has a timeout. All bytes pass unchanged, except line breaks before a
//! further request.

mod framing;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use framing::Framing;

use super::upgrade::{Release, Upgrade};

/// Bytes that are read ahead.
const READ_AHEAD: usize = 4 * 1024;
/// Upper bound of a held head, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;
/// Start of the answer after which a connection speaks another protocol.
const SWITCHES: &[u8] = b"HTTP/1.1 101";

/// Connection whose requests pass one at a time.
pub(super) struct RequestGate<IO> {
    /// `None` after an upgrade.
    io: Option<IO>,
    upgrade: Upgrade,
    framing: Framing,
    /// Bytes that were read and not passed on.
    held: Vec<u8>,
    passed: usize,
    /// Number of the held bytes in which no head ends.
    searched: usize,
    /// True until the first request is answered: it passes as it arrives.
    is_first: bool,
    /// True after the end of the input.
    has_ended: bool,
    gate: Gate,
    /// Task to wake when the gate opens.
    reader: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Gate {
    /// A request passes. `answered` is true if something was written since its head.
    Open { answered: bool },
    /// A whole request has passed: its answer is awaited.
    Closed { answered: bool },
    /// The connection speaks another protocol.
    Switched,
}

impl<IO> RequestGate<IO> {
    /// Wraps a connection.
    pub(super) fn new(io: IO) -> Self {
        let gate = Gate::Open { answered: false };
        let framing = Framing::default();
        let (held, passed, searched, has_ended, reader) = Default::default();
        Self {
            io: Some(io),
            upgrade: Upgrade::default(),
            framing,
            held,
            passed,
            searched,
            is_first: true,
            has_ended,
            gate,
            reader,
        }
    }

    /// Returns the wrapped connection, unless it was upgraded.
    pub(super) fn get_ref(&self) -> Option<&IO> {
        self.io.as_ref()
    }

    /// Returns the upgrade of the connection.
    pub(super) fn upgrade(&self) -> &Upgrade {
        &self.upgrade
    }

    /// True if held bytes may pass.
    fn may_pass(&mut self) -> bool {
        match self.gate {
            Gate::Closed { .. } => false,
            Gate::Switched => true,
            Gate::Open { .. } => {
                self.is_first
                    || !self.framing.is_at_start()
                    || self.has_ended
                    || self.holds_head()
                    || self.held.len() - self.passed >= LONGEST_HEAD
            }
        }
    }

    /// True if a complete head is held. Drops line breaks before it.
    fn holds_head(&mut self) -> bool {
        let held = &self.held[self.passed..];
        let breaks = held.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.passed += breaks;
        self.searched = self.searched.max(self.passed);
        let held = &self.held[self.searched.saturating_sub(3).max(self.passed)..];
        self.searched = self.held.len();
        let ends = |window: &[u8]| window.starts_with(b"\n\n") || window == b"\n\r\n";
        held.windows(3).any(ends) || held.ends_with(b"\n\n")
    }

    /// Passes held bytes on.
    fn pass(&mut self, buffer: &mut ReadBuf<'_>) {
        let held = &self.held[self.passed..];
        let room = &held[..held.len().min(buffer.remaining())];
        let count = match self.gate {
            Gate::Closed { .. } => 0,
            Gate::Switched => room.len(),
            Gate::Open { answered } => {
                let (count, is_complete) = self.framing.advance(room);
                if is_complete {
                    self.gate = Gate::Closed { answered };
                }
                count
            }
        };
        buffer.put_slice(&room[..count]);
        self.passed += count;
        self.searched = 0;
        self.release();
    }

    /// Frees unused memory.
    fn release(&mut self) {
        if self.passed == self.held.len() {
            (self.held, self.passed, self.searched) = Default::default();
        }
    }

    fn open(&mut self, gate: Gate) {
        self.gate = gate;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for RequestGate<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.held.is_empty() && this.may_pass() {
                this.pass(buffer);
                return Poll::Ready(Ok(()));
            }
            this.release();
            // After an upgrade, the library sees the end of the connection.
            let Some(io) = &mut this.io else { return Poll::Ready(Ok(())) };
            match this.gate {
                Gate::Switched => return Pin::new(io).poll_read(context, buffer),
                Gate::Closed { .. } if !this.held.is_empty() => {
                    this.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
                // Reads also while the gate is closed, to notice the end of the connection.
                _ => {}
            }
            let mut bytes = [0; READ_AHEAD];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(io).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                this.has_ended = true;
                if this.held.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            this.held.extend_from_slice(read.filled());
        }
    }
}

impl<IO: AsyncWrite + Release + Unpin> AsyncWrite for RequestGate<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(io) = &mut this.io else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let count = ready!(Pin::new(io).poll_write(context, bytes))?;
        match &mut this.gate {
            Gate::Open { answered: false } | Gate::Closed { answered: false }
                if bytes.starts_with(SWITCHES) =>
            {
                this.open(Gate::Switched);
            }
            Gate::Open { answered } | Gate::Closed { answered } => *answered = true,
            Gate::Switched => {}
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(io) = &mut this.io else { return Poll::Ready(Ok(())) };
        ready!(Pin::new(io).poll_flush(context))?;
        if this.gate == (Gate::Closed { answered: true }) {
            this.is_first = false;
            this.open(Gate::Open { answered: false });
        }
        if this.gate == Gate::Switched
            && this.upgrade.is_wanted()
            && let Some(io) = this.io.take()
        {
            let mut upgraded = io.release();
            let held = std::mem::take(&mut this.held);
            upgraded.read.splice(0..0, held.into_iter().skip(std::mem::take(&mut this.passed)));
            this.upgrade.begin(upgraded);
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Some(io) => Pin::new(io).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::http::upgrade::Upgraded;

    impl Release for tokio::io::DuplexStream {
        fn release(self) -> Upgraded {
            Upgraded { stream: Box::new(self), read: Vec::new() }
        }
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// Returns the bytes that pass without waiting.
    fn come<IO: AsyncRead + Unpin>(gate: &mut RequestGate<IO>) -> String {
        let mut came = Vec::new();
        while let Some(Ok(count)) = gate.read_buf(&mut came).now_or_never() {
            if count == 0 {
                break;
            }
        }
        String::from_utf8(came).expect("text")
    }

    fn answer<IO: AsyncWrite + Release + Unpin>(gate: &mut RequestGate<IO>, text: &str) -> bool {
        let wrote = gate.write_all(text.as_bytes()).now_or_never();
        wrote.is_some() && gate.flush().now_or_never().is_some()
    }

    #[actix::test]
    async fn pipelined_request_waits_for_the_previous_answer() {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        let mut gate = RequestGate::new(near);
        far.write_all(GET.repeat(300).as_bytes()).await.expect("sent");
        for _ in 0..300 {
            assert_eq!(come(&mut gate), GET);
            assert!(answer(&mut gate, "HTTP/1.1 200 OK\r\n\r\n"));
            // The runtime limits the work of a task between yields.
            tokio::task::yield_now().await;
        }
        assert_eq!(come(&mut gate), "");
    }

    #[actix::test]
    async fn pipelined_request_waits_while_the_answer_is_unread() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut gate = RequestGate::new(near);
        far.write_all(GET.repeat(2).as_bytes()).await.expect("sent");
        assert_eq!(come(&mut gate), GET);
        assert!(!answer(&mut gate, &"x".repeat(100)));
        assert_eq!(come(&mut gate), "");
        far.read_exact(&mut [0; 64]).await.expect("read");
        assert!(answer(&mut gate, "x"));
        assert_eq!(come(&mut gate), GET);
    }

    #[actix::test]
    async fn early_answer_counts_for_the_request_whose_body_follows() {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        let mut gate = RequestGate::new(near);
        let post = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n";
        far.write_all(post.as_bytes()).await.expect("sent");
        assert_eq!(come(&mut gate), post);
        assert!(answer(&mut gate, "HTTP/1.1 401 Unauthorized\r\n\r\n"));
        far.write_all(format!("{{}}{GET}").as_bytes()).await.expect("sent");
        assert_eq!(come(&mut gate), "{}");
        gate.flush().await.expect("flushed");
        assert_eq!(come(&mut gate), GET);
    }

    #[actix::test]
    async fn pipelined_head_passes_once_it_is_whole() {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        let mut gate = RequestGate::new(near);
        let (begin, end) = GET.split_at(20);
        far.write_all(begin.as_bytes()).await.expect("sent");
        assert_eq!(come(&mut gate), begin, "the first one passes as it comes");
        far.write_all(end.as_bytes()).await.expect("sent");
        assert_eq!(come(&mut gate), end);
        assert!(answer(&mut gate, "HTTP/1.1 200 OK\r\n\r\n"));
        for byte in format!("\r\n\r\n{}", &GET[..GET.len() - 1]).bytes() {
            far.write_all(&[byte]).await.expect("sent");
            assert_eq!(come(&mut gate), "");
            tokio::task::yield_now().await;
        }
        far.write_all(b"\n").await.expect("sent");
        assert_eq!(come(&mut gate), GET);
        assert!(answer(&mut gate, "HTTP/1.1 200 OK\r\n\r\n"));
        let long = "x".repeat(LONGEST_HEAD);
        far.write_all(long.as_bytes()).await.expect("sent");
        assert_eq!(come(&mut gate), long, "the library refuses it");
    }

    #[actix::test]
    async fn unfinished_input_passes_at_its_end() {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        let mut gate = RequestGate::new(near);
        far.write_all(format!("{GET}GET").as_bytes()).await.expect("sent");
        drop(far);
        assert_eq!(come(&mut gate), GET);
        gate.is_first = false;
        gate.open(Gate::Open { answered: false });
        assert_eq!(come(&mut gate), "GET");
    }

    #[actix::test]
    async fn upgraded_connection_leaves_http_with_the_bytes_after_its_request() {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        let mut gate = RequestGate::new(near);
        far.write_all(format!("{GET}frames").as_bytes()).await.expect("sent");
        assert_eq!(come(&mut gate), GET);
        gate.upgrade().want(|mut upgraded| async move {
            upgraded.stream.write_all(&upgraded.read).await.expect("sent");
        });
        assert!(answer(&mut gate, "HTTP/1.1 101 Switching Protocols\r\n\r\n"));
        // The library sees the end, and its farewell does not reach the connection.
        assert_eq!(gate.read(&mut [0]).await.expect("the end"), 0);
        gate.shutdown().await.expect("nothing to end");
        assert!(gate.get_ref().is_none());
        gate.upgrade().take().expect("the new protocol").await;
        drop(gate);
        let mut came = String::new();
        far.read_to_string(&mut came).await.expect("read");
        assert_eq!(came, "HTTP/1.1 101 Switching Protocols\r\n\r\nframes");
    }

    #[actix::test]
    async fn bytes_after_an_upgrade_pass_unchanged() {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        let mut gate = RequestGate::new(near);
        far.write_all(format!("{GET}frames").as_bytes()).await.expect("sent");
        assert_eq!(come(&mut gate), GET);
        assert!(answer(&mut gate, "HTTP/1.1 101 Switching Protocols\r\n\r\n"));
        far.write_all(GET.repeat(2).as_bytes()).await.expect("sent");
        assert_eq!(come(&mut gate), format!("frames{GET}{GET}"));
        drop(far);
        assert_eq!(come(&mut gate), "");
    }
}
