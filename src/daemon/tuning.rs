//! Engine settings from the daemon's configuration.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::cleanup::Routine;
use crate::config::{ADDRESS_SHARE, DaemonConfig, Environment, OnKeyChange};
use crate::core::upstream::link;
use crate::core::{Rules, Shares};
use crate::discovery;
use crate::engine::{EngineSettings, Tuning};
use crate::remote::transport::proxy::{Proxies, SystemProxies};
use crate::remote::{self, transport};
use crate::store::Layout;

/// Refresh interval of the discovery file: well below the five minutes after which LANrage drops a
/// peer.
const REFRESH: Duration = Duration::from_secs(60);

/// Limit of intents that wait for the control server.
const INTENTS: usize = 10_000;

pub(super) fn settings(config: &DaemonConfig) -> EngineSettings {
    let discovery = discovery::Config {
        file: config.discovery_file.clone(),
        state_dir: config.state_dir.clone(),
        refresh: REFRESH,
        gather: discovery::GATHER,
    };
    EngineSettings {
        state_dir: config.state_dir.clone(),
        layout: Layout::DAEMON,
        discovery: Some(discovery),
        tuning: tuning(config),
    }
}

pub(super) fn tuning(config: &DaemonConfig) -> Tuning {
    let DaemonConfig { cleanup, limits, addresses, store, remote, .. } = config;
    let rules = Rules {
        peer_timeout: cleanup.peer_timeout,
        relay_timeout: cleanup.relay_timeout,
        signal_ttl: limits.signal_ttl,
        grace_until: cleanup.startup_grace,
        parties_per_peer: limits.parties_per_peer,
        peers_per_party: limits.peers_per_party,
        parties: limits.parties,
        relays: limits.relays,
        // The system identifies users: the daemon gives out no tokens.
        tokens: 0,
        token_ttl: Duration::ZERO,
        intents: INTENTS,
        receipts: 0,
        signal_bytes: limits.signal_bytes,
        signals_per_peer: limits.signals_per_peer,
        signals_total_bytes: limits.signals_total_bytes,
        // The daemon has no addresses of clients, but peers have the same limit.
        shares: Shares { address: ADDRESS_SHARE, user: limits.uid_share },
        copies_bytes: remote.copies_bytes,
        hold_keys: remote.on_key_change == OnKeyChange::Hold,
        subnet: addresses.subnet,
    };
    let routine = Routine {
        expire: cleanup.interval,
        backup: store.backup_interval,
        backups_kept: store.backups_kept,
    };
    Tuning { rules, routine, batch: store.batch }
}

/// # Errors
/// The trusted certificates can't be read.
pub(super) fn remote(config: &DaemonConfig) -> anyhow::Result<remote::RemoteSettings> {
    let remote = &config.remote;
    let tls = transport::tls::client_config(remote.ca_file.as_deref())
        .context("remote.ca_file, the certificates that the control server is checked by")?;
    let env = Environment::process();
    let system = SystemProxies::of(|name| env.get(name)?.into_string().ok());
    let transport = transport::TransportConfig {
        kind: remote.transport,
        tls,
        ca_file: remote.ca_file.clone(),
        proxies: Arc::new(Proxies::new(remote.proxy.clone(), system)),
        connect_timeout: remote.connect_timeout,
        request_timeout: remote.request_timeout,
        poll: remote.poll,
    };
    let link = link::LinkSettings {
        backoff_initial: remote.backoff_initial,
        backoff_max: remote.backoff_max,
        max_attempts: u32::try_from(remote.max_attempts).unwrap_or(u32::MAX),
        probe: remote.probe,
        connect_timeout: remote.connect_timeout,
    };
    Ok(remote::RemoteSettings { transport, link, heartbeat: remote.heartbeat })
}
