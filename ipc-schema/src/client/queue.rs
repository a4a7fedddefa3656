//! Notifications that came while a reply was waited for.

use std::collections::VecDeque;

use super::connection::Notification;

/// First in, first out; when it is full, the oldest go, so that what is left is contiguous and a
/// `goaway`, which comes last, is kept.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Notification>,
    bytes: usize,
    max_bytes: usize,
}

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, max_bytes }
    }

    /// Takes one in. It is kept even if it alone is too large.
    pub(super) fn push(&mut self, notification: Notification) {
        self.bytes += notification.params.len();
        self.waiting.push_back(notification);
        while self.bytes > self.max_bytes && self.waiting.len() > 1 {
            self.pop();
        }
    }

    pub(super) fn pop(&mut self) -> Option<Notification> {
        let notification = self.waiting.pop_front()?;
        self.bytes -= notification.params.len();
        Some(notification)
    }
}
