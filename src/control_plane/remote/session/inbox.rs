//! The queue between reading and taking in: the disk of this machine may be slow while the server
//! and its connection are well.

use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::control_plane::remote::transport::Incoming;

/// Messages that wait to be taken in. While the queue is full nothing is read.
const MOST_MESSAGES: usize = 1024;

/// Bytes that they may have together, as JSON; one that is larger waits alone.
const MOST_BYTES: u32 = 8 << 20;

/// Puts messages into the queue.
pub(super) struct Sender {
    messages: mpsc::Sender<(Incoming, Option<OwnedSemaphorePermit>)>,
    room: Arc<Semaphore>,
}

/// Takes messages out of the queue.
pub(super) struct Receiver(mpsc::Receiver<(Incoming, Option<OwnedSemaphorePermit>)>);

/// An empty queue.
pub(super) fn inbox() -> (Sender, Receiver) {
    let (messages, unread) = mpsc::channel(MOST_MESSAGES);
    let room = Arc::new(Semaphore::new(MOST_BYTES as usize));
    (Sender { messages, room }, Receiver(unread))
}

impl Sender {
    /// Waits for room.
    pub(super) async fn put(&self, message: Incoming) {
        let size = u32::try_from(size(&message)).unwrap_or(u32::MAX).min(MOST_BYTES);
        // Neither is closed before this end is.
        let room = self.room.clone().acquire_many_owned(size).await.ok();
        self.messages.send((message, room)).await.ok();
    }
}

impl Receiver {
    /// The next message; `None` once there will be no more.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        self.0.recv().await.map(|(message, _)| message)
    }
}

fn size(message: &Incoming) -> usize {
    let mut count = Count(0);
    match message {
        Incoming::Frame(frame) => drop(serde_json::to_writer(&mut count, frame)),
        Incoming::Garbage(words) | Incoming::Flaw(words) => count.0 = words.len(),
        _ => {}
    }
    count.0
}

/// Counts what is written.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::task::unconstrained;

    use super::*;

    /// Puts a message of that size into the queue, if there is room.
    fn has_room(sender: &Sender, bytes: usize) -> bool {
        let message = Incoming::Garbage("x".repeat(bytes));
        unconstrained(sender.put(message)).now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_queue_is_bounded_by_count() {
        let (sender, mut receiver) = inbox();
        for _ in 0..MOST_MESSAGES {
            assert!(has_room(&sender, 1));
        }
        assert!(!has_room(&sender, 1));
        assert!(receiver.next().await.is_some());
        assert!(has_room(&sender, 1));
    }

    #[tokio::test]
    async fn the_queue_is_bounded_by_bytes() {
        let (sender, mut receiver) = inbox();
        assert!(has_room(&sender, 2 * MOST_BYTES as usize));
        assert!(!has_room(&sender, 1));
        assert!(receiver.next().await.is_some());
        for _ in 0..2 {
            assert!(has_room(&sender, MOST_BYTES as usize / 2));
        }
        assert!(!has_room(&sender, 1));
    }
}
