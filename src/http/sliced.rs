//! Bodies that are copied to a connection's buffer in slices, as the client reads.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use super::replies::ReplyRoom;

/// Bytes of a slice. The framework takes no more while twice as much is unwritten.
pub(super) const SLICE: usize = 16 * 1024;

/// Body whose bytes any number of responses may share.
pub(super) struct Sliced {
    rest: Bytes,
    /// Reserved room of the bytes, unless they are shared.
    _room: Option<ReplyRoom>,
}

impl Sliced {
    /// Creates the body of a document that lasts as long as the program.
    pub(super) fn shared(text: &'static str) -> Self {
        Self { rest: Bytes::from_static(text.as_bytes()), _room: None }
    }

    /// Creates the body of one response, with its reserved room.
    pub(super) fn counted(bytes: Vec<u8>, room: ReplyRoom) -> Self {
        Self { rest: bytes.into(), _room: Some(room) }
    }
}

impl MessageBody for Sliced {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let rest = &mut self.get_mut().rest;
        let slice = rest.split_to(rest.len().min(SLICE));
        Poll::Ready((!slice.is_empty()).then_some(Ok(slice)))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn sliced_body_borrows_the_document() {
        static TEXT: [u8; 40_000] = [b'x'; 40_000];
        let text = std::str::from_utf8(&TEXT).expect("ASCII");
        let mut body = Sliced::shared(text);
        assert_eq!(body.size(), BodySize::Sized(40_000));
        let mut at = text.as_ptr();
        let mut lengths = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(slice))) = Pin::new(&mut body).poll_next(&mut context) {
            assert_eq!(slice.as_ptr(), at);
            at = at.wrapping_add(slice.len());
            lengths.push(slice.len());
        }
        assert_eq!(lengths, [SLICE, SLICE, 40_000 - 2 * SLICE]);
    }
}
