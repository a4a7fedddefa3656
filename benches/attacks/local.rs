//! Attacks on the daemon, by other connections of the same user.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use serde_json::json;

use super::{GoesOn, compare};
use crate::support::client::{Client, register, request};
use crate::support::process::Server;

const PARTIES: usize = 1000;
/// All that one user has, but the honest one.
const CONNECTIONS: usize = 63;
/// Requests that a connection may have in flight.
const IN_FLIGHT: usize = 32;

pub(super) fn run() -> anyhow::Result<()> {
    attack("unread listings of 1,000 parties", &unread)?;
    attack("listings of 1,000 parties", &read)
}

type Attack = dyn Fn(&Server, GoesOn<'_>) -> anyhow::Result<()> + Sync;

/// The honest client asks how the daemon is.
fn attack(name: &str, attack: &Attack) -> anyhow::Result<()> {
    let daemon = Server::daemon()?;
    let mut honest = daemon.client()?;
    for number in 0..PARTIES {
        honest.ask(&register(number, &format!("party-{number}")))?;
    }
    let status = request(1, "status.get", &json!({}));
    let mut ask = || honest.ask(&status).map(drop);
    compare(name, &mut ask, 1, &|_, goes_on| {
        if let Err(error) = attack(&daemon, goes_on) {
            println!("{name}: the attacker gave up: {error:#}");
        }
    });
    Ok(())
}

fn listings() -> String {
    (0..IN_FLIGHT).map(|id| request(id, "party.list", &json!({}))).collect()
}

fn unread(daemon: &Server, goes_on: GoesOn<'_>) -> anyhow::Result<()> {
    let listings = listings();
    while goes_on() {
        let mut all = Vec::new();
        for _ in 0..CONNECTIONS {
            // Those of the round before may not be closed yet.
            let Ok(mut stream) = UnixStream::connect(daemon.socket()) else { break };
            if stream.write_all(listings.as_bytes()).is_ok() {
                all.push(stream);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    Ok(())
}

fn read(daemon: &Server, goes_on: GoesOn<'_>) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for _ in 0..CONNECTIONS {
        all.push(Client::connect(daemon.socket())?);
    }
    let listing = request(1, "party.list", &json!({}));
    while goes_on() {
        for client in &mut all {
            client.send(&listing)?;
        }
        for client in &mut all {
            client.take(1)?;
        }
    }
    Ok(())
}
