//! The metrics, as Prometheus reads them.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::{Daemon, Http, Response, Setup, Ws, announced, eventually};

/// Reads the text format: every series with its value. Panics on invalid lines.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut types, mut series) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(types.insert(name, kind), None, "{name} has two types");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').expect("a series and its value");
            let family = name.split('{').next().expect("a name");
            let of_histogram =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end));
            assert!(
                types.contains_key(family) || of_histogram.is_some_and(|f| types.contains_key(f)),
                "{line}"
            );
            assert!(family.starts_with("lanrage_"), "{line}");
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert_eq!(series.insert(name.to_owned(), value), None, "{name} is there twice");
        }
    }
    assert!(text.ends_with('\n'));
    series
}

fn scrape(server: &Daemon) -> BTreeMap<String, f64> {
    let answer = server.metrics();
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4"))
    );
    parse(answer.text())
}

#[track_caller]
fn assert_counts(series: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        assert_eq!(series.get(&format!("lanrage_{name}")), Some(value), "{name}");
    }
}

#[test]
fn metrics_count_requests_and_changes() {
    let server = Setup::server().start();
    let mut ann = Http::registered(server.address(), "ann");
    let party = ann.party("ann");
    let mut bob = Http::registered(server.address(), "bob");
    bob.join(&party, "bob").ok();
    for _ in 0..3 {
        ann.post(&format!("/parties/{party}/peers/ann/heartbeat"), None).ok();
    }
    let (mut eve, _) = Ws::hello(server.address(), "eve", None);
    eve.ask(json!({"type": "join_party", "party_id": party, "peer": announced("eve")}));
    let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 4000});
    ann.post("/relays", Some(relay)).ok();
    // One refusal of each kind that a client can bring about.
    server.http().get("/relays").detail(401);
    bob.delete(&format!("/parties/{party}/peers/ann")).detail(403);
    ann.get("/parties/none").detail(404);
    ann.get("/nowhere").detail(404);
    server.http().post("/auth/register?peer_id=ann", None).detail(409);
    ann.post("/parties", Some(json!({}))).detail(422);
    ann.post("/parties", Some(json!("x".repeat(70_000)))).detail(413);
    ann.request("BREW", "/relays", None).detail(405);
    let series = scrape(&server);
    assert_counts(
        &series,
        &[
            ("parties", 1.0),
            ("peers", 3.0),
            ("relays", 1.0),
            ("tokens", 3.0),
            ("websocket_connections", 1.0),
            ("store_pending", 0.0),
            ("commit_failures_total", 0.0),
            (r#"http_requests_total{method="POST",route="/auth/register",status="200"}"#, 2.0),
            (r#"http_requests_total{method="POST",route="/auth/register",status="409"}"#, 1.0),
            (r#"http_requests_total{method="POST",route="/parties",status="200"}"#, 1.0),
            (
                r#"http_requests_total{method="POST",route="/parties/{party_id}/join",status="200"}"#,
                1.0,
            ),
            (
                r#"http_requests_total{method="POST",route="/parties/{party_id}/peers/{peer_id}/heartbeat",status="200"}"#,
                3.0,
            ),
            (r#"http_requests_total{method="GET",route="/parties/{party_id}",status="404"}"#, 1.0),
            (r#"http_requests_total{method="GET",route="other",status="404"}"#, 1.0),
            (r#"http_requests_total{method="other",route="/relays",status="405"}"#, 1.0),
            (
                r#"http_request_duration_seconds_count{route="/parties/{party_id}/peers/{peer_id}/heartbeat"}"#,
                3.0,
            ),
            (r#"rejections_total{reason="unauthorized"}"#, 1.0),
            (r#"rejections_total{reason="forbidden"}"#, 1.0),
            (r#"rejections_total{reason="not_found"}"#, 2.0),
            (r#"rejections_total{reason="conflict"}"#, 1.0),
            (r#"rejections_total{reason="too_large"}"#, 1.0),
            (r#"rejections_total{reason="stopping"}"#, 0.0),
            (r#"websocket_frames_in_total{type="text"}"#, 2.0),
        ],
    );
    assert!(series["lanrage_commits_total"] >= 5.0, "{series:?}");
    drop(eve);
    eventually("no socket", || {
        (scrape(&server)["lanrage_websocket_connections"] == 0.0).then_some(())
    });
}

#[test]
fn metrics_series_do_not_grow_with_clients() {
    let server = Setup::server().start();
    let mut http = server.http();
    http.get("/").ok();
    for number in 0..20 {
        http.get(&format!("/made-up-{number}"));
        http.request(&format!("MADE{number}"), "/", None);
        http.get(&format!("/relays/region-{number}"));
    }
    let few = scrape(&server).len();
    for number in 20..100 {
        http.get(&format!("/made-up-{number}"));
        http.request(&format!("MADE{number}"), "/", None);
        http.get(&format!("/relays/region-{number}"));
    }
    // But for the series of the scrape itself.
    let many = scrape(&server).len();
    assert!(many <= few + 20, "{few} series, then {many}");
}

#[test]
fn metrics_count_rate_refusals_and_expiries() {
    let server = Setup::server()
        .config("[cleanup]\ninterval = '10ms'\npeer_timeout = '50ms'\nrelay_timeout = '50ms'\nstartup_grace = '0s'\n[limits]\nregistrations_burst = 1\nregistrations_per_minute = 1\n")
        .start();
    let mut ann = Http::registered(server.address(), "ann");
    assert_eq!(ann.post("/auth/register?peer_id=bob", None).status, 429);
    ann.party("ann");
    let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 4000});
    ann.post("/relays", Some(relay)).ok();
    let series = eventually("what is silent to go", || {
        let series = scrape(&server);
        let gone = |kind| series[&format!("lanrage_evictions_total{{kind=\"{kind}\"}}")] == 1.0;
        (gone("peer") && gone("party") && gone("relay")).then_some(series)
    });
    assert_counts(
        &series,
        &[
            ("parties", 0.0),
            ("peers", 0.0),
            ("relays", 0.0),
            (r#"rejections_total{reason="rate_limited"}"#, 1.0),
        ],
    );
}

/// Asks until it is refused.
fn ask_until_refused(mut ask: impl FnMut() -> Response) -> Response {
    let answers = (0..10_000).map(|_| ask());
    let refused = answers.into_iter().find(|answer| answer.status == 429);
    refused.expect("so many requests are too many")
}

#[test]
fn metrics_scrapes_are_limited_and_counted() {
    let server = Setup::server().start();
    let address = server.address();
    let mut flood = server.http();
    let refused = ask_until_refused(|| flood.get("/metrics"));
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    // The probes and other clients go on meanwhile.
    for probe in ["/healthz", "/readyz"] {
        flood.get(probe).ok();
    }
    let mut ann = Http::registered_from([127, 0, 0, 2].into(), address, "ann");
    ann.party("ann");
    assert_eq!(ann.get("/metrics").status, 200);
    server.await_log("scrapes of the metrics refused: address=127.0.0.1");
    let series = eventually("a scrape", || {
        let answer = flood.get("/metrics");
        (answer.status == 200).then(|| parse(answer.text()))
    });
    let counted = r#"lanrage_http_requests_total{method="GET",route="/metrics",status="200"}"#;
    assert!(series[counted] >= 60.0, "{series:?}");
    assert!(series[r#"lanrage_rejections_total{reason="rate_limited"}"#] >= 1.0, "{series:?}");
}

#[test]
fn metrics_scrapes_have_room_beside_other_requests_of_an_address() {
    let server =
        Setup::server().config("[limits]\nrequests_per_second = 1\nrequests_burst = 2\n").start();
    ask_until_refused(|| server.http().get("/"));
    for _ in 0..5 {
        assert_eq!(server.http().get("/metrics").status, 200);
    }
}
