//! The bounds that the registry keeps to.

use std::time::Duration;

use ipnet::Ipv4Net;

use super::shares::Shares;

/// The bounds that the registry keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How long a member may be silent.
    pub(crate) peer_timeout: Duration,
    /// How long a relay may be silent.
    pub(crate) relay_timeout: Duration,
    /// How long a signal waits.
    pub(crate) signal_ttl: Duration,
    /// Before this instant of [`Now::elapsed`](super::Now::elapsed) no member or relay expires.
    pub(crate) grace_until: Duration,
    /// Parties that one peer may be in.
    pub(crate) parties_per_peer: usize,
    /// Peers that one party may have.
    pub(crate) peers_per_party: usize,
    /// Parties in all.
    pub(crate) parties: usize,
    /// Relays in all.
    pub(crate) relays: usize,
    /// Tokens in all.
    pub(crate) tokens: usize,
    /// How long a token is valid.
    pub(crate) token_ttl: Duration,
    /// Receipts in all; the oldest go first.
    pub(crate) receipts: usize,
    /// Intents in all.
    pub(crate) intents: usize,
    /// The longest signal, in bytes of JSON.
    pub(crate) signal_bytes: usize,
    /// Signals that wait for one member.
    pub(crate) signals_per_peer: usize,
    /// Bytes of all signals that wait.
    pub(crate) signals_total_bytes: usize,
    /// Part of each table that one client may fill.
    pub(crate) shares: Shares,
    /// Bytes of all copies of a control server's parties.
    pub(crate) copies_bytes: usize,
    /// True where a changed key of a member from another machine waits to be accepted.
    pub(crate) hold_keys: bool,
    /// Where virtual addresses come from; the host's is its first.
    pub(crate) subnet: Ipv4Net,
}
