//! Many parties of WebSocket clients.

use std::ops::Range;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::client::peer;
use super::process::Web;
use super::ws::Ws;

/// Further lines of the table `[ws]` of a server for so many clients.
pub(crate) const CROWDED: &str = "
sockets = 16384
sockets_per_address = 16384
[http]
connections = 16384
connections_per_address = 16384
";
/// Clients that connect at once: fewer than the system holds until they are accepted.
const AT_ONCE: usize = 100;

const WHOLE: &str = r#"{"type":"party_update""#;

/// Clients in parties of the same size, of which the first are the hosts.
pub(crate) struct Parties {
    pub(crate) members: usize,
    pub(crate) clients: Vec<Ws>,
    pub(crate) tokens: Vec<String>,
}

impl Parties {
    /// Connects the clients, in parties of so many members.
    pub(crate) fn fill(server: &Web, parties: usize, members: usize) -> anyhow::Result<Self> {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        let mut filled = Self { members, clients: Vec::new(), tokens: Vec::new() };
        for member in 0..members {
            for from in (0..parties).step_by(AT_ONCE) {
                let numbers = from..parties.min(from + AT_ONCE);
                filled.enter(server, member, numbers)?;
            }
        }
        // What the others were told of the joins is left in their sockets.
        for (number, ws) in filled.clients.iter_mut().enumerate() {
            ws.hear(members - 1 - number / parties, r#"{"type":"peer_joined""#)?;
        }
        Ok(filled)
    }

    fn enter(&mut self, server: &Web, member: usize, parties: Range<usize>) -> anyhow::Result<()> {
        let mut fresh = Vec::new();
        for party in parties {
            let mut ws = Ws::connect(server.address)?;
            ws.greet(&id(party, member))?;
            fresh.push((party, ws));
        }
        for (party, ws) in &mut fresh {
            self.tokens.push(ws.welcomed()?);
            ws.send(&entrance(*party, member).to_string())?;
        }
        for (_, ws) in &mut fresh {
            ws.hear(1, WHOLE)?;
        }
        self.clients.extend(fresh.into_iter().map(|(_, ws)| ws));
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.clients.len() / self.members
    }

    /// Each client with its party and its number there.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = (usize, usize, &mut Ws)> {
        let parties = self.count();
        let clients = self.clients.iter_mut().enumerate();
        clients.map(move |(at, ws)| (at % parties, at / parties, ws))
    }
}

/// The peer of a client.
pub(crate) fn id(party: usize, member: usize) -> String {
    format!("m{member}-{party}")
}

fn entrance(party: usize, member: usize) -> Value {
    let (party_id, peer) = (format!("party-{party}"), peer(&id(party, member)));
    match member {
        0 => json!({
            "type": "register_party", "party_id": party_id, "name": "LAN party", "host_peer": peer,
        }),
        _ => json!({"type": "join_party", "party_id": party_id, "peer": peer}),
    }
}
