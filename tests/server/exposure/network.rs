//! Listen addresses of the server, and trusted proxies for client addresses.

use serde_json::json;

use crate::harness::{Daemon, Http, Response, Setup, end_of};

/// Returns the exit code and output of `--check-config`.
fn check(listen: &str, config: &str) -> (Option<i32>, String) {
    let mut setup = Setup::new().config(config);
    setup.program = env!("CARGO_BIN_EXE_lanragectl-server");
    let status = end_of(setup.command().args(["--listen", listen, "--check-config"]));
    (status.code(), setup.log())
}

#[test]
fn listen_on_an_open_address_without_tls_is_refused() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:1"] {
        let (code, log) = check(listen, "");
        assert_eq!(code, Some(2), "{log}");
        for word in [listen, "tls_cert", "tls_key", "behind_proxy", "insecure = true"] {
            assert!(log.contains(word), "{word} is not in {log}");
        }
        // Nor does it start.
        let mut setup = Setup::server();
        setup.args[1] = listen.to_owned();
        let (status, log) = setup.fails();
        assert_eq!(status.code(), Some(2), "{log}");
        assert!(log.contains("open to the network"), "{log}");
        assert!(!setup.state_dir().exists(), "it left something behind");
    }
}

#[test]
fn listen_on_an_open_address_is_admitted_by_each_remedy() {
    // That TLS is one is seen with files that are there.
    for way in ["behind_proxy = ['192.0.2.1']", "insecure = true"] {
        let (code, log) = check("0.0.0.0:0", &format!("[http]\n{way}\n"));
        assert_eq!(code, Some(0), "{way}: {log}");
    }
    let half = check("127.0.0.1:0", "[http]\ntls_cert = 'c'\n");
    assert_eq!(half.0, Some(2), "{}", half.1);
    assert!(half.1.contains("tls_key"), "{}", half.1);
    assert_eq!(check("127.0.0.1:0", "").0, Some(0));
    let mut setup = Setup::server().config("[http]\ninsecure = true\n");
    setup.args[1] = "0.0.0.0:0".to_owned();
    let server = setup.start();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    Http::connect(address).get("/healthz").ok();
}

/// A request for the relays, which needs a token: 401 as long as the address may ask.
fn ask(server: &Daemon, forwarded: &[&str]) -> Response {
    let headers: Vec<_> = forwarded.iter().map(|hops| ("X-Forwarded-For", *hops)).collect();
    server.http().send("GET", "/relays", &headers, None)
}

/// Two at once, and the next in a time that no test takes.
const TWO: &str = "[limits]\nrequests_per_second = 1\nrequests_burst = 2\n";

/// For each number another address.
fn other(number: u16) -> String {
    let [high, low] = number.to_be_bytes();
    format!("203.0.{high}.{low}")
}

/// An address that may ask once more than it did.
#[track_caller]
fn assert_used_up(server: &Daemon, forwarded: &[&str]) {
    // As much as comes back meanwhile may be asked for, too.
    let refused = (0..1000).map(|_| ask(server, forwarded)).find(|answer| answer.status != 401);
    let refused = refused.expect("an end to what may be asked");
    assert_eq!(refused.detail(429), json!("Too many requests"));
    let after = refused.header("retry-after").and_then(|after| after.parse::<u64>().ok());
    assert!(after.is_some_and(|after| after >= 1), "{refused:?}");
}

#[test]
fn forwarded_addresses_are_ignored_without_a_proxy() {
    let server = Setup::server().config(TWO).start();
    let refused =
        (0..1000).map(|number| ask(&server, &[&other(number)])).find(|answer| answer.status == 429);
    assert!(refused.is_some(), "each address that was made up counted for itself");
}

#[test]
fn forwarded_addresses_of_a_proxy_are_believed() {
    let config = format!("{TWO}[http]\nbehind_proxy = ['127.0.0.1', '10.0.0.0/8']\n");
    let server = Setup::server().config(&config).start();
    assert_used_up(&server, &["198.51.100.1"]);
    assert_eq!(ask(&server, &["198.51.100.2"]).status, 401);
    // What a client wrote itself stands further left, and counts for nothing: the right-most that
    // is no proxy does.
    for client in ["198.51.100.3", "198.51.100.4, 10.1.2.3", "198.51.100.5:4000"] {
        let refused = (0..1000).map(|number| format!("{}, {client}", other(number)));
        let refused =
            refused.map(|chain| ask(&server, &[&chain])).find(|answer| answer.status == 429);
        assert!(refused.is_some(), "{client} counted as whoever it said");
    }
    let refused = (0..1000).map(other);
    let refused = refused
        .map(|first| ask(&server, &[&first, "198.51.100.6"]).status)
        .find(|status| *status == 429);
    assert!(refused.is_some(), "the first of two headers counted");
    // All of one IPv6 network are one client.
    let refused = (0..1000)
        .map(|number| ask(&server, &[&format!("2001:db8:1:2::{number:x}")]))
        .find(|answer| answer.status == 429);
    assert!(refused.is_some(), "each address of a network counted for itself");
    assert_eq!(ask(&server, &["2001:db8:1:3::1"]).status, 401);
}

/// The network number `number` of a customer's /48.
fn network(number: u16) -> String {
    format!("2001:db8:1:{number:x}::1")
}

#[test]
fn auth_register_rate_of_a_customers_networks_is_that_of_four() {
    let config = "[limits]\nregistrations_per_minute = 1\nregistrations_burst = 1\n\
        [http]\nbehind_proxy = ['127.0.0.1']\n";
    let server = Setup::server().config(config).start();
    let register = |address: &str, peer: &str| {
        let path = format!("/auth/register?peer_id={peer}");
        server.http().send("POST", &path, &[("X-Forwarded-For", address)], Some(b""))
    };
    for number in 0..4 {
        register(&network(number), &format!("peer-{number}")).ok();
    }
    // As much as comes back meanwhile may be asked for, too.
    let refused = (4..1000).map(|number| register(&network(number), &format!("peer-{number}")));
    let refused = refused.into_iter().find(|answer| answer.status != 200).expect("a refusal");
    refused.detail(429);
    register("2001:db8:2::1", "another-customer").ok();
}

#[test]
fn request_rate_of_a_customers_networks_is_that_of_four() {
    let config = format!("{TWO}[http]\nbehind_proxy = ['127.0.0.1']\n");
    let server = Setup::server().config(&config).start();
    let refused = (0..1000).map(|number| ask(&server, &[&network(number)]));
    let refused = refused.into_iter().find(|answer| answer.status != 401);
    refused.expect("an end to what may be asked").detail(429);
    assert_eq!(ask(&server, &["2001:db8:2::1"]).status, 401);
}

#[test]
fn websockets_of_a_customers_networks_are_those_of_four() {
    let config = "[ws]\nsockets_per_address = 2\n[http]\nbehind_proxy = ['127.0.0.1']\n";
    let server = Setup::server().config(config).start();
    let open = |address: &str| {
        let mut http = server.http();
        let headers = [
            ("X-Forwarded-For", address),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let status = http.send("GET", "/ws", &headers, None).status;
        (status, http)
    };
    let opened: Vec<_> = (0..10).map(|number| open(&network(number))).collect();
    let statuses: Vec<_> = opened.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [101, 101, 101, 101, 101, 101, 101, 101, 429, 429]);
    assert_eq!(open("2001:db8:2::1").0, 101);
}

#[test]
fn redirects_keep_the_scheme_of_the_client() {
    let location = |server: &Daemon, proto: Option<&str>| {
        let headers: Vec<_> = proto.map(|proto| ("X-Forwarded-Proto", proto)).into_iter().collect();
        let answer = server.http().send("GET", "/relays/?a=b", &headers, None);
        assert_eq!(answer.status, 307);
        let location = answer.header("location").expect("a location").to_owned();
        location.replace(&server.address().to_string(), "HERE")
    };
    let open = Setup::server().start();
    assert_eq!(location(&open, None), "http://HERE/relays?a=b");
    assert_eq!(location(&open, Some("https")), "http://HERE/relays?a=b");
    let behind = Setup::server().config("[http]\nbehind_proxy = ['127.0.0.1']\n").start();
    assert_eq!(location(&behind, None), "http://HERE/relays?a=b");
    assert_eq!(location(&behind, Some("https")), "https://HERE/relays?a=b");
    assert_eq!(location(&behind, Some("https, http")), "http://HERE/relays?a=b");
}
