//! What the daemon costs when it starts and when it does nothing, beside the bare runtime.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use crate::support::client::request;
use crate::support::echo::Purpose;
use crate::support::figures::{alternate, print_times, times};
use crate::support::process::Server;

/// How long nothing is done.
const IDLE: Duration = Duration::from_secs(3);

pub(crate) fn run() -> anyhow::Result<()> {
    // They have done what a start leaves to be done by the time the others have started.
    let idle = [("the daemon", Server::daemon()?), ("limit", Server::echo()?)];
    let ping = request(100, "ping", &json!({}));
    let figures = alternate(
        10,
        &mut || {
            let mut started = None;
            let taken = times(1, || {
                let daemon = started.insert(Server::daemon()?);
                daemon.client()?.ask(&ping).map(drop)
            });
            drop(started);
            taken
        },
        &mut || {
            let mut started = None;
            let taken = times(1, || {
                let echo = started.insert(Server::echo()?);
                Purpose::Ask.of(echo.client()?, 2)?.exchange("\n", 1).map(drop)
            });
            drop(started);
            taken
        },
    )?;
    print_times("first start to first answer", &figures);
    rest(&idle)
}

fn rest(servers: &[(&str, Server); 2]) -> anyhow::Result<()> {
    let before = servers.each_ref().map(|(_, server)| Vitals::of(server));
    sleep(IDLE);
    for ((name, server), before) in servers.iter().zip(before) {
        let (before, after) = (before?, Vitals::of(server)?);
        let switches = after.switches.saturating_sub(before.switches);
        println!(
            "idle, {name:36} {:5} KiB resident, {} threads, {switches} switches in {IDLE:?}",
            after.resident, after.threads
        );
    }
    Ok(())
}

/// What the system knows of a process.
struct Vitals {
    /// Memory in KiB.
    resident: u64,
    threads: usize,
    /// How often any of its threads began or ceased to run.
    switches: u64,
}

impl Vitals {
    /// Linux alone tells it.
    fn of(server: &Server) -> anyhow::Result<Self> {
        let process = format!("/proc/{}", server.id());
        let resident = field(&fs::read_to_string(format!("{process}/status"))?, "VmRSS");
        let (mut threads, mut switches) = (0, 0);
        for thread in fs::read_dir(format!("{process}/task"))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            threads += 1;
            switches += field(&status, "voluntary_ctxt_switches");
            switches += field(&status, "nonvoluntary_ctxt_switches");
        }
        Ok(Self { resident, threads, switches })
    }
}

/// The number after a name.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
