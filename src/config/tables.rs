//! The tables that the daemon's file and the control server's have both: their keys, defaults and ranges.

use super::keys::{Ranged, keys};
use ipnet::Ipv4Net;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeValue;

/// From a millisecond to a year: a timer with nothing between its ticks would do nothing but tick.
pub(super) const INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(365 * 24 * 60 * 60);
pub(super) const COUNT: RangeInclusive<usize> = 1..=65_536;
/// A divisor: 1 gives all of a table to each.
pub(super) const SHARE: RangeInclusive<usize> = 1..=1_024;
/// As many peers as the default subnet has addresses for.
const PEERS: RangeInclusive<usize> = 1..=65_534;
const PREFIX_LENGTH: RangeInclusive<u8> = 8..=28;
/// All but the last number, which stands for no user.
const USER_IDS: RangeInclusive<u32> = 0..=u32::MAX - 1;
pub(super) const KIB: usize = 1024;
pub(super) const MIB: usize = 1024 * KIB;

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn minutes(minutes: u64) -> Duration {
    seconds(60 * minutes)
}

keys! {
    /// `[cleanup]`: when the silent are forgotten.
    pub(crate) struct Cleanup {
        /// How often the cleanup looks for what expired.
        interval: Duration = within(minutes(1), INTERVAL),
        /// How long a peer may be silent.
        peer_timeout: Duration = within(minutes(5), INTERVAL),
        /// How long a relay may be silent.
        relay_timeout: Duration = within(minutes(10), INTERVAL),
        /// For how long after a start nobody is evicted; may be zero.
        startup_grace: Duration = within(minutes(5), Duration::ZERO..=*INTERVAL.end()),
    }
}

keys! {
    /// `[store]`: how the state gets onto the disk.
    pub(crate) struct Store {
        /// How long volatile changes gather before they are written.
        batch: Duration = within(Duration::from_millis(100), INTERVAL),
        /// How often the database is backed up.
        backup_interval: Duration = within(minutes(60), INTERVAL),
        /// How many backups are kept, the newest ones.
        backups_kept: usize = within(24, 1..=1_000),
    }
}

keys! {
    /// `[addresses]`: the virtual network.
    pub(crate) struct Addresses(peers_per_party: usize, or 0) {
        /// Where the virtual addresses of each party come from. Holds at least `limits.peers_per_party` hosts.
        subnet: Ipv4Net = value(DEFAULT_SUBNET, |value| {
            let subnet = value.as_str().unwrap_or_default().parse();
            let subnet = subnet.map_err(|_| "is not an IPv4 network: write it as \"10.66.0.0/16\"")?;
            check_subnet(subnet, peers_per_party)
        }),
    }
}

const DEFAULT_SUBNET: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 66, 0, 0), 16);

fn check_subnet(subnet: Ipv4Net, peers_per_party: usize) -> Result<Ipv4Net, String> {
    let (least, most) = PREFIX_LENGTH.into_inner();
    if !PREFIX_LENGTH.contains(&subnet.prefix_len()) {
        return Err(format!("is out of range: its prefix must be from /{least} to /{most}"));
    }
    if subnet != subnet.trunc() {
        return Err(format!("is an address within a network: write \"{}\"", subnet.trunc()));
    }
    let network = subnet.network();
    if matches!(network.octets()[0], 0 | 127 | 224..) || network.is_link_local() {
        return Err(
            "has addresses that no machine on a network may have: choose a private network, \
                    such as \"10.66.0.0/16\""
                .to_owned(),
        );
    }
    // Neither the address of the network nor that of the broadcast is a host's.
    let hosts = (1_usize << (32 - subnet.prefix_len())) - 2;
    if hosts < peers_per_party {
        return Err(format!(
            "has addresses for {hosts} peers, but limits.peers_per_party is {peers_per_party}: \
             widen the one or lower the other"
        ));
    }
    Ok(subnet)
}

keys! {
    /// `[access]`: who may do what on the system daemon's socket.
    pub(crate) struct Access {
        /// User ids that are operators whatever their groups.
        operators: Vec<u32> = list("[1000, 1001]", |value| u32::parse(value, &USER_IDS)),
        /// The group whose members are operators.
        group: String = value(DEFAULT_GROUP.to_owned(), parse_group),
    }
}

/// The group that the packages create.
pub(crate) const DEFAULT_GROUP: &str = "lanrage";

fn parse_group(value: &DeValue<'_>) -> Result<String, &'static str> {
    value
        .as_str()
        .filter(|name| !name.is_empty() && !name.contains(char::is_control))
        .map(str::to_owned)
        .ok_or("is not the name of a group")
}

keys! {
    /// `[limits]`: what a client, or all of them, may use up.
    pub(crate) struct Limits {
        /// Parties that one peer may be in.
        parties_per_peer: usize = within(64, COUNT),
        /// Peers in one party.
        peers_per_party: usize = within(64, PEERS),
        /// Parties in all.
        parties: usize = within(16_384, 1..=1_048_576),
        /// Relays in all.
        relays: usize = within(1_024, COUNT),
        /// Bytes of an incoming frame.
        frame_in: usize = within(256 * KIB, KIB..=16 * MIB),
        /// Bytes of an outgoing frame.
        frame_out: usize = within(MIB, KIB..=16 * MIB),
        /// Bytes of a signal's payload.
        signal_bytes: usize = within(64 * KIB, 1..=16 * MIB),
        /// Signals that wait for one peer.
        signals_per_peer: usize = within(256, COUNT),
        /// Bytes of all signals that wait.
        signals_total_bytes: usize = within(64 * MIB, KIB..=256 * MIB),
        /// How long a signal waits.
        signal_ttl: Duration = within(minutes(5), INTERVAL),
        /// Requests of one connection that are being worked on.
        requests_in_flight: usize = within(32, 1..=1_024),
        /// Connections in all.
        connections: usize = within(256, COUNT),
        /// Connections of one user.
        connections_per_uid: usize = within(64, COUNT),
        /// Connections of all observers of the system's daemon.
        observers: usize = up_to(64, COUNT, ("connections", connections)),
        /// Connections of one observer.
        observers_per_uid: usize = within(8, COUNT),
        /// Time after which an observer's connection without a request is closed.
        observer_idle: Duration = within(minutes(1), INTERVAL),
        /// Events that wait for a client to read.
        queue_events: usize = within(256, COUNT),
        /// Bytes that wait for a client to read.
        queue_bytes: usize = within(MIB, KIB..=256 * MIB),
        /// Bytes of replies and events that wait for the clients of the local socket, over all
        /// connections.
        reply_bytes: usize = within(72 * MIB, MIB..=1024 * MIB),
        /// How long the rest of a begun frame may take.
        partial_frame: Duration = within(seconds(10), INTERVAL),
        /// How long a client may read nothing of what waits for it.
        write_stall: Duration = within(seconds(10), INTERVAL),
        /// How long a request may take.
        request_timeout: Duration = within(seconds(10), INTERVAL),
        /// Each table is divided by this: one user, unless an administrator, may fill so much of it.
        uid_share: usize = within(4, SHARE),
    }
}

#[cfg(test)]
mod tests;
