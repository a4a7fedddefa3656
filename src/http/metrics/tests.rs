use std::collections::BTreeSet;

use super::*;

/// Returns the value of a series, named as in the text.
fn value(text: &[u8], series: &str) -> Option<f64> {
    let text = str::from_utf8(text).unwrap();
    let found = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(found)
}

#[test]
fn requests_are_counted_and_timed_by_route() {
    let metrics = Metrics::new();
    let answer = |method, status, millis| {
        metrics.observe("/parties/{id}", method, status, Duration::from_millis(millis));
    };
    answer(&Method::GET, StatusCode::OK, 1);
    answer(&Method::GET, StatusCode::OK, 30);
    answer(&Method::DELETE, StatusCode::NOT_FOUND, 20_000);
    let text = metrics.text(&Gauges::default());
    let requests = |labels| value(&text, &format!("lanrage_http_requests_total{{{labels}}}"));
    assert_eq!(requests(r#"method="GET",route="/parties/{id}",status="200""#), Some(2.0));
    assert_eq!(requests(r#"method="DELETE",route="/parties/{id}",status="404""#), Some(1.0));
    let bucket = |labels| value(&text, &format!("lanrage_http_request_duration_seconds_{labels}"));
    assert_eq!(bucket(r#"bucket{route="/parties/{id}",le="0.0005"}"#), Some(0.0));
    assert_eq!(bucket(r#"bucket{route="/parties/{id}",le="0.001"}"#), Some(1.0));
    assert_eq!(bucket(r#"bucket{route="/parties/{id}",le="0.05"}"#), Some(2.0));
    assert_eq!(bucket(r#"bucket{route="/parties/{id}",le="10"}"#), Some(2.0));
    assert_eq!(bucket(r#"count{route="/parties/{id}"}"#), Some(3.0));
}

#[test]
fn unknown_methods_share_one_series() {
    let metrics = Metrics::new();
    for index in 0..1000 {
        let method = Method::from_bytes(format!("MADEUP{index}").as_bytes()).unwrap();
        metrics.observe(OTHER, &method, StatusCode::METHOD_NOT_ALLOWED, Duration::ZERO);
    }
    let text = metrics.text(&Gauges::default());
    let series = r#"lanrage_http_requests_total{method="other",route="other",status="405"}"#;
    assert_eq!(value(&text, series), Some(1000.0));
    assert!(!String::from_utf8(text).unwrap().contains("MADEUP"));
}

#[test]
fn every_rejection_reason_has_a_series_from_the_start() {
    let metrics = Metrics::new();
    metrics.rejected("rate_limited");
    let text = metrics.text(&Gauges::default());
    for reason in REASONS {
        let expected = if reason == "rate_limited" { 1.0 } else { 0.0 };
        let series = format!("lanrage_rejections_total{{reason=\"{reason}\"}}");
        assert_eq!(value(&text, &series), Some(expected), "{reason}");
    }
}

#[test]
fn frames_are_counted_by_direction() {
    let metrics = Metrics::new();
    metrics.frame(Direction::In, "heartbeat");
    metrics.frame(Direction::In, "heartbeat");
    metrics.frame(Direction::Out, "party_update");
    let text = metrics.text(&Gauges::default());
    let frames = |series: &str| value(&text, &format!("lanrage_websocket_frames_{series}"));
    assert_eq!(frames(r#"in_total{type="heartbeat"}"#), Some(2.0));
    assert_eq!(frames(r#"out_total{type="party_update"}"#), Some(1.0));
    assert_eq!(frames(r#"out_total{type="heartbeat"}"#), None);
}

#[test]
fn gauges_show_the_values_of_the_latest_scrape() {
    let metrics = Metrics::new();
    let before = Gauges { parties: 9, commits: 4, evicted_peers: 1, ..Gauges::default() };
    metrics.text(&before);
    let now = Gauges {
        parties: 1,
        peers: 2,
        relays: 3,
        tokens: 4,
        websockets: 5,
        store_pending: 6,
        queued_frames: 7,
        commits: 8,
        commit_failures: 9,
        evicted_peers: 10,
        evicted_parties: 11,
        evicted_relays: 12,
        uptime: Duration::from_millis(13_500),
    };
    metrics.text(&now);
    let text = metrics.text(&now);
    for (series, expected) in [
        ("parties", 1.0),
        ("peers", 2.0),
        ("relays", 3.0),
        ("tokens", 4.0),
        ("websocket_connections", 5.0),
        ("store_pending", 6.0),
        ("websocket_queued_frames", 7.0),
        ("commits_total", 8.0),
        ("commit_failures_total", 9.0),
        (r#"evictions_total{kind="peer"}"#, 10.0),
        (r#"evictions_total{kind="party"}"#, 11.0),
        (r#"evictions_total{kind="relay"}"#, 12.0),
        ("uptime_seconds", 13.5),
        (concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(value(&text, &format!("lanrage_{series}")), Some(expected), "{series}");
    }
}

#[test]
fn every_metric_has_the_prefix_and_a_help_line() {
    let metrics = Metrics::new();
    metrics.observe(OTHER, &Method::GET, StatusCode::OK, Duration::ZERO);
    metrics.frame(Direction::In, OTHER);
    metrics.frame(Direction::Out, OTHER);
    let text = String::from_utf8(metrics.text(&Gauges::default())).unwrap();
    let first = |prefix: &str, line: &str| {
        line.strip_prefix(prefix)?.split_once(' ').map(|(name, _)| name.to_owned())
    };
    let named = |prefix| text.lines().filter_map(|line| first(prefix, line)).collect();
    let (helped, typed): (BTreeSet<_>, BTreeSet<_>) = (named("# HELP "), named("# TYPE "));
    assert_eq!(helped, typed);
    assert_eq!(typed.len(), 17);
    assert!(typed.iter().all(|name| name.starts_with("lanrage_")), "{typed:?}");
}

#[test]
fn metrics_of_two_servers_are_separate() {
    let (one, other) = (Metrics::new(), Metrics::new());
    one.rejected("invalid");
    let text = other.text(&Gauges::default());
    assert_eq!(value(&text, r#"lanrage_rejections_total{reason="invalid"}"#), Some(0.0));
}
