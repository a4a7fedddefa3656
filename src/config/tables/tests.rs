use super::*;
use crate::config::reader::{self, Table};
use std::path::Path;

fn mistakes<T>(text: &str, schema: impl FnOnce(&mut Table<'_>) -> T) -> Vec<String> {
    reader::read(text, Path::new(""), schema)
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|mistake| mistake.message)
        .collect()
}

fn subnet(text: &str, peers_per_party: usize) -> Result<Ipv4Net, String> {
    let text = format!("subnet = \"{text}\"");
    reader::read(&text, Path::new(""), |table| Addresses::read(table, peers_per_party))
        .map(|addresses| addresses.subnet)
        .map_err(|mistakes| mistakes[0].message.clone())
}

#[test]
fn defaults() {
    let hour = minutes(60);
    let cleanup = Cleanup {
        interval: seconds(60),
        peer_timeout: seconds(300),
        relay_timeout: seconds(600),
        startup_grace: seconds(300),
    };
    assert_eq!(Cleanup::default(), cleanup);
    let store =
        Store { batch: Duration::from_millis(100), backup_interval: hour, backups_kept: 24 };
    assert_eq!(Store::default(), store);
    let subnet = "10.66.0.0/16".parse().unwrap();
    assert_eq!(Addresses::default(), Addresses { subnet });
    let access = Access { operators: vec![], group: "lanrage".to_owned() };
    assert_eq!(Access::default(), access);
    let limits = Limits {
        parties_per_peer: 64,
        peers_per_party: 64,
        parties: 16_384,
        relays: 1_024,
        frame_in: 262_144,
        frame_out: 1_048_576,
        signal_bytes: 65_536,
        signals_per_peer: 256,
        signals_total_bytes: 67_108_864,
        signal_ttl: seconds(300),
        requests_in_flight: 32,
        connections: 256,
        connections_per_uid: 64,
        observers: 64,
        observers_per_uid: 8,
        observer_idle: seconds(60),
        queue_events: 256,
        queue_bytes: 1_048_576,
        reply_bytes: 75_497_472,
        partial_frame: seconds(10),
        write_stall: seconds(10),
        request_timeout: seconds(10),
        uid_share: 4,
    };
    assert_eq!(Limits::default(), limits);
}

#[test]
fn only_the_grace_may_be_zero() {
    let text = "interval='0s'\npeer_timeout='0s'\nrelay_timeout='0s'\nstartup_grace='0s'";
    let range = "\'0s\' is out of range: it must be from 1ms to 8760h";
    assert_eq!(
        mistakes(text, Cleanup::read),
        [
            format!("interval: {range}"),
            format!("peer_timeout: {range}"),
            format!("relay_timeout: {range}"),
        ]
    );
}

#[test]
fn every_limit_has_a_range() {
    // At most 20 mistakes are reported.
    let zeros = "observers=0\nobservers_per_uid=0\nobserver_idle='0s'\nreply_bytes=0";
    assert_eq!(mistakes(zeros, Limits::read).len(), 4);
    let zeros = "parties_per_peer=0\npeers_per_party=0\nparties=0\nrelays=0\nframe_in=0\nframe_out=0\n\
        signal_bytes=0\nsignals_per_peer=0\nsignals_total_bytes=0\nsignal_ttl='0s'\nrequests_in_flight=0\nconnections=0\n\
        connections_per_uid=0\nqueue_events=0\nqueue_bytes=0\npartial_frame='0s'\nwrite_stall='0s'\n\
        request_timeout='0s'";
    assert_eq!(mistakes(zeros, Limits::read).len(), 18);
    let huge = zeros.replace("=0", "=268435457").replace("'0s'", "'8761h'");
    assert_eq!(mistakes(&huge, Limits::read).len(), 18);
    assert_eq!(
        mistakes("backups_kept=1001", Store::read),
        ["backups_kept: 1001 is out of range: it must be from 1 to 1000"]
    );
    assert_eq!(
        mistakes("frame_in=1023", Limits::read),
        ["frame_in: 1023 is out of range: it must be from 1024 to 16777216"]
    );
}

#[test]
fn subnet_is_a_network_of_fitting_size() {
    assert_eq!(subnet("10.0.0.0/8", 64).unwrap().prefix_len(), 8);
    assert_eq!(subnet("192.168.7.16/28", 14).unwrap().prefix_len(), 28);
    let range = "is out of range: its prefix must be from /8 to /28";
    let no_host = "has addresses that no machine on a network may have: choose a private network, \
                   such as \"10.66.0.0/16\"";
    for (text, why) in [
        ("10.0.0.0/7", range),
        ("10.0.0.0/29", range),
        ("10.66.0.0", "is not an IPv4 network: write it as \"10.66.0.0/16\""),
        ("fd00::/16", "is not an IPv4 network: write it as \"10.66.0.0/16\""),
        ("10.66.0.1/16", "is an address within a network: write \"10.66.0.0/16\""),
        ("0.0.0.0/8", no_host),
        ("127.0.0.0/8", no_host),
        ("169.254.0.0/16", no_host),
        ("224.0.0.0/24", no_host),
    ] {
        let expected = format!("subnet: \"{text}\" {why}");
        assert_eq!(subnet(text, 1), Err(expected));
    }
    assert_eq!(
        mistakes("subnet = 10", |table| Addresses::read(table, 1)),
        ["subnet: 10 is not an IPv4 network: write it as \"10.66.0.0/16\""]
    );
}

#[test]
fn subnet_holds_the_peers_of_a_party() {
    assert!(subnet("10.66.0.0/26", 62).is_ok());
    assert_eq!(
        subnet("10.66.0.0/26", 63).unwrap_err(),
        "subnet: \"10.66.0.0/26\" has addresses for 62 peers, but limits.peers_per_party is 63: \
         widen the one or lower the other"
    );
    assert!(check_subnet(DEFAULT_SUBNET, *PEERS.end()).is_ok());
}

#[test]
fn operators_are_user_ids_and_the_group_has_a_name() {
    let text = "operators=[0, 4294967294]\ngroup='games'";
    let access = reader::read(text, Path::new(""), Access::read).unwrap();
    assert_eq!(access.operators, [0, 4_294_967_294]);
    assert_eq!(access.group, "games");
    assert_eq!(
        mistakes("operators=[4294967295]", Access::read),
        ["operators: 4294967295 is out of range: it must be from 0 to 4294967294"]
    );
    for group in ["''", "5", "\"a\\nb\""] {
        assert_eq!(
            mistakes(&format!("group={group}"), Access::read),
            [format!("group: {group} is not the name of a group")]
        );
    }
}
