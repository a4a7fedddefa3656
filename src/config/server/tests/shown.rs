//! Printed configurations, and the shipped example.

use super::*;

#[test]
fn effective_configuration_names_its_file_and_every_key() {
    let configured = Configured::new("listen = '[::1]:1'");
    let toml = effective_server_toml(&configured.load().unwrap());
    let origin = format!(
        "# Flags and environment over {:?} over defaults.\nlisten = \"[::1]:1\"\nsocket = ",
        configured.args.config.as_ref().unwrap()
    );
    assert!(toml.starts_with(&origin), "{toml}");
    for table in [
        "\n[http]\nbehind_proxy = []\ninsecure = false\nallowed_origins = []\npublic_names = []\nrequest_timeout = \"10s\"\n\
         keep_alive = \"1m15s\"\nkeep_alive_without_token = \"5s\"\nbody_bytes = 65536\nreply_bytes = 134217728\nconnections = 8192\n\
         connections_per_address = 2048\nhandshakes = 1024\nhandshakes_per_address = 256\nhandshake_timeout = \"5s\"\n",
        "\n[auth]\ntoken_ttl = \"24h\"\n",
        "\nrequests_per_second = 200\nrequests_burst = 400\nregistrations_per_minute = 120\n\
         registrations_burst = 60\ntokens = 131072\nreceipts = 65536\n",
        "\n[ws]\nframe_bytes = 65536\nqueue_frames = 256\nqueue_bytes = 16777216\nqueue_total_bytes = 268435456\nfirst_frame = \"10s\"\nping_interval = \"30s\"\n\
         pong_timeout = \"10s\"\nrefresh = \"1m\"\nupdate_interval = \"1s\"\nframes_per_second = 200\nframes_burst = 400\nsockets = 8192\n\
         sockets_per_address = 4096\n",
    ] {
        assert!(toml.contains(table), "{table}\nis not in\n{toml}");
    }
}

#[test]
fn effective_configuration_reads_back() {
    for text in ["", EVERY_KEY] {
        let configured = Configured::new(text);
        fs::write(configured.below("relay"), "k").unwrap();
        let loaded = configured.load().unwrap();
        let again = Configured::new(effective_server_toml(&loaded)).load().unwrap();
        assert_eq!(
            ServerConfig { config_file: None, ..again },
            ServerConfig { config_file: None, ..loaded }
        );
    }
}

#[test]
fn relay_key_is_never_shown() {
    let of_file = Configured::new("auth.relay_key_file = 'f'");
    fs::write(of_file.below("f"), "hunter2").unwrap();
    let in_it = Configured::new("auth.relay_key = 'hunter2'");
    for configured in [&of_file, &in_it] {
        let loaded = configured.load().unwrap();
        assert_eq!(loaded.auth.relay_key.as_ref().unwrap().expose(), "hunter2");
        assert!(!format!("{loaded:?}").contains("hunter2"));
        assert!(!effective_server_toml(&loaded).contains("hunter2"));
    }
    let note = "# auth.relay_key is set, and not shown.\n";
    assert!(effective_server_toml(&in_it.load().unwrap()).starts_with(note));
    assert!(!effective_server_toml(&of_file.load().unwrap()).contains(note));
}

#[cfg(unix)]
const EXAMPLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/lanragectl-server.toml"));

#[cfg(unix)]
#[test]
fn the_example_has_the_defaults() {
    let load = |text: &str| {
        let configured = Configured::new(text);
        let args = ServerArgs { system: true, ..configured.args.clone() };
        let loaded = load_server(&args, &Environment::of(&[])).unwrap();
        ServerConfig { config_file: None, ..loaded }
    };
    let default = load("");
    assert_eq!(load(EXAMPLE), default);
    // A key with its default has no space after the comment sign.
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase()) => key,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(load(&uncommented), default);
    let shown = effective_server_toml(&default);
    let keys = shown.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    for key in keys.chain(["tls_cert", "tls_key", "relay_key_file"]) {
        assert!(EXAMPLE.contains(&format!("{key} = ")), "the example has no {key}");
    }
}
