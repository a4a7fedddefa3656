//! Requests and their answers. An answer is awaited, never assumed; a request that is repeated has
//! the same name, so that the server does it once.

use std::rc::Rc;
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{ClientFrame, Inbound, ReqId};
use lanrage_ipc::model::{PartyId, PeerId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Acked, Answered, Lane, NumberedInFlight, Rejection, Reply, Session, Trouble};
use crate::control_plane::remote::frames;
use crate::control_plane::remote::transport::{Loss, Outgoing};
use crate::core::reconcile::{InFlight, Passage, ServerParty};
use crate::core::{RequestKey, RetryAfter};

/// How often a request is sent that the server puts off.
const TRIES: u32 = 5;

/// Renamed parties that are remembered: requests under the old id are sent within moments.
const MOST_RENAMES: usize = 64;

/// Patiences that a background request takes at most while the server answers others.
const MOST_PATIENCES: u32 = 10;

/// Upper bound of the wait that a user is told of.
const LONGEST_WAIT_TOLD: Duration = Duration::from_secs(3600);

/// How long to wait where the server does not say.
const AGAIN: Duration = Duration::from_millis(500);

impl Session {
    /// Asks the server, and waits for its answer: again when it puts the request off for not too
    /// long, or when it is silent the first time. A server that then stays silent is given up. The
    /// patience restarts with each answer to any request: a slow server answers one after the
    /// other. A user's request is lost when its time is up, though the server answers others.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(in super::super) async fn ask(
        &self,
        frame: ClientFrame,
        key: &RequestKey,
        lane: Lane,
    ) -> Result<Acked, Trouble> {
        // Twice, and something is left for who asked to be answered in another way.
        let patience = self.patience();
        // A server whose clients come all at once gives each greeting its turn: that is worth all of
        // the time.
        let is_greeting = matches!(frame, ClientFrame::Hello { .. });
        let longest_pause = if is_greeting { patience * 2 } else { patience };
        let begun = Instant::now();
        let _place = self.pace.enter(lane).await;
        for attempt in 1.. {
            let may_wait = |pause: &Duration| {
                // Who is waited for needs time for another answer after that.
                let spent = if lane == Lane::Asked { begun.elapsed() } else { Duration::ZERO };
                attempt < TRIES && spent.saturating_add(*pause) < longest_pause
            };
            let (reply, answer) = oneshot::channel();
            self.expect_answer(key, reply);
            self.send(frame.clone(), key, lane).await?;
            let latest = match lane {
                Lane::Asked => begun + patience * 2,
                Lane::Background => Instant::now() + patience * MOST_PATIENCES,
            };
            match self.answer_in_time(key, answer, latest).await {
                Some(Ok(Ok(acked))) => return Ok(acked),
                Some(Ok(Err(rejection))) => match rejection.pause().filter(may_wait) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => {
                        let message = rejection.told();
                        return Err(Trouble::Refused { code: rejection.code, message });
                    }
                },
                Some(Err(_)) => return Err(Trouble::Lost),
                None if attempt == 1 && Instant::now() < latest => {}
                None if attempt == 1 && lane == Lane::Background => {}
                None => break,
            }
        }
        self.waiting.borrow_mut().remove(key);
        if lane == Lane::Background || self.answered_at.get() + patience <= Instant::now() {
            let words = format!("no answer to a request within {:?}", patience * 2);
            self.give_up(Loss::new(words));
        }
        Err(Trouble::Lost)
    }

    /// Longest silence of the server while a request waits for its answer.
    fn patience(&self) -> Duration {
        self.target.request_timeout * 2 / 5
    }

    /// Waits for something that the server has to do, and no longer than a client's request takes
    /// that has begun then; `None` when time is up.
    pub(in super::super) async fn in_time<T>(
        &self,
        begun: Instant,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::time::timeout_at(begun + self.patience() * 2, work).await.ok()
    }

    fn expect_answer(&self, key: &RequestKey, reply: Reply) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.entry(key.clone()).or_default().replies.push(reply);
    }

    /// Waits for an answer while the server answers requests, and until `latest`; `None` when time
    /// is up. An answer that has been read is waited for: this machine is still taking in what came
    /// before it.
    async fn answer_in_time(
        &self,
        key: &RequestKey,
        mut answer: oneshot::Receiver<Answered>,
        latest: Instant,
    ) -> Option<Result<Answered, oneshot::error::RecvError>> {
        let patience = self.patience();
        let mut until = Instant::now() + patience;
        loop {
            if let Ok(answered) = tokio::time::timeout_at(until.min(latest), &mut answer).await {
                return Some(answered);
            }
            let now = Instant::now();
            if self.waiting.borrow().get(key).is_some_and(|pending| pending.is_read) {
                let answered = answer.await;
                return Some(answered);
            }
            until = self.answered_at.get() + patience;
            if until.min(latest) <= now {
                return None;
            }
        }
    }

    async fn send(&self, frame: ClientFrame, key: &RequestKey, lane: Lane) -> Result<(), Trouble> {
        self.pace.admit(lane, self.around.clock).await;
        let is_unwanted = self.is_deaf.get() && !matches!(frame, ClientFrame::LeaveParty { .. });
        if is_unwanted || self.end.borrow().is_some() {
            return Err(Trouble::Lost);
        }
        let inbound = Inbound { frame, req_id: Some(frames::req_id(key)) };
        let sent = self.outgoing.send(Outgoing::Frame(Box::new(inbound)));
        match tokio::time::timeout(self.target.request_timeout, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Trouble::Lost),
            Err(_) => {
                self.give_up(Loss::new("the server does not read what it is sent"));
                Err(Trouble::Lost)
            }
        }
    }

    /// Marks the answer to a request as read. The caller gets it once all before it is taken in.
    pub(super) fn answer_read(&self, req_id: &ReqId) {
        if let Some(pending) = self.waiting.borrow_mut().get_mut(req_id.key()) {
            pending.is_read = true;
            self.answered_at.set(Instant::now());
        }
    }

    /// The server answered, or refused.
    pub(super) fn answered(&self, req_id: &ReqId, result: Answered) {
        let pending = self.waiting.borrow_mut().remove(req_id.key());
        match pending {
            Some(pending) => {
                for reply in pending.replies {
                    // Who asked may have gone.
                    reply.send(result.clone()).ok();
                }
            }
            None => log::debug!("an answer that nobody waits for"),
        }
    }

    /// Notes a request that lets somebody in or out of a party, until the answer is dropped.
    pub(in super::super) fn passing(
        self: &Rc<Self>,
        party_id: &PartyId,
        in_flight: InFlight,
    ) -> Passing {
        if matches!(in_flight.what, Passage::Enters { .. }) {
            // From now on something keeps it alive.
            self.idle.borrow_mut().remove(&in_flight.peer_id);
        }
        let number = self.next_passage.get();
        self.next_passage.set(number + 1);
        let mut passages = self.passages.borrow_mut();
        let numbered = NumberedInFlight { number, in_flight, is_told: false };
        passages.entry(party_id.clone()).or_default().push(numbered);
        Passing { session: self.clone(), number }
    }

    /// Returns the id that the server chose for a party that was registered under this one.
    pub(in super::super) fn renamed_to(&self, party_id: &PartyId) -> Option<PartyId> {
        let renames = self.renames.borrow();
        let rename = renames.iter().rev().find(|(from, _)| from == party_id);
        rename.map(|(_, to)| to.clone())
    }

    /// The party that somebody goes into has another id.
    pub(super) fn rename_passages(&self, from: &PartyId, to: &PartyId) {
        let mut renames = self.renames.borrow_mut();
        if renames.len() == MOST_RENAMES {
            renames.pop_front();
        }
        renames.push_back((from.clone(), to.clone()));
        let mut passages = self.passages.borrow_mut();
        if let Some(moved) = passages.remove(from) {
            passages.entry(to.clone()).or_default().extend(moved);
        }
    }

    /// Notes that what the server told of a party is taken in, for the requests whose peers are
    /// members there.
    pub(super) fn note_told(&self, party_id: &PartyId, server: &ServerParty) {
        let mut passages = self.passages.borrow_mut();
        for one in passages.get_mut(party_id).into_iter().flatten() {
            one.is_told |= server.members.contains_key(&one.in_flight.peer_id);
        }
    }

    /// True while a client has the peer enter the party.
    pub(super) fn enters(&self, party_id: &PartyId, peer_id: &PeerId) -> bool {
        let passages = self.passages.borrow();
        let mut requests = passages.get(party_id).into_iter().flatten();
        requests.any(|NumberedInFlight { in_flight: one, .. }| {
            one.peer_id == *peer_id && matches!(one.what, Passage::Enters { .. })
        })
    }

    pub(super) fn in_flight(&self, party_id: &PartyId) -> Vec<InFlight> {
        let passages = self.passages.borrow();
        let requests = passages.get(party_id).into_iter().flatten();
        requests.map(|one| one.in_flight.clone()).collect()
    }
}

/// A request under way that lets somebody in or out of a party.
pub(in super::super) struct Passing {
    session: Rc<Session>,
    number: u64,
}

impl Passing {
    /// True once what the server told of the party is taken in, with the peer among its members.
    pub(in super::super) fn is_told(&self) -> bool {
        let passages = self.session.passages.borrow();
        let mut requests = passages.values().flatten();
        requests.any(|one| one.number == self.number && one.is_told)
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let mut passages = self.session.passages.borrow_mut();
        // The party may have another id by now.
        passages.retain(|_, requests| {
            requests.retain(|one| one.number != self.number);
            !requests.is_empty()
        });
    }
}

impl Rejection {
    /// Returns the server's words, with the wait that it asks for.
    fn told(&self) -> String {
        match self.retry_after.filter(|_| self.code == ErrorCode::RateLimited) {
            Some(wait) => {
                let seconds = RetryAfter(wait.min(LONGEST_WAIT_TOLD)).seconds();
                format!("{}; try again in {seconds} s", self.message)
            }
            None => self.message.clone(),
        }
    }

    /// How long to wait before the request is made again, where that may help.
    fn pause(&self) -> Option<Duration> {
        may_pass(self.code).then(|| self.retry_after.unwrap_or(AGAIN))
    }
}

/// Whether a refusal says nothing about the request: what is noted stays so, for another time.
pub(super) fn is_no_verdict(code: ErrorCode) -> bool {
    may_pass(code) || matches!(code, ErrorCode::Internal | ErrorCode::Offline)
}

/// Whether what is refused so now may be done soon, whatever anybody does.
fn may_pass(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::RateLimited
            | ErrorCode::StoreUnavailable
            | ErrorCode::Timeout
            | ErrorCode::ShuttingDown
            | ErrorCode::TooManyInFlight
    )
}
