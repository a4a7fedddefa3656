//! Time until the server's confirmation, beside a local daemon, and beside direct requests to the
//! server.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::watch::await_online;
use crate::support::client::{Client, join, leave, peer, register};
use crate::support::figures::{alternate, print_times, times};
use crate::support::process::{Server, Web};
use crate::support::ws::Ws;

const ROUNDS: usize = 20;
const GOES: usize = 10;
/// Between two goes, so that the daemon, which sends 100 frames a second, makes none wait.
const PAUSE: Duration = Duration::from_millis(25);
const ACK: &str = r#"{"type":"ack""#;

pub(super) fn run() -> anyhow::Result<()> {
    let server = Web::server()?;
    let (online, local) =
        (Server::remote(&format!("http://{}", server.address), "")?, Server::daemon()?);
    await_online(&online)?;
    let [mut online, mut local] = [client(&online)?, client(&local)?];
    let mut ws = Bare::connect(&server, "bare")?;
    let figures = alternate(ROUNDS, &mut || goes(|| online.go()), &mut || goes(|| local.go()))?;
    print_times("join and leave, limit is local mode", &figures);
    let figures = alternate(ROUNDS, &mut || goes(|| online.go()), &mut || goes(|| ws.go()))?;
    print_times("join and leave, limit is the bare server", &figures);
    Ok(())
}

fn goes(mut go: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<f64>> {
    let mut taken = Vec::new();
    for _ in 0..GOES {
        sleep(PAUSE);
        taken.extend(times(1, &mut go)?);
    }
    Ok(taken)
}

/// A client of a daemon that hosts a party.
fn client(daemon: &Server) -> anyhow::Result<Local> {
    let mut client = daemon.client()?;
    client.ask(&register(1, "host"))?;
    Ok(Local(client))
}

struct Local(Client);

impl Local {
    fn go(&mut self) -> anyhow::Result<()> {
        self.0.ask(&join(2, "host", "guest"))?;
        self.0.ask(&leave(3, "host", "guest")).map(drop)
    }
}

/// A client of the server that hosts a party, too.
pub(super) struct Bare {
    ws: Ws,
    guest: String,
    last: usize,
}

impl Bare {
    /// Its party is called as its host.
    pub(super) fn connect(server: &Web, host: &str) -> anyhow::Result<Self> {
        let guest = format!("{host}-guest");
        let mut ws = Ws::connect(server.address)?;
        for id in [host, &guest] {
            ws.greet(id)?;
            ws.hear(1, r#"{"type":"welcome""#)?;
        }
        let mut bare = Self { ws, guest, last: 0 };
        bare.register(host, host)?;
        Ok(bare)
    }

    pub(super) fn register(&mut self, party: &str, host: &str) -> anyhow::Result<()> {
        let host = peer(host);
        self.ask(json!({"type": "register_party", "party_id": party, "name": party,
            "host_peer": host}))
    }

    pub(super) fn join(&mut self, party: &str) -> anyhow::Result<()> {
        let guest = peer(&self.guest);
        self.ask(json!({"type": "join_party", "party_id": party, "peer": guest}))
    }

    fn go(&mut self) -> anyhow::Result<()> {
        self.join("bare")?;
        let guest = self.guest.clone();
        self.ask(json!({"type": "leave_party", "party_id": "bare", "peer_id": guest}))
    }

    fn ask(&mut self, mut frame: Value) -> anyhow::Result<()> {
        self.last += 1;
        frame["req_id"] = json!(self.last);
        self.ws.send(&frame.to_string())?;
        self.ws.hear(1, ACK).map(drop)
    }

    /// Until the connection ends.
    pub(super) fn outlast(mut self) {
        self.ws.hear(1, "nothing begins like this").ok();
    }
}
