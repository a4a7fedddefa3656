//! The task behind a transport: it makes the link's requests, a few at once and those of one party in
//! their order, and looks for news in between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use lanrage_ipc::control::{ClientFrame, Inbound};
use lanrage_ipc::model::{PartyId, PeerId};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::super::{Incoming, Loss, Outgoing};
use super::session::PollSession;
use crate::core::upstream::Message;

/// Requests that are made at once, beside a look for news.
const MOST_AT_ONCE: usize = 4;

/// Requests that are taken from the link's queue before they can be made.
const MOST_WAITING: usize = 64;

/// Parties and peer of a job. Jobs with a common key run one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct JobKeys {
    parties: Vec<PartyId>,
    peer: Option<PeerId>,
    /// True for a job that registers the peer: all others of the peer wait for it.
    introduces: bool,
}

/// Something that the link wants.
#[derive(Debug)]
enum Job {
    Request(Box<Inbound>),
    Ping,
}

#[derive(Debug)]
enum Kind {
    Job,
    Look,
}

/// Number and result of a job.
type Done = (u64, Result<(), Loss>);

/// Makes requests and looks for news.
pub(super) struct JobRunner {
    session: Arc<PollSession>,
    jobs: JoinSet<Done>,
    /// Jobs in flight.
    running: Vec<(u64, Kind, JobKeys)>,
    last: u64,
    waiting: VecDeque<Job>,
    is_closing: bool,
}

impl JobRunner {
    pub(super) fn new(session: Arc<PollSession>) -> Self {
        let (jobs, running, waiting) = Default::default();
        Self { session, jobs, running, last: 0, waiting, is_closing: false }
    }

    /// Works until the link closes the transport or is gone, or the server is out of reach. Jobs that
    /// are under way then may take `patience` more: a token that one of them gets is not lost.
    pub(super) async fn run(mut self, mut outgoing: mpsc::Receiver<Outgoing>, patience: Duration) {
        let session = self.session.clone();
        let worked = async {
            let loss = self.work(&mut outgoing).await;
            let drained = async { while self.jobs.join_next().await.is_some() {} };
            tokio::time::timeout(patience, drained).await.ok();
            self.jobs.shutdown().await;
            self.session.send_message(Message::Lost(loss)).await;
        };
        tokio::select! {
            () = worked => {}
            () = session.left_alone() => {}
        }
    }

    async fn work(&mut self, outgoing: &mut mpsc::Receiver<Outgoing>) -> Loss {
        loop {
            let next_look = self.advance();
            if self.is_closing && self.waiting.is_empty() && self.running.is_empty() {
                return Loss::new("the connection was closed by this side");
            }
            let is_open = !self.is_closing && self.waiting.len() < MOST_WAITING;
            let look = next_look.unwrap_or_else(Instant::now);
            tokio::select! {
                Some(done) = self.jobs.join_next() => {
                    if let Err(loss) = self.end(done) {
                        return loss;
                    }
                }
                wanted = outgoing.recv(), if is_open => self.take(wanted),
                () = tokio::time::sleep_until(look), if next_look.is_some() => {}
            }
        }
    }

    fn take(&mut self, wanted: Option<Outgoing>) {
        match wanted {
            Some(Outgoing::Frame(mut inbound)) => {
                // Earlier requests may not know the id that this one names.
                self.translate();
                self.session.parties().translate(&mut inbound.frame);
                self.waiting.push_back(Job::Request(inbound));
            }
            Some(Outgoing::Ping) => self.waiting.push_back(Job::Ping),
            Some(Outgoing::Close) | None => self.is_closing = true,
        }
    }

    /// Gives parties in what waits the ids that the server chose meanwhile.
    fn translate(&mut self) {
        let parties = self.session.parties();
        for job in &mut self.waiting {
            if let Job::Request(inbound) = job {
                parties.translate_early(&mut inbound.frame);
            }
        }
    }

    /// Starts what can be started. When to look for news, if not yet.
    fn advance(&mut self) -> Option<Instant> {
        self.translate();
        let mut ahead: Vec<JobKeys> = Vec::new();
        for job in std::mem::take(&mut self.waiting) {
            let keys = job.keys();
            let requests = self.running.iter().filter(|(_, kind, _)| matches!(kind, Kind::Job));
            let is_free = requests.count() < MOST_AT_ONCE
                && !self.is_busy(&keys)
                && !ahead.iter().any(|other| other.clashes(&keys));
            if is_free {
                self.spawn_wish(job, keys);
            } else {
                ahead.push(keys);
                self.waiting.push_back(job);
            }
        }
        self.look()
    }

    /// Looks at the party whose turn it is, or tells when that will be.
    fn look(&mut self) -> Option<Instant> {
        let is_looking = self.running.iter().any(|(_, kind, _)| matches!(kind, Kind::Look));
        if self.is_closing || is_looking || !self.waiting.is_empty() {
            return None;
        }
        let may = |party_id: &PartyId| !self.is_busy(&JobKeys::of_party(party_id.clone()));
        let (due, party_id, peer_id) = self.session.parties().next(may)?;
        if due > Instant::now() {
            return Some(due);
        }
        let session = self.session.clone();
        let keys = JobKeys::of_party(party_id.clone());
        self.spawn(Kind::Look, keys, async move { session.look(&party_id, &peer_id).await });
        None
    }

    fn spawn_wish(&mut self, job: Job, keys: JobKeys) {
        let session = self.session.clone();
        self.spawn(Kind::Job, keys, async move {
            match job {
                Job::Request(inbound) => session.serve(*inbound).await,
                Job::Ping => match session.api.greet().await {
                    // A server that answers 429 is alive.
                    Err(refused) if !refused.is_status(429) => Err(refused.into()),
                    _ => {
                        session.send(Incoming::Alive).await;
                        Ok(())
                    }
                },
            }
        });
    }

    fn spawn(
        &mut self,
        kind: Kind,
        keys: JobKeys,
        job: impl Future<Output = Result<(), Loss>> + Send + 'static,
    ) {
        self.last += 1;
        let number = self.last;
        self.running.push((number, kind, keys));
        self.jobs.spawn(async move { (number, job.await) });
    }

    fn end(&mut self, done: Result<Done, JoinError>) -> Result<(), Loss> {
        let (number, outcome) = match done {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(Loss::new("a request was given up")),
            },
        };
        self.running.retain(|(other, ..)| *other != number);
        outcome
    }

    fn is_busy(&self, keys: &JobKeys) -> bool {
        self.running.iter().any(|(_, _, other)| other.clashes(keys))
    }
}

impl Job {
    fn keys(&self) -> JobKeys {
        match self {
            Self::Request(inbound) => JobKeys::of(&inbound.frame),
            Self::Ping => JobKeys { parties: Vec::new(), peer: None, introduces: false },
        }
    }
}

impl JobKeys {
    fn of(frame: &ClientFrame) -> Self {
        let peer = frame.peer_id().cloned();
        match frame {
            ClientFrame::Hello { have, .. } => {
                Self { parties: have.keys().cloned().collect(), peer, introduces: true }
            }
            _ => {
                let parties = frame.party_id().into_iter().cloned().collect();
                Self { parties, peer, introduces: false }
            }
        }
    }

    fn of_party(party_id: PartyId) -> Self {
        Self { parties: vec![party_id], peer: None, introduces: false }
    }

    fn clashes(&self, other: &Self) -> bool {
        self.parties.iter().any(|party_id| other.parties.contains(party_id))
            || (self.introduces || other.introduces)
                && self.peer.is_some()
                && self.peer == other.peer
    }
}
