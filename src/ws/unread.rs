//! Texts of a client that wait to be processed. Their bytes are counted until then, so that the
//! session reads no faster.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytestring::ByteString;

/// Bytes that a text counts for beside its length, so that many short ones are bounded.
const UNREAD_BYTES: usize = 64;

/// Queue of texts from the session to the conversation. Both are parts of one task.
#[derive(Default)]
pub(super) struct UnreadTexts(RefCell<Waiting>);

#[derive(Default)]
struct Waiting {
    texts: VecDeque<ByteString>,
    /// Bytes of these texts, and of those being processed.
    bytes: usize,
    is_closed: bool,
}

/// Text that is being processed; it counts until it is dropped.
pub(super) struct Unread {
    pub(super) text: ByteString,
    queue: Rc<UnreadTexts>,
}

impl UnreadTexts {
    /// Queues a text.
    pub(super) fn push(&self, text: ByteString) {
        let mut waiting = self.0.borrow_mut();
        waiting.bytes += text.len() + UNREAD_BYTES;
        waiting.texts.push_back(text);
    }

    /// Ends the queue after the texts that wait.
    pub(super) fn close(&self) {
        self.0.borrow_mut().is_closed = true;
    }

    /// Returns the bytes that wait or are being processed.
    pub(super) fn bytes(&self) -> usize {
        self.0.borrow().bytes
    }

    /// Returns the oldest text; waits until there is one. `None` at the end of the queue. The
    /// session polls the conversation after each read, so nothing has to wake it.
    pub(super) async fn next(self: &Rc<Self>) -> Option<Unread> {
        poll_fn(|_| {
            let mut waiting = self.0.borrow_mut();
            match waiting.texts.pop_front() {
                Some(text) => {
                    if waiting.texts.is_empty() {
                        // An idle connection holds no memory.
                        waiting.texts = VecDeque::new();
                    }
                    Poll::Ready(Some(Unread { text, queue: self.clone() }))
                }
                None if waiting.is_closed => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.queue.0.borrow_mut().bytes -= self.text.len() + UNREAD_BYTES;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn unread_text_counts_until_it_is_dropped() {
        let queue = Rc::new(UnreadTexts::default());
        (0..4).for_each(|_| queue.push("x".repeat(1000).into()));
        queue.close();
        assert_eq!(queue.bytes(), 4 * (1000 + UNREAD_BYTES));
        let mut texts = Vec::new();
        while let Some(text) = queue.next().now_or_never().expect("no wait") {
            texts.push(text);
        }
        assert_eq!((texts.len(), queue.bytes()), (4, 4 * (1000 + UNREAD_BYTES)));
        drop(texts);
        assert_eq!(queue.bytes(), 0);
    }
}
