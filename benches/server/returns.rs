//! All clients of a crowd reconnect at once, while honest clients of other addresses ask.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::support::client::peer;
use crate::support::figures::print_spans;
use crate::support::http::Http;
use crate::support::parties::{CROWDED, Parties, id};
use crate::support::process::Web;
use crate::support::report;
use crate::support::vitals::ran;
use crate::support::ws::Ws;

const PARTIES: usize = 1_187;
const MEMBERS: usize = 8;
/// Threads of the crowd.
const THREADS: usize = 4;
/// Interval of the honest clients' requests.
const PAUSE: Duration = Duration::from_millis(2);
const HONEST: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3))];

const WHOLE: &str = r#"{"type":"party_update""#;

pub(super) fn run() -> anyhow::Result<()> {
    let server = Web::server_with(CROWDED)?;
    let parties = Parties::fill(&server, PARTIES, MEMBERS)?;
    let honest_http = honest_http(&server)?;
    let honest_ws = honest_ws(&server)?;
    let tokens = parties.tokens.clone();
    drop(parties);
    thread::sleep(Duration::from_secs(2));
    let (stop, begun, before) = (AtomicBool::new(false), Instant::now(), ran(server.id())?);
    let (back, asked, beaten) = thread::scope(|scope| {
        let stop = &stop;
        let asking = scope.spawn(move || spans(stop, honest_http));
        let beating = scope.spawn(move || spans(stop, honest_ws));
        let crowds: Vec<_> = tokens
            .chunks(tokens.len().div_ceil(THREADS))
            .enumerate()
            .map(|(at, tokens)| {
                let (server, first) = (&server, at * tokens.len());
                scope.spawn(move || come_back(server, first, tokens))
            })
            .collect();
        let crowds: Vec<_> = crowds.into_iter().map(join).collect();
        stop.store(true, Ordering::Relaxed);
        (crowds, join(asking), join(beating))
    });
    let back = back.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let told = format!(
        "{:.0} ms, CPU {:.1} us each",
        begun.elapsed().as_secs_f64() * 1e3,
        (ran(server.id())? - before) / 1e3 / (PARTIES * MEMBERS) as f64,
    );
    let count = back.iter().map(Vec::len).sum::<usize>();
    report::fact(&format!("{count} clients are back"), "time", &told);
    print_spans("an honest client's GET meanwhile", asked?);
    print_spans("an honest client's heartbeat meanwhile", beaten?);
    Ok(())
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Measures requests at intervals until the stop. A late request counts from when it was due.
fn spans(
    stop: &AtomicBool,
    mut ask: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let (mut spans, mut due) = (Vec::new(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        ask()?;
        spans.push(due.elapsed().as_secs_f64() * 1e3);
        due += PAUSE;
    }
    Ok(spans)
}

fn come_back(server: &Web, first: usize, tokens: &[String]) -> anyhow::Result<Vec<Ws>> {
    let mut back = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let (party, member) = ((first + at) % PARTIES, (first + at) / PARTIES);
        let mut ws = Ws::connect(server.address)?;
        ws.return_as(&id(party, member), token)?;
        back.push(ws);
    }
    back.iter_mut().try_for_each(|ws| ws.hear(1, WHOLE).map(drop))?;
    Ok(back)
}

fn honest_http(server: &Web) -> anyhow::Result<impl FnMut() -> anyhow::Result<()> + Send> {
    let mut http = Http::connect_from(HONEST[0], server.address)?;
    let answer = http.ask("POST", "/auth/register?peer_id=honest", "", None)?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let token = answer["token"].as_str().context("no token")?.to_owned();
    let body = json!({"name": "LAN party", "host_peer_info": peer("honest")});
    let party = http.ask("POST", "/parties", &token, Some(&body))?;
    let party: serde_json::Value = serde_json::from_slice(&party)?;
    let path = format!("/parties/{}/peers", party["party_id"].as_str().context("no party")?);
    Ok(move || http.ask("GET", &path, &token, None).map(drop))
}

fn honest_ws(server: &Web) -> anyhow::Result<impl FnMut() -> anyhow::Result<()> + Send> {
    let mut ws = Ws::connect_from(HONEST[1], server.address)?;
    ws.greet("truthful")?;
    let register = json!({
        "type": "register_party", "party_id": "truthful", "name": "x", "host_peer": peer("truthful"),
    });
    ws.send(&register.to_string())?;
    ws.hear(1, WHOLE)?;
    let heartbeat = json!({
        "type": "heartbeat", "party_id": "truthful", "peer_id": "truthful", "req_id": "r",
    });
    Ok(move || {
        ws.send(&heartbeat.to_string())?;
        ws.hear(1, r#"{"type":"ack""#).map(drop)
    })
}
