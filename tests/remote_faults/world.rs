//! Daemons, their networks and their server.

use serde_json::{Value, json};

use crate::harness::{
    Client, Daemon, FAST_REMOTE, Http, Port, Proxy, Setup, eventually, impatient_remote, peer,
};

/// A server that never says no for want of patience.
pub(super) const PATIENT: &str = "[limits]\nregistrations_per_minute = 100000\n\
    requests_per_second = 100000\nrequests_burst = 100000\n";

/// A running server.
pub(super) fn server() -> Daemon {
    Setup::server().config(PATIENT).start()
}

/// A server whose address stays the same while it is not there.
pub(super) fn server_on(port: &Port) -> Daemon {
    Setup::server().config(PATIENT).restart_on(port.address()).start()
}

/// A daemon whose network is that proxy.
pub(super) fn daemon(proxy: &Proxy) -> Daemon {
    Setup::new().server_url(&proxy.url()).config(FAST_REMOTE).start()
}

/// The same, which soon gives up a server that gives no answer.
pub(super) fn impatient_daemon(proxy: &Proxy) -> Daemon {
    Setup::new().server_url(&proxy.url()).config(&impatient_remote()).start()
}

/// Registers a party whose host stays while its daemon runs.
pub(super) fn register(client: &mut Client, party_id: &str, host: &str) -> Value {
    let params = json!({"party_id": party_id, "name": "Quake", "host": peer(host),
        "keepalive": "daemon"});
    client.call("party.register", params)["party"].take()
}

/// Joins a party for as long as the daemon runs.
pub(super) fn join(client: &mut Client, party_id: &str, id: &str) -> Value {
    let params = json!({"party_id": party_id, "peer": peer(id), "keepalive": "daemon"});
    client.call("party.join", params)["party"].take()
}

/// Returns a server's party, as a stranger sees it; null if there is none.
pub(super) fn on_server(http: &mut Http, party_id: &str) -> Value {
    let answer = http.get(&format!("/parties/{party_id}"));
    if answer.status == 404 { Value::Null } else { answer.ok() }
}

/// The ids of a party's members on a server.
pub(super) fn members_on_server(http: &mut Http, party_id: &str) -> Vec<String> {
    let party = on_server(http, party_id);
    let peers = party["party"]["peers"].as_object();
    peers.into_iter().flatten().map(|(id, _)| id.clone()).collect()
}

/// Waits until a daemon is online and its server has been told all.
#[track_caller]
pub(super) fn await_synced(daemon: &Daemon) {
    daemon.await_state("online");
    let mut client = daemon.client();
    eventually("all parties synced", || {
        let parties = parties(&mut client);
        parties.iter().all(|party| party["sync"] == "synced").then_some(())
    });
}

/// All parties that a daemon knows.
pub(super) fn parties(client: &mut Client) -> Vec<Value> {
    let mut parties = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let mut page = client.call("party.list", json!({"cursor": cursor}));
        parties.append(page["parties"].as_array_mut().expect("parties"));
        cursor = page["next_cursor"].take();
        if cursor.is_null() {
            return parties;
        }
    }
}
