//! A connection whose answers have a bound.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::api::LONGEST_ANSWER;
use crate::remote::transport::connect::Stream;
use crate::remote::transport::paced::Paced;

/// Most bytes that a server may send from one write of the client to the next: the longest body,
/// and as much for the head, interim answers and the framing of chunks.
///
/// The HTTP client bounds one head, but not the number of interim answers (status 1xx) before it.
pub(in crate::remote) const LONGEST_EXCHANGE: usize = 2 * LONGEST_ANSWER;

/// The server sent more than [`LONGEST_EXCHANGE`].
#[derive(Debug, thiserror::Error)]
#[error("more than {LONGEST_EXCHANGE} bytes came without an answer")]
pub(super) struct EndlessAnswer;

/// End of what a server sends on a connection. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct End(Arc<AtomicBool>);

impl End {
    /// True once the server has ended the connection.
    pub(super) fn is_reached(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A connection to the server, or to a proxy that forwards requests.
pub(super) struct HttpStream {
    inner: Paced<Box<dyn Stream>>,
    is_forwarded: bool,
    /// Bytes read since the last write.
    unasked: usize,
    end: End,
}

impl HttpStream {
    pub(super) fn new(inner: Box<dyn Stream>, is_forwarded: bool) -> Self {
        Self { inner: Paced::new(inner), is_forwarded, unasked: 0, end: End::default() }
    }
}

impl Connection for HttpStream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_forwarded).extra(self.end.clone())
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
        let (before, has_room) = (buf.filled().len(), buf.remaining() > 0);
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read == 0 && has_room {
            self.end.0.store(true, Ordering::Release);
        }
        self.unasked += read;
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
