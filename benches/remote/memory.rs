//! Memory of a daemon after years of probes for a lost server.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::client::{Client, register, request};
use crate::support::port::Port;
use crate::support::process::Server;
use crate::support::report;
use crate::support::vitals::{open_files, resident};

/// The daemon looks no more often than every 10 ms, whatever it is told.
const CONFIG: &str = "[remote]\nbackoff_initial = '1ms'\nbackoff_max = '1ms'\nprobe = '1ms'\n";
/// Probes per hour, by default.
const PROBES_AN_HOUR: f64 = 60.0;
const SPAN: Duration = Duration::from_secs(30);
const SHARES: [u32; 4] = [1, 10, 50, 100];

pub(super) fn run() -> anyhow::Result<()> {
    let port = Port::reserve();
    let (daemon, peer) =
        (Server::remote(&format!("http://{}", port.address()), CONFIG)?, Server::daemon()?);
    let mut client = daemon.client()?;
    client.ask(&register(1, "party"))?;
    peer.client()?.ask(&register(1, "party"))?;
    let begun = Instant::now();
    for share in SHARES {
        sleep((SPAN * share / 100).saturating_sub(begun.elapsed()));
        let probes = probes(&mut client)?;
        let work = format!("{probes} probes, of {:.1} h", f64::from(probes) / PROBES_AN_HOUR);
        let memory = [resident(daemon.id())? as f64, resident(peer.id())? as f64];
        report::row(&work, "memory, limit is local mode", memory, "KiB", "");
        let files = [open_files(daemon.id())? as f64, open_files(peer.id())? as f64];
        report::row(&work, "open files, limit is local mode", files, "", "");
    }
    Ok(())
}

/// Returns the number of probes so far.
fn probes(client: &mut Client) -> anyhow::Result<u32> {
    let reply: Value =
        serde_json::from_str(&client.ask(&request(1, "connection.get", &json!({})))?)?;
    let attempts = reply["result"]["attempt"].as_u64().context("no number of attempts")?;
    Ok(u32::try_from(attempts)?)
}
