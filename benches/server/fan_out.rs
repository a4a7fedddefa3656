//! Changes of members in many parties, each told to all members of its party over WebSocket.

use serde_json::json;

use crate::support::client::peer;
use crate::support::parties::{CROWDED, Parties, id};
use crate::support::process::Web;
use crate::support::report;
use crate::support::vitals::ran;

const PARTIES: usize = 1_000;
const MEMBERS: usize = 8;
const ROUNDS: u16 = 10;

const UPDATED: &str = r#"{"type":"peer_updated""#;

pub(super) fn run() -> anyhow::Result<()> {
    let server = Web::server_with(CROWDED)?;
    let mut parties = Parties::fill(&server, PARTIES, MEMBERS)?;
    go(&mut parties, 0)?;
    let before = ran(server.id())?;
    (1..=ROUNDS).try_for_each(|round| go(&mut parties, round))?;
    let deliveries = f64::from(ROUNDS) * (PARTIES * MEMBERS) as f64;
    let told = format!("{:.1} us a delivery", (ran(server.id())? - before) / 1e3 / deliveries);
    report::fact(&format!("changes in {PARTIES} parties of {MEMBERS}"), "CPU", &told);
    Ok(())
}

/// The host of each party changes.
fn go(parties: &mut Parties, round: u16) -> anyhow::Result<()> {
    for (party, member, ws) in parties.each() {
        if member == 0 {
            let mut changed = peer(&id(party, 0));
            changed["local_port"] = json!(40_000 + round);
            let party_id = format!("party-{party}");
            let update = json!({"type": "update_peer", "party_id": party_id, "peer": changed});
            ws.send(&update.to_string())?;
        }
    }
    parties.each().try_for_each(|(.., ws)| ws.hear(1, UPDATED).map(drop))
}
