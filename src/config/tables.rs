//! The tables that the daemon's file and the control server's have both: their keys, defaults and ranges.

use super::duration;
use super::reader::Table;
use ipnet::Ipv4Net;
use serde::Serialize;
use std::ops::RangeInclusive;
use std::time::Duration;

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

/// `[cleanup]`: when the silent are forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cleanup {
    /// How often the cleanup looks for what expired.
    #[serde(serialize_with = "duration::serialize")]
    pub interval: Duration,
    /// How long a peer may be silent.
    #[serde(serialize_with = "duration::serialize")]
    pub peer_timeout: Duration,
    /// How long a relay may be silent.
    #[serde(serialize_with = "duration::serialize")]
    pub relay_timeout: Duration,
    /// For how long after a start nobody is evicted; may be zero.
    #[serde(serialize_with = "duration::serialize")]
    pub startup_grace: Duration,
}

impl Cleanup {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            interval: table.duration("interval", minutes(1), INTERVAL),
            peer_timeout: table.duration("peer_timeout", minutes(5), INTERVAL),
            relay_timeout: table.duration("relay_timeout", minutes(10), INTERVAL),
            startup_grace: table.duration(
                "startup_grace",
                minutes(5),
                Duration::ZERO..=*INTERVAL.end(),
            ),
        }
    }
}

/// `[store]`: how the state gets onto the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Store {
    /// How long volatile changes gather before they are written.
    #[serde(serialize_with = "duration::serialize")]
    pub batch: Duration,
    /// How often the database is backed up.
    #[serde(serialize_with = "duration::serialize")]
    pub backup_interval: Duration,
    /// How many backups are kept, the newest ones.
    pub backups_kept: usize,
}

impl Store {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            batch: table.duration("batch", Duration::from_millis(100), INTERVAL),
            backup_interval: table.duration("backup_interval", minutes(60), INTERVAL),
            backups_kept: table.number("backups_kept", 24, 1..=1_000),
        }
    }
}

/// `[addresses]`: the virtual network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// Where the virtual addresses of each party come from. Holds at least `limits.peers_per_party` hosts.
    pub subnet: Ipv4Net,
}

impl Addresses {
    const DEFAULT: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 66, 0, 0), 16);

    /// `peers_per_party` is what the subnet has to hold.
    pub(super) fn read(table: &mut Table<'_>, peers_per_party: usize) -> Self {
        Self {
            subnet: table.value("subnet", Self::DEFAULT, |value| {
                let text = value.as_str().unwrap_or_default();
                let subnet: Ipv4Net = text.parse().map_err(|_| {
                    "is not an IPv4 network: write it as \"10.66.0.0/16\"".to_owned()
                })?;
                check_subnet(subnet, peers_per_party)
            }),
        }
    }
}

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

/// `[access]`: who may do what on the system daemon's socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Access {
    /// User ids that are operators whatever their groups.
    pub operators: Vec<u32>,
    /// The group whose members are operators.
    pub group: String,
}

impl Access {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            operators: table.numbers("operators", USER_IDS),
            group: table.value("group", DEFAULT_GROUP.to_owned(), |value| {
                value
                    .as_str()
                    .filter(|name| !name.is_empty() && !name.contains(char::is_control))
                    .map(str::to_owned)
                    .ok_or("is not the name of a group")
            }),
        }
    }
}

/// The group that the packages create.
pub const DEFAULT_GROUP: &str = "lanrage";

/// `[limits]`: what a client, or all of them, may use up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Parties that one peer may be in.
    pub parties_per_peer: usize,
    /// Peers in one party.
    pub peers_per_party: usize,
    /// Parties in all.
    pub parties: usize,
    /// Relays in all.
    pub relays: usize,
    /// Bytes of an incoming frame.
    pub frame_in: usize,
    /// Bytes of an outgoing frame.
    pub frame_out: usize,
    /// Bytes of a signal's payload.
    pub signal_bytes: usize,
    /// Signals that wait for one peer.
    pub signals_per_peer: usize,
    /// Bytes of all signals that wait.
    pub signals_total_bytes: usize,
    /// How long a signal waits.
    #[serde(serialize_with = "duration::serialize")]
    pub signal_ttl: Duration,
    /// Requests of one connection that are being worked on.
    pub requests_in_flight: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one user.
    pub connections_per_uid: usize,
    /// Connections of all observers of the system's daemon.
    pub observers: usize,
    /// Connections of one observer.
    pub observers_per_uid: usize,
    /// Time after which an observer's connection without a request is closed.
    #[serde(serialize_with = "duration::serialize")]
    pub observer_idle: Duration,
    /// Events that wait for a client to read.
    pub queue_events: usize,
    /// Bytes that wait for a client to read.
    pub queue_bytes: usize,
    /// Bytes of replies and events that wait for the clients of the local socket, over all
    /// connections.
    pub reply_bytes: usize,
    /// How long the rest of a begun frame may take.
    #[serde(serialize_with = "duration::serialize")]
    pub partial_frame: Duration,
    /// How long a client may read nothing of what waits for it.
    #[serde(serialize_with = "duration::serialize")]
    pub write_stall: Duration,
    /// How long a request may take.
    #[serde(serialize_with = "duration::serialize")]
    pub request_timeout: Duration,
    /// Each table is divided by this: one user, unless an administrator, may fill so much of it.
    pub uid_share: usize,
}

impl Limits {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let connections = table.number("connections", 256, COUNT);
        Self {
            parties_per_peer: table.number("parties_per_peer", 64, COUNT),
            peers_per_party: table.number("peers_per_party", 64, PEERS),
            parties: table.number("parties", 16_384, 1..=1_048_576),
            relays: table.number("relays", 1_024, COUNT),
            frame_in: table.number("frame_in", 256 * KIB, KIB..=16 * MIB),
            frame_out: table.number("frame_out", MIB, KIB..=16 * MIB),
            signal_bytes: table.number("signal_bytes", 64 * KIB, 1..=16 * MIB),
            signals_per_peer: table.number("signals_per_peer", 256, COUNT),
            signals_total_bytes: table.number("signals_total_bytes", 64 * MIB, KIB..=256 * MIB),
            signal_ttl: table.duration("signal_ttl", minutes(5), INTERVAL),
            requests_in_flight: table.number("requests_in_flight", 32, 1..=1_024),
            connections,
            connections_per_uid: table.number("connections_per_uid", 64, COUNT),
            observers: table.number_up_to(
                "observers",
                connections.min(64),
                COUNT,
                ("limits.connections", connections),
            ),
            observers_per_uid: table.number("observers_per_uid", 8, COUNT),
            observer_idle: table.duration("observer_idle", minutes(1), INTERVAL),
            queue_events: table.number("queue_events", 256, COUNT),
            queue_bytes: table.number("queue_bytes", MIB, KIB..=256 * MIB),
            reply_bytes: table.number("reply_bytes", 72 * MIB, MIB..=1024 * MIB),
            partial_frame: table.duration("partial_frame", seconds(10), INTERVAL),
            write_stall: table.duration("write_stall", seconds(10), INTERVAL),
            request_timeout: table.duration("request_timeout", seconds(10), INTERVAL),
            uid_share: table.number("uid_share", 4, SHARE),
        }
    }
}

impl Default for Cleanup {
    fn default() -> Self {
        Self::read(&mut Table::empty())
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::read(&mut Table::empty())
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self::read(&mut Table::empty(), 0)
    }
}

impl Default for Access {
    fn default() -> Self {
        Self::read(&mut Table::empty())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::read(&mut Table::empty())
    }
}

#[cfg(test)]
mod tests;
