//! Recovery of events that the server sent and the daemon missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Watcher, agree, daemon, follower, join, members, register, server};
use crate::harness::{
    BadServer, Behaviour, Direction, Proxy, Setup, Step, announced, fast_remote, polite,
};

#[test]
fn lost_frame_is_detected_by_the_next_heartbeat() {
    // A control server but for one frame: a guest joins, and nobody is told.
    let (polite, is_due) = (polite(), Arc::new(AtomicBool::new(false)));
    let loses = is_due.clone();
    let answer = move |frame: &Value| {
        if frame["type"] == "heartbeat" && loses.swap(false, Ordering::SeqCst) {
            let joins = json!({"type": "join_party", "party_id": "p", "peer": announced("guest")});
            drop(polite(&joins));
        }
        polite(frame)
    };
    let server = BadServer::start(Behaviour::UpgradeThen(vec![Step::answer(answer)]));
    let here = daemon(&server.url());
    here.await_state("online");
    register(&here, "p", "ann", "synced");
    let mut watcher = Watcher::of(&here);
    is_due.store(true, Ordering::SeqCst);
    let joined = watcher.next("peer.joined");
    assert_eq!(joined["peer"]["peer_id"], "guest");
    assert_eq!(members(&here, "p"), ["ann", "guest"]);
    let asked = server.frames().into_iter().filter(|frame| frame["type"] == "sync").count();
    assert_eq!(asked, 1, "{:?}", server.frames());
    assert_eq!(server.requests().len(), 1, "it is one connection all the while");
}

#[test]
fn silent_connection_is_detected_by_the_next_heartbeat() {
    let server = server();
    let proxy = Proxy::to(server.address());
    let config = fast_remote([("request_timeout", "'1s'")]);
    let here = Setup::new().server_url(&proxy.url()).config(&config).start();
    here.await_state("online");
    let there = follower(&server);
    register(&here, "p", "ann", "synced");
    let mut watcher = Watcher::of(&here);
    proxy.black_hole(Direction::ToClient);
    join(&there, "p", "bob", "synced");
    let lost = watcher.states_to("reconnecting");
    assert!(lost[0]["last_error"].as_str().is_some_and(|why| why.contains("no answer")));
    proxy.heal();
    let joined = watcher.next("peer.joined");
    assert_eq!(joined["peer"]["peer_id"], "bob");
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
}
