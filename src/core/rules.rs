//! The bounds that the registry keeps to.

use std::time::Duration;

use ipnet::Ipv4Net;

use super::shares::Shares;

/// The bounds that the registry keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long a member may be silent.
    pub peer_timeout: Duration,
    /// How long a relay may be silent.
    pub relay_timeout: Duration,
    /// How long a signal waits.
    pub signal_ttl: Duration,
    /// Before this instant of [`Now::elapsed`](super::Now::elapsed) no member or relay expires.
    pub grace_until: Duration,
    /// Parties that one peer may be in.
    pub parties_per_peer: usize,
    /// Peers that one party may have.
    pub peers_per_party: usize,
    /// Parties in all.
    pub parties: usize,
    /// Relays in all.
    pub relays: usize,
    /// Tokens in all.
    pub tokens: usize,
    /// How long a token is valid.
    pub token_ttl: Duration,
    /// Receipts in all; the oldest go first.
    pub receipts: usize,
    /// Intents in all.
    pub intents: usize,
    /// The longest signal, in bytes of JSON.
    pub signal_bytes: usize,
    /// Signals that wait for one member.
    pub signals_per_peer: usize,
    /// Bytes of all signals that wait.
    pub signals_total_bytes: usize,
    /// Part of each table that one client may fill.
    pub shares: Shares,
    /// Bytes of all copies of a control server's parties.
    pub copies_bytes: usize,
    /// True where a changed key of a member from another machine waits to be accepted.
    pub hold_keys: bool,
    /// Where virtual addresses come from; the host's is its first.
    pub subnet: Ipv4Net,
}
