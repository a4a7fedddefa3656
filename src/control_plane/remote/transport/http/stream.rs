//! A connection whose answers have a bound, and share the event loop with everything else.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::api::LONGEST_ANSWER;
use crate::control_plane::remote::transport::connect::Stream;

/// Most bytes that a server may send from one write of the client to the next: the longest body,
/// and as much for the head, interim answers and the framing of chunks.
///
/// The HTTP client bounds one head, but not the number of interim answers (status 1xx) before it.
pub(in super::super) const LONGEST_EXCHANGE: usize = 2 * LONGEST_ANSWER;

/// Bytes after which a reader lets other tasks run, although more are there.
const TURN: usize = 64 * 1024;

/// The server sent more than [`LONGEST_EXCHANGE`].
#[derive(Debug, thiserror::Error)]
#[error("more than {LONGEST_EXCHANGE} bytes came without an answer")]
pub(in super::super) struct EndlessAnswer;

/// A connection to the server, or to a proxy that forwards requests.
pub(super) struct HttpStream {
    inner: Box<dyn Stream>,
    is_forwarded: bool,
    /// Bytes read since the last write.
    unasked: usize,
    /// Bytes read in this turn.
    in_turn: usize,
}

impl HttpStream {
    pub(super) fn new(inner: Box<dyn Stream>, is_forwarded: bool) -> Self {
        Self { inner, is_forwarded, unasked: 0, in_turn: 0 }
    }
}

impl Connection for HttpStream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_forwarded)
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unasked > LONGEST_EXCHANGE {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, EndlessAnswer)));
        }
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
        self.unasked += count;
        self.in_turn += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unasked = 0;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
