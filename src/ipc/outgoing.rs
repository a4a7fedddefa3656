//! Output buffer of a session.

use std::collections::VecDeque;
use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Bytes up to which lines are gathered, so that short ones share a write.
const GATHERED: usize = 16 * 1024;

/// Bytes that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are written already.
    written: usize,
    waiting: usize,
    owned: usize,
}

#[derive(Debug)]
enum Chunk {
    Owned(Vec<u8>),
    /// Part of a document that all connections share.
    Shared(&'static [u8]),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Outgoing {
    pub(super) fn push(&mut self, text: String) {
        self.waiting += text.len();
        self.owned += text.len();
        match self.chunks.back_mut() {
            Some(Chunk::Owned(bytes)) if bytes.len() + text.len() <= GATHERED => {
                bytes.extend_from_slice(text.as_bytes());
            }
            _ => self.chunks.push_back(Chunk::Owned(text.into_bytes())),
        }
    }

    /// Appends a shared text without a copy.
    pub(super) fn push_shared(&mut self, text: &'static str) {
        self.waiting += text.len();
        self.chunks.push_back(Chunk::Shared(text.as_bytes()));
    }

    /// Returns the number of waiting bytes.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Returns the bytes of memory that only this connection needs for them.
    pub(super) fn owned(&self) -> usize {
        self.owned
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Writes some of the waiting bytes. Cancelling the future loses nothing.
    pub(super) async fn write_some(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let Some(first) = self.chunks.front() else { return Ok(()) };
        let bytes = first.bytes();
        let written = stream.write(&bytes[self.written..]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += written;
        self.waiting -= written;
        if self.written == bytes.len() {
            if let Chunk::Owned(bytes) = first {
                self.owned -= bytes.len();
            }
            self.chunks.pop_front();
            self.written = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::FutureExt as _;

    use super::*;

    /// Takes a few bytes at a time.
    #[derive(Default)]
    struct Slow(Vec<u8>);

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(3);
            self.0.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn outgoing_lines_keep_their_order_and_shared_ones_cost_nothing() {
        let (mut outgoing, mut stream) = (Outgoing::default(), Slow::default());
        outgoing.push("one\n".into());
        outgoing.push("two\n".into());
        outgoing.push_shared("shared");
        outgoing.push("\n".into());
        assert_eq!((outgoing.len(), outgoing.owned(), outgoing.chunks.len()), (15, 9, 3));
        while !outgoing.is_empty() {
            let wrote = outgoing.write_some(&mut stream).now_or_never();
            assert!(matches!(wrote, Some(Ok(()))));
        }
        assert_eq!(stream.0, b"one\ntwo\nshared\n");
        assert_eq!((outgoing.owned(), outgoing.chunks.len()), (0, 0));
    }
}
