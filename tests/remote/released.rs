//! A peer that an administrator of a daemon releases.

use serde_json::json;

use super::{follower, join, members, party, register, registration, server, url};
use crate::harness::{Daemon, FAST_REMOTE, Setup, eventually, fast_remote};

#[test]
fn peer_release_ends_token_and_party_on_the_server() {
    let server = server();
    let (here, there) = (follower(&server), follower(&server));
    register(&here, "p", "ann", "synced");
    join(&there, "p", "bob", "synced");
    let tokens = |count: usize| {
        let line = format!("lanrage_tokens {count}\n");
        eventually("the tokens", || server.metrics().text().contains(&line).then_some(()));
    };
    tokens(2);
    here.client().call("peer.release", json!({"peer_id": "ann"}));
    assert!(party(&here, "p").is_null() && party(&server, "p").is_null());
    tokens(1);
    eventually("the party's end", || party(&there, "p").is_null().then_some(()));
    // The daemon takes the id anew when its user asks for it.
    here.client().call("party.register", registration("q", "ann"));
    eventually("the new party", || (party(&here, "q")["sync"] == "synced").then_some(()));
    assert_eq!(members(&server, "q"), ["ann"]);
}

#[test]
fn peer_release_counts_each_party_and_token_that_ended() {
    let server = server();
    let (here, there) = (follower(&server), follower(&server));
    register(&here, "hosted", "ann", "synced");
    register(&there, "joined", "bob", "synced");
    join(&here, "joined", "ann", "synced");
    let released = here.client().call("peer.release", json!({"peer_id": "ann"}));
    assert_eq!(released, json!({"tokens": 1, "parties": 2, "connections": 0}));
    let released = here.client().call("peer.release", json!({"peer_id": "ann"}));
    assert_eq!(released, json!({"tokens": 0, "parties": 0, "connections": 0}));
}

#[test]
fn peer_release_is_no_displacement() {
    let server = server();
    let config = fast_remote([("probe", "'1h'")]);
    let here = Setup::new().server_url(&url(&server)).config(&config).start();
    here.await_state("online");
    register(&here, "kept", "cat", "synced");
    register(&here, "p", "ann", "synced");
    here.client().call("peer.release", json!({"peer_id": "ann"}));
    here.await_log("another connection is made");
    // On another connection, and long before a displaced daemon would try again.
    here.await_state("online");
    register(&here, "later", "cat", "synced");
    assert_eq!(members(&server, "kept"), ["cat"]);
    assert!(!here.setup.log().contains("took over"), "{}", here.setup.log());
}

/// The texts that a daemon keeps to show to its server: tokens and claim secrets.
fn proofs(daemon: &Daemon) -> Vec<String> {
    let database = daemon.setup.state_dir().join("control.db");
    let database = rusqlite::Connection::open(database).expect("the database");
    let mut query = database.prepare("SELECT token FROM credentials").expect("a query");
    let texts = query.query_map([], |row| row.get(0)).expect("rows");
    let texts = texts.map(|text: rusqlite::Result<String>| text.expect("a text"));
    texts.map(|text| text.trim_start_matches("claim ").to_owned()).collect()
}

#[test]
fn peer_release_leaves_no_token_in_either_log() {
    for transport in ["ws", "http"] {
        let server = server();
        let transport = format!("transport = \"{transport}\"");
        let config = format!("{FAST_REMOTE}{transport}\n");
        let daemon = Setup::new().server_url(&url(&server)).config(&config).start();
        daemon.await_state("online");
        daemon.client().call("party.register", registration("p", "ann"));
        let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 4000});
        daemon.client().call("relay.register", relay);
        let proofs = proofs(&daemon);
        assert!(!proofs.is_empty(), "nothing is kept");
        let told = daemon.client().call("status.get", json!({})).to_string();
        let logs = [daemon.stop().0.log(), server.stop().0.log(), told];
        for proof in proofs {
            assert!(proof.len() >= 22, "{transport}");
            assert!(logs.iter().all(|log| !log.contains(&proof)), "{transport}");
        }
    }
}
