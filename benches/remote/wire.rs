//! Network traffic of an idle connection.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::watch::await_online;
use crate::support::client::{join, register};
use crate::support::process::{Server, Web};
use crate::support::relay::{Relay, Way};
use crate::support::report;

/// Until nothing is left to be told.
const SETTLING: Duration = Duration::from_secs(5);
/// All that comes regularly by default comes a whole number of times, or nearly.
const SPAN: Duration = Duration::from_secs(60);
const SPANS_AN_HOUR: u64 = 60;
/// Bytes of the IPv4 and TCP headers, with timestamps, of each packet.
const HEADERS: u64 = 52;

/// A daemon with a party of two.
struct Line {
    name: &'static str,
    relay: Relay,
    _daemon: Server,
    _server: Web,
}

pub(super) fn run() -> anyhow::Result<()> {
    let lines = [Line::start("ws")?, Line::start("http")?];
    sleep(SETTLING);
    let (begun, before) = (Instant::now(), lines.each_ref().map(|line| line.relay.ways()));
    sleep(SPAN);
    for (line, before) in lines.iter().zip(before) {
        let (after, came) = (line.relay.ways(), line.relay.accepted_since(begun).len());
        report::fact(line.name, "connections made", &format!("{came} in {SPAN:?}"));
        let is_ws = line.name == "ws";
        print("to the server", is_ws, before[0], after[0]);
        print("from the server", is_ws, before[1], after[1]);
    }
    Ok(())
}

impl Line {
    fn start(name: &'static str) -> anyhow::Result<Self> {
        let server = Web::server()?;
        let relay = Relay::to(server.address)?;
        let config = format!("[remote]\ntransport = '{name}'\n");
        let daemon = Server::remote(&relay.url(), &config)?;
        await_online(&daemon)?;
        let mut client = daemon.client()?;
        let reply: serde_json::Value = serde_json::from_str(&client.ask(&register(1, "host"))?)?;
        // Over HTTP the server chooses the party's id.
        let party = reply["result"]["party"]["party_id"].as_str().unwrap_or("host");
        client.ask(&join(2, party, "guest"))?;
        Ok(Self { name, relay, _daemon: daemon, _server: server })
    }
}

fn print(name: &str, is_ws: bool, before: Way, after: Way) {
    let (bytes, pieces) = (after.bytes - before.bytes, after.pieces - before.pieces);
    let (frames, payload) = (after.frames - before.frames, after.payload - before.payload);
    // Each packet is acknowledged by another, at most.
    let wire = bytes + 2 * HEADERS * pieces;
    let content = match is_ws {
        true => format!(", {payload} in {frames} frames"),
        false => String::new(),
    };
    let told = format!(
        "{bytes} bytes in {pieces} packets{content}; an hour {:.1} KiB, with headers and \
         acknowledgements {:.1} KiB",
        (bytes * SPANS_AN_HOUR) as f64 / 1024.0,
        (wire * SPANS_AN_HOUR) as f64 / 1024.0
    );
    report::fact(name, &format!("in {SPAN:?}"), &told);
}
