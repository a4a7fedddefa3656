//! Requests and events over the socket, beside an echo of lines of the same lengths.

use serde_json::json;

use crate::support::client::{Client, join, peer, register, request, requests};
use crate::support::echo::Purpose;
use crate::support::figures::{alternate, print_rates, print_times, rate, times};
use crate::support::process::Server;

/// Connections that pipeline, and requests that each has in flight.
const CONNECTIONS: usize = 8;
const IN_FLIGHT: usize = 16;
/// Connections that are told what one of them does.
const SUBSCRIBERS: usize = 100;

pub(crate) fn run() -> anyhow::Result<()> {
    let (daemon, echo) = (Server::daemon()?, Server::echo()?);
    let mut client = daemon.client()?;
    client.ask(&register(100, "p"))?;
    for number in 1..8 {
        client.ask(&join(100, "p", &format!("p-{number}")))?;
    }
    let member = json!({"party_id": "p", "peer_id": "p"});
    round_trip(&daemon, &echo, "ping", &json!({}))?;
    round_trip(&daemon, &echo, "party.get", &json!({"party_id": "p"}))?;
    pipelined(&daemon, &echo, "ping", &json!({}))?;
    pipelined(&daemon, &echo, "peer.heartbeat", &member)?;
    changes().iter().try_for_each(|change| fan_out(&daemon, change))
}

fn round_trip(
    daemon: &Server,
    echo: &Server,
    method: &str,
    params: &serde_json::Value,
) -> anyhow::Result<()> {
    const GOES: usize = 500;
    let request = request(100, method, params);
    let mut ours = daemon.client()?;
    let length = ours.ask(&request)?.len();
    let mut limit = Purpose::Ask.of(echo.client()?, length)?;
    let go = |client: &mut Client| {
        times(GOES, || {
            let size = client.exchange(&request, 1)?;
            anyhow::ensure!(size == length, "{size} bytes came, not {length}");
            Ok(())
        })
    };
    let figures = alternate(10, &mut || go(&mut ours), &mut || go(&mut limit))?;
    print_times(&format!("{method}, one at a time, {length} bytes"), &figures);
    Ok(())
}

fn pipelined(
    daemon: &Server,
    echo: &Server,
    method: &str,
    params: &serde_json::Value,
) -> anyhow::Result<()> {
    const GOES: usize = 50;
    const LINES: usize = GOES * CONNECTIONS * IN_FLIGHT;
    let length = daemon.client()?.ask(&request(100, method, params))?.len();
    let lines = requests(IN_FLIGHT, method, params);
    let connect = |_| daemon.client();
    let mut ours = (0..CONNECTIONS).map(connect).collect::<anyhow::Result<Vec<_>>>()?;
    let connect = |_| Purpose::Ask.of(echo.client()?, length);
    let mut limit = (0..CONNECTIONS).map(connect).collect::<anyhow::Result<Vec<_>>>()?;
    let go = |clients: &mut [Client]| {
        for _ in 0..GOES {
            clients.iter_mut().try_for_each(|client| client.send(&lines))?;
            for client in &mut *clients {
                let size = client.take(IN_FLIGHT)?;
                anyhow::ensure!(size == IN_FLIGHT * length, "{size} bytes came");
            }
        }
        Ok(())
    };
    let figures = alternate(10, &mut || rate(LINES, || go(&mut ours)), &mut || {
        rate(LINES, || go(&mut limit))
    })?;
    print_rates(&format!("{method}, {CONNECTIONS} x {IN_FLIGHT} in flight"), &figures);
    Ok(())
}

/// Change by one connection, and its events to all others.
struct Change {
    name: &'static str,
    /// The topic of its event.
    topic: &'static str,
    /// So many requests, each of which makes one event.
    lines: String,
    count: usize,
    /// Makes up for them.
    after: Option<String>,
}

/// A signal alone, many signals, and many changes that are committed together.
fn changes() -> [Change; 3] {
    let signal = json!({
        "party_id": "p", "from_peer_id": "p", "to_peer_id": "p-1", "signal_data": "offer",
    });
    // Signals that nobody takes pile up to a limit.
    let poll = request(100, "signal.poll", &json!({"party_id": "p", "peer_id": "p-1"}));
    let signals = |name, count| {
        let (lines, after) = (requests(count, "signal.send", &signal), Some(poll.clone()));
        Change { name, topic: "signal", lines, count, after }
    };
    let updates = (100..100 + IN_FLIGHT).map(|id| {
        let mut peer = peer("p-1");
        peer["local_port"] = json!(50_000 + id);
        request(id, "peer.update", &json!({"party_id": "p", "peer": peer}))
    });
    let updates = updates.collect();
    [
        signals("a signal", 1),
        signals("16 signals", IN_FLIGHT),
        Change { name: "16 updates", topic: "peer", lines: updates, count: IN_FLIGHT, after: None },
    ]
}

fn fan_out(daemon: &Server, change: &Change) -> anyhow::Result<()> {
    const GOES: usize = 5;
    let Change { name, topic, lines, count, after } = change;
    let subscribe = request(100, "events.subscribe", &json!({"topics": [topic]}));
    let mut changer = daemon.client()?;
    let mut told = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut client = daemon.client()?;
        client.ask(&subscribe)?;
        told.push(client);
    }
    changer.exchange(lines, *count)?;
    let mut sizes = told.iter_mut().map(|client| client.take(*count));
    let length = sizes.try_fold(0, |_, size| size)? / count;

    let echo = Server::echo()?;
    let mut teller = Purpose::Tell.of(echo.client()?, length)?;
    let listen = |_| Purpose::Listen.of(echo.client()?, length);
    let mut listeners = (0..SUBSCRIBERS).map(listen).collect::<anyhow::Result<Vec<_>>>()?;

    let go = |changer: &mut Client, told: &mut [Client]| {
        for _ in 0..GOES {
            changer.exchange(lines, *count)?;
            for client in &mut *told {
                client.take(*count)?;
            }
        }
        Ok(())
    };
    let events = GOES * SUBSCRIBERS * count;
    let mut ours = || {
        let taken = rate(events, || go(&mut changer, &mut told));
        if let Some(after) = after {
            changer.exchange(after, 1)?;
        }
        taken
    };
    let mut limit = || rate(events, || go(&mut teller, &mut listeners));
    let figures = alternate(20, &mut ours, &mut limit)?;
    print_rates(&format!("events of {name} to {SUBSCRIBERS}"), &figures);
    Ok(())
}
