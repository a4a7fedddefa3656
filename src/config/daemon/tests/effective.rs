use super::*;
use crate::config::OnKeyChange;
use crate::remote::transport::TransportKind;
use proptest::prelude::*;

#[test]
fn effective_configuration_names_its_file_and_every_key() {
    let configured = Configured::new("[cleanup]\ninterval = '90s'");
    let toml = effective_toml(&configured.load().unwrap());
    let origin = format!(
        "# Flags and environment over {:?} over defaults.\nsocket = ",
        configured.args.config.as_ref().unwrap()
    );
    assert!(toml.starts_with(&origin), "{toml}");
    let tables = "\n[cleanup]\ninterval = \"1m30s\"\npeer_timeout = \"5m\"\nrelay_timeout = \"10m\"\nstartup_grace = \"5m\"\n\
        \n[store]\nbatch = \"100ms\"\nbackup_interval = \"1h\"\nbackups_kept = 24\n\
        \n[addresses]\nsubnet = \"10.66.0.0/16\"\n\
        \n[access]\noperators = []\ngroup = \"lanrage\"\n\
        \n[limits]\nparties_per_peer = 64\npeers_per_party = 64\nparties = 16384\nrelays = 1024\nframe_in = 262144\n\
        frame_out = 1048576\nsignal_bytes = 65536\nsignals_per_peer = 256\nsignals_total_bytes = 67108864\nsignal_ttl = \"5m\"\nrequests_in_flight = 32\n\
        connections = 256\nconnections_per_uid = 64\nobservers = 64\nobservers_per_uid = 8\nobserver_idle = \"1m\"\nqueue_events = 256\nqueue_bytes = 1048576\nreply_bytes = 75497472\npartial_frame = \"10s\"\n\
        write_stall = \"10s\"\nrequest_timeout = \"10s\"\nuid_share = 4\n\
        \n[remote]\nheartbeat = \"30s\"\nconnect_timeout = \"10s\"\nrequest_timeout = \"10s\"\nbackoff_initial = \"1s\"\n\
        backoff_max = \"1m\"\nmax_attempts = 5\nprobe = \"1m\"\npoll = \"10s\"\ncopies_bytes = 33554432\non_key_change = \"tell\"\ntransport = \"auto\"\nproxy = \"system\"\n";
    assert!(toml.ends_with(tables), "{toml}");
}

fn duration() -> impl Strategy<Value = Duration> {
    (1_000_000..=31_536_000_000_000_000_u64).prop_map(Duration::from_nanos)
}

fn path() -> impl Strategy<Value = PathBuf> {
    "(?s)[^\0]{0,12}".prop_map(|name| std::env::temp_dir().join(format!("x{name}")))
}

prop_compose! {
    fn any_limits()(
        counts in prop::array::uniform6(1..=1024_usize),
        bytes in prop::array::uniform4(1024..=16_777_216_usize),
        durations in prop::array::uniform4(duration()),
        parties in 1..=1_048_576_usize,
        connections in prop::array::uniform4(1..=65_536_usize),
    ) -> Limits {
        Limits {
            parties_per_peer: counts[0],
            peers_per_party: counts[1],
            parties,
            relays: counts[2],
            frame_in: bytes[0],
            frame_out: bytes[1],
            signal_bytes: bytes[2],
            signals_per_peer: counts[3],
            signals_total_bytes: bytes[3],
            signal_ttl: durations[0],
            requests_in_flight: counts[4],
            connections: connections[0],
            connections_per_uid: connections[1],
            observers: connections[2].min(connections[0]),
            observers_per_uid: connections[3],
            reply_bytes: bytes[0].max(1_048_576),
            observer_idle: durations[0],
            queue_events: counts[5],
            queue_bytes: bytes[3],
            partial_frame: durations[1],
            write_stall: durations[2],
            request_timeout: durations[3],
            uid_share: counts[0],
        }
    }
}

fn server() -> impl Strategy<Value = Option<ServerUrl>> {
    let address = "https?://[a-z]{1,9}(:[1-9][0-9]{0,3})?(/[a-z]{1,4}){0,2}";
    prop::option::of(address.prop_map(|address| address.parse().unwrap()))
}

prop_compose! {
    fn any_remote()(
        durations in prop::array::uniform4(duration()),
        mut backoff in prop::array::uniform2(duration()),
        poll in 1..=3_600_u64,
        max_attempts in 1..=65_536_usize,
        copies_bytes in 65_536..=1_073_741_824_usize,
        on_key_change in prop::sample::select(vec![OnKeyChange::Tell, OnKeyChange::Hold]),
        transport in prop::sample::select(vec![TransportKind::Auto, TransportKind::Ws, TransportKind::Http]),
        ca_file in prop::option::of(path()),
        proxy in prop::sample::select(vec!["system", "none", "http://proxy.example.org:3128"]),
    ) -> Remote {
        backoff.sort();
        Remote {
            heartbeat: durations[0],
            connect_timeout: durations[1],
            request_timeout: durations[2],
            backoff_initial: backoff[0],
            backoff_max: backoff[1],
            max_attempts,
            probe: durations[3],
            poll: Duration::from_secs(poll),
            copies_bytes,
            on_key_change,
            transport,
            ca_file,
            proxy: proxy.parse().unwrap(),
        }
    }
}

prop_compose! {
    fn any_config()(
        paths in prop::array::uniform3(path()),
        durations in prop::array::uniform6(duration()),
        backups_kept in 1..=1000_usize,
        (address, prefix) in (0x0a00_0000..0x7f00_0000_u32, 8..=21_u8),
        operators in prop::collection::vec(0..u32::MAX, 0..4),
        group in "[^\\p{Cc}]{1,12}",
        limits in any_limits(),
        server in server(),
        remote in any_remote(),
        system in any::<bool>(),
    ) -> DaemonConfig {
        let [socket, state_dir, discovery_file] = paths;
        let subnet = ipnet::Ipv4Net::new(address.into(), prefix).unwrap().trunc();
        DaemonConfig {
            socket,
            state_dir,
            discovery_file,
            server,
            cleanup: Cleanup {
                interval: durations[0],
                peer_timeout: durations[1],
                relay_timeout: durations[2],
                startup_grace: durations[3],
            },
            store: Store { batch: durations[4], backup_interval: durations[5], backups_kept },
            addresses: Addresses { subnet },
            access: Access { operators, group },
            limits,
            remote,
            system,
            config_file: None,
        }
    }
}

proptest! {
    #[test]
    fn effective_configuration_reads_back(config in any_config(), origin in prop::option::of(path())) {
        let printed = DaemonConfig { config_file: origin, ..config.clone() };
        let mut configured = Configured::new(effective_toml(&printed));
        configured.args.system = config.system;
        let read = load(&configured.args, &Environment::of(&[])).unwrap();
        prop_assert_eq!(DaemonConfig { config_file: None, ..read }, config);
    }
}
