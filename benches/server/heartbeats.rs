//! Heartbeats over WebSocket, each of a peer on a connection of its own.

use serde_json::json;

use crate::support::parties::{CROWDED, Parties, id};
use crate::support::process::Web;
use crate::support::report;
use crate::support::vitals::ran;

const PARTIES: usize = 250;
const MEMBERS: usize = 8;
const ROUNDS: usize = 30;

const ACK: &str = r#"{"type":"ack""#;

pub(super) fn run() -> anyhow::Result<()> {
    let server = Web::server_with(CROWDED)?;
    let mut parties = Parties::fill(&server, PARTIES, MEMBERS)?;
    go(&mut parties)?;
    let before = ran(server.id())?;
    (0..ROUNDS).try_for_each(|_| go(&mut parties))?;
    let cost = (ran(server.id())? - before) / 1e3 / (ROUNDS * PARTIES * MEMBERS) as f64;
    let name = format!("a heartbeat of {} peers over WebSocket", PARTIES * MEMBERS);
    report::fact(&name, "CPU", &format!("{cost:.1} us"));
    Ok(())
}

fn go(parties: &mut Parties) -> anyhow::Result<()> {
    for (party, member, ws) in parties.each() {
        let heartbeat = json!({
            "type": "heartbeat", "party_id": format!("party-{party}"), "peer_id": id(party, member),
            "req_id": "r",
        });
        ws.send(&heartbeat.to_string())?;
    }
    parties.each().try_for_each(|(.., ws)| ws.hear(1, ACK).map(drop))
}
