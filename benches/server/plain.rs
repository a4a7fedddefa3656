//! A change of one member of a full party whose other members are LANrage's clients: each is sent the whole party.

use serde_json::json;

use crate::support::client::peer;
use crate::support::figures::{Figures, times};
use crate::support::process::Web;
use crate::support::report;
use crate::support::vitals::ran;
use crate::support::ws::Ws;

/// Members of a party: the default limit.
const MEMBERS: usize = 64;
const CHANGES: usize = 30;
/// A change is sent at once only to those who were not sent one just before.
const NO_INTERVAL: &str = "update_interval = \"0s\"\n";

const WHOLE: &str = r#"{"type":"party_update""#;
const JOINED: &str = r#"{"type":"peer_joined""#;

pub(super) fn run() -> anyhow::Result<()> {
    let server = Web::server_with(NO_INTERVAL)?;
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        members.push(member(&server, number)?);
    }
    for (number, member) in members.iter_mut().enumerate() {
        member.hear(MEMBERS - 1 - number, JOINED)?;
    }
    let Some((first, others)) = members.split_first_mut() else { return Ok(()) };
    let (mut port, mut bytes) = (40_000, 0);
    let mut go = || {
        port += 1;
        let mut changed = peer("m0");
        changed["local_port"] = json!(port);
        let update = json!({"type": "update_peer", "party_id": "lan", "peer": changed});
        first.send(&update.to_string())?;
        bytes = others.iter_mut().map(|other| other.hear(1, WHOLE)).sum::<Result<usize, _>>()?;
        anyhow::Ok(())
    };
    go()?;
    let before = ran(server.id())?;
    let spans = Figures::from(times(CHANGES, &mut go)?);
    let cost = (ran(server.id())? - before) / 1e6 / CHANGES as f64;
    let told =
        format!("{cost:.2} ms, p50 {:.2} ms, {} KB sent", spans.quantile(0.5) / 1e3, bytes / 1000);
    report::fact(&format!("a change, to {} of LANrage's clients", MEMBERS - 1), "CPU", &told);
    Ok(())
}

fn member(server: &Web, number: usize) -> anyhow::Result<Ws> {
    let id = format!("m{number}");
    let mut ws = Ws::connect(server.address)?;
    ws.send(&json!({"type": "auth", "version": "1.0", "client": "lanrage"}).to_string())?;
    let enter = match number {
        0 => json!({
            "type": "register_party", "party_id": "lan", "name": "LAN party", "host_peer": peer(&id),
        }),
        _ => json!({"type": "join_party", "party_id": "lan", "peer": peer(&id)}),
    };
    ws.send(&enter.to_string())?;
    ws.hear(1, WHOLE)?;
    Ok(ws)
}
