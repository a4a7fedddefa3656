//! Fan-out of a party's frames over WebSocket, beside frames of the same length that a WebSocket of
//! the framework sends to all, with no rule, no encoding and no commit.

use std::cell::Cell;

use serde_json::json;

use crate::support::client::peer;
use crate::support::figures::{
    Figures, alternate, in_turn, print_quantile, print_rates, print_times, rate, times,
};
use crate::support::process::Web;
use crate::support::vitals::ran;
use crate::support::ws::Ws;

/// Members of a party: the default limit.
const MEMBERS: usize = 64;
/// Those who hear of what one does.
const OTHERS: usize = MEMBERS - 1;
/// Updates that one sends without waiting.
const IN_FLIGHT: usize = 16;

/// Start of the awaited frames.
const WHOLE: &str = r#"{"type":"party_update""#;
const JOINED: &str = r#"{"type":"peer_joined""#;
const LEFT: &str = r#"{"type":"peer_left""#;
const UPDATED: &str = r#"{"type":"peer_updated""#;
const ANY: &str = "";

pub(super) fn run() -> anyhow::Result<()> {
    let (server, site) = (Web::server()?, Web::site()?);
    let others = (0..OTHERS).map(|number| member(&server, number));
    let mut others = others.collect::<anyhow::Result<Vec<_>>>()?;
    for (number, other) in others.iter_mut().enumerate() {
        hear_all(std::slice::from_mut(other), OTHERS - 1 - number, JOINED)?;
    }
    let told = (0..MEMBERS).map(|_| Ws::connect(site.address));
    let mut told = told.collect::<anyhow::Result<Vec<_>>>()?;
    let mut one = Ws::connect(server.address)?;
    one.greet("one")?;
    joins(&mut one, &mut others, &mut told)?;
    one.send(&join("one"))?;
    one.hear(1, WHOLE)?;
    hear_all(&mut others, 1, JOINED)?;
    updates([server.id(), site.id()], &mut one, &mut others, &mut told)
}

/// Measures the time until all members have the frame of a join.
fn joins(one: &mut Ws, others: &mut [Ws], told: &mut [Ws]) -> anyhow::Result<()> {
    const GOES: usize = 20;
    let join = join("one");
    let leave = json!({"type": "leave_party", "party_id": "lan", "peer_id": "one"}).to_string();
    let length = Cell::new(0);
    let mut go = || {
        let mut taken = Vec::new();
        for _ in 0..GOES {
            taken.extend(times(1, || {
                one.send(&join)?;
                length.set(hear_all(others, 1, JOINED)?);
                Ok(())
            })?);
            one.hear(1, WHOLE)?;
            one.send(&leave)?;
            hear_all(others, 1, LEFT)?;
        }
        anyhow::Ok(taken)
    };
    go()?;
    let length = length.get();
    let mut limit = || times(GOES, || tell(told, length, 1));
    let figures = alternate(10, &mut go, &mut limit)?;
    print_times(&format!("a join, until {OTHERS} have heard"), &figures);
    Ok(())
}

/// Measures the frames per second of all members together, while one member changes again and
/// again.
fn updates(
    servers: [u32; 2],
    one: &mut Ws,
    others: &mut [Ws],
    told: &mut [Ws],
) -> anyhow::Result<()> {
    const GOES: usize = 10;
    const FRAMES: usize = GOES * IN_FLIGHT * MEMBERS;
    let mut port = 40_000;
    let length = Cell::new(0);
    let mut go = || {
        for _ in 0..GOES {
            for _ in 0..IN_FLIGHT {
                // What changes nothing is told to nobody.
                port = 40_000 + (port + 1) % 10_000;
                one.send(&update("one", port))?;
            }
            one.hear(IN_FLIGHT, UPDATED)?;
            length.set(hear_all(others, IN_FLIGHT, UPDATED)?);
        }
        anyhow::Ok(())
    };
    go()?;
    let length = length.get();
    let mut limit = || (0..GOES).try_for_each(|_| tell(told, length, IN_FLIGHT));
    let taken = in_turn(10, &mut || cost(servers[0], FRAMES, &mut go), &mut || {
        cost(servers[1], FRAMES, &mut limit)
    })?;
    let figures = |of: fn(&(f64, f64)) -> f64| {
        taken.each_ref().map(|all| Figures::from(all.iter().map(of).collect::<Vec<_>>()))
    };
    let name = format!("frames of {IN_FLIGHT} updates to {MEMBERS}");
    print_rates(&name, &figures(|(rate, _)| *rate));
    print_quantile(&name, "CPU", &figures(|(_, cost)| *cost));
    Ok(())
}

/// Measures the frames per second, and the server's time per frame in microseconds.
fn cost(
    server: u32,
    frames: usize,
    go: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<(f64, f64)>> {
    let before = ran(server)?;
    let rates = rate(frames, go)?;
    let cost = (ran(server)? - before) / 1e3 / frames as f64;
    Ok(rates.into_iter().map(|rate| (rate, cost)).collect())
}

/// The first has all told, itself too.
fn tell(told: &mut [Ws], length: usize, count: usize) -> anyhow::Result<()> {
    if let Some(first) = told.first_mut() {
        first.send(&format!("{count} {length}"))?;
    }
    hear_all(told, count, ANY).map(drop)
}

fn hear_all(all: &mut [Ws], count: usize, begin: &str) -> anyhow::Result<usize> {
    all.iter_mut().try_fold(0, |_, one| one.hear(count, begin))
}

/// The party's host, or one who joined.
fn member(server: &Web, number: usize) -> anyhow::Result<Ws> {
    let id = format!("m{number}");
    let mut ws = Ws::connect(server.address)?;
    ws.greet(&id)?;
    let register = json!({
        "type": "register_party", "party_id": "lan", "name": "LAN party", "host_peer": peer(&id),
    });
    ws.send(&if number == 0 { register.to_string() } else { join(&id) })?;
    ws.hear(1, WHOLE)?;
    Ok(ws)
}

fn join(id: &str) -> String {
    json!({"type": "join_party", "party_id": "lan", "peer": peer(id)}).to_string()
}

fn update(id: &str, port: u16) -> String {
    let mut peer = peer(id);
    peer["local_port"] = json!(port);
    json!({"type": "update_peer", "party_id": "lan", "peer": peer}).to_string()
}
