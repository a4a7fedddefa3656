//! End of a session: by the server, by this daemon, or because the daemon leaves the server.

use lanrage_ipc::control::ClientFrame;

use super::clients::ClientError;
use super::output::{Output, Purpose, Timer};
use super::pace::Lane;
use super::requests::RequestError;
use super::session::{Phase, Session};
use crate::core::upstream::link::Loss;
use crate::core::{Failure, Membership, Now};

impl Session {
    /// Ignores the server's messages, and sends only leaves from now on. The daemon leaves the
    /// server.
    pub(crate) fn stop_processing(&mut self) {
        self.is_leaving = true;
        for purpose in self.requests.remove_unsent() {
            self.answered(purpose, Err(RequestError::Lost));
        }
    }

    /// Sends the leaves of local peers. The server expires the peers whose leave it does not
    /// confirm in time.
    pub(crate) fn depart(&mut self, memberships: Vec<Membership>, now: Now) {
        if !self.advance(now) {
            return self.outputs.push_back(Output::Departed);
        }
        self.departures = memberships.len();
        for membership in memberships {
            let (party_id, peer_id) = (membership.party_id, membership.peer_id);
            let frame = ClientFrame::LeaveParty { party_id, peer_id };
            self.request(frame, Lane::Background, Purpose::Departure);
        }
        match self.departures {
            0 => self.departed(),
            _ => self.set_timer(Timer::DepartureEnds, self.settings.request_timeout),
        }
    }

    /// Ends the connection for a reason.
    pub(crate) fn give_up(&mut self, loss: Loss) {
        let loss = self.explained(loss);
        self.end(loss, false);
    }

    /// Ends the connection so that another one replaces it.
    pub(crate) fn yield_connection(&mut self, reason: &str) {
        self.end(Loss::new(reason), true);
    }

    fn end(&mut self, loss: Loss, is_replaced: bool) {
        if self.phase == Phase::Ended {
            return;
        }
        self.phase = Phase::Ended;
        self.timers.clear();
        for purpose in self.requests.end() {
            match purpose {
                Purpose::Withdrawal(party_id, peer_id) => {
                    self.withdrawn(party_id, peer_id, Err(RequestError::Lost));
                }
                Purpose::Relays(id) => self.relays_answered(id, Err(RequestError::Lost)),
                _ => {}
            }
        }
        for id in self.clients.end() {
            self.outputs.push_back(Output::Reply(id, Err(ClientError::Lost)));
        }
        for id in self.announcements.end() {
            self.outputs.push_back(Output::Announced(id, Err(ClientError::Lost)));
        }
        if self.departures > 0 {
            self.outputs.push_back(Output::Departed);
        }
        self.outputs.push_back(Output::Close { loss, is_replaced });
    }

    pub(super) fn departure_answered(&mut self) {
        self.departures = self.departures.saturating_sub(1);
        if self.departures == 0 {
            self.departed();
        }
    }

    pub(super) fn departed(&mut self) {
        match self.departures {
            0 => log::info!("left the control server"),
            left => log::warn!(
                "the control server did not confirm all leaves in time: unconfirmed={left}"
            ),
        }
        self.departures = 0;
        self.timers.remove(&Timer::DepartureEnds);
        self.outputs.push_back(Output::Departed);
    }

    /// Ends the connection because another one of the same identity took over.
    pub(super) fn displaced(&mut self, message: &str) {
        self.give_up(Loss::displaced(&format!("The server says: {message}")));
    }

    /// True once the connection has ended, or is about to end.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving || self.phase == Phase::Ended
    }

    /// Returns a successful result. Ends the connection on a failure of the registry: the next
    /// connection asks the server again.
    pub(super) fn done_or_abort<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.abort(&failure)).ok()
    }

    /// Ends the connection because this machine could not process a message.
    pub(super) fn abort(&mut self, failure: &Failure) {
        let level = match failure {
            // The daemon stops following the server: nobody needs the message.
            Failure::NoLink(_) => log::Level::Debug,
            _ => log::Level::Warn,
        };
        let words = format!("a message of the server could not be processed: {failure}");
        log::log!(level, "{words}");
        self.give_up(Loss::new(words));
    }

    /// Adds the server's last message and its requested wait to a loss.
    pub(super) fn explained(&self, loss: Loss) -> Loss {
        let retry_after = loss.retry_after.max(self.goaway);
        let words = match &self.said {
            Some(said) => format!("{}; {said}", loss.words),
            None => loss.words,
        };
        Loss { words, retry_after, ..loss }
    }
}
