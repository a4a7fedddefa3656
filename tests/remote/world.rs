//! Two daemons and their server.

use serde_json::{Value, json};

use crate::harness::{Client, Daemon, FAST_REMOTE, Port, Setup, eventually, peer};

/// A server that comes and goes, and daemons that follow it.
pub(super) struct World {
    pub(super) port: Port,
    pub(super) server: Option<Daemon>,
    pub(super) a: Daemon,
    pub(super) b: Daemon,
}

impl World {
    /// Both daemons are online.
    pub(super) fn new() -> Self {
        Self::with(FAST_REMOTE, "")
    }

    /// The same with other configurations.
    pub(super) fn with(daemons: &str, server: &str) -> Self {
        let port = Port::reserve();
        let address = port.address();
        let server = Setup::server().config(server).restart_on(address).start();
        let daemon =
            || Setup::new().server_url(&format!("http://{address}")).config(daemons).start();
        let world = Self { port, server: Some(server), a: daemon(), b: daemon() };
        world.await_online();
        world
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    pub(super) fn await_online(&self) {
        self.a.await_state("online");
        self.b.await_state("online");
    }

    /// The server is killed, and both daemons work alone. Returns what it starts from again.
    pub(super) fn lose_server(&mut self) -> Setup {
        let setup = self.server.take().expect("a server").kill();
        self.a.await_state("fallback");
        self.b.await_state("fallback");
        setup
    }

    /// The server is back, and both daemons have told it all.
    pub(super) fn find_server(&mut self, setup: Setup) {
        self.server = Some(setup.start());
        self.await_online();
        for daemon in [&self.a, &self.b] {
            let mut client = daemon.client();
            eventually("all parties synced", || {
                parties(&mut client).iter().all(|party| party["sync"] == "synced").then_some(())
            });
        }
    }
}

pub(super) fn parties(client: &mut Client) -> Vec<Value> {
    client.call("party.list", json!({}))["parties"].as_array().expect("parties").clone()
}

/// Registers a party whose host stays while its daemon runs.
pub(super) fn register(client: &mut Client, party_id: &str, host: &str) -> Value {
    let host = peer(host);
    let params =
        json!({"party_id": party_id, "name": "Quake", "host": host, "keepalive": "daemon"});
    client.call("party.register", params)["party"].take()
}

/// Joins a party for as long as the daemon runs.
pub(super) fn join(client: &mut Client, party_id: &str, id: &str) -> Value {
    client.call("party.join", joining(party_id, id))["party"].take()
}

/// Asks to join, and returns the code of the refusal.
pub(super) fn refused_join(client: &mut Client, party_id: &str, id: &str) -> String {
    client.refused("party.join", joining(party_id, id))
}

fn joining(party_id: &str, id: &str) -> Value {
    json!({"party_id": party_id, "peer": peer(id), "keepalive": "daemon"})
}

pub(super) fn leave(client: &mut Client, party_id: &str, id: &str) -> Value {
    client.call("party.leave", json!({"party_id": party_id, "peer_id": id}))["status"].take()
}

/// A peer that calls itself something else.
pub(super) fn rename(client: &mut Client, party_id: &str, id: &str, name: &str) {
    let mut peer = peer(id);
    peer["name"] = json!(name);
    client.call("peer.update", json!({"party_id": party_id, "peer": peer}));
}

/// The ids of a party's members; none when it is not known.
pub(super) fn members(daemon: &Daemon, party_id: &str) -> Vec<String> {
    let party = daemon.client().ask("party.get", json!({"party_id": party_id}));
    let peers = party.as_ref().and_then(|party| party["result"]["party"]["peers"].as_object());
    peers.into_iter().flatten().map(|(id, _)| id.clone()).collect()
}

#[track_caller]
pub(super) fn await_members(daemon: &Daemon, party_id: &str, expected: &[&str]) {
    eventually(&format!("{expected:?} in {party_id}"), || {
        (members(daemon, party_id) == expected).then_some(())
    });
}

/// Waits for an event of that kind about that party, and returns it.
pub(super) fn await_event(client: &mut Client, kind: &str, party_id: &str) -> Value {
    loop {
        let (came, data) = client.event();
        let of = [&data["party_id"], &data["party"]["party_id"], &data["previous_party_id"]];
        if came == kind && of.contains(&&json!(party_id)) {
            return data;
        }
    }
}

pub(super) fn subscribe(client: &mut Client) {
    client.call("events.subscribe", json!({"topics": ["party", "peer", "signal", "connection"]}));
}
