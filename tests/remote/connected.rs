//! The `connected` of a member: its own daemon, its server, and other daemons agree on it.

use serde_json::{Value, json};

use super::{follower, join, party, register, server};
use crate::harness::{Daemon, eventually, peer};

/// Waits until all show this `connected` of a member.
#[track_caller]
fn all_show(all: [&Daemon; 3], peer_id: &str, connected: bool) {
    for one in all {
        let shown = || party(one, "lan")["peers"][peer_id]["connected"].take();
        eventually(&format!("{peer_id}: connected {connected}"), || {
            (shown() == Value::Bool(connected)).then_some(())
        });
    }
}

#[test]
fn a_member_whose_daemon_was_killed_is_connected_nowhere_until_it_joins_again() {
    let server = server();
    let (here, there) = (follower(&server), follower(&server));
    register(&here, "lan", "ann", "synced");
    join(&there, "lan", "bob", "synced");
    all_show([&server, &here, &there], "ann", true);
    let here = here.kill().start();
    here.await_state("online");
    all_show([&server, &here, &there], "ann", false);
    all_show([&server, &here, &there], "bob", true);
    join(&here, "lan", "ann", "synced");
    all_show([&server, &here, &there], "ann", true);
}

#[test]
fn a_member_whose_client_has_gone_is_connected_nowhere() {
    let server = server();
    let (here, there) = (follower(&server), follower(&server));
    register(&here, "lan", "ann", "synced");
    let mut game = there.client();
    game.call("party.join", json!({"party_id": "lan", "peer": peer("bob")}));
    all_show([&server, &here, &there], "bob", true);
    drop(game);
    all_show([&server, &here, &there], "bob", false);
    all_show([&server, &here, &there], "ann", true);
}
