//! The daemon's remote mode: daemons of two machines and their server, all real, which are killed,
//! halted and started anew.

mod connected;
mod displaced;
mod halted;
mod http;
mod identity;
mod migration;
mod offline;
mod online;
mod relays;
mod released;
mod restart;
mod sequence;
mod slow_disks;
mod states;
mod turns;

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Client, Daemon, FAST_REMOTE, PATIENCE, Port, Setup, pause, peer};

/// A server that has room for all that one machine asks for.
const PATIENT: &str = "[limits]\nregistrations_per_minute = 100000\n\
    requests_per_second = 100000\nrequests_burst = 100000\n";

fn server() -> Daemon {
    Setup::server().config(PATIENT).start()
}

/// A server at an address that stays the same while it is away.
fn server_on(port: &Port) -> Daemon {
    Setup::server().config(PATIENT).restart_on(port.address()).start()
}

fn url(server: &Daemon) -> String {
    format!("http://{}", server.address())
}

/// A daemon that follows a server.
fn daemon(url: &str) -> Daemon {
    Setup::new().server_url(url).config(FAST_REMOTE).start()
}

/// A daemon that is online.
fn follower(server: &Daemon) -> Daemon {
    let daemon = daemon(&url(server));
    daemon.await_state("online");
    daemon
}

/// The parameters of a registration that lasts while the daemon runs.
fn registration(party_id: &str, host: &str) -> Value {
    json!({"party_id": party_id, "name": "Quake", "host": peer(host), "keepalive": "daemon"})
}

/// The parameters of such an entry.
fn entry(party_id: &str, id: &str) -> Value {
    json!({"party_id": party_id, "peer": peer(id), "keepalive": "daemon"})
}

fn member(party_id: &str, peer_id: &str) -> Value {
    json!({"party_id": party_id, "peer_id": peer_id})
}

/// Description of a peer after its port has changed.
fn moved(id: &str, port: u16) -> Value {
    let mut moved = peer(id);
    moved["public_port"] = json!(port);
    moved
}

/// Registers a party, and checks how it stands.
#[track_caller]
fn register(daemon: &Daemon, party_id: &str, host: &str, sync: &str) {
    let party = &daemon.client().call("party.register", registration(party_id, host))["party"];
    assert_eq!((&party["party_id"], &party["sync"]), (&json!(party_id), &json!(sync)), "{party}");
    assert!(party["peers"][host]["virtual_ip"].is_string(), "{party}");
}

/// Joins a party, and checks how it stands.
#[track_caller]
fn join(daemon: &Daemon, party_id: &str, id: &str, sync: &str) {
    let party = &daemon.client().call("party.join", entry(party_id, id))["party"];
    assert_eq!((&party["party_id"], &party["sync"]), (&json!(party_id), &json!(sync)), "{party}");
    assert!(party["peers"][id]["virtual_ip"].is_string(), "{party}");
}

/// A party as a daemon or a server has it; null when it is not there.
fn party(daemon: &Daemon, party_id: &str) -> Value {
    let reply = daemon.client().ask("party.get", json!({"party_id": party_id}));
    reply.expect("an answer")["result"]["party"].take()
}

/// The ids of a party's members; none when it is not there.
fn members(daemon: &Daemon, party_id: &str) -> Vec<String> {
    let party = party(daemon, party_id);
    let peers = party["peers"].as_object().into_iter().flatten();
    peers.map(|(id, _)| id.clone()).collect()
}

/// Part of a party that all its holders agree on.
fn essence(party: &Value) -> Value {
    let mut essence = json!({});
    for field in ["party_id", "name", "host_id", "created_at"] {
        essence[field] = party[field].clone();
    }
    for (id, peer) in party["peers"].as_object().into_iter().flatten() {
        essence["peers"][id] = peer.clone();
        let peer = essence["peers"][id].as_object_mut().expect("a peer");
        // What keeps a peer alive is seen by its own machine, and its connection by the server.
        for volatile in ["last_seen", "connected"] {
            peer.remove(volatile);
        }
    }
    essence
}

/// Waits until all of them have the same party, with these members.
#[track_caller]
fn agree(all: &[&Daemon], party_id: &str, expected: &[&str]) {
    let until = Instant::now() + PATIENCE;
    loop {
        let parties: Vec<_> = all.iter().map(|one| essence(&party(one, party_id))).collect();
        let has_expected = |party: &Value| {
            let peers = party["peers"].as_object().into_iter().flatten();
            peers.map(|(id, _)| id.as_str()).eq(expected.iter().copied())
        };
        if parties.iter().all(|party| has_expected(party) && *party == parties[0]) {
            return;
        }
        assert!(Instant::now() < until, "not the same: {parties:#?}");
        pause();
    }
}

/// Waits until a daemon has a party of which the server has been told all.
#[track_caller]
fn await_synced(daemon: &Daemon, party_id: &str) -> Value {
    let mut watcher = Watcher::of(daemon);
    let known = party(daemon, party_id);
    if known["sync"] == "synced" {
        return known;
    }
    let is_synced =
        |data: &Value| data["party"]["party_id"] == party_id && data["party"]["sync"] == "synced";
    watcher.until("party.updated", is_synced)["party"].take()
}

/// Subscriber to all events.
struct Watcher {
    client: Client,
}

impl Watcher {
    fn of(daemon: &Daemon) -> Self {
        let mut client = daemon.client();
        client.call("events.subscribe", json!({"snapshot": false}));
        Self { client }
    }

    /// The next event of a kind that is as it should be; others are passed over.
    #[track_caller]
    fn until(&mut self, kind: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let (told, data) = self.client.event();
            if told == kind && is(&data) {
                return data;
            }
            passed.push((told, data));
            assert!(Instant::now() < until, "no such {kind}, but {passed:#?}");
        }
    }

    /// The next event of a kind.
    #[track_caller]
    fn next(&mut self, kind: &str) -> Value {
        self.until(kind, |_| true)
    }

    /// The states of the connection until it comes to one, each as it was told.
    #[track_caller]
    fn states_to(&mut self, state: &str) -> Vec<Value> {
        let mut states = Vec::new();
        while states.last().is_none_or(|last: &Value| last["state"] != state) {
            states.push(self.next("connection.changed"));
        }
        states
    }
}

/// The names of states, each once where it is told several times in a row.
fn names(states: &[Value]) -> Vec<&str> {
    let mut names: Vec<_> =
        states.iter().map(|state| state["state"].as_str().expect("a state")).collect();
    names.dedup();
    names
}
