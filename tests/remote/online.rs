//! While the server can be asked: what it confirmed is there, on both daemons.

use serde_json::json;

use super::world::{
    World, await_event, await_members, join, leave, members, refused_join, register, rename,
    subscribe,
};
use crate::harness::{Http, assert_error, eventually, peer};

#[test]
fn a_party_lives_on_the_server_and_on_both_daemons() {
    let world = World::new();
    let (mut a, mut b) = (world.a.client(), world.b.client());
    subscribe(&mut a);
    let party = register(&mut a, "p", "ann");
    assert_eq!((&party["origin"], &party["sync"]), (&json!("remote"), &json!("synced")));
    let server = world.server.as_ref().expect("a server");
    let mut http = Http::registered(server.address(), "watcher");
    // An answer comes after the server's: it is there.
    assert_eq!(http.get("/parties/p").ok()["party"]["host_id"], "ann");
    let party = join(&mut b, "p", "bob");
    assert_eq!(party["peers"]["ann"]["virtual_ip"], "10.66.0.1");
    assert_eq!(party["peers"]["bob"]["virtual_ip"], "10.66.0.2");
    let joined = await_event(&mut a, "peer.joined", "p");
    assert_eq!(joined["peer"]["virtual_ip"], "10.66.0.2");

    rename(&mut b, "p", "bob", "Robert");
    assert_eq!(http.get("/parties/p").ok()["party"]["peers"]["bob"]["name"], "Robert");
    assert_eq!(await_event(&mut a, "peer.updated", "p")["peer"]["name"], "Robert");

    let data = json!({"offer": [1, 1e3]});
    let signal = json!({"party_id": "p", "from_peer_id": "bob", "to_peer_id": "ann",
        "signal_data": data});
    assert_eq!(b.call("signal.send", signal)["queued"], true);
    await_event(&mut a, "signal.received", "p");
    let polled = a.call("signal.poll", json!({"party_id": "p", "peer_id": "ann"}));
    assert_eq!(polled["signals"][0]["signal_data"], data);

    let alive = b.call("peer.heartbeat", json!({"party_id": "p", "peer_id": "bob"}));
    assert_eq!(alive["expires_in_ms"], 300_000);
    assert_eq!(leave(&mut b, "p", "bob"), "left");
    assert_eq!(await_event(&mut a, "peer.left", "p")["peer_id"], "bob");
    assert_eq!(members(&world.b, "p"), [""; 0], "nobody tells of it any more");

    join(&mut b, "p", "bob");
    subscribe(&mut b);
    assert_eq!(leave(&mut a, "p", "ann"), "party_deleted");
    assert_eq!(await_event(&mut b, "party.removed", "p")["reason"], "host_left");
    assert_eq!(http.get("/parties/p").status, 404);
}

#[test]
fn what_the_server_refuses_is_told_to_who_asked() {
    let world = World::new();
    let (mut a, mut b) = (world.a.client(), world.b.client());
    register(&mut a, "p", "ann");
    assert_eq!(refused_join(&mut b, "nowhere", "bob"), "party_not_found");
    assert_eq!(refused_join(&mut b, "p", "ann"), "server_rejected");
    let again = json!({"party_id": "p", "name": "Doom", "host": peer("bob")});
    let error = b.error("party.register", again.clone());
    assert_error(&error, "party_exists");
    assert_eq!(a.refused("party.register", again), "party_exists");
    for id in ["ann", "bob"] {
        let left = b.refused("party.leave", json!({"party_id": "p", "peer_id": id}));
        assert_eq!(left, "party_not_found", "it is not known here");
    }
    join(&mut b, "p", "bob");
    let stranger = json!({"party_id": "p", "peer_id": "carl"});
    assert_eq!(b.refused("party.leave", stranger), "not_a_member");
    assert_eq!(members(&world.a, "p"), ["ann", "bob"]);
}

#[test]
fn who_is_silent_here_leaves_there() {
    let brisk = "[cleanup]\npeer_timeout = '1s'\ninterval = '50ms'\nstartup_grace = '1ms'\n";
    let daemons = format!("{brisk}{}", crate::harness::FAST_REMOTE);
    let world = World::with(&daemons, "");
    let (mut a, mut b) = (world.a.client(), world.b.client());
    register(&mut a, "p", "ann");
    b.call("party.join", json!({"party_id": "p", "peer": peer("bob")}));
    await_members(&world.a, "p", &["ann", "bob"]);
    // What kept it alive is gone.
    drop(b);
    await_members(&world.a, "p", &["ann"]);
    await_members(&world.b, "p", &[]);
}

#[test]
fn requests_of_one_client_are_done_in_their_order() {
    let world = World::new();
    let mut a = world.a.client();
    let mut ids = Vec::new();
    for n in 0..10 {
        let party_id = format!("p{n}");
        let host = json!({"party_id": party_id, "name": "Quake", "host": peer("ann")});
        let guest = json!({"party_id": party_id, "peer": peer("bob")});
        ids.push(a.send("party.register", host));
        ids.push(a.send("party.join", guest));
        ids.push(a.send("party.leave", json!({"party_id": party_id, "peer_id": "ann"})));
    }
    for id in ids {
        let reply = a.reply(id);
        assert!(reply.get("error").is_none(), "{reply}");
    }
    assert_eq!(a.call("party.list", json!({}))["parties"], json!([]));
}

#[test]
fn relays_are_the_servers() {
    let world = World::new();
    let (mut a, mut b) = (world.a.client(), world.b.client());
    let relay = json!({"relay_id": "r", "public_ip": "192.0.2.1", "port": 7, "region": "eu"});
    a.call("relay.register", relay.clone());
    eventually("the relay on the other daemon", || {
        let relays = b.call("relay.list", json!({"region": "eu"}))["relays"].take();
        (relays[0]["relay_id"] == "r").then_some(())
    });
    assert_eq!(b.call("relay.list", json!({"region": "us"}))["relays"], json!([]));
    assert_eq!(b.refused("relay.register", relay), "server_rejected");
}
