//! What of the daemon's configuration its engine is told.

use std::time::Duration;

use crate::cleanup::Routine;
use crate::config::DaemonConfig;
use crate::core::Rules;
use crate::discovery;
use crate::engine::{Settings, Tuning};
use crate::store::Layout;

/// How often the discovery file is refreshed: well before the five minutes after which LANrage
/// takes a peer for gone.
const REFRESH: Duration = Duration::from_secs(60);

/// What may wait for the control server.
const INTENTS: usize = 10_000;

pub(super) fn settings(config: &DaemonConfig) -> Settings {
    let discovery = discovery::Config {
        file: config.discovery_file.clone(),
        state_dir: config.state_dir.clone(),
        refresh: REFRESH,
    };
    Settings {
        state_dir: config.state_dir.clone(),
        layout: Layout::DAEMON,
        discovery: Some(discovery),
        tuning: tuning(config),
    }
}

pub(super) fn tuning(config: &DaemonConfig) -> Tuning {
    let DaemonConfig { cleanup, limits, addresses, store, .. } = config;
    let rules = Rules {
        peer_timeout: cleanup.peer_timeout,
        relay_timeout: cleanup.relay_timeout,
        signal_ttl: limits.signal_ttl,
        grace_until: cleanup.startup_grace,
        parties_per_peer: limits.parties_per_peer,
        peers_per_party: limits.peers_per_party,
        parties: limits.parties,
        relays: limits.relays,
        // Users are known to the system: the daemon gives out no tokens.
        tokens: 0,
        token_ttl: Duration::ZERO,
        intents: INTENTS,
        receipts: 0,
        signal_bytes: limits.signal_bytes,
        signals_per_peer: limits.signals_per_peer,
        signals_total_bytes: limits.signals_total_bytes,
        subnet: addresses.subnet,
    };
    let routine = Routine {
        expire: cleanup.interval,
        backup: store.backup_interval,
        backups_kept: store.backups_kept,
    };
    Tuning { rules, routine, batch: store.batch }
}
