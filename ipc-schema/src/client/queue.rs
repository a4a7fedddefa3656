//! Queue of notifications that arrived before a reply.

use std::collections::VecDeque;

use super::connection::Notification;

/// First-in, first-out queue. When it is full, it drops the oldest notifications. The rest stays
/// contiguous, and a `goaway`, which comes last, is kept.
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

    /// Adds a notification. The newest one is kept even if it alone exceeds the limit.
    pub(super) fn push(&mut self, notification: Notification) {
        self.bytes += size(&notification);
        self.waiting.push_back(notification);
        while self.bytes > self.max_bytes && self.waiting.len() > 1 {
            self.pop();
        }
    }

    pub(super) fn pop(&mut self) -> Option<Notification> {
        let notification = self.waiting.pop_front()?;
        self.bytes -= size(&notification);
        Some(notification)
    }
}

/// Size of a notification, with a fixed cost so that many empty ones fill the queue, too.
fn size(notification: &Notification) -> usize {
    size_of::<Notification>() + notification.method.len() + notification.params.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_little_takes_room_too() {
        let mut queue = Queue::new(1000);
        for number in 0..1000 {
            let method = if number % 2 == 0 { "m".repeat(300) } else { String::new() };
            queue.push(Notification { method, params: String::new() });
        }
        assert!(queue.waiting.len() < 10, "{}", queue.waiting.len());
        while queue.pop().is_some() {}
        assert_eq!(queue.bytes, 0);
    }
}
