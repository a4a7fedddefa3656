//! End of a session: by the server, by this daemon, and by its leaving the server.

use lanrage_ipc::control::ClientFrame;

use super::clients::ClientError;
use super::output::{Output, Purpose, Timer};
use super::pace::Lane;
use super::requests::RequestError;
use super::session::{Phase, Session};
use crate::core::upstream::link::Loss;
use crate::core::{Failure, Membership, Now};

impl Session {
    /// Passes over what the server tells, and sends nothing but leaves. The server is being left.
    pub(crate) fn stop_processing(&mut self) {
        self.is_leaving = true;
        for purpose in self.requests.remove_unsent() {
            self.answered(purpose, Err(RequestError::Lost));
        }
    }

    /// Has local peers leave, as far as the server confirms it in time; it expires the others.
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

    /// Gives the connection up, for that reason.
    pub(crate) fn give_up(&mut self, loss: Loss) {
        let loss = self.explained(loss);
        self.end(loss, false);
    }

    /// Gives the connection up for another one.
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
            left => log::warn!("the control server did not confirm in time that all left: {left}"),
        }
        self.departures = 0;
        self.timers.remove(&Timer::DepartureEnds);
        self.outputs.push_back(Output::Departed);
    }

    /// Gives the connection up, since another one of the same identity took over.
    pub(super) fn displaced(&mut self, message: &str) {
        self.give_up(Loss::displaced(&format!("The server says: {message}")));
    }

    /// True once the connection ends, or is about to.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving || self.phase == Phase::Ended
    }

    /// Passes a result on; gives the connection up on a failure of the registry, so that the server
    /// is asked anew on another one.
    pub(super) fn done_or_abort<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.abort(&failure)).ok()
    }

    /// Gives the connection up, since this machine could not take in what the server told.
    pub(super) fn abort(&mut self, failure: &Failure) {
        let level = match failure {
            // Nobody wants it taken in any more.
            Failure::NoLink(_) => log::Level::Debug,
            _ => log::Level::Warn,
        };
        let words = format!("what the server told could not be taken in: {failure}");
        log::log!(level, "{words}");
        self.give_up(Loss::new(words));
    }

    /// Adds what the server said before, and the time after which it wants to be asked again.
    pub(super) fn explained(&self, loss: Loss) -> Loss {
        let retry_after = loss.retry_after.max(self.goaway);
        let words = match &self.said {
            Some(said) => format!("{}; {said}", loss.words),
            None => loss.words,
        };
        Loss { words, retry_after, ..loss }
    }
}
