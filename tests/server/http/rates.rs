//! Rate limits. The rates are so low that even a slow machine exceeds them.

use serde_json::json;

use crate::harness::{Daemon, Http, Response, Setup, eventually};

/// More requests than any bucket here has room for.
const MANY: usize = 200;

fn server(limits: &str) -> Daemon {
    let http = "[http]\nbehind_proxy = ['127.0.0.1']\n";
    Setup::server().config(&format!("{http}[limits]\n{limits}")).start()
}

/// Sends requests until the rate limit refuses one. Returns that answer.
#[track_caller]
fn exhaust(mut ask: impl FnMut() -> Response) -> Response {
    let refused = (0..MANY).map(|_| ask()).find(|response| response.status == 429);
    refused.expect("never too often")
}

/// Asserts that a refusal says when to come again, in seconds.
#[track_caller]
fn assert_retry(refused: &Response, most: u64) {
    assert_eq!(refused.detail(429), "Too many requests");
    let seconds: u64 = refused.header("retry-after").and_then(|s| s.parse().ok()).expect("seconds");
    assert!((1..=most).contains(&seconds), "{seconds}");
}

/// A request by way of a proxy, of a client at that address.
fn from(http: &mut Http, address: &str, method: &str, path: &str) -> Response {
    http.send(method, path, &[("X-Forwarded-For", address)], None)
}

#[test]
fn request_rate_of_a_token_is_its_own() {
    let server = server("requests_per_second = 1\nrequests_burst = 3\n");
    let mut http = server.http();
    let mut register = |peer: &str, address| {
        let given = from(&mut http, address, "POST", &format!("/auth/register?peer_id={peer}"));
        let mut client = server.http();
        client.token = given.ok()["token"].as_str().map(str::to_owned);
        client
    };
    // Of different addresses, which have their own rates.
    let mut alice = register("alice", "192.0.2.1");
    let mut bob = register("bob", "192.0.2.2");
    let mut answers = Vec::new();
    let refused = exhaust(|| {
        let response = alice.get("/relays");
        answers.push(response.status);
        response
    });
    assert_retry(&refused, 1);
    assert!(answers.starts_with(&[200, 200, 200]), "{answers:?}");
    // Every route counts, whatever it would have answered.
    let mut routes = ["/", "/nope", "/parties/x", "/relays"].iter().cycle();
    assert_retry(&exhaust(|| alice.get(routes.next().expect("a route"))), 1);
    bob.get("/relays").ok();
    // All use the same address: a token is what counts.
    from(&mut server.http(), "192.0.2.3", "GET", "/").ok();
    // After the time that it was told, a request is let through again.
    eventually("another second", || (alice.get("/relays").status == 200).then_some(()));
}

#[test]
fn request_rate_without_a_token_is_that_of_the_address() {
    let server = server("requests_per_second = 1\nrequests_burst = 3\n");
    let mut alice = server.http();
    let given = from(&mut alice, "192.0.2.9", "POST", "/auth/register?peer_id=alice").ok();
    alice.token = given["token"].as_str().map(str::to_owned);
    let mut http = server.http();
    assert_retry(&exhaust(|| from(&mut http, "192.0.2.1", "GET", "/")), 1);
    // A token that is none does not help, and neither does another connection.
    let headers = [("X-Forwarded-For", "192.0.2.1"), ("Authorization", "Bearer nosuchtoken")];
    assert_retry(&exhaust(|| server.http().send("GET", "/", &headers, None)), 1);
    // Another address has its own; an IPv6 network of one household counts as one.
    from(&mut http, "192.0.2.2", "GET", "/").ok();
    assert_retry(&exhaust(|| from(&mut http, "2001:db8::1", "GET", "/")), 1);
    assert_retry(&exhaust(|| from(&mut http, "2001:db8::2", "GET", "/")), 1);
    // Who shows a token has theirs, from wherever they ask.
    let bearer = format!("Bearer {}", alice.token.as_deref().expect("a token"));
    let headers = [("X-Forwarded-For", "192.0.2.1"), ("Authorization", bearer.as_str())];
    assert_eq!(http.send("GET", "/relays", &headers, None).status, 200);
    // Those who watch over the server are always answered.
    for path in ["/healthz", "/readyz", "/metrics"] {
        for _ in 0..5 {
            assert_eq!(from(&mut http, "192.0.2.1", "GET", path).status, 200, "{path}");
        }
    }
}

#[test]
fn auth_register_over_the_rate_of_an_address_is_refused() {
    let server = server("registrations_per_minute = 1\nregistrations_burst = 2\n");
    let mut http = server.http();
    let mut count = 0;
    let refused = exhaust(|| {
        count += 1;
        let path = format!("/auth/register?peer_id=peer-{count}");
        from(&mut http, "192.0.2.1", "POST", &path)
    });
    assert_retry(&refused, 60);
    assert!(count > 2, "refused at {count}");
    // Also where it would be refused for something else, and with a token.
    assert_retry(&exhaust(|| from(&mut http, "192.0.2.1", "POST", "/auth/register")), 60);
    from(&mut http, "192.0.2.2", "POST", "/auth/register?peer_id=other").ok();
    // All else goes on.
    from(&mut http, "192.0.2.1", "GET", "/").ok();
}

#[test]
fn request_rate_ignores_forwarded_addresses_without_a_proxy() {
    let server = Setup::server().config("[limits]\nrequests_per_second = 1\nrequests_burst = 3\n");
    let server = server.start();
    let mut http = server.http();
    let mut count = 0;
    let refused = exhaust(|| {
        count += 1;
        from(&mut http, &format!("192.0.2.{count}"), "GET", "/")
    });
    assert_retry(&refused, 1);
}

#[test]
fn request_rate_changes_with_a_reload() {
    let limits = "[limits]\nrequests_per_second = 1\nrequests_burst = 1\n";
    let mut server = Setup::server().config(limits).start();
    let mut http = server.http();
    assert_retry(&exhaust(|| http.get("/")), 1);
    server.reload("[limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n");
    for _ in 0..MANY {
        let told = http.get("/").ok();
        assert_eq!(told["status"], json!("ok"));
    }
}
