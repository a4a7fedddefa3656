use std::collections::BTreeSet;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use jiff::Zoned;
use lanrage_ipc::model::{Party, PartyId};
use lanrage_ipc::results::Rejected;
use tokio::sync::oneshot;

use super::file::{DiscoveryFile, Listing, Updated};
use super::{Announce, AnnounceAll, AnnouncedParties, Discover, DiscoveryError, Flush, Ours};

const MAILBOX: usize = 256;

/// First pause after a failed write; each further one is twice as long.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(60);

/// Pause after an update, as a multiple of its duration.
const REST_PER_WORK: u32 = 9;
/// Longest pause after an update.
const REST_MOST: Duration = Duration::from_secs(1);

/// Limit of invalid entries that are logged at once.
const REJECTED_TOLD: usize = 10;

/// Settings of the discovery file.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Path of the discovery file. Its directory must exist.
    pub(crate) file: PathBuf,
    /// State directory of the daemon.
    pub(crate) state_dir: PathBuf,
    /// Interval of refreshes while there are parties to announce.
    pub(crate) refresh: Duration,
}

/// Actor that keeps the discovery file up to date.
#[derive(Debug)]
pub(crate) struct Discovery {
    config: Config,
    file: Arc<DiscoveryFile>,
    ours: Ours,
    /// Parties of the last successful update.
    written: Ours,
    /// True while `ours` is to be written as soon as the file is free.
    is_due: bool,
    /// True while a job works on the file.
    is_busy: bool,
    /// Requests for the next job.
    waiting: Waiting,
    /// Timer of the next refresh or retry.
    wake: Option<SpawnHandle>,
    /// Timer of the pause after an update. The next update waits for its end, unless a request
    /// waits for that update.
    rest: Option<SpawnHandle>,
    /// Failure of the last update: `ours` is not in the file.
    failure: Option<Failure>,
    /// True while the actor waits for a request: no refresh, no retry.
    is_resting: bool,
    /// Parties whose ids belong to others, as last logged; repetitions are not logged.
    taken: BTreeSet<PartyId>,
    rejected: BTreeSet<String>,
    /// True after an update whose entries had no room in the file.
    is_full: bool,
}

#[derive(Debug)]
struct Failure {
    error: DiscoveryError,
    /// Pause before the next attempt.
    pause: Duration,
}

#[derive(Debug, Default)]
struct Waiting {
    flushes: Vec<oneshot::Sender<()>>,
    discovers: Vec<oneshot::Sender<Result<Arc<AnnouncedParties>, DiscoveryError>>>,
}

/// Blocking work on the file: at most one at a time.
struct Job {
    file: Arc<DiscoveryFile>,
    update: Option<Ours>,
    /// Parties of the last successful update.
    written: Ours,
    list: bool,
}

/// Results of the parts of a job.
struct Outcome {
    took: Duration,
    updated: Option<Result<Updated, DiscoveryError>>,
    /// Parties of the last successful update.
    written: Ours,
    listed: Option<Result<(AnnouncedParties, Vec<Rejected>), DiscoveryError>>,
}

impl Job {
    fn run(self) -> Outcome {
        let (now, started) = (Zoned::now(), Instant::now());
        let mut written = self.written;
        let updated = self.update.map(|ours| {
            let updated = self.file.update(&ours, &now)?;
            written = ours;
            Ok(updated)
        });
        let zone = now.time_zone();
        let listed = self.list.then(|| {
            let Listing { parties, rejected } = self.file.list(zone)?;
            Ok((AnnouncedParties::new(parties, &written, zone), rejected))
        });
        Outcome { took: started.elapsed(), updated, written, listed }
    }
}

impl Discovery {
    /// Creates the actor without announcements.
    pub(crate) fn new(config: Config) -> Self {
        let announced = config.state_dir.join("announced.json");
        Self {
            file: Arc::new(DiscoveryFile::new(config.file.clone(), announced)),
            config,
            ours: Ours::new(),
            written: Ours::new(),
            is_due: false,
            is_busy: false,
            waiting: Waiting::default(),
            wake: None,
            rest: None,
            failure: None,
            is_resting: false,
            taken: BTreeSet::new(),
            rejected: BTreeSet::new(),
            is_full: false,
        }
    }

    /// Schedules a write of `ours`: now, or after the pause of a failure.
    fn announce(&mut self, ctx: &mut Context<Self>) {
        self.is_resting = false;
        match self.failure {
            None => self.is_due = true,
            Some(_) => self.set_wake(ctx),
        }
        self.advance(ctx);
    }

    /// Starts the next job, if there is work and no job runs.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        let may_wait = self.rest.is_some() && self.waiting.is_empty();
        if self.is_busy || may_wait {
            return;
        }
        let waiting = mem::take(&mut self.waiting);
        let update = mem::take(&mut self.is_due).then(|| self.ours.clone());
        let list = !waiting.discovers.is_empty();
        if update.is_none() && !list {
            return waiting.flushed();
        }
        if update.is_some() {
            self.cancel_wake(ctx);
        }
        self.is_busy = true;
        let job = Job { file: self.file.clone(), update, written: self.written.clone(), list };
        let work = tokio::task::spawn_blocking(|| job.run()).into_actor(self);
        ctx.spawn(work.map(|outcome, act, ctx| match outcome {
            Ok(outcome) => act.finish(outcome, waiting, ctx),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is stopping.
            Err(_) => ctx.stop(),
        }));
    }

    fn finish(&mut self, outcome: Outcome, mut waiting: Waiting, ctx: &mut Context<Self>) {
        self.is_busy = false;
        self.written = outcome.written;
        if let Some(updated) = outcome.updated {
            self.note(updated);
            self.set_wake(ctx);
            self.set_rest(outcome.took, ctx);
        }
        if let Some(listed) = outcome.listed {
            let is_damaged = matches!(listed, Err(DiscoveryError::Damaged { .. }));
            // An update mends it; one that can't is tried again in its own time.
            self.is_due |= is_damaged && self.failure.is_none();
            let discovered = listed.map(|(parties, rejected)| {
                self.log_rejected(&rejected);
                Arc::new(parties)
            });
            for asker in mem::take(&mut waiting.discovers) {
                // The requester may have given up.
                let _ = asker.send(discovered.clone());
            }
        }
        waiting.flushed();
        self.advance(ctx);
    }

    fn note(&mut self, updated: Result<Updated, DiscoveryError>) {
        match updated {
            Ok(Updated { taken, left_out }) => {
                if self.failure.take().is_some() {
                    log::info!("{} is written again", self.config.file.display());
                }
                let file = self.config.file.display();
                for party_id in taken.difference(&self.taken) {
                    log::warn!("party {party_id} is not announced: {file} has another of that id");
                }
                if left_out > 0 && !self.is_full {
                    log::warn!("{file} has no room for all parties: left_out={left_out}");
                }
                (self.taken, self.is_full) = (taken, left_out > 0);
            }
            Err(error) => {
                if self.failure.as_ref().is_none_or(|failure| failure.error != error) {
                    log::error!("parties can't be announced: {error}");
                }
                let last = self.failure.take().map(|failure| failure.pause);
                let pause = last.map_or(RETRY_FIRST, |last| (last * 2).min(RETRY_MOST));
                self.failure = Some(Failure { error, pause });
                // Changes from meanwhile wait as well, except for a flush, which gets a last
                // attempt.
                self.is_due = !self.waiting.flushes.is_empty();
            }
        }
    }

    fn log_rejected(&mut self, rejected: &[Rejected]) {
        let line = |rejected: &Rejected| {
            let peer = rejected.peer_id.as_ref().map(|peer_id| format!(", peer {peer_id:?}"));
            let party = format!("party {:?}{}", rejected.party_id, peer.unwrap_or_default());
            format!("{party} is passed over: {}", rejected.reason)
        };
        let lines: BTreeSet<String> = rejected.iter().map(line).collect();
        let file = self.config.file.display();
        let new: Vec<&String> = lines.difference(&self.rejected).collect();
        for line in new.iter().take(REJECTED_TOLD) {
            log::warn!("{file}: {line}");
        }
        if new.len() > REJECTED_TOLD {
            log::warn!("{file}: {} more entries are passed over", new.len() - REJECTED_TOLD);
        }
        self.rejected = lines;
    }

    /// Sets the timer of the next refresh or retry, if one is due.
    fn set_wake(&mut self, ctx: &mut Context<Self>) {
        let pause = match &self.failure {
            _ if self.is_resting || self.wake.is_some() => return,
            Some(failure) => failure.pause,
            None if self.ours.is_empty() => return,
            None => self.config.refresh,
        };
        self.wake = Some(ctx.run_later(pause, |act, ctx| {
            act.wake = None;
            act.is_due = true;
            act.advance(ctx);
        }));
    }

    /// Starts the pause after an update. Rewriting a long file at every change never takes more
    /// than a fraction of a thread.
    fn set_rest(&mut self, took: Duration, ctx: &mut Context<Self>) {
        if let Some(rest) = self.rest.take() {
            ctx.cancel_future(rest);
        }
        let pause = (took * REST_PER_WORK).min(REST_MOST);
        self.rest = Some(ctx.run_later(pause, |act, ctx| {
            act.rest = None;
            act.advance(ctx);
        }));
    }

    fn cancel_wake(&mut self, ctx: &mut Context<Self>) {
        if let Some(wake) = self.wake.take() {
            ctx.cancel_future(wake);
        }
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.flushes.is_empty() && self.discovers.is_empty()
    }

    fn flushed(self) {
        for asker in self.flushes {
            let _ = asker.send(());
        }
    }
}

impl Actor for Discovery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

crate::health::answers_ping!(Discovery);

impl Handler<Announce> for Discovery {
    type Result = ();

    fn handle(&mut self, message: Announce, ctx: &mut Self::Context) {
        for (party_id, party) in message.changes {
            match party {
                Some(party) => self.ours.insert(party_id, party),
                None => self.ours.remove(&party_id),
            };
        }
        self.announce(ctx);
    }
}

impl Handler<AnnounceAll> for Discovery {
    type Result = ();

    fn handle(&mut self, message: AnnounceAll, ctx: &mut Self::Context) {
        let by_id = |party: Arc<Party>| (party.party_id.clone(), party);
        self.ours = message.parties.into_iter().map(by_id).collect();
        self.announce(ctx);
    }
}

impl Handler<Discover> for Discovery {
    type Result = ResponseFuture<Result<Arc<AnnouncedParties>, DiscoveryError>>;

    fn handle(&mut self, _: Discover, ctx: &mut Self::Context) -> Self::Result {
        let (sender, answer) = oneshot::channel();
        self.waiting.discovers.push(sender);
        self.advance(ctx);
        Box::pin(async { answer.await.unwrap_or(Err(DiscoveryError::Stopped)) })
    }
}

impl Handler<Flush> for Discovery {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) -> Self::Result {
        let (sender, answer) = oneshot::channel();
        self.waiting.flushes.push(sender);
        self.is_resting = true;
        self.cancel_wake(ctx);
        self.is_due |= self.failure.is_some();
        self.advance(ctx);
        // A stopped actor has nothing more to write.
        Box::pin(async { answer.await.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests;
