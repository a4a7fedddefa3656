//! Memory and open files that the limits allow, as `--check-config` prints them.

use std::fmt::Write as _;

use super::descriptors::{daemon_files, server_files};
use super::{DaemonConfig, Limits, ServerConfig};

// Bytes of an entry: growth of a server's resident memory for 20,000 entries with ids of 32
// characters (4,000 tokens and receipts, 400 connections, 60 of the local socket), divided by their
// number and rounded up.
// `cargo test measure_the_memory_of_an_entry -- --ignored --nocapture` measures again.
/// Party with its host.
const PARTY: usize = 3_000;
const MEMBER: usize = 700;
const RELAY: usize = 500;
/// Includes the rate buckets of an address that no other token has.
const TOKEN: usize = 2_400;
const RECEIPT: usize = 800;
/// WebSocket, without its queued bytes.
const SOCKET: usize = 22 * 1024;
/// HTTP connection, without the body of a request.
const HTTP_CONNECTION: usize = 11 * 1024;
/// Connection of the local socket, without its queued bytes.
const CONNECTION: usize = 2 * 1024;
/// Bytes that may wait for a client of the local socket, a WebSocket and HTTP, outside the totals.
const LOCAL_FLOOR: usize = 16 * 1024;
const SOCKET_FLOOR: usize = 32 * 1024;
const HTTP_FLOOR: usize = 32 * 1024;
/// Changes that wait for the disk.
const PENDING: usize = 128 << 20;

/// Table and its memory.
struct Entries {
    /// Key of its limit; `None` for a fixed bound.
    key: &'static str,
    count: usize,
    /// Bytes of an entry.
    bytes: usize,
}

fn entries(key: &'static str, count: usize, bytes: usize) -> Entries {
    Entries { key, count, bytes }
}

fn shared(limits: &Limits) -> Vec<Entries> {
    let guests = limits.parties.saturating_mul(limits.peers_per_party - 1);
    vec![
        entries("limits.parties", limits.parties, PARTY),
        entries("limits.peers_per_party", guests, MEMBER),
        entries("limits.relays", limits.relays, RELAY),
        entries("limits.signals_total_bytes", limits.signals_total_bytes, 1),
        entries(
            "limits.connections",
            limits.connections,
            CONNECTION + limits.frame_in + LOCAL_FLOOR,
        ),
        entries("limits.reply_bytes", limits.reply_bytes, 1),
        entries("(events beside them, a quarter)", limits.reply_bytes / 4, 1),
        entries("(changes that wait for the disk)", PENDING, 1),
    ]
}

fn of_daemon(config: &DaemonConfig) -> Vec<Entries> {
    let mut tables = shared(&config.limits);
    tables.push(entries("remote.copies_bytes", config.remote.copies_bytes, 1));
    tables
}

fn of_server(config: &ServerConfig) -> Vec<Entries> {
    let ServerConfig { http, limits, ws, .. } = config;
    let socket = SOCKET + ws.frame_bytes + SOCKET_FLOOR;
    let mut tables = shared(&limits.shared);
    tables.extend([
        entries("limits.tokens", limits.tokens, TOKEN),
        entries("limits.receipts", limits.receipts, RECEIPT),
        entries("ws.sockets", ws.sockets, socket),
        entries("ws.queue_total_bytes", ws.queue_total_bytes, 1),
        entries(
            "http.connections",
            http.connections,
            HTTP_CONNECTION + http.body_bytes + HTTP_FLOOR,
        ),
        entries("http.reply_bytes", http.reply_bytes, 1),
    ]);
    tables
}

/// Returns the memory and the open files that the limits of a daemon admit, as comments of TOML.
pub(crate) fn admitted(config: &DaemonConfig) -> String {
    written(&of_daemon(config)) + &files(daemon_files(config))
}

/// Returns the memory and the open files that the limits of a server with so many event loops
/// admit, as comments of TOML.
pub(crate) fn admitted_by_server(config: &ServerConfig, event_loops: usize) -> String {
    written(&of_server(config)) + &files(server_files(config, event_loops))
}

fn files(count: usize) -> String {
    format!("# Open files of all connections (LimitNOFILE=, ulimit -Hn): {count}\n")
}

fn written(tables: &[Entries]) -> String {
    let mut text =
        "\n# Memory that the limits admit if every table is full, beside the program itself:\n"
            .to_owned();
    let mut sum = 0_usize;
    for Entries { key, count, bytes } in tables {
        let all = count.saturating_mul(*bytes);
        sum = sum.saturating_add(all);
        let (each, all) = (size(*bytes), size(all));
        writeln!(text, "# {key:<33}{count:>12} of {each:>9} {all:>10}").ok();
    }
    writeln!(text, "# {:<58} {:>10}", "all together", size(sum)).ok();
    text
}

/// Formats a number of bytes for people.
fn size(bytes: usize) -> String {
    const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.into_iter().find(|(_, unit)| bytes >= *unit);
    unit.map_or(format!("{bytes} B"), |(name, unit)| {
        let tenths = (bytes as u128 * 10).div_ceil(unit as u128);
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{
        DaemonArgs, Environment, ServerArgs, effective_server_toml, effective_toml, load,
        load_server,
    };

    /// Keys without a table of their own: shares of one client, subsets of another table, times,
    /// rates, and sizes that an entry above includes.
    const NO_TABLE: &[&str] = &[
        "limits.parties_per_peer",
        "limits.frame_in",
        "limits.frame_out",
        "limits.signal_bytes",
        "limits.signals_per_peer",
        "limits.requests_in_flight",
        "limits.connections_per_uid",
        "limits.observers",
        "limits.observers_per_uid",
        "limits.queue_events",
        "limits.queue_bytes",
        "limits.uid_share",
        "limits.address_share",
        "limits.requests_per_second",
        "limits.requests_burst",
        "limits.registrations_per_minute",
        "limits.registrations_burst",
        "http.body_bytes",
        "remote.max_attempts",
        "http.connections_per_address",
        "http.handshakes",
        "http.handshakes_per_address",
        "ws.frame_bytes",
        "ws.queue_frames",
        "ws.queue_bytes",
        "ws.frames_per_second",
        "ws.frames_burst",
        "ws.sockets_per_address",
    ];

    /// Returns the names of all keys with whole numbers, in tables of limits.
    fn counts(toml: &str) -> BTreeSet<String> {
        let toml: toml::Table = toml.parse().unwrap();
        let tables = ["limits", "http", "ws", "remote"]
            .into_iter()
            .filter_map(|name| Some((name, toml.get(name)?.as_table()?)));
        let keys = tables.flat_map(|(name, table)| {
            let numbers = table.iter().filter(|(_, value)| value.is_integer());
            numbers.map(move |(key, _)| format!("{name}.{key}"))
        });
        keys.collect()
    }

    #[test]
    fn memory_is_printed_for_each_limited_table() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().to_str().unwrap();
        let env = Environment::of(&[("HOME", home), ("LOCALAPPDATA", home)]);
        let server = load_server(&ServerArgs::default(), &env).unwrap();
        let daemon = load(&DaemonArgs::default(), &env).unwrap();
        let keys = counts(&effective_server_toml(&server));
        let keys: BTreeSet<_> = keys.union(&counts(&effective_toml(&daemon))).cloned().collect();
        let tables = of_server(&server).into_iter().chain(of_daemon(&daemon));
        let known = tables.map(|table| table.key).chain(NO_TABLE.iter().copied());
        let known = known.filter(|key| !key.starts_with('('));
        assert_eq!(keys, known.map(str::to_owned).collect());
    }

    #[test]
    fn memory_is_a_comment_that_adds_up() {
        let text = written(&[entries("limits.a", 3, 1024), entries("limits.b", 1, 1 << 30)]);
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines.iter().all(|line| line.starts_with("# ")), "{text}");
        assert!(lines[1].ends_with("3 of   1.0 KiB    3.0 KiB"), "{text}");
        assert!(lines[3].ends_with("   1.1 GiB"), "{text}");
        assert_eq!([size(1023), size(1025)], ["1023 B", "1.1 KiB"]);
    }
}
