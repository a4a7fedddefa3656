use super::*;

const TRUSTED: [&str; 3] = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"];

fn nets() -> Vec<IpNet> {
    TRUSTED.map(|net| net.parse().unwrap()).to_vec()
}

fn client(peer: &str, forwarded_for: &[&str]) -> String {
    client_address(peer.parse().unwrap(), forwarded_for.iter().copied(), &nets()).to_string()
}

#[test]
fn forwarded_for_counts_only_from_a_trusted_proxy() {
    assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    assert_eq!(client("10.1.1.1", &["198.51.100.7"]), "198.51.100.7");
    assert_eq!(client("::ffff:10.1.1.1", &["198.51.100.7"]), "198.51.100.7");
    let peer = "10.1.1.1".parse().unwrap();
    assert_eq!(client_address(peer, ["198.51.100.7"].into_iter(), &[]), peer, "nobody is trusted");
}

#[test]
fn client_is_the_right_most_address_that_is_no_proxy() {
    let table: &[(&[&str], &str)] = &[
        // Values that the client sent stand on the left, and are ignored.
        (&["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        (&["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        (&["203.0.113.9, 198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        (&["203.0.113.9, 198.51.100.7", "10.2.2.2,fd00::1"], "198.51.100.7"),
        (&["198.51.100.7 ,\t10.2.2.2 "], "198.51.100.7"),
        // All hops are proxies: the leftmost makes its own request.
        (&["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        (&[], "10.1.1.1"),
        (&[""], "10.1.1.1"),
        (&["garbage"], "10.1.1.1"),
        (&["198.51.100.7, garbage"], "10.1.1.1"),
        (&["198.51.100.7, unknown, 10.2.2.2"], "10.2.2.2"),
        (&["198.51.100.7,"], "10.1.1.1"),
        (&["garbage, 198.51.100.7"], "198.51.100.7"),
        (&["198.51.100.7:4711"], "198.51.100.7"),
        (&["2001:db8::7"], "2001:db8::7"),
        (&["[2001:db8::7]"], "2001:db8::7"),
        (&["[2001:db8::7]:4711"], "2001:db8::7"),
        (&["::ffff:198.51.100.7"], "198.51.100.7"),
        (&["198.51.100.7, ::ffff:10.2.2.2"], "198.51.100.7"),
        (&["198.51.100.0/24"], "10.1.1.1"),
    ];
    for (values, expected) in table {
        assert_eq!(client("10.1.1.1", values), *expected, "{values:?}");
    }
}

#[test]
fn forwarded_proto_counts_only_from_a_trusted_proxy() {
    let https = |peer: &str, values: &[&str]| {
        forwarded_https(peer.parse().unwrap(), values.iter().copied(), &nets())
    };
    assert!(https("10.1.1.1", &["https"]));
    assert!(https("::ffff:127.0.0.1", &["http", "http, HTTPS "]));
    assert!(!https("192.0.2.1", &["https"]));
    for values in [&[][..], &[""], &["http"], &["https, http"], &["https", "http"], &["httpss"]] {
        assert!(!https("10.1.1.1", values), "{values:?}");
    }
}

#[test]
fn origin_matches_without_case_and_default_port() {
    let allowed = ["https://Game.example", "http://[::1]:8080", "http://lan:80", "broken"];
    let named = Http { allowed_origins: allowed.map(String::from).into(), ..Http::default() };
    let may = |origin| origin_allowed(origin, None, &named);
    for origin in
        ["https://game.example", "HTTPS://GAME.EXAMPLE:443", "http://[::1]:8080", "http://lan"]
    {
        assert!(may(origin), "{origin}");
        assert!(!origin_allowed(origin, None, &Http::default()), "{origin}");
    }
    for origin in [
        "http://game.example",
        "https://game.example:8443",
        "https://game.example:80",
        "https://game.example/",
        "https://game.example.evil.example",
        "https://evil-game.example",
        "https://user@game.example",
        "https://game.example:",
        "https://game.example:+443",
        "https://game.example:443443",
        "http://[::1]",
        "http://[::2]:8080",
        "null",
        "*",
        "broken",
        "",
    ] {
        assert!(!may(origin), "{origin}");
    }
}
