//! Queue of the server's messages between reading and processing. This machine's disk may be slow
//! while the server and its connection are well.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{Bookmark, ServerFrame};
use lanrage_ipc::model::PartyId;

use super::frames;
use super::output::Then;
use super::requests::{Acked, Rejection};
use super::session::{Phase, Session};
use crate::core::Command;
use crate::core::upstream::link::Loss;

/// Upper bound of the waiting messages. A full inbox stops the reading.
const MOST_MESSAGES: usize = 1024;

/// Upper bound of their bytes, as JSON. A larger message waits alone.
const MOST_BYTES: usize = 8 << 20;

/// Unintelligible messages in a row after which the connection is given up.
const MOST_GARBAGE: u32 = 8;

/// Faults of the server on a connection, unintelligible messages included, after which it is given
/// up.
const MOST_WARNINGS: u32 = 50;

/// Input from the server.
#[derive(Debug)]
pub(crate) enum Message {
    /// A frame.
    Frame(Box<ServerFrame>),
    /// An unintelligible message, with the reason.
    Garbage(String),
    /// A part of a message that breaks a rule and is ignored, in words.
    Flaw(String),
    /// The server chose another id for a registered party. It comes before all messages about the
    /// party.
    Renamed {
        /// Id in the request.
        from: PartyId,
        /// Id on the server.
        to: PartyId,
    },
    /// The connection is gone.
    Lost(Loss),
}

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
        let bytes = size(&message);
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
            match message {
                Message::Frame(frame) => match self.take_in(*frame) {
                    Ok(()) => self.garbage = 0,
                    Err(reason) => self.puzzled(&reason),
                },
                Message::Garbage(reason) => self.puzzled(&reason),
                Message::Flaw(words) => {
                    self.warn(format_args!("the control server: {}", frames::shown(&words)));
                }
                Message::Renamed { from, to } => self.rename(from, to),
                Message::Lost(loss) => self.give_up(loss),
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

    fn puzzled(&mut self, reason: &str) {
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

    /// Processes a frame.
    ///
    /// # Errors
    /// The fault of the frame, in words.
    fn take_in(&mut self, frame: ServerFrame) -> Result<(), String> {
        frames::check_ids(&frame)?;
        match frame {
            ServerFrame::Ack { req_id, epoch, seq, result } => {
                let at = seq.map(|seq| Bookmark { epoch, seq });
                self.take_in_answer(req_id.key(), Ok(Acked { at, result }));
            }
            ServerFrame::Error { message, code, req_id, retry_after_ms } => {
                let message = frames::shown(&message);
                let code = code.unwrap_or(ErrorCode::ServerRejected);
                let retry_after = retry_after_ms.map(Duration::from_millis);
                match req_id {
                    Some(req_id) => {
                        let rejection = Rejection { code, message, retry_after };
                        self.take_in_answer(req_id.key(), Err(rejection));
                    }
                    None => self.complained(code, &message),
                }
            }
            ServerFrame::Goaway { retry_after_ms } => {
                let wait = Duration::from_millis(retry_after_ms);
                if self.goaway.replace(wait).is_none() {
                    log::info!("the control server is going away for a while");
                }
                self.note_said("it is going away for a while".to_owned());
            }
            _ if self.is_leaving => {}
            ServerFrame::Welcome {
                peer_id, token, token_expires_at, heartbeat_ms, epoch, ..
            } => {
                self.note_epoch(epoch);
                self.keepalive.limit(Duration::from_millis(heartbeat_ms));
                if let Some((peer_id, token)) = peer_id.zip(token) {
                    self.keep_token(peer_id, token, token_expires_at);
                }
            }
            frame => self.take_in_news(frame)?,
        }
        Ok(())
    }

    /// Handles an error that answers no request.
    fn complained(&mut self, code: ErrorCode, message: &str) {
        match code {
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

fn size(message: &Message) -> usize {
    let mut count = Count(0);
    match message {
        Message::Frame(frame) => drop(serde_json::to_writer(&mut count, frame)),
        Message::Garbage(words) | Message::Flaw(words) => count.0 = words.len(),
        Message::Renamed { .. } | Message::Lost(_) => {}
    }
    count.0
}

/// Counts the written bytes.
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
