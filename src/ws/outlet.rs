//! Output of a WebSocket: frames that wait are gathered into one write.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_codec::Encoder as _;
use actix_http::ws::{CloseCode, CloseReason, Codec, Message};
use actix_web::web::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use super::connection_handle::{ConnectionHandle, Out};
use crate::http::metrics::{Direction, Metrics};

/// Encoded bytes beyond which no more frames are added to a write.
const BATCH: usize = 16 * 1024;

/// Encodes frames and writes them.
#[derive(Default)]
pub(super) struct Outlet {
    /// Encoded frames that the socket has not taken yet.
    output: BytesMut,
}

impl Outlet {
    /// True while the socket takes what it is given.
    pub(super) fn has_room(&self) -> bool {
        self.output.len() < BATCH
    }

    /// Adds a frame before those of the send queue.
    pub(super) fn push(&mut self, message: Message) {
        // Only a continuation could be out of place.
        if let Err(error) = Codec::new().encode(message, &mut self.output) {
            log::error!("a frame could not be encoded: {error}");
        }
    }

    /// Writes all frames, or as many as the socket takes. Later the socket or the next item of the
    /// send queue wakes the task.
    ///
    /// # Errors
    /// Those of the socket.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
        handle: &ConnectionHandle,
        metrics: &Metrics,
    ) -> io::Result<()> {
        loop {
            // What the socket does not take waits in the send queue, which has a bound.
            if self.has_room() {
                handle.take_items(cx.waker(), |item| {
                    self.push(message(item, metrics));
                    self.has_room()
                });
            }
            if self.output.is_empty() {
                // An idle connection holds no memory.
                self.output = BytesMut::new();
                let flushed = Pin::new(&mut *stream).poll_flush(cx);
                return if let Poll::Ready(flushed) = flushed { flushed } else { Ok(()) };
            }
            match Pin::new(&mut *stream).poll_write(cx, &self.output) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.output.advance(written?),
            }
        }
    }
}

/// Returns the frame of an item of the send queue.
fn message(item: Out, metrics: &Metrics) -> Message {
    match item {
        Out::Text(text) => {
            metrics.frame(Direction::Out, "text");
            Message::Text(text)
        }
        Out::Ping => {
            metrics.frame(Direction::Out, "ping");
            Message::Ping(Bytes::new())
        }
        // Input is dropped until the client closes, too. Closing with unread input would make the
        // system discard the frames sent.
        Out::Close(code, reason) => {
            let code = CloseCode::from(code as u16);
            Message::Close(Some(CloseReason { code, description: Some(reason) }))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::task::Waker;
    use std::time::Duration;

    use super::*;
    use crate::config::Ws;
    use crate::core::ConnectionId;

    /// Socket that takes that many bytes and counts the writes.
    struct Socket {
        takes: usize,
        writes: usize,
    }

    impl AsyncWrite for Socket {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.takes);
            self.takes -= taken;
            self.writes += 1;
            if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn handle() -> ConnectionHandle {
        let address = IpAddr::from([203, 0, 113, 1]);
        let (queued, hangup) = Default::default();
        let opened = Duration::ZERO;
        ConnectionHandle::new(ConnectionId(1), address, opened, &Ws::default(), queued, hangup)
    }

    /// Queues so many frames, and writes. Returns the number of those that still wait.
    fn write(
        outlet: &mut Outlet,
        socket: &mut Socket,
        handle: &ConnectionHandle,
        frames: usize,
    ) -> usize {
        for _ in 0..frames {
            handle.send("x".repeat(1000).into(), Duration::ZERO);
        }
        let mut cx = Context::from_waker(Waker::noop());
        outlet.poll_write(&mut cx, socket, handle, &Metrics::new()).expect("no error");
        handle.queued()
    }

    #[test]
    fn waiting_frames_are_written_together() {
        let (mut outlet, handle) = (Outlet::default(), handle());
        let mut socket = Socket { takes: usize::MAX, writes: 0 };
        assert_eq!(write(&mut outlet, &mut socket, &handle, 10), 0);
        assert_eq!(socket.writes, 1);
        assert_eq!(write(&mut outlet, &mut socket, &handle, 100), 0);
        assert_eq!(socket.writes, 1 + 100_usize.div_ceil(17), "each has 16 KiB and a part");
        assert_eq!(outlet.output.capacity(), 0, "it is idle");
    }

    #[test]
    fn frames_that_the_socket_does_not_take_stay_in_the_send_queue() {
        let (mut outlet, handle) = (Outlet::default(), handle());
        let mut socket = Socket { takes: 500, writes: 0 };
        assert_eq!(write(&mut outlet, &mut socket, &handle, 100), 83);
        for _ in 0..10 {
            assert_eq!(write(&mut outlet, &mut socket, &handle, 0), 83);
        }
        socket.takes = usize::MAX;
        assert_eq!(write(&mut outlet, &mut socket, &handle, 0), 0);
    }
}
