//! Tables that the daemon and the control server share: their keys, defaults and ranges.

use super::keys::{Ranged, keys};
use ipnet::Ipv4Net;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeValue;

/// Range of intervals, from a millisecond to a year: a timer without a pause would only tick.
pub(super) const INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(365 * 24 * 60 * 60);
pub(super) const COUNT: RangeInclusive<usize> = 1..=65_536;
/// Range of a divisor: 1 gives each client the whole table.
pub(super) const SHARE: RangeInclusive<usize> = 1..=1_024;
/// Peers of a party: as many as the default subnet has addresses for.
const PEERS: RangeInclusive<usize> = 1..=65_534;
const PREFIX_LENGTH: RangeInclusive<u8> = 8..=28;
/// Range of user ids; the last number stands for no user.
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
    /// `[cleanup]`: expiry of peers and relays.
    pub(crate) struct Cleanup {
        /// Interval of the clean-up.
        interval: Duration = within(minutes(1), INTERVAL),
        /// Time without a sign of life after which a peer expires.
        peer_timeout: Duration = within(minutes(5), INTERVAL),
        /// Time without a sign of life after which a relay expires.
        relay_timeout: Duration = within(minutes(10), INTERVAL),
        /// Time after a start in which nothing is evicted; may be zero.
        startup_grace: Duration = within(minutes(5), Duration::ZERO..=*INTERVAL.end()),
    }
}

keys! {
    /// `[store]`: persistence of the state.
    pub(crate) struct Store {
        /// Time that volatile changes gather before they are written.
        batch: Duration = within(Duration::from_millis(100), INTERVAL),
        /// Interval of the backups.
        backup_interval: Duration = within(minutes(60), INTERVAL),
        /// Number of backups that are kept, the newest ones.
        backups_kept: usize = within(24, 1..=1_000),
    }
}

keys! {
    /// `[addresses]`: the virtual network.
    pub(crate) struct Addresses(peers_per_party: usize, or 0) {
        /// Subnet of the virtual addresses of each party. Holds at least `limits.peers_per_party`
        /// hosts.
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
    // The network and broadcast addresses belong to no host.
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
    /// `[access]`: roles on the system daemon's socket.
    pub(crate) struct Access {
        /// Uids of operators, in any group.
        operators: Vec<u32> = list("[1000, 1001]", |value| u32::parse(value, &USER_IDS)),
        /// Group whose members are operators.
        group: String = value(DEFAULT_GROUP.to_owned(), parse_group),
    }
}

/// Group that the packages create.
pub(crate) const DEFAULT_GROUP: &str = "lanrage";

fn parse_group(value: &DeValue<'_>) -> Result<String, &'static str> {
    value
        .as_str()
        .filter(|name| !name.is_empty() && !name.contains(char::is_control))
        .map(str::to_owned)
        .ok_or("is not the name of a group")
}

keys! {
    /// `[limits]`: limits of one client, or of all.
    pub(crate) struct Limits {
        /// Parties of one peer.
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
        /// Lifetime of a signal.
        signal_ttl: Duration = within(minutes(5), INTERVAL),
        /// Requests in flight of one connection.
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
        /// Events in a client's queue.
        queue_events: usize = within(256, COUNT),
        /// Bytes in a client's queue.
        queue_bytes: usize = within(MIB, KIB..=256 * MIB),
        /// Bytes of replies and events that wait for the clients of the local socket, over all
        /// connections.
        reply_bytes: usize = within(72 * MIB, MIB..=1024 * MIB),
        /// Time limit of the rest of a begun frame.
        partial_frame: Duration = within(seconds(10), INTERVAL),
        /// Time that a client may leave its output unread.
        write_stall: Duration = within(seconds(10), INTERVAL),
        /// Time limit of a request.
        request_timeout: Duration = within(seconds(10), INTERVAL),
        /// Divisor of each table: one user, unless an administrator, may fill that part of it.
        uid_share: usize = within(4, SHARE),
    }
}

#[cfg(test)]
mod tests;
