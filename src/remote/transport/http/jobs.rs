//! Task of a transport: it executes the session's requests, a few concurrently and those about one
//! party in order, and polls parties in between.

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

/// Upper bound of concurrent requests, beside one poll.
const MOST_CONCURRENT: usize = 4;

/// Upper bound of jobs that were received and have not started.
const MOST_WAITING: usize = 64;

/// Parties and peer of a job. Jobs with a common key do not run concurrently.
#[derive(Debug, Clone, PartialEq, Eq)]
struct JobKeys {
    parties: Vec<PartyId>,
    peer: Option<PeerId>,
    /// True for a hello, which registers the peer: no other job of the peer runs beside it.
    is_hello: bool,
}

/// Job for a message of the session.
#[derive(Debug)]
enum Job {
    Request(Box<Inbound>),
    Ping,
}

/// Kind of a running task.
#[derive(Debug)]
enum TaskKind {
    Job,
    Poll,
}

/// Number and result of a task.
type TaskResult = (u64, Result<(), Loss>);

/// Runs jobs and polls.
pub(super) struct JobRunner {
    session: Arc<PollSession>,
    tasks: JoinSet<TaskResult>,
    /// Running tasks, with their numbers.
    running: Vec<(u64, TaskKind, JobKeys)>,
    last_number: u64,
    /// Jobs that have not started.
    waiting: VecDeque<Job>,
    /// True once the session has closed the transport.
    is_closing: bool,
}

impl JobRunner {
    /// Creates a runner without jobs.
    pub(super) fn new(session: Arc<PollSession>) -> Self {
        let (tasks, running, waiting) = Default::default();
        Self { session, tasks, running, last_number: 0, waiting, is_closing: false }
    }

    /// Runs until the transport is closed or dropped, or the connection to the server is lost.
    /// Tasks in flight are then drained for `limit` at most, so that a token that one receives is
    /// reported.
    pub(super) async fn run(mut self, mut outgoing: mpsc::Receiver<Outgoing>, limit: Duration) {
        let session = self.session.clone();
        let worked = async {
            let loss = self.run_until_lost(&mut outgoing).await;
            let drained = async { while self.tasks.join_next().await.is_some() {} };
            tokio::time::timeout(limit, drained).await.ok();
            self.tasks.shutdown().await;
            self.session.send_message(Message::Lost(loss)).await;
        };
        tokio::select! {
            () = worked => {}
            () = session.closed() => {}
        }
    }

    /// Runs jobs and polls. Returns the reason for the end.
    async fn run_until_lost(&mut self, outgoing: &mut mpsc::Receiver<Outgoing>) -> Loss {
        loop {
            let next_poll = self.start_tasks();
            if self.is_closing && self.waiting.is_empty() && self.running.is_empty() {
                return Loss::new("the connection was closed by this side");
            }
            let is_open = !self.is_closing && self.waiting.len() < MOST_WAITING;
            let poll_at = next_poll.unwrap_or_else(Instant::now);
            tokio::select! {
                Some(result) = self.tasks.join_next() => {
                    if let Err(loss) = self.finish(result) {
                        return loss;
                    }
                }
                message = outgoing.recv(), if is_open => self.enqueue(message),
                () = tokio::time::sleep_until(poll_at), if next_poll.is_some() => {}
            }
        }
    }

    /// Adds the job of a message, or closes the transport.
    fn enqueue(&mut self, message: Option<Outgoing>) {
        match message {
            Some(Outgoing::Frame(mut inbound)) => {
                // The waiting frames first: this one may end a rename.
                self.apply_renames();
                self.session.parties().apply_renames_to_newest(&mut inbound.frame);
                self.waiting.push_back(Job::Request(inbound));
            }
            Some(Outgoing::Ping) => self.waiting.push_back(Job::Ping),
            Some(Outgoing::Close) | None => self.is_closing = true,
        }
    }

    /// Applies renames of parties to the waiting requests.
    fn apply_renames(&mut self) {
        let parties = self.session.parties();
        for job in &mut self.waiting {
            if let Job::Request(inbound) = job {
                parties.apply_renames(&mut inbound.frame);
            }
        }
    }

    /// Starts the jobs and the poll that can start. Returns the time of the next poll.
    fn start_tasks(&mut self) -> Option<Instant> {
        self.apply_renames();
        let mut blocked: Vec<JobKeys> = Vec::new();
        for job in std::mem::take(&mut self.waiting) {
            let keys = job.keys();
            let jobs = self.running.iter().filter(|(_, kind, _)| matches!(kind, TaskKind::Job));
            let may_start = jobs.count() < MOST_CONCURRENT
                && !self.is_blocked(&keys)
                && !blocked.iter().any(|other| other.conflicts_with(&keys));
            if may_start {
                self.spawn_job(job, keys);
            } else {
                blocked.push(keys);
                self.waiting.push_back(job);
            }
        }
        self.start_poll()
    }

    /// Polls the party that is due, or returns the time of the next poll.
    fn start_poll(&mut self) -> Option<Instant> {
        let is_polling = self.running.iter().any(|(_, kind, _)| matches!(kind, TaskKind::Poll));
        if self.is_closing || is_polling || !self.waiting.is_empty() {
            return None;
        }
        let may = |party_id: &PartyId| !self.is_blocked(&JobKeys::of_party(party_id.clone()));
        let (due, party_id, peer_id) = self.session.parties().next_poll(may)?;
        if due > Instant::now() {
            return Some(due);
        }
        let session = self.session.clone();
        let keys = JobKeys::of_party(party_id.clone());
        self.spawn(TaskKind::Poll, keys, async move { session.poll(&party_id, &peer_id).await });
        None
    }

    /// Starts a job.
    fn spawn_job(&mut self, job: Job, keys: JobKeys) {
        let session = self.session.clone();
        self.spawn(TaskKind::Job, keys, async move {
            match job {
                Job::Request(inbound) => session.handle(*inbound).await,
                Job::Ping => match session.api.service().await {
                    // A server that limits the rate of requests is alive.
                    Err(error) if !error.has_status(429) => Err(error.into()),
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
        kind: TaskKind,
        keys: JobKeys,
        task: impl Future<Output = Result<(), Loss>> + Send + 'static,
    ) {
        self.last_number += 1;
        let number = self.last_number;
        self.running.push((number, kind, keys));
        self.tasks.spawn(async move { (number, task.await) });
    }

    /// Removes a finished task. Returns its result.
    fn finish(&mut self, result: Result<TaskResult, JoinError>) -> Result<(), Loss> {
        let (number, outcome) = match result {
            Ok(finished) => finished,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(Loss::new("a request was given up")),
            },
        };
        self.running.retain(|(other, ..)| *other != number);
        outcome
    }

    /// True while a running task conflicts with the keys.
    fn is_blocked(&self, keys: &JobKeys) -> bool {
        self.running.iter().any(|(_, _, other)| other.conflicts_with(keys))
    }
}

impl Job {
    fn keys(&self) -> JobKeys {
        match self {
            Self::Request(inbound) => JobKeys::of(&inbound.frame),
            Self::Ping => JobKeys { parties: Vec::new(), peer: None, is_hello: false },
        }
    }
}

impl JobKeys {
    fn of(frame: &ClientFrame) -> Self {
        let peer = frame.peer_id().cloned();
        match frame {
            ClientFrame::Hello { have, .. } => {
                Self { parties: have.keys().cloned().collect(), peer, is_hello: true }
            }
            _ => {
                let parties = frame.party_id().into_iter().cloned().collect();
                Self { parties, peer, is_hello: false }
            }
        }
    }

    fn of_party(party_id: PartyId) -> Self {
        Self { parties: vec![party_id], peer: None, is_hello: false }
    }

    fn conflicts_with(&self, other: &Self) -> bool {
        self.parties.iter().any(|party_id| other.parties.contains(party_id))
            || (self.is_hello || other.is_hello) && self.peer.is_some() && self.peer == other.peer
    }
}
