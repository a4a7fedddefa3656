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
fn member_of_a_killed_daemon_is_disconnected_until_it_joins_again() {
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
fn member_without_its_client_is_disconnected_everywhere() {
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
