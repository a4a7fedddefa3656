//! Refusals of a file, a variable or the key file.

use super::*;

#[track_caller]
fn assert_refused(text: &str, expected: &str) {
    assert_eq!(Configured::new(text).refusal(), expected, "{text}");
}

#[test]
fn mistakes_name_file_line_and_key() {
    let configured = Configured::new("\n[http]\nkeepalive = '5s'\n[nothing]\n");
    let file = configured.path();
    let known =
        "limits, listen, socket, state_dir, http, auth, cleanup, store, addresses, access, ws";
    assert_eq!(
        configured.load().unwrap_err().to_string(),
        format!(
            "{file}:3: http.keepalive: unknown key; did you mean `keep_alive`?\n\
             {file}:4: nothing: unknown key; known here are {known}"
        )
    );
}

#[test]
fn every_key_has_a_type_and_a_range() {
    let nonsense = EVERY_KEY.lines().map(|line| match line.split_once(" = ") {
        Some((key, _)) => format!("{key} = 1.5\n"),
        None => format!("{line}\n"),
    });
    let nonsense: Vec<String> = nonsense.collect();
    let keys = nonsense.iter().filter(|line| line.contains('=')).count();
    let mut refused = 0;
    // The number of reported mistakes is bounded.
    for line in &nonsense {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        let table = nonsense.iter().take_while(|other| *other != line);
        let table = table.filter(|line| line.starts_with('[')).last();
        let text = format!("{}{line}", table.map_or("", |table| table));
        let refusal = Configured::new(text).refusal();
        assert!(refusal.contains(&format!("{key}: ")), "{refusal}");
        refused += 1;
    }
    assert_eq!(refused, keys);
}

#[test]
fn no_number_may_be_nothing() {
    let zeros = |keys: &[&str]| keys.iter().map(|key| format!("{key} = 0\n")).collect::<String>();
    let rates = zeros(&[
        "requests_per_second",
        "requests_burst",
        "registrations_per_minute",
        "registrations_burst",
    ]);
    let refusal = Configured::new(format!("[limits]\n{rates}")).refusal();
    assert_eq!(refusal.matches("0 is out of range: it must be from 1 to 1000000").count(), 4);
    let ws = zeros(&["frames_per_second", "frames_burst", "sockets", "sockets_per_address"]);
    let refusal = Configured::new(format!("[ws]\n{ws}")).refusal();
    assert_eq!(refusal.matches("0 is out of range: it must be from 1 to 1000000").count(), 4);
    let counts = "[limits]\ntokens = 0\nreceipts = 0\n[ws]\nqueue_frames = 0\nqueue_bytes = 0\nqueue_total_bytes = 0\nframe_bytes = 0\n\
                  first_frame = '0s'\nping_interval = '0s'\npong_timeout = '0s'\nrefresh = '0s'\n\
                  [http]\nbody_bytes = 0\nconnections = 15\nrequest_timeout = '0s'\nkeep_alive = '0s'\n\
                  connections_per_address = 0\nhandshakes = 15\nhandshakes_per_address = 0\n\
                  handshake_timeout = '0s'\nkeep_alive_without_token = '0s'\n\
                  [auth]\ntoken_ttl = '999ms'";
    assert_eq!(Configured::new(counts).refusal().matches("is out of range").count(), 20);
    assert_refused(
        "http.reply_bytes = 0",
        "1: http.reply_bytes: 0 is out of range: it must be from 1048576 to 1073741824",
    );
    assert_refused(
        "auth.token_ttl = '8761h'",
        "1: auth.token_ttl: '8761h' is out of range: it must be from 1s to 8760h",
    );
}

#[test]
fn address_is_no_name_and_has_a_port() {
    let why = "is not an IP address with a port: write it as \"127.0.0.1:8667\" or \"[::1]:8667\"";
    for listen in
        ["'localhost:8667'", "'127.0.0.1'", "'::1:8667'", "'127.0.0.1:65536'", "8667", "''"]
    {
        assert_refused(&format!("listen = {listen}"), &format!("1: listen: {listen} {why}"));
    }
    let configured = Configured::new("");
    let env = configured.env(&[("LANRAGE_LISTEN", "localhost:8667")]);
    let error = load_server(&configured.args, &env).unwrap_err();
    assert_eq!(error.to_string(), format!("LANRAGE_LISTEN: \"localhost:8667\" {why}"));
}

#[test]
fn tls_takes_both_files() {
    assert_refused(
        "[http]\ntls_cert = 'c'",
        "2: http.tls_cert: 'c' needs the other half of TLS: give tls_key, too",
    );
    assert_refused(
        "[http]\ntls_key = 'k'",
        "2: http.tls_key: 'k' needs the other half of TLS: give tls_cert, too",
    );
    assert_refused(
        "[http]\ntls_cert = ''\ntls_key = 'k'",
        "2: http.tls_cert: '' is not a path: leave the key out for the default",
    );
}

#[test]
fn proxies_are_addresses_and_networks() {
    for proxy in ["'nginx'", "''", "5", "'10.0.0.0/33'"] {
        assert_refused(
            &format!("http.behind_proxy = [{proxy}]"),
            &format!(
                "1: http.behind_proxy: {proxy} is not a network: write it as \"10.0.0.0/8\" or \"::1\""
            ),
        );
    }
    assert_refused(
        "http.behind_proxy = ['10.1.2.3/8']",
        "1: http.behind_proxy: '10.1.2.3/8' is an address within a network: write \"10.0.0.0/8\"",
    );
    assert_refused(
        "http.behind_proxy = '::1'",
        "1: http.behind_proxy: '::1' is not a list: write it as [\"127.0.0.1\", \"::1\"]",
    );
}

#[test]
fn origins_are_scheme_host_and_port() {
    for origin in [
        "example.org",
        "https://",
        "https://example.org/",
        "https://example.org/a",
        "https://ann@example.org",
        "https://*.example.org",
        "https://example.org:",
        "https://example.org:0",
        "https://example.org:+1",
        "https://example.org:65536",
        "https://exämple.org",
        "https://[::1",
        "https://[localhost]",
        "https://::1",
        "1http://a",
        "://a",
        "file:///",
        "",
    ] {
        assert_refused(
            &format!("http.allowed_origins = ['{origin}']"),
            &format!(
                "1: http.allowed_origins: '{origin}' is not an origin: write scheme, host and port alone, \
                 as in \"https://example.org\" or \"http://localhost:8080\""
            ),
        );
    }
    assert_refused(
        "http.allowed_origins = ['*']",
        "1: http.allowed_origins: '*' would let every page on the web speak to this server: name each origin",
    );
    for name in ["", "lan:8667", "https://lan", "a/b", "*.example.org"] {
        assert_refused(
            &format!("http.public_names = ['{name}']"),
            &format!(
                "1: http.public_names: '{name}' is not the name of a host: write it without scheme and port"
            ),
        );
    }
    let good = "http.allowed_origins = ['http://a_b-c.d:1', 'tauri://localhost', 'https://[::1]', 'https://10.0.0.1:65535']";
    assert_eq!(Configured::new(good).load().unwrap().http.allowed_origins.len(), 4);
}

#[test]
fn insecure_is_true_or_false() {
    assert_refused("http.insecure = 'yes'", "1: http.insecure: 'yes' is neither true nor false");
}

#[test]
fn relay_key_has_one_place() {
    assert_refused(
        "[auth]\nrelay_key_file = 'f'\nrelay_key = 'k'",
        "2: auth.relay_key_file: 'f' is the second place of the key: keep it or relay_key, not both",
    );
}

#[test]
fn refused_relay_key_is_not_repeated() {
    let rule = "must be 1 to 512 printable ASCII characters without spaces";
    for key in ["'hunter 2'", "'hünter2'", "5", "\"hunter\\n\"", &format!("'{}'", "x".repeat(513))]
    {
        assert_refused(&format!("auth.relay_key = {key}"), &format!("1: auth.relay_key: {rule}"));
    }
    let configured = Configured::new("auth.relay_key_file = 'f'");
    for key in ["hunter 2", "", " \n", &"x".repeat(513), &"x".repeat(100_000)] {
        fs::write(configured.below("f"), key).unwrap();
        assert_eq!(
            configured.refusal(),
            format!(
                "auth.relay_key_file: {}: the key in it {rule}",
                configured.below("f").display()
            )
        );
    }
}

#[test]
fn relay_key_file_that_cannot_be_read_is_named() {
    let configured = Configured::new("auth.relay_key_file = 'f'");
    let start =
        format!("auth.relay_key_file: {}: cannot be read: ", configured.below("f").display());
    assert!(configured.refusal().starts_with(&start), "{}", configured.refusal());
    fs::create_dir(configured.below("f")).unwrap();
    assert!(configured.refusal().starts_with(&start), "{}", configured.refusal());
}
