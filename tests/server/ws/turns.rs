//! Registrations of many clients behind one address, with the operator's log lines about them.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Daemon, Http, Setup, Ws};

fn hello(number: usize) -> Value {
    json!({
        "type": "hello", "version": "1", "client": "test", "caps": ["lanragectl"],
        "peer_id": format!("peer-{number}"), "req_id": format!("{number}"),
    })
}

fn answer(ws: &mut Ws) -> Value {
    ws.await_frame("an answer", |frame| frame["type"] == "welcome" || frame["type"] == "error")
}

/// A client that was refused, and the time at which it may come again.
struct Refused {
    ws: Ws,
    number: usize,
    turn: Instant,
}

/// Has that many clients take an id at the same time. Returns the results of `then`, which each
/// refused client runs at once: the answers to others may take a commit.
fn crowd<T: Send + 'static>(
    server: &Daemon,
    count: usize,
    then: impl Fn(Refused) -> T + Copy + Send + 'static,
) -> Vec<T> {
    let mut sockets: Vec<_> = (0..count).map(|_| Ws::connect(server.address())).collect();
    for (number, ws) in sockets.iter_mut().enumerate() {
        ws.send(hello(number));
    }
    let clients = sockets.into_iter().enumerate().map(|(number, mut ws)| {
        thread::spawn(move || {
            let answer = answer(&mut ws);
            if answer["type"] == "welcome" {
                return None;
            }
            assert_eq!(answer["code"], "rate_limited", "{answer}");
            let wait = answer["retry_after_ms"].as_u64().expect("a wait");
            let turn = Instant::now() + Duration::from_millis(wait);
            Some(then(Refused { ws, number, turn }))
        })
    });
    let clients: Vec<_> = clients.collect();
    clients.into_iter().filter_map(|client| client.join().expect("a client")).collect()
}

#[test]
fn hello_refused_by_rate_is_taken_after_its_retry_time() {
    let limits = "[limits]\nregistrations_per_minute = 1200\nregistrations_burst = 5\n";
    let server = Setup::server().config(limits).start();
    let second = crowd(&server, 45, |Refused { mut ws, number, turn }| {
        thread::sleep(turn.saturating_duration_since(Instant::now()));
        ws.send(hello(number));
        answer(&mut ws)["type"] == "welcome"
    });
    let count = second.len();
    assert!(count > 1, "only {count} were refused");
    let welcomed = second.into_iter().filter(|is_welcome| *is_welcome).count();
    // A hello of the first round that the server read late may have taken the place of one.
    assert!(2 * welcomed > count, "{welcomed} of {count} got in on their second try");
}

#[test]
fn metrics_count_refusals_over_websocket() {
    let limits = "[limits]\nregistrations_per_minute = 1\nregistrations_burst = 2\n";
    let server = Setup::server().config(limits).start();
    let mut refused = crowd(&server, 5, |refused| refused);
    assert_eq!(refused.len(), 3);
    let Refused { ws, .. } = &mut refused[0];
    ws.ask(json!({"type": "sync", "party_id": "nowhere"}));
    ws.ask(json!({"type": "heartbeat", "party_id": "nowhere", "peer_id": "nobody"}));
    ws.ask(json!({"type": "join_party", "party_id": "nowhere"}));
    let metrics = server.metrics();
    for series in ["rate_limited\"} 3\n", "invalid\"} 1\n"] {
        let series = format!("lanrage_rejections_total{{reason=\"{series}");
        assert!(metrics.text().contains(&series), "{series} is not in {}", metrics.text());
    }
    let other = |line: &&str| line.starts_with("lanrage_rejections_total") && !line.ends_with(" 0");
    assert!(metrics.text().lines().filter(other).count() >= 3, "{}", metrics.text());
}

#[test]
fn log_names_the_limit_of_refused_registrations_once() {
    let limits = "[limits]\nregistrations_per_minute = 1\nregistrations_burst = 2\n";
    let server = Setup::server().config(limits).start();
    let refused = crowd(&server, 40, |refused| refused);
    assert_eq!(refused.len(), 38);
    let line = "registrations refused: address=127.0.0.1 count=";
    server.await_log(line);
    crowd(&server, 5, |refused| refused);
    // An honest client of another address gets in meanwhile.
    Http::registered_from([127, 0, 0, 2].into(), server.address(), "ann").party("ann");
    let log = server.setup.log();
    let told: Vec<_> = log.lines().filter(|log| log.contains(line)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(" WARN "), "{told:?}");
    for key in ["limits.registrations_per_minute", "limits.registrations_burst"] {
        assert!(told[0].contains(key), "{told:?}");
    }
}
