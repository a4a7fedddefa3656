//! One connection's conversation: what its client asks for, in the order in which it asks, and
//! what it hears of its parties. It knows no socket.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{self, ClientFrame, Inbound, ReqId, ServerFrame};
use lanrage_ipc::model::{Party, PartyId, PeerId};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::face::Face;
use super::hearing::Hearing;
use super::line::{CloseCode, Line};
use super::render::{self, Rejection, Style};
use super::requests::{Reply, summary};
use super::session::send;
use crate::control_plane::{Answer, Ask, Failure, Query};
use crate::core::{Caller, Command, Principal, Refusal};
use crate::events::Delivery;

/// Signals are looked for again that often while the client has not read what it was sent.
const SIGNALS_AGAIN: Duration = Duration::from_millis(50);

/// The conversation with one client.
pub(super) struct Conversation {
    pub(super) face: Arc<Face>,
    pub(super) line: Arc<Line>,
    frames: mpsc::Receiver<ByteString>,
    pub(super) style: Style,
    /// Whether connections before this one are not listened to any more for its peers.
    pub(super) takes_over: bool,
    /// The peers that the connection speaks for.
    pub(super) peers: BTreeSet<PeerId>,
    /// Peers that its client says to be back as, and could not show to be.
    pub(super) returning: BTreeSet<PeerId>,
    pub(super) hearing: Hearing,
    /// Members for whom signals wait until the client has read some of what it was sent.
    pub(super) late_signals: BTreeSet<(PartyId, PeerId)>,
}

impl Conversation {
    /// Over a line whose client's texts come as `frames`.
    pub(super) fn new(
        face: Arc<Face>,
        line: Arc<Line>,
        frames: mpsc::Receiver<ByteString>,
        events: usize,
    ) -> Self {
        let hearing = Hearing::new(line.id, events);
        let style = Style { additions: false, utc_offset: None };
        let (takes_over, peers, returning, late_signals) = Default::default();
        Self { face, line, frames, style, takes_over, peers, returning, hearing, late_signals }
    }

    /// Speaks until the session is gone, then lets go of what the connection held.
    pub(super) async fn run(mut self) {
        let mut refreshed = Instant::now();
        loop {
            let refresh_at = refreshed + self.face.settings().ws.refresh;
            let queue = self.hearing.queue.clone();
            let may_signal = self.line.queued() < self.face.settings().ws.queue_frames / 2;
            tokio::select! {
                biased;
                delivery = queue.next() => self.hear(delivery).await,
                frame = self.frames.recv() => match frame {
                    Some(text) => self.take(&text).await,
                    None => break,
                },
                () = tokio::time::sleep(SIGNALS_AGAIN), if !self.late_signals.is_empty() => {
                    if may_signal {
                        self.bring_late_signals().await;
                    }
                }
                () = tokio::time::sleep_until(refresh_at), if !self.style.additions => {
                    self.refresh().await;
                    self.come_back_again().await;
                    refreshed = Instant::now();
                }
            }
        }
        self.end().await;
    }

    async fn end(mut self) {
        log::debug!("{:?}: closed", self.line.id);
        // All is written that will be. The framework would wait a second for more input, and the
        // client, whose part it is to wait for the end, with it.
        self.line.hang_up();
        self.face.leave(&self.line);
        self.face.release(&self.peers, self.line.id);
        // With the server everything ends at once, and who was connected stays so to the end.
        if self.face.http.is_stopping() {
            return;
        }
        for key in self.hearing.end_all() {
            self.ask(Ask::Unsubscribe(key)).await.ok();
        }
        // Until it is known that the connection is gone, its peers live for ever.
        while let Err(failure) = self.ask(Ask::Command(Command::Disconnect)).await {
            log::warn!("{:?}: could not let go of its peers yet: {failure}", self.line.id);
            if !matches!(failure, Failure::TimedOut(_)) {
                break;
            }
        }
    }

    async fn take(&mut self, text: &str) {
        if self.line.closing_since().is_some() {
            return;
        }
        let Inbound { frame, req_id } = match control::decode(text) {
            Ok(inbound) => inbound,
            Err(bad) => {
                self.face.http.metrics.rejected("invalid");
                let req_id = bad.req_id.clone();
                return self.offended(bad.into(), req_id);
            }
        };
        let is_hello = matches!(frame, ClientFrame::Hello { .. });
        if !self.line.is_greeted() && !is_hello {
            let message = "type: the first frame must be hello or auth";
            return self.offended(Rejection::new(ErrorCode::InvalidRequest, message), req_id);
        }
        log::debug!("{:?}: {}", self.line.id, summary(&frame));
        match self.act(frame, req_id.as_ref()).await {
            Ok(Reply { epoch, seq, result }) => {
                if let Some(req_id) = req_id.filter(|_| self.style.additions) {
                    self.send(&ServerFrame::Ack { req_id, epoch, seq, result });
                }
            }
            Err(rejection) => self.refuse(rejection, req_id),
        }
    }

    pub(super) async fn party(&self, party_id: &PartyId) -> Result<Party, Failure> {
        match self.ask(Ask::Query(Query::Party(party_id.clone()))).await? {
            Answer::Party(party) => Ok(party),
            other => {
                unexpected(&other);
                Err(Failure::Refused(Refusal::PartyNotFound(party_id.clone())))
            }
        }
    }

    pub(super) fn reply(&self, seq: Option<u64>, result: Value) -> Reply {
        Reply { epoch: self.face.epoch.clone(), seq, result }
    }

    /// Asks as the peers that the connection speaks for.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let principal = Principal::Peers(self.peers.iter().cloned().collect());
        self.face.http.ask(Caller { principal, connection: self.line.id }, ask).await
    }

    pub(super) fn send(&self, frame: &ServerFrame) {
        send(&self.line, frame, self.face.now());
    }

    fn refuse(&self, rejection: Rejection, req_id: Option<ReqId>) {
        log::debug!("{:?}: refused: {}", self.line.id, rejection.message);
        self.send(&render::error(self.style, rejection, req_id));
    }

    fn offended(&self, rejection: Rejection, req_id: Option<ReqId>) {
        self.refuse(rejection, req_id);
        self.line.offended(self.face.now());
    }

    async fn hear(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Event(key, news) => {
                if let Some(party_id) = self.hearing.party_of(key) {
                    self.tell(&party_id, &news).await;
                }
            }
            Delivery::Behind(_) => {
                let now = self.face.now();
                self.line.close(CloseCode::TryAgain, "too slow: connect again and sync", now);
            }
            // Nobody asked for one.
            Delivery::Reset(..) => {}
        }
    }
}

pub(super) fn unexpected(answer: &Answer) -> Rejection {
    log::error!("an answer that does not belong to its request: {answer:?}");
    mistake()
}

pub(super) fn no_random_numbers(error: getrandom::Error) -> Rejection {
    log::error!("the system gives no random numbers: {error}");
    mistake()
}

pub(super) fn mistake() -> Rejection {
    Rejection::new(ErrorCode::Internal, "the server made a mistake")
}
