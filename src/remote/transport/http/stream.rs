//! Connection with an upper bound of the bytes of a response.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::api::LONGEST_BODY;
use crate::remote::transport::connect::Stream;
use crate::remote::transport::throttled::Throttled;

/// Most bytes that a server may send between two writes of the client: the longest body, and as
/// much again for the head, interim responses and the framing of chunks.
///
/// The HTTP client bounds one head, but not the number of interim responses (status 1xx) before it.
pub(in crate::remote) const LONGEST_EXCHANGE: usize = 2 * LONGEST_BODY;

/// The server sent more than [`LONGEST_EXCHANGE`].
#[derive(Debug, thiserror::Error)]
#[error("more than {LONGEST_EXCHANGE} bytes came without an answer")]
pub(super) struct EndlessResponse;

/// Flag for the end of a connection's incoming bytes. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadEnd(Arc<AtomicBool>);

impl ReadEnd {
    /// True once the server has closed its side of the connection.
    pub(super) fn is_reached(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Connection to the server, or to a proxy that forwards requests.
pub(super) struct HttpStream {
    inner: Throttled<Box<dyn Stream>>,
    is_forwarded: bool,
    /// Bytes read since the last write.
    since_write: usize,
    end: ReadEnd,
}

impl HttpStream {
    pub(super) fn new(inner: Box<dyn Stream>, is_forwarded: bool) -> Self {
        Self { inner: Throttled::new(inner), is_forwarded, since_write: 0, end: ReadEnd::default() }
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
        if self.since_write > LONGEST_EXCHANGE {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, EndlessResponse)));
        }
        let (before, has_room) = (buf.filled().len(), buf.remaining() > 0);
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read == 0 && has_room {
            self.end.0.store(true, Ordering::Release);
        }
        self.since_write += read;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.since_write = 0;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
