//! Time until a daemon reports the loss of its server, and until it is online again after the
//! return.

use std::collections::HashSet;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::latency::Bare;
use super::ms;
use super::watch::{Watch, await_online, is_away, is_online};
use crate::support::client::{Client, join, peer, request};
use crate::support::figures::print_spans;
use crate::support::port::Port;
use crate::support::process::{Home, NO_LIMITS, Server, Web};

const FAST: &str = "[remote]\nheartbeat = '1s'\nconnect_timeout = '2s'\nrequest_timeout = '2s'\n\
    backoff_initial = '20ms'\nbackoff_max = '200ms'\nmax_attempts = 3\nprobe = '200ms'\n";
/// Half of what is done without the server are parties, the other half joins.
const PENDING: usize = 100;
/// A peer is in 64 parties at most.
const HOSTS: [&str; 2] = ["first", "second"];

/// A daemon with parties, and what is around it.
struct World {
    port: Port,
    server: Web,
    daemon: Server,
    watch: Watch,
}

/// Times of one round, in milliseconds.
#[derive(Default)]
struct Taken {
    /// Until the loss is told, by the daemon and to who has a bare WebSocket.
    lost: [Vec<f64>; 2],
    /// Duration of the server's absence.
    away: Vec<f64>,
    /// From when the server serves again.
    online: Vec<f64>,
    synced: Vec<f64>,
    /// The same number of sequential requests over a bare WebSocket.
    bare: Vec<f64>,
}

pub(super) fn run() -> anyhow::Result<()> {
    for (name, config, goes) in [("fast", FAST, 10), ("default", "", 10)] {
        let mut taken = Taken::default();
        for _ in 0..goes {
            World::start(config)?.killed(&mut taken)?;
        }
        let [lost, limit] = taken.lost;
        print_spans(&format!("{name}: a killed server is told after"), lost);
        print_spans("  limit, a bare WebSocket ends after", limit);
        print_spans("  the server is away for", taken.away);
        print_spans("  the server is back, online after", taken.online);
        print_spans(&format!("  all {PENDING} that were pending synced after"), taken.synced);
        print_spans(&format!("  limit, {PENDING} requests to the bare server"), taken.bare);
    }
    for (name, config) in [("fast", FAST), ("default", "")] {
        let (mut lost, mut online) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let [told, back] = World::start(config)?.frozen()?;
            lost.push(told);
            online.push(back);
        }
        print_spans(&format!("{name}: a frozen server is told after"), lost);
        print_spans("  it goes on, online after", online);
    }
    Ok(())
}

impl World {
    fn start(config: &str) -> anyhow::Result<Self> {
        let port = Port::reserve();
        let server = Web::server_in(Home::new()?, port.address(), NO_LIMITS)?;
        let daemon = Server::remote(&format!("http://{}", port.address()), config)?;
        await_online(&daemon)?;
        let mut client = daemon.client()?;
        parties(HOSTS[0]).try_for_each(|party| register(&mut client, &party, HOSTS[0]))?;
        let watch = Watch::of(&daemon)?;
        Ok(Self { port, server, daemon, watch })
    }

    fn killed(mut self, taken: &mut Taken) -> anyhow::Result<()> {
        let bare = Bare::connect(&self.server, "bare")?;
        let waiting = std::thread::spawn(move || {
            bare.outlast();
            Instant::now()
        });
        let killed = Instant::now();
        self.server.signal(Signal::SIGKILL);
        let told = self.watch.one(is_away)?;
        let ended = waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        taken.lost[0].push(ms(told - killed));
        taken.lost[1].push(ms(ended - killed));
        let home = self.server.end(Signal::SIGKILL)?;

        let mut client = self.daemon.client()?;
        parties(HOSTS[1]).try_for_each(|party| register(&mut client, &party, HOSTS[1]))?;
        for party in parties(HOSTS[0]) {
            client.ask(&join(1, &party, "guest"))?;
        }
        let mut pending: HashSet<String> = HOSTS.into_iter().flat_map(parties).collect();
        let server = Web::server_in(home, self.port.address(), NO_LIMITS)?;
        let back = Instant::now();
        taken.away.push(ms(back - killed));
        let (mut online, mut synced) = (None, back);
        while online.is_none() || !pending.is_empty() {
            let told = self.watch.next()?;
            if told.kind == "connection.changed" && told.data["state"] == "online" {
                online.get_or_insert(told.at);
            }
            let party = &told.data["party"];
            if party["sync"] == "synced"
                && let Some(id) = party["party_id"].as_str()
                && pending.remove(id)
            {
                synced = told.at;
            }
        }
        for (spans, at) in
            [(&mut taken.online, online.unwrap_or(back)), (&mut taken.synced, synced)]
        {
            spans.push(ms(at.saturating_duration_since(back)));
        }
        let mut bare = Bare::connect(&server, "later")?;
        let begun = Instant::now();
        for party in (0..PENDING / 2).map(|number| format!("later-{number}")) {
            bare.register(&party, "later")?;
            bare.join(&party)?;
        }
        taken.bare.push(ms(begun.elapsed()));
        Ok(())
    }

    fn frozen(mut self) -> anyhow::Result<[f64; 2]> {
        let frozen = Instant::now();
        self.server.signal(Signal::SIGSTOP);
        let told = self.watch.one(is_away)?;
        self.server.signal(Signal::SIGCONT);
        let thawed = Instant::now();
        let online = self.watch.one(is_online)?;
        Ok([ms(told - frozen), ms(online - thawed)])
    }
}

/// The ids of the parties of a host.
fn parties(host: &'static str) -> impl Iterator<Item = String> {
    (0..PENDING / 2).map(move |number| format!("{host}-{number}"))
}

fn register(client: &mut Client, party: &str, host: &str) -> anyhow::Result<()> {
    let params: Value =
        json!({"party_id": party, "name": party, "host": peer(host), "keepalive": "daemon"});
    client.ask(&request(1, "party.register", &params)).map(drop)
}
