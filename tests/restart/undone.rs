//! A failed commit: nobody sees its changes.

use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::json;

use crate::harness::{Daemon, Setup, eventually, peer};

/// Has commits wait for a moment, then fail, until it is dropped.
fn obstacle(daemon: &Daemon) -> Connection {
    let database = daemon.setup.state_dir().join("control.db");
    let connection = Connection::open(database).expect("the database");
    connection.execute_batch("BEGIN IMMEDIATE").expect("its lock");
    connection
}

#[test]
fn undone_register_leaves_no_party_behind() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let _obstacle = obstacle(&daemon);
    let party = json!({"name": "Quake", "party_id": "p", "host": peer("ann")});
    let [first, second] = [(); 2].map(|()| client.send("party.register", party.clone()));
    for id in [first, second] {
        let reply = client.reply(id);
        assert_eq!(reply["error"]["data"]["code"], "store_unavailable", "{reply}");
    }
    assert_eq!(client.refused("party.get", json!({"party_id": "p"})), "party_not_found");
}

#[test]
fn closed_connection_keeps_no_member_alive_after_an_undo() {
    let daemon = Setup::new().config("[cleanup]\ninterval = '20ms'\n").start();
    let mut client = daemon.client();
    let party = json!({"name": "Quake", "party_id": "p", "host": peer("ann")});
    client.call("party.register", party);
    let mut leaving = daemon.client();
    let join = json!({"party_id": "p", "peer": peer("bob")});
    leaving.call("party.join", join.clone());

    let obstacle = obstacle(&daemon);
    let undone = json!({"name": "Quake", "party_id": "undone", "host": peer("ann")});
    let undone = client.send("party.register", undone);
    client.call("ping", json!({}));
    // The reply to the ping finds nobody: the connection ends while the join, which changes
    // nothing, waits.
    daemon.signal(Signal::SIGSTOP);
    leaving.send("party.join", join);
    leaving.send("ping", json!({}));
    drop(leaving);
    daemon.signal(Signal::SIGCONT);
    let reply = client.reply(undone);
    assert_eq!(reply["error"]["data"]["code"], "store_unavailable", "{reply}");
    drop(obstacle);
    eventually("a peer that is no longer connected", || {
        let peer = client.call("peer.discover", json!({"party_id": "p", "peer_id": "bob"}));
        (peer["peer"]["connected"] == false).then_some(())
    });
}
