//! Bounds and timeouts of the registry.

use std::time::Duration;

use ipnet::Ipv4Net;

use super::shares::Shares;

/// Bounds and timeouts of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Time until a silent member expires.
    pub(crate) peer_timeout: Duration,
    /// Time until a silent relay expires.
    pub(crate) relay_timeout: Duration,
    /// Time until an unpolled signal expires.
    pub(crate) signal_ttl: Duration,
    /// Instant of [`Now::elapsed`](super::Now::elapsed) before which no member or relay expires.
    pub(crate) grace_until: Duration,
    /// Upper bound of a peer's parties.
    pub(crate) parties_per_peer: usize,
    /// Upper bound of a party's peers.
    pub(crate) peers_per_party: usize,
    /// Upper bound of all parties.
    pub(crate) parties: usize,
    /// Upper bound of all relays.
    pub(crate) relays: usize,
    /// Upper bound of all tokens.
    pub(crate) tokens: usize,
    /// Life of a token.
    pub(crate) token_ttl: Duration,
    /// Upper bound of all receipts; the oldest are evicted first.
    pub(crate) receipts: usize,
    /// Upper bound of all intents.
    pub(crate) intents: usize,
    /// Upper bound of a signal, in bytes of JSON.
    pub(crate) signal_bytes: usize,
    /// Upper bound of a member's waiting signals.
    pub(crate) signals_per_peer: usize,
    /// Upper bound of all waiting signals, in bytes.
    pub(crate) signals_total_bytes: usize,
    /// Part of each table that one client may fill.
    pub(crate) shares: Shares,
    /// Upper bound of all copies of a control server's parties, in bytes.
    pub(crate) copies_bytes: usize,
    /// True if a changed key of a member from another machine must be accepted before it is used.
    pub(crate) hold_keys: bool,
    /// Subnet of virtual addresses; the host has its first address.
    pub(crate) subnet: Ipv4Net,
}
