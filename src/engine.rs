//! Engine of a program: a control plane with its own state, and the actors below it. The daemon and
//! the server have the same engine, with different frontends.

mod remote_plane;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use anyhow::Context as _;
use lanrage_ipc::model::Epoch;

pub(crate) use remote_plane::RemotePlane;

use crate::cleanup::{Cleanup, Routine};
use crate::clock::Clock;
use crate::control_plane::dirty_parties::DirtyParties;
use crate::control_plane::ending::Ending;
use crate::control_plane::local::{Announcer, Collaborators, LocalControlPlane, SetRules, Stop};
use crate::control_plane::{ControlPlane, StoreStatus};
use crate::core::{Caller, Now, Registry, Rules, Write};
use crate::discovery::{self, Discovery};
use crate::events::Hub;
use crate::health::Vitals;
use crate::store::{
    self, Archive, Close, Database, Layout, OpenOptions, Opened, Persister, RotateBackups, Rows,
    Sizes,
};

/// Time limit of the last refresh of the discovery file.
const LAST_ANNOUNCEMENT: Duration = Duration::from_secs(5);

/// Time limit of the last backup.
const LAST_BACKUP: Duration = Duration::from_secs(3);

/// Settings of an engine.
#[derive(Debug, Clone)]
pub(crate) struct EngineSettings {
    /// Directory of its state.
    pub(crate) state_dir: PathBuf,
    /// Names of its files there.
    pub(crate) layout: Layout,
    /// Discovery file and its settings, if parties are announced.
    pub(crate) discovery: Option<discovery::Config>,
    /// Settings that a reload may change.
    pub(crate) tuning: Tuning,
}

/// Settings of an engine that a reload may change.
#[derive(Debug, Clone)]
pub(crate) struct Tuning {
    /// Bounds of the registry; a reload keeps `grace_until`.
    pub(crate) rules: Rules,
    /// Regular tasks.
    pub(crate) routine: Routine,
    /// Time that heartbeats gather before they are written.
    pub(crate) batch: Duration,
}

/// An engine whose state is not opened yet. Frontends can be built on it: calls wait.
pub(crate) struct EngineContext {
    /// Control plane that answers calls once the engine runs.
    pub(crate) calls: ControlPlane,
    context: Context<LocalControlPlane>,
}

impl Default for EngineContext {
    fn default() -> Self {
        let context = Context::<LocalControlPlane>::new();
        Self { calls: ControlPlane::new(context.address().recipient()), context }
    }
}

/// A running engine.
pub(crate) struct Engine {
    /// Control plane that answers calls.
    pub(crate) calls: ControlPlane,
    /// Health checks of its indispensable actors.
    pub(crate) vitals: Vitals,
    /// Notifications of changes for a control server.
    dirty: Arc<DirtyParties>,
    /// Ends the connections of its frontends.
    pub(crate) ending: Ending,
    grace_until: Duration,
    registry: Addr<LocalControlPlane>,
    discovery: Option<Addr<Discovery>>,
    persister: Addr<Persister>,
    archive: Addr<Archive>,
    backups_kept: usize,
    cleanup: Addr<Cleanup>,
}

impl Engine {
    /// Opens the state and starts its actors. The clean-up acts as `itself`.
    ///
    /// # Errors
    /// The state can't be opened.
    pub(crate) async fn start(
        context: EngineContext,
        clock: Clock,
        settings: EngineSettings,
        itself: Caller,
    ) -> anyhow::Result<Self> {
        let (dir, layout) = (settings.state_dir.clone(), settings.layout);
        let rules = settings.tuning.rules.clone();
        // Recovery or a slow disk may take long, and the program must still handle signals.
        let caller = itself.clone();
        let opening = move || State::open(&dir, layout, rules, clock, caller);
        let state = tokio::task::spawn_blocking(opening).await??;
        Ok(Self::over(context, state, clock, settings, itself))
    }

    /// Starts the actors over an opened state.
    pub(crate) fn over(
        context: EngineContext,
        state: State,
        clock: Clock,
        settings: EngineSettings,
        itself: Caller,
    ) -> Self {
        let State { registry, database, status } = state;
        let EngineSettings { layout, discovery, tuning, .. } = settings;
        let Tuning { rules, routine, batch } = tuning;
        let grace_until = rules.grace_until;
        let hub = Hub::default().start();
        let archive = Archive::new(&database, layout).start();
        let persister = Persister::new(database);
        let persister = SyncArbiter::start(1, move || persister.clone());
        let discovery = discovery.map(|config| (config, Context::<Discovery>::new()));
        let announcer = discovery.as_ref().map(|(_, context)| Announcer {
            changed: Arc::default(),
            discover: context.address().recipient(),
        });
        let (dirty, ending) = (Arc::<DirtyParties>::default(), Ending::default());
        let to = Collaborators {
            store: persister.clone().recipient(),
            archive: archive.clone().recipient(),
            hub: hub.clone().recipient(),
            announcer: announcer.clone(),
            dirty: dirty.clone(),
            ending: ending.clone(),
        };
        let EngineContext { calls, context } = context;
        let registry = context.run(LocalControlPlane::new(registry, clock, to, batch, status));
        let discovery = discovery.zip(announcer).map(|((config, context), announcer)| {
            let (parties, itself) = (calls.clone(), itself.clone());
            let source = discovery::Source { parties, itself, changed: announcer.changed };
            context.run(Discovery::new(config, source))
        });
        let backups_kept = routine.backups_kept;
        let to = archive.clone().recipient();
        let cleanup = Cleanup::new(routine, itself, calls.clone(), to).start();
        let mut vitals = Vitals::default();
        vitals.add("registry", registry.clone().recipient());
        vitals.add("store", persister.clone().recipient());
        vitals.add("events", hub.recipient());
        if let Some(discovery) = &discovery {
            vitals.add("discovery", discovery.clone().recipient());
        }
        vitals.add("cleanup", cleanup.clone().recipient());
        Self {
            calls,
            vitals,
            dirty,
            ending,
            grace_until,
            registry,
            discovery,
            persister,
            archive,
            backups_kept,
            cleanup,
        }
    }

    /// Applies changed settings.
    pub(crate) async fn tune(&self, tuning: Tuning) {
        let Tuning { rules, routine, batch } = tuning;
        let rules = Rules { grace_until: self.grace_until, ..rules };
        if let Err(error) = self.registry.send(SetRules(rules, batch)).await {
            log::error!("registry rules not updated: {error}");
        }
        if let Err(error) = self.cleanup.send(routine).await {
            log::error!("clean-up routine not updated: {error}");
        }
    }

    /// Takes no more calls, and waits until all acknowledged changes are stored and announced.
    pub(crate) async fn stop(self) {
        if let Err(error) = self.registry.send(Stop).await {
            log::error!("the registry did not stop: {error}");
        }
        // Changes since the last regular backup may be all there is.
        let backup = self.archive.send(RotateBackups { kept: self.backups_kept });
        if tokio::time::timeout(LAST_BACKUP, backup).await.is_err() {
            log::warn!("last backup not finished in time");
        }
        if let Err(error) = self.persister.send(Close).await {
            log::error!("the database was not closed: {error}");
        }
        let Some(discovery) = self.discovery else { return };
        let flush = discovery.send(discovery::Flush);
        if tokio::time::timeout(LAST_ANNOUNCEMENT, flush).await.is_err() {
            log::warn!("discovery file not updated in time");
        }
    }
}

/// Opened state.
pub(crate) struct State {
    registry: Registry,
    database: Database,
    status: StoreStatus,
}

impl State {
    /// Opens the state in a directory, and restores the registry from it. Blocks.
    ///
    /// # Errors
    /// The state can't be opened.
    pub(crate) fn open(
        dir: &Path,
        layout: Layout,
        rules: Rules,
        clock: Clock,
        itself: Caller,
    ) -> anyhow::Result<Self> {
        let epoch = new_epoch()?;
        let options = OpenOptions { now: clock.now().wall, layout, new_epoch: &|| epoch.clone() };
        let registry = Registry::new(rules.clone(), epoch.clone());
        let mut restored = Restored { rules, registry, now: clock.now() };
        let Opened { mut database, recovery, .. } = store::open(dir, &options, &mut restored)?;
        let status = StoreStatus {
            path: database.path().to_owned(),
            pending: 0,
            last_commit: None,
            last_error: None,
            recovery,
        };
        let mut registry = restored.registry;
        registry.end_restore();
        trim_copies(&mut registry, &mut database, itself, clock)?;
        Ok(Self { registry, database, status })
    }
}

/// Registry that takes the stored rows.
struct Restored {
    rules: Rules,
    registry: Registry,
    now: Now,
}

impl Rows for Restored {
    fn begin(&mut self, epoch: &Epoch, sizes: Sizes) {
        self.registry = Registry::new(self.rules.clone(), epoch.clone());
        self.registry.reserve(sizes.parties, sizes.members, sizes.tokens);
    }

    fn put(&mut self, row: Write) {
        self.registry.restore_row(row, self.now);
    }
}

/// Drops replicas that exceed the bounds, before any client sees them.
fn trim_copies(
    registry: &mut Registry,
    database: &mut Database,
    itself: Caller,
    clock: Clock,
) -> anyhow::Result<()> {
    let before = registry.party_count();
    let trimmed = registry.trim_copies(itself, clock.now());
    if !trimmed.changes.is_empty() {
        let dropped = before - registry.party_count();
        log::warn!(
            "copies of the control server's parties exceed limits.parties_per_peer or remote.copies_bytes and are dropped: parties={dropped}"
        );
        let writes: Vec<_> = trimmed.changes.iter().map(|change| change.write().clone()).collect();
        database.commit(&writes, &[]).context("dropping copies of the control server's parties")?;
    }
    Ok(())
}

fn new_epoch() -> anyhow::Result<Epoch> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)).parse()?)
}
