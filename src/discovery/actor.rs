use std::collections::BTreeSet;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use jiff::Zoned;
use jiff::tz::TimeZone;
use lanrage_ipc::model::PartyId;
use lanrage_ipc::results::Rejected;
use tokio::sync::oneshot;
use tokio::task::JoinError;

use super::entries::Entries;
use super::file::{DiscoveryFile, Updated};
use super::{AnnouncedParties, Discover, DiscoveryError, Flush, Source};
use crate::core::DirtySet;

const MAILBOX: usize = 256;

/// First pause after a failed write; each further one is twice as long.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(60);

/// Pause after an update, in which further changes gather.
pub(crate) const GATHER: Duration = Duration::from_secs(2);

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
    /// Pause after an update, in which further changes gather.
    pub(crate) gather: Duration,
}

/// Actor that keeps the discovery file up to date.
#[derive(Debug)]
pub(crate) struct Discovery {
    config: Config,
    source: Source,
    /// `None` while a job works on it.
    announcements: Option<Announcements>,
    /// True while the actor waits for a change.
    is_watching: bool,
    /// True while an update is due without a change.
    is_due: bool,
    /// Requests for the next job.
    waiting: Waiting,
    /// Timer of the next refresh or retry.
    wake: Option<SpawnHandle>,
    /// Timer of the pause after an update. The next update waits for its end, unless a request
    /// waits for that update.
    rest: Option<SpawnHandle>,
    /// Failure of the last update: the file lacks changes.
    failure: Option<Failure>,
    /// True while the actor waits for a request: no refresh, no retry.
    is_resting: bool,
    /// Parties whose ids belong to others, as last logged; repetitions are not logged.
    taken: BTreeSet<PartyId>,
    rejected: BTreeSet<String>,
    /// True after an update whose entries had no room in the file.
    is_full: bool,
}

/// State of the announcements.
#[derive(Debug)]
struct Announcements {
    file: DiscoveryFile,
    entries: Entries,
    /// Parties whose entries may be out of date.
    stale: DirtySet,
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

/// Results of the parts of a job.
struct Outcome {
    announcements: Announcements,
    updated: Option<Result<Updated, DiscoveryError>>,
    listed: Option<Result<(AnnouncedParties, Vec<Rejected>), DiscoveryError>>,
}

impl Announcements {
    /// Updates the file, lists it, or both. Blocking work runs on a thread of its own.
    async fn work(
        mut self,
        source: Source,
        update: bool,
        list: bool,
    ) -> Result<Outcome, JoinError> {
        let fresh = if update { self.refresh(&source).await } else { Ok(()) };
        tokio::task::spawn_blocking(move || {
            let Self { file, entries, .. } = &mut self;
            let now = Zoned::now();
            let updated = update.then(|| fresh.and_then(|()| file.update(entries, &now)));
            let listed = list.then(|| file.list(entries, &now));
            Outcome { announcements: self, updated, listed }
        })
        .await
    }

    /// Brings the entries up to date.
    async fn refresh(&mut self, source: &Source) -> Result<(), DiscoveryError> {
        self.stale.extend(source.changed.take());
        source.refresh(&mut self.entries, &self.stale, &TimeZone::system()).await?;
        self.stale = DirtySet::default();
        Ok(())
    }
}

impl Discovery {
    /// Creates the actor. It announces the parties of `source`.
    pub(crate) fn new(config: Config, source: Source) -> Self {
        let announced = config.state_dir.join("announced.json");
        let announcements = Announcements {
            file: DiscoveryFile::new(config.file.clone(), announced),
            entries: Entries::default(),
            stale: DirtySet::Any,
        };
        Self {
            config,
            source,
            announcements: Some(announcements),
            is_watching: false,
            is_due: true,
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

    /// Waits for the next change.
    fn watch(&mut self, ctx: &mut Context<Self>) {
        if mem::replace(&mut self.is_watching, true) {
            return;
        }
        let changed = self.source.changed.clone();
        let change = async move { changed.wait().await }.into_actor(self);
        ctx.spawn(change.map(|(), act, ctx| {
            act.is_watching = false;
            act.is_resting = false;
            match act.failure {
                None => act.advance(ctx),
                Some(_) => act.set_wake(ctx),
            }
        }));
    }

    /// Starts the next job, if there is work and no job runs.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        if self.rest.is_some() && self.waiting.is_empty() {
            return;
        }
        let Some(announcements) = self.announcements.take() else { return };
        let waiting = mem::take(&mut self.waiting);
        let has_changes = self.failure.is_none() && self.source.changed.has_any();
        let update = mem::take(&mut self.is_due) || has_changes;
        let list = !waiting.discovers.is_empty();
        if !update && !list {
            self.announcements = Some(announcements);
            return waiting.flushed();
        }
        if update {
            self.cancel_wake(ctx);
        }
        let work = announcements.work(self.source.clone(), update, list).into_actor(self);
        ctx.spawn(work.map(|outcome, act, ctx| match outcome {
            Ok(outcome) => act.finish(outcome, waiting, ctx),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is stopping.
            Err(_) => ctx.stop(),
        }));
    }

    fn finish(&mut self, outcome: Outcome, mut waiting: Waiting, ctx: &mut Context<Self>) {
        self.announcements = Some(outcome.announcements);
        if let Some(updated) = outcome.updated {
            if updated.as_ref().is_ok_and(|updated| updated.is_written) {
                self.set_rest(ctx);
            }
            self.note(updated);
            self.set_wake(ctx);
            self.watch(ctx);
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
            Ok(Updated { taken, left_out, .. }) => {
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
                // A flush gets a last attempt.
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
            None if self.has_none() => return,
            None => self.config.refresh,
        };
        self.wake = Some(ctx.run_later(pause, |act, ctx| {
            act.wake = None;
            act.is_due = true;
            if let Some(Announcements { entries, stale, .. }) = &mut act.announcements {
                entries.take_left_out().into_iter().for_each(|party_id| stale.add(party_id));
            }
            act.advance(ctx);
        }));
    }

    fn has_none(&self) -> bool {
        self.announcements.as_ref().is_none_or(|announcements| announcements.entries.is_empty())
    }

    /// Starts the pause after an update.
    fn set_rest(&mut self, ctx: &mut Context<Self>) {
        if let Some(rest) = self.rest.take() {
            ctx.cancel_future(rest);
        }
        self.rest = Some(ctx.run_later(self.config.gather, |act, ctx| {
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
        self.watch(ctx);
        self.advance(ctx);
    }
}

crate::health::answers_ping!(Discovery);

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
