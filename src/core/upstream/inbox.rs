//! Queue of the server's messages between reading and processing. This machine's disk may be slow
//! while the server and its connection are well.

use std::collections::VecDeque;

use lanrage_ipc::ErrorCode;

use super::frames;
use super::message::Message;
use super::output::Then;
use super::requests::Rejection;
use super::session::{Phase, Session};
use crate::core::Command;
use crate::core::upstream::link::Loss;

/// Upper bound of the waiting messages. A full inbox stops the reading.
const MOST_MESSAGES: usize = 1024;

/// Upper bound of their memory, in bytes. A larger message waits alone.
const MOST_BYTES: usize = 8 << 20;

/// Unintelligible messages in a row after which the connection is given up.
const MOST_GARBAGE: u32 = 8;

/// Faults of the server on a connection, unintelligible messages included, after which it is given
/// up.
const MOST_WARNINGS: u32 = 50;

/// Messages that are read and not processed yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    messages: VecDeque<(Message, usize)>,
    bytes: usize,
}

impl Inbox {
    /// True while another message may be read.
    pub(super) fn has_room(&self) -> bool {
        self.messages.len() < MOST_MESSAGES && self.bytes < MOST_BYTES
    }

    pub(super) fn push(&mut self, message: Message) {
        let bytes = message.size();
        self.bytes += bytes;
        self.messages.push_back((message, bytes));
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let (message, bytes) = self.messages.pop_front()?;
        self.bytes -= bytes;
        Some(message)
    }
}

impl Session {
    /// Processes the waiting messages, each after the effects of the previous one are durable.
    pub(super) fn take_in_next(&mut self) {
        while self.taking_in == 0 && self.phase != Phase::Ended {
            let Some(message) = self.inbox.pop() else { return };
            if let Err(reason) = self.take_in(message) {
                self.note_garbage(&reason);
            }
        }
    }

    /// Issues a command for the current message: the next message waits for it.
    pub(super) fn take_in_by(&mut self, command: Command, then: Then) {
        self.taking_in += 1;
        self.apply(command, then);
    }

    /// Notes that a command of [`Session::take_in_by`] is done.
    pub(super) fn taken_in(&mut self) {
        self.taking_in -= 1;
        self.take_in_next();
    }

    fn note_garbage(&mut self, reason: &str) {
        self.garbage += 1;
        let reason = frames::shown(reason);
        self.warn(format_args!("the control server sent what is not understood: {reason}"));
        self.replica.not_understood = Some(reason.clone());
        if self.garbage < MOST_GARBAGE && self.warnings < MOST_WARNINGS {
            self.note_said(format!("what it sent is not understood: {reason}"));
        } else {
            self.said = None;
            self.give_up(Loss::new(format!("what the server sends is not understood: {reason}")));
        }
    }

    /// Processes a message.
    ///
    /// # Errors
    /// The fault of the message, in words.
    fn take_in(&mut self, message: Message) -> Result<(), String> {
        match message {
            Message::Garbage(reason) => return Err(reason),
            Message::Flaw(words) => {
                self.warn(format_args!("the control server: {}", frames::shown(&words)));
                return Ok(());
            }
            Message::Lost(loss) => {
                self.give_up(loss);
                return Ok(());
            }
            Message::Answer { req_id, result } => self.take_in_answer(req_id.key(), result),
            Message::Complaint(rejection) => self.handle_complaint(&rejection),
            Message::Goaway(wait) => {
                if self.goaway.replace(wait).is_none() {
                    log::info!("the control server is going away for a while");
                }
                self.note_said("it is going away for a while".to_owned());
            }
            Message::Renamed { from, to } => self.rename(from, to),
            _ if self.is_leaving => {}
            Message::Welcome { epoch, heartbeat, token } => {
                self.note_epoch(epoch);
                self.keepalive.limit(heartbeat);
                if let Some(token) = token {
                    self.store_token(token);
                }
            }
            Message::Party(party, at) => self.take_in_party(party, at)?,
            Message::Change { party_id, change, at } => {
                self.take_in_change(party_id, change, at)?
            }
            Message::Removed(party_id, reason) => self.take_in_removal(party_id, reason),
            Message::Signal { party_id, from, to, data } => {
                self.take_in_signal(party_id, from, to, data);
            }
        }
        self.garbage = 0;
        Ok(())
    }

    /// Handles an error that answers no request.
    fn handle_complaint(&mut self, Rejection { code, message, .. }: &Rejection) {
        match *code {
            ErrorCode::PermissionDenied if self.auth.revokes => {
                self.yield_connection("the tokens of a released peer ended");
            }
            // It concerns the connection, which was accepted before.
            ErrorCode::PermissionDenied if self.is_online() => self.displaced(message),
            _ => {
                self.warn(format_args!("the control server complains: {message} ({code:?})"));
                self.note_said(format!("it complains: {message}"));
            }
        }
    }

    pub(super) fn note_said(&mut self, said: String) {
        if self.phase != Phase::Online {
            self.said = Some(said);
        }
    }

    /// Logs a warning about the server's conduct.
    pub(crate) fn warn(&mut self, words: std::fmt::Arguments<'_>) {
        self.warnings = self.warnings.saturating_add(1);
        self.memory.warn(self.now.elapsed, words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(inbox: &mut Inbox, bytes: usize) {
        inbox.push(Message::Garbage("x".repeat(bytes)));
    }

    #[test]
    fn inbox_is_bounded_by_count_and_bytes() {
        let mut inbox = Inbox::default();
        for _ in 0..MOST_MESSAGES {
            assert!(inbox.has_room());
            put(&mut inbox, 1);
        }
        assert!(!inbox.has_room());
        inbox.pop().unwrap();
        assert!(inbox.has_room());

        let mut inbox = Inbox::default();
        put(&mut inbox, 2 * MOST_BYTES);
        assert!(!inbox.has_room());
        inbox.pop().unwrap();
        for _ in 0..2 {
            assert!(inbox.has_room());
            put(&mut inbox, MOST_BYTES / 2);
        }
        assert!(!inbox.has_room());
    }
}
