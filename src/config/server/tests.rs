mod refusals;
mod shown;

use super::*;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// Directory with a configuration file, and arguments that name the file.
struct Configured {
    directory: TempDir,
    args: ServerArgs,
}

impl Configured {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.toml");
        fs::write(&path, text).unwrap();
        let args = ServerArgs { config: Some(path), ..ServerArgs::default() };
        Self { directory, args }
    }

    fn path(&self) -> String {
        self.args.config.as_ref().unwrap().display().to_string()
    }

    fn below(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Environment of a user, with these variables in addition.
    fn env(&self, more: &[(&str, &str)]) -> Environment {
        let home = self.directory.path().to_str().unwrap();
        Environment::of(&[&[("HOME", home), ("LOCALAPPDATA", home)], more].concat())
    }

    fn load(&self) -> Result<ServerConfig, ConfigError> {
        load_server(&self.args, &self.env(&[]))
    }

    /// Reason of a refusal, without the name of the file.
    fn refusal(&self) -> String {
        let refusal = self.load().unwrap_err().to_string();
        refusal.replace(&format!("{}:", self.path()), "")
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn address_comes_from_flag_then_variable_then_file_then_default() {
    let default = Configured::new("").load().unwrap();
    assert_eq!(default.listen, address("127.0.0.1:8667"));
    let mut configured = Configured::new("listen = '127.0.0.1:1'");
    assert_eq!(configured.load().unwrap().listen, address("127.0.0.1:1"));
    let unset = configured.env(&[("LANRAGE_LISTEN", "")]);
    let loaded = load_server(&configured.args, &unset).unwrap();
    assert_eq!(loaded.listen, address("127.0.0.1:1"));
    let env = configured.env(&[("LANRAGE_LISTEN", "[::1]:2")]);
    let loaded = load_server(&configured.args, &env).unwrap();
    assert_eq!(loaded.listen, address("[::1]:2"));
    configured.args.listen = Some(address("127.0.0.1:0"));
    let loaded = load_server(&configured.args, &env).unwrap();
    assert_eq!(loaded.listen, address("127.0.0.1:0"));
}

#[test]
fn state_directory_comes_from_flag_then_variable_then_file_then_default() {
    let default = Configured::new("").load().unwrap();
    assert!(default.state_dir.ends_with("lanrage"));
    let mut configured = Configured::new("state_dir = 'of-file'");
    assert_eq!(configured.load().unwrap().state_dir, configured.below("of-file"));
    let variable = configured.below("of-env");
    let env = configured.env(&[("LANRAGE_STATE_DIR", variable.to_str().unwrap())]);
    assert_eq!(load_server(&configured.args, &env).unwrap().state_dir, variable);
    let flag = configured.below("of-flag");
    configured.args.state_dir = Some(flag.clone());
    assert_eq!(load_server(&configured.args, &env).unwrap().state_dir, flag);
}

#[test]
fn socket_comes_from_flag_then_file_and_never_from_the_daemons_variable() {
    let mut configured = Configured::new("socket = 'of-file'");
    let env = configured.env(&[("LANRAGE_SOCKET", "/of-env")]);
    let loaded = load_server(&configured.args, &env).unwrap();
    assert_eq!(loaded.socket, configured.below("of-file"));
    let flag = configured.below("of-flag");
    configured.args.socket = Some(flag.clone());
    assert_eq!(load_server(&configured.args, &env).unwrap().socket, flag);
}

#[cfg(unix)]
#[test]
fn socket_is_in_the_state_directory_in_effect() {
    let mut configured = Configured::new("state_dir = 'of-file'");
    assert_eq!(configured.load().unwrap().socket, configured.below("of-file/server.sock"));
    configured.args.state_dir = Some(configured.below("of-flag"));
    assert_eq!(configured.load().unwrap().socket, configured.below("of-flag/server.sock"));
}

#[cfg(unix)]
#[test]
fn machines_server_has_the_system_paths() {
    let configured = Configured::new("");
    let args = ServerArgs { system: true, ..configured.args.clone() };
    let loaded = load_server(&args, &Environment::of(&[])).unwrap();
    assert!(loaded.system);
    assert_eq!(loaded.socket, Path::new("/run/lanragectl-server/control.sock"));
    assert_eq!(loaded.state_dir, Path::new("/var/lib/lanrage"));
}

#[cfg(unix)]
#[test]
fn file_at_the_default_path_is_read() {
    let configured = Configured::new("");
    let file = configured.below("lanrage/lanragectl-server.toml");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "listen = '127.0.0.1:1'").unwrap();
    let home = configured.directory.path().to_str().unwrap();
    let env = configured.env(&[("XDG_CONFIG_HOME", home)]);
    let loaded = load_server(&ServerArgs::default(), &env).unwrap();
    assert_eq!((loaded.listen, loaded.config_file), (address("127.0.0.1:1"), Some(file)));
}

#[test]
fn file_is_read_into_its_tables() {
    let configured = Configured::new(EVERY_KEY);
    fs::write(configured.below("relay"), " hunter2\n").unwrap();
    let loaded = configured.load().unwrap();
    assert_eq!(loaded.config_file, configured.args.config);
    let tls = tables::Tls { cert: configured.below("c.pem"), key: configured.below("k.pem") };
    let http = Http {
        tls: Some(tls),
        behind_proxy: ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "::1/128"]
            .map(|network| network.parse().unwrap())
            .to_vec(),
        insecure: true,
        allowed_origins: vec![
            "https://example.org".into(),
            "http://[::1]:8080".into(),
            "null".into(),
            "file://".into(),
        ],
        public_names: vec!["lan.example.org".into()],
        request_timeout: Duration::from_secs(1),
        keep_alive: Duration::from_secs(2),
        keep_alive_without_token: Duration::from_secs(1),
        body_bytes: 2048,
        reply_bytes: 2 * 1024 * 1024,
        connections: 16,
        connections_per_address: 15,
        handshakes: 17,
        handshakes_per_address: 14,
        handshake_timeout: Duration::from_secs(2),
    };
    assert_eq!(loaded.http, http);
    assert_eq!(loaded.auth.token_ttl, Duration::from_secs(1));
    assert_eq!(loaded.auth.relay_key.unwrap().expose(), "hunter2");
    assert_eq!(loaded.limits.shared.peers_per_party, 8);
    assert_eq!(loaded.limits.requests_per_second, 1_000_000);
    let ws = Ws {
        frame_bytes: 1024,
        queue_frames: 1,
        queue_bytes: 2048,
        queue_total_bytes: 2_097_152,
        first_frame: Duration::from_millis(1),
        ping_interval: Duration::from_millis(2),
        pong_timeout: Duration::from_millis(3),
        refresh: Duration::from_millis(4),
        update_interval: Duration::from_millis(5),
        frames_per_second: 1,
        frames_burst: 2,
        sockets: 3,
        sockets_per_address: 4,
    };
    assert_eq!(loaded.ws, ws);
    assert_eq!(loaded.addresses.subnet.to_string(), "10.7.0.0/24");
}

/// Value for every key that is not its default.
const EVERY_KEY: &str = "\
listen = '0.0.0.0:1'
socket = 's'
state_dir = 'd'
[http]
tls_cert = 'c.pem'
tls_key = 'k.pem'
behind_proxy = ['10.0.0.0/8', '192.0.2.1', 'fd00::/8', '::1']
insecure = true
allowed_origins = ['https://Example.org', 'http://[::1]:8080', 'null', 'file://']
public_names = ['LAN.example.org']
request_timeout = '1s'
keep_alive = '2s'
keep_alive_without_token = '1s'
body_bytes = 2048
reply_bytes = 2097152
connections = 16
connections_per_address = 15
handshakes = 17
handshakes_per_address = 14
handshake_timeout = '2s'
[auth]
token_ttl = '1s'
relay_key_file = 'relay'
[cleanup]
interval = '250ms'
[store]
batch = '1s'
[addresses]
subnet = '10.7.0.0/24'
[access]
operators = [1000]
[limits]
peers_per_party = 8
requests_per_second = 1_000_000
requests_burst = 1
registrations_per_minute = 2
registrations_burst = 3
tokens = 4
receipts = 5
address_share = 6
[ws]
frame_bytes = 1024
queue_frames = 1
queue_bytes = 2048
queue_total_bytes = 2097152
first_frame = '1ms'
ping_interval = '2ms'
pong_timeout = '3ms'
refresh = '4ms'
update_interval = '5ms'
frames_per_second = 1
frames_burst = 2
sockets = 3
sockets_per_address = 4
";

#[test]
fn documented_limits_admit_a_million_peers() {
    let document = include_str!("../../../docs/configuration.md");
    let (_, example) = document.split_once("# of a server for a million peers").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let config = Configured::new(format!("[limits]{example}")).load().unwrap();
    let limits = &config.limits;
    assert!(limits.shared.parties * 4 >= 1_000_000 && limits.tokens >= 1_000_000);
    assert!(limits.receipts >= 1_000_000);
    assert!(config.ws.sockets >= 1_000_000 && config.http.connections >= 1_000_000);
}

#[test]
fn limits_beside_the_daemons_have_their_defaults() {
    let limits = ServerLimits {
        shared: crate::config::Limits::default(),
        requests_per_second: 200,
        requests_burst: 400,
        registrations_per_minute: 120,
        registrations_burst: 60,
        tokens: 131_072,
        receipts: 65_536,
        address_share: 16,
    };
    assert_eq!(ServerLimits::default(), limits);
}

#[test]
fn a_loopback_address_needs_no_tls() {
    for listen in ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(Configured::new(format!("listen = '{listen}'")).load().is_ok(), "{listen}");
    }
}

#[test]
fn address_of_the_network_takes_tls_or_a_proxy_or_a_word() {
    for listen in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:1"] {
        let configured = Configured::new(format!("listen = '{listen}'"));
        let expected = format!(
            "listen: {listen} is open to the network, and without TLS everybody on the way could read tokens: \
             give http.tls_cert and http.tls_key, or name the proxy that ends TLS in http.behind_proxy, \
             or allow it with http.insecure = true"
        );
        assert_eq!(configured.refusal(), expected);
        for way in
            ["tls_cert = 'c'\ntls_key = 'k'", "behind_proxy = ['10.0.0.1']", "insecure = true"]
        {
            let text = format!("listen = '{listen}'\n[http]\n{way}");
            assert!(Configured::new(text).load().is_ok(), "{way}");
        }
    }
    let mut of_flag = Configured::new("");
    of_flag.args.listen = Some(address("0.0.0.0:1"));
    assert!(matches!(of_flag.load(), Err(ConfigError::Exposed { .. })));
}

#[test]
fn empty_relay_key_is_none() {
    assert_eq!(Configured::new("auth.relay_key = ''").load().unwrap().auth.relay_key, None);
    let configured = Configured::new("[auth]\nrelay_key = ''\nrelay_key_file = 'f'");
    fs::write(configured.below("f"), "k").unwrap();
    assert_eq!(configured.load().unwrap().auth.relay_key.unwrap().expose(), "k");
}

#[test]
fn relay_key_file_is_read_again_with_each_load() {
    let configured = Configured::new("auth.relay_key_file = 'f'");
    for key in ["one", "two"] {
        fs::write(configured.below("f"), format!("{key}\n")).unwrap();
        assert_eq!(configured.load().unwrap().auth.relay_key.unwrap().expose(), key);
    }
}

#[test]
fn a_reload_names_the_keys_that_need_a_restart() {
    let configured = Configured::new("");
    let reloaded = |text: &str| {
        let changed = Configured::new(text);
        fs::write(changed.below("relay"), "k").unwrap();
        load_server(&changed.args, &configured.env(&[])).unwrap()
    };
    let old = configured.load().unwrap();
    assert_eq!(server_needs_restart(&old, &old), [""; 0]);
    let live = reloaded(
        "[http]\nbehind_proxy = ['::1']\ninsecure = true\nallowed_origins = ['http://a']\nbody_bytes = 1024\n\
         [auth]\ntoken_ttl = '1s'\nrelay_key = 'k'\n[cleanup]\ninterval = '1s'\n[store]\nbatch = '1s'\n\
         [access]\ngroup = 'a'\n[limits]\nparties = 1\nrequests_burst = 1\n[ws]\nsockets = 1",
    );
    assert_ne!(old, live);
    assert_eq!(server_needs_restart(&old, &live), [""; 0]);
    assert_eq!(
        server_needs_restart(&old, &reloaded(EVERY_KEY)),
        [
            "listen",
            "socket",
            "state_dir",
            "http.tls_cert",
            "http.tls_key",
            "http.request_timeout",
            "http.keep_alive",
            "http.connections",
            "addresses.subnet"
        ]
    );
}
