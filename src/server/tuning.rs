//! Settings of the server's parts, from its configuration.

use crate::cleanup::Routine;
use crate::config::ServerConfig;
use crate::core::{Rules, Shares};
use crate::engine::{EngineSettings, Tuning};
use crate::ipc::Access;
use crate::store::Layout;
use crate::{http, ipc, os, ws};

pub(super) fn settings(config: &ServerConfig) -> EngineSettings {
    EngineSettings {
        state_dir: config.state_dir.clone(),
        layout: Layout::SERVER,
        discovery: None,
        tuning: tuning(config),
    }
}

pub(super) fn tuning(config: &ServerConfig) -> Tuning {
    let ServerConfig { cleanup, limits, addresses, auth, store, .. } = config;
    let rules = Rules {
        peer_timeout: cleanup.peer_timeout,
        relay_timeout: cleanup.relay_timeout,
        signal_ttl: limits.shared.signal_ttl,
        grace_until: cleanup.startup_grace,
        parties_per_peer: limits.shared.parties_per_peer,
        peers_per_party: limits.shared.peers_per_party,
        parties: limits.shared.parties,
        relays: limits.shared.relays,
        tokens: limits.tokens,
        token_ttl: auth.token_ttl,
        intents: 0,
        receipts: limits.receipts,
        signal_bytes: limits.shared.signal_bytes,
        signals_per_peer: limits.shared.signals_per_peer,
        signals_total_bytes: limits.shared.signals_total_bytes,
        shares: Shares { address: limits.address_share, user: limits.shared.uid_share },
        // A server has no replicas.
        copies_bytes: 0,
        hold_keys: false,
        subnet: addresses.subnet,
    };
    let routine = Routine {
        expire: cleanup.interval,
        backup: store.backup_interval,
        backups_kept: store.backups_kept,
    };
    Tuning { rules, routine, batch: store.batch }
}

pub(super) fn http(config: &ServerConfig) -> http::HttpSettings {
    let ServerConfig { http, auth, limits, .. } = config.clone();
    let is_on_loopback = config.listen.ip().to_canonical().is_loopback();
    http::HttpSettings { http, is_on_loopback, auth, limits }
}

pub(super) fn ws(config: &ServerConfig) -> ws::WsSettings {
    ws::WsSettings { ws: config.ws.clone(), peer_timeout: config.cleanup.peer_timeout }
}

pub(super) fn ipc(config: &ServerConfig) -> ipc::IpcSettings {
    let access = Access::of(&config.access, config.system, os::own_user());
    ipc::IpcSettings {
        limits: config.limits.shared.clone(),
        access,
        socket_check: config.cleanup.interval,
    }
}
