//! Tests of the control server's keys.

use super::*;
use crate::config::OnKeyChange;
use crate::config::{CliArgs, Remote, ServerArgs, load_cli, load_server};
use crate::remote::transport::TransportKind;
use crate::remote::transport::proxy::ProxyChoice;

const VARIABLE: &str = "LANRAGE_CONTROL_SERVER";

impl Configured {
    /// Environment with a home, and the variable that names a control server.
    fn naming(&self, server: &str) -> Environment {
        let home = self.directory.path().to_str().unwrap();
        Environment::of(&[("HOME", home), ("LOCALAPPDATA", home), (VARIABLE, server)])
    }

    fn server(&self, env: &Environment) -> Option<String> {
        load(&self.args, env).unwrap().server.map(|server| server.to_string())
    }

    /// Reason of a refusal, without the name of the file.
    fn refusal(&self) -> String {
        let refusal = self.load().unwrap_err().to_string();
        refusal.replace(&format!("{}:", self.path()), "")
    }
}

#[test]
fn server_comes_from_flag_then_variable_then_file_and_by_default_there_is_none() {
    let bare = Configured::new("");
    assert_eq!(bare.server(&bare.home()), None);
    let mut configured = Configured::new("server = 'http://of-file/base/'");
    assert_eq!(configured.server(&configured.home()).as_deref(), Some("http://of-file/base"));
    assert_eq!(configured.server(&configured.naming("")).as_deref(), Some("http://of-file/base"));
    let env = configured.naming("https://of-env:8443");
    assert_eq!(configured.server(&env).as_deref(), Some("https://of-env:8443"));
    configured.args.server = Some("http://of-flag".to_owned());
    assert_eq!(configured.server(&env).as_deref(), Some("http://of-flag"));
}

#[test]
fn an_invalid_address_is_refused_by_its_place_and_never_repeated() {
    for (address, why) in [
        (
            "lan.example.org/hunter2",
            "must start with http:// or https://, as in https://lan.example.org",
        ),
        ("ftp://u:hunter2@h", "must start with http:// or https://, as in https://lan.example.org"),
        (
            "http://u:hunter2@h",
            "must have no user and no password in it: the daemon gets its own tokens",
        ),
        ("http://h/?hunter2", "must end with its host or its path: nothing after ? or #"),
    ] {
        let mut configured = Configured::new(format!("\nserver = '{address}'"));
        assert_eq!(configured.refusal(), format!("2: server: {why}"));
        configured = Configured::new("");
        let refusal = load(&configured.args, &configured.naming(address)).unwrap_err();
        assert_eq!(refusal.to_string(), format!("{VARIABLE}: {why}"));
        configured.args.server = Some(address.to_owned());
        assert_eq!(configured.load().unwrap_err().to_string(), format!("--server: {why}"));
    }
    let mut configured = Configured::new("server = 5");
    let quotes = "1: server: must be a URL in quotes, such as \"https://lan.example.org\"";
    assert_eq!(configured.refusal(), quotes);
    configured = Configured::new("");
    configured.args.server = Some(String::new());
    let refusal = configured.load().unwrap_err().to_string();
    assert_eq!(
        refusal,
        "--server: must start with http:// or https://, as in https://lan.example.org"
    );
}

#[test]
fn table_has_its_defaults() {
    let seconds = Duration::from_secs;
    let expected = Remote {
        heartbeat: seconds(30),
        connect_timeout: seconds(10),
        request_timeout: seconds(10),
        backoff_initial: seconds(1),
        backoff_max: seconds(60),
        max_attempts: 5,
        probe: seconds(60),
        poll: seconds(10),
        copies_bytes: 32 << 20,
        on_key_change: OnKeyChange::Tell,
        transport: TransportKind::Auto,
        ca_file: None,
        proxy: ProxyChoice::System,
    };
    assert_eq!(Remote::default(), expected);
    assert_eq!(Configured::new("").load().unwrap().remote, expected);
}

#[test]
fn table_is_read() {
    let configured = Configured::new(
        "[remote]\nheartbeat = '1s'\nconnect_timeout = '2s'\nrequest_timeout = '3s'\n\
         backoff_initial = '4s'\nbackoff_max = '5s'\nmax_attempts = 6\nprobe = '7s'\npoll = '8s'\n\
         copies_bytes = 65536\non_key_change = 'hold'\ntransport = 'ws'\nca_file = 'ca.pem'\nproxy = 'http://ann:b@proxy:3128'",
    );
    let seconds = Duration::from_secs;
    let expected = Remote {
        heartbeat: seconds(1),
        connect_timeout: seconds(2),
        request_timeout: seconds(3),
        backoff_initial: seconds(4),
        backoff_max: seconds(5),
        max_attempts: 6,
        probe: seconds(7),
        poll: seconds(8),
        copies_bytes: 65_536,
        on_key_change: OnKeyChange::Hold,
        transport: TransportKind::Ws,
        ca_file: Some(configured.below("ca.pem")),
        proxy: "http://ann:b@proxy:3128".parse().unwrap(),
    };
    assert_eq!(configured.load().unwrap().remote, expected);
    let http = Configured::new("[remote]\ntransport = 'http'").load().unwrap();
    assert_eq!(http.remote.transport, TransportKind::Http);
}

#[test]
fn proxy_comes_from_flag_variable_file_and_default() {
    let mut configured = Configured::new("[remote]\nproxy = 'none'");
    assert_eq!(configured.load().unwrap().remote.proxy, ProxyChoice::None);
    let variables = [("LANRAGE_PROXY", "http://p:3128")];
    let home = configured.directory.path().to_str().unwrap().to_owned();
    let home = home.as_str();
    let env = Environment::of(&[("HOME", home), ("LOCALAPPDATA", home), variables[0]]);
    let proxy = |configured: &Configured| load(&configured.args, &env).unwrap().remote.proxy;
    assert_eq!(proxy(&configured), "http://p:3128".parse().unwrap());
    configured.args.proxy = Some("system".to_owned());
    assert_eq!(proxy(&configured), ProxyChoice::System);
}

#[test]
fn bad_proxy_is_refused_and_not_repeated() {
    let mut configured = Configured::new("[remote]\nproxy = 'socks5://ann:hunter2@p'");
    let words = "must be the URL of an HTTP proxy, such as http://proxy.example.org:3128, or \
        \"system\" for what HTTPS_PROXY says, or \"none\"";
    assert_eq!(configured.refusal(), format!("2: remote.proxy: {words}"));
    configured = Configured::new("");
    configured.args.proxy = Some("hunter2://".to_owned());
    assert_eq!(configured.load().unwrap_err().to_string(), format!("--proxy: {words}"));
}

#[test]
fn every_value_has_its_range() {
    let long = "is out of range: it must be from 1ms to 8760h";
    let transport = "is no transport: it must be \"auto\", \"ws\" or \"http\"";
    for (line, why) in [
        ("heartbeat = '0s'", long),
        ("connect_timeout = '8761h'", long),
        ("request_timeout = '0s'", long),
        ("backoff_initial = '0s'", long),
        ("backoff_max = '8761h'", long),
        ("probe = '0s'", long),
        ("poll = '999ms'", "is out of range: it must be from 1s to 1h"),
        ("poll = '61m'", "is out of range: it must be from 1s to 1h"),
        ("max_attempts = 0", "is out of range: it must be from 1 to 65536"),
        ("copies_bytes = 65535", "is out of range: it must be from 65536 to 1073741824"),
        ("on_key_change = 'ask'", "must be \"tell\" or \"hold\""),
        ("transport = 'udp'", transport),
        ("transport = 5", transport),
        ("ca_file = ''", "is not a path: leave the key out for the default"),
    ] {
        let (key, value) = line.split_once(" = ").unwrap();
        let refusal = Configured::new(format!("[remote]\n{line}")).refusal();
        assert_eq!(refusal, format!("2: remote.{key}: {value} {why}"));
    }
}

#[test]
fn first_wait_is_not_longer_than_the_longest() {
    for (text, most) in
        [("backoff_initial = '2m'\nbackoff_max = '90s'", "1m30s"), ("backoff_initial = '2m'", "1m")]
    {
        assert_eq!(
            Configured::new(format!("[remote]\n{text}")).refusal(),
            format!(
                "2: remote.backoff_initial: '2m' is more than remote.backoff_max, which is {most}: \
                 lower the one or raise the other"
            )
        );
    }
    let remote = Configured::new("[remote]\nbackoff_max = '200ms'").load().unwrap().remote;
    assert_eq!(
        (remote.backoff_initial, remote.backoff_max),
        (remote.backoff_max, Duration::from_millis(200))
    );
}

#[test]
fn other_programs_ignore_the_daemons_keys() {
    let configured = Configured::new("server = 5\n[remote]\nheartbeat = 'never'");
    assert!(configured.load().is_err());
    let config = configured.args.config.clone();
    let server = ServerArgs { config: config.clone(), ..ServerArgs::default() };
    load_server(&server, &configured.home()).unwrap();
    load_cli(&CliArgs { config, ..CliArgs::default() }, &configured.home()).unwrap();
}
