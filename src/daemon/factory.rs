//! The factory: the control plane that the configuration asks for, with the actors it stands on.

use std::time::Duration;

use actix::prelude::*;
use anyhow::Context as _;
use lanrage_ipc::model::Epoch;
use lanrage_ipc::results::StoreStatus;

use crate::cleanup::{Cleanup, Routine};
use crate::clock::Clock;
use crate::config::DaemonConfig;
use crate::control_plane::Call;
use crate::control_plane::local::{Collaborators, LocalControlPlane, SetRules, Stop};
use crate::core::{Caller, Registry, Rules};
use crate::discovery::{self, Discovery};
use crate::events::Hub;
use crate::health::Vitals;
use crate::store::{self, Archive, Close, OpenOptions, Persister};

/// How long the discovery file may take to be brought up to date at the end.
const LAST_ANNOUNCEMENT: Duration = Duration::from_secs(5);
/// How often the discovery file is refreshed: well before the five minutes after which LANrage
/// takes a peer for gone.
const REFRESH: Duration = Duration::from_secs(60);

/// A running control plane.
pub(super) struct ControlPlane {
    /// What answers calls.
    pub(super) calls: Recipient<Call>,
    /// The actors that it can't do without.
    pub(super) vitals: Vitals,
    grace_until: Duration,
    registry: Addr<LocalControlPlane>,
    discovery: Addr<Discovery>,
    persister: Addr<Persister>,
    cleanup: Addr<Cleanup>,
}

impl ControlPlane {
    /// Opens the state and starts the actors over it. What the clean-up does, it does as
    /// `itself`. There is one kind of control plane so far, the local one.
    ///
    /// # Errors
    /// When the state can't be opened.
    pub(super) fn create(
        clock: Clock,
        config: &DaemonConfig,
        itself: Caller,
    ) -> anyhow::Result<Self> {
        let epoch = new_epoch()?;
        let options = OpenOptions { now: clock.now().wall, new_epoch: &|| epoch.clone() };
        let opened = store::open(&config.state_dir, &options)?;
        let status = StoreStatus {
            path: opened.database.path().display().to_string(),
            pending: 0,
            last_commit_ms: None,
            last_error: None,
            recovery: opened.recovery,
        };
        let grace_until = config.cleanup.startup_grace;
        let mut registry = Registry::new(rules(config, grace_until), opened.epoch);
        registry.restore(opened.rows, clock.now());

        let hub = Hub::default().start();
        let archive = Archive::new(&opened.database).start();
        let persister = Persister::new(opened.database);
        let persister = SyncArbiter::start(1, move || persister.clone());
        let discovery = discovery::Config {
            file: config.discovery_file.clone(),
            state_dir: config.state_dir.clone(),
            refresh: REFRESH,
        };
        let discovery = Discovery::new(discovery).start();
        let to = Collaborators {
            store: persister.clone().recipient(),
            archive: archive.clone().recipient(),
            hub: hub.clone().recipient(),
            announce: discovery.clone().recipient(),
            announce_all: discovery.clone().recipient(),
            discover: discovery.clone().recipient(),
        };
        let batch = config.store.batch;
        let registry = LocalControlPlane::new(registry, clock, to, batch, status).start();
        let calls: Recipient<Call> = registry.clone().recipient();
        let cleanup = Cleanup::new(routine(config), itself, calls.clone(), archive.recipient());
        let cleanup = cleanup.start();
        let mut vitals = Vitals::default();
        vitals.add("registry", registry.clone().recipient());
        vitals.add("store", persister.clone().recipient());
        vitals.add("events", hub.recipient());
        vitals.add("discovery", discovery.clone().recipient());
        vitals.add("cleanup", cleanup.clone().recipient());
        Ok(Self { calls, vitals, grace_until, registry, discovery, persister, cleanup })
    }

    /// Works on with another configuration, as far as it can change.
    pub(super) async fn take_on(&self, config: &DaemonConfig) {
        let rules = SetRules(rules(config, self.grace_until), config.store.batch);
        if let Err(error) = self.registry.send(rules).await {
            log::error!("the registry could not be told its rules: {error}");
        }
        if let Err(error) = self.cleanup.send(routine(config)).await {
            log::error!("the clean-up could not be told its routine: {error}");
        }
    }

    /// Takes no more calls, and waits until all that was acknowledged is where it belongs.
    pub(super) async fn stop(self) {
        if let Err(error) = self.registry.send(Stop).await {
            log::error!("the registry did not stop: {error}");
        }
        if let Err(error) = self.persister.send(Close).await {
            log::error!("the database was not closed: {error}");
        }
        let flush = self.discovery.send(discovery::Flush);
        if tokio::time::timeout(LAST_ANNOUNCEMENT, flush).await.is_err() {
            log::warn!("the discovery file was not brought up to date in time");
        }
    }
}

fn rules(config: &DaemonConfig, grace_until: Duration) -> Rules {
    let DaemonConfig { cleanup, limits, addresses, .. } = config;
    Rules {
        peer_timeout: cleanup.peer_timeout,
        relay_timeout: cleanup.relay_timeout,
        signal_ttl: limits.signal_ttl,
        grace_until,
        parties_per_peer: limits.parties_per_peer,
        peers_per_party: limits.peers_per_party,
        parties: limits.parties,
        relays: limits.relays,
        signal_bytes: limits.signal_bytes,
        signals_per_peer: limits.signals_per_peer,
        signals_total_bytes: limits.signals_total_bytes,
        subnet: addresses.subnet,
    }
}

fn routine(config: &DaemonConfig) -> Routine {
    Routine {
        expire: config.cleanup.interval,
        backup: config.store.backup_interval,
        backups_kept: config.store.backups_kept,
    }
}

fn new_epoch() -> anyhow::Result<Epoch> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)).parse()?)
}
