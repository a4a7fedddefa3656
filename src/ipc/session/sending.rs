//! Output of a session: replies, errors and events.

use std::io;

use lanrage_ipc::envelope::{Id, RESULT_TAIL, bounded_reply_line, reply_line, result_head};
use lanrage_ipc::{Reply, RpcError};
use tokio::time::Instant;

use super::IpcSession;
use crate::events::{Delivery, EventQueue};
use crate::ipc::requests::{Addressee, Answered};
use crate::ipc::subscriptions::Due;
use crate::ipc::translate::{Response, hint, too_large};

impl IpcSession {
    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered { to, mut reply, subscription, reserved, fresh_start } = answered;
        let sent = self.reply(&to, &mut reply);
        drop(reserved);
        if let Some((resume, reserved)) = fresh_start {
            self.subscriptions.keep(resume, reserved);
        }
        if let Some((key, interest)) = subscription {
            self.requests.subscribed(key);
            match (sent, reply) {
                (true, Ok(_)) => self.subscriptions.activate(key, interest),
                // A timed-out subscription may begin even now.
                _ => self.requests.detach(key),
            }
        }
    }

    /// Sends a reply, or the reason why it can't be sent, and then returns `false`.
    fn reply(&mut self, to: &Addressee, reply: &mut Result<Response, RpcError>) -> bool {
        let id = match to {
            Addressee::Request(id) => Some(id),
            Addressee::Unknown => None,
            Addressee::Nobody => {
                if let Err(error) = reply {
                    log::debug!("{:?}: {error}", self.translator.caller.connection);
                }
                return true;
            }
        };
        match reply {
            Ok(Response::Document(json)) => {
                self.send(result_head(id));
                self.outgoing.push_shared(json);
                self.send(RESULT_TAIL.to_owned());
                true
            }
            Ok(Response::Encoded(json, hint)) => {
                let (head, limit) = (result_head(id), self.limits().frame_out);
                if head.len() + json.len() + RESULT_TAIL.len() > limit {
                    self.send_error(id, too_large(limit, *hint));
                    return false;
                }
                self.send(head);
                self.send(std::mem::take(json));
                self.send(RESULT_TAIL.to_owned());
                true
            }
            Ok(Response::Reply(reply)) => {
                let limit = self.limits().frame_out;
                match bounded_reply_line(id, reply, limit) {
                    Ok(Some(line)) => {
                        self.send(line);
                        return true;
                    }
                    Ok(None) => self.send_error(id, too_large(limit, hint(reply))),
                    Err(error) => log::error!("a reply could not be encoded: {error}"),
                }
                false
            }
            Err(error) => {
                self.send_error(id, error.clone());
                true
            }
        }
    }

    fn send_error(&mut self, id: Option<&Id>, error: RpcError) {
        match reply_line(id, &Err::<Reply, _>(error)) {
            Ok(line) => self.send(line),
            Err(error) => log::error!("an error could not be encoded: {error}"),
        }
    }

    /// Sends an error about a line that was no request.
    pub(super) fn send_unaddressed_error(&mut self, error: RpcError) {
        self.reply(&Addressee::Unknown, &mut Err(error));
    }

    pub(super) fn send(&mut self, line: String) {
        if self.outgoing.is_empty() {
            self.taken = Instant::now();
        }
        self.outgoing.push(line);
    }

    /// Sends a delivery and those queued behind it. Changes are committed in groups, and a write
    /// costs far more than a line.
    pub(super) fn deliver(&mut self, delivery: Delivery, queue: &EventQueue) -> io::Result<()> {
        let mut next = Some(delivery);
        while let Some(delivery) = next {
            match self.subscriptions.due(delivery)? {
                Due::Send(line) => self.send(line),
                Due::Nothing => {}
            }
            next = if self.may_deliver() { queue.take() } else { None };
        }
        Ok(())
    }
}
