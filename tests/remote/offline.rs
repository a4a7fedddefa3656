//! While the server can't be asked, and what becomes of it when it is back: row by row.

use serde_json::json;

use super::world::{
    World, await_event, await_members, join, leave, members, parties, refused_join, register,
    rename, subscribe,
};
use crate::harness::{Http, assert_error, eventually, peer};

#[test]
fn what_is_done_alone_is_pending_and_reaches_the_server() {
    let mut world = World::new();
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    let server = world.lose_server();
    let (mut a, mut b) = (world.a.client(), world.b.client());
    let party = register(&mut a, "new", "ann");
    assert_eq!((&party["origin"], &party["sync"]), (&json!("local"), &json!("pending")));
    let party = join(&mut b, "p", "bea");
    assert_eq!((&party["origin"], &party["sync"]), (&json!("remote"), &json!("pending")));
    rename(&mut b, "p", "bob", "first");
    rename(&mut b, "p", "bob", "last");
    join(&mut a, "new", "amy");
    assert_eq!(leave(&mut a, "new", "amy"), "left");
    subscribe(&mut a);
    world.find_server(server);
    assert_eq!(await_event(&mut a, "party.updated", "new")["party"]["sync"], "synced");
    for daemon in [&world.a, &world.b] {
        await_members(daemon, "p", &["ann", "bea", "bob"]);
        eventually("the last update", || {
            let party = daemon.client().party("p");
            (party["peers"]["bob"]["name"] == "last").then_some(())
        });
    }
    assert_eq!(members(&world.a, "new"), ["ann"]);
    let server = world.server.as_ref().expect("a server");
    let mut http = Http::registered(server.address(), "watcher");
    assert_eq!(http.get("/parties/new").ok()["party"]["host_id"], "ann");
}

#[test]
fn what_takes_the_server_is_refused() {
    let mut world = World::new();
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    let _server = world.lose_server();
    let mut b = world.b.client();
    let unknown = json!({"party_id": "unknown", "peer": peer("bob")});
    assert_error(&b.error("party.join", unknown), "offline");
    let signal = json!({"party_id": "p", "from_peer_id": "bob", "to_peer_id": "ann",
        "signal_data": 1});
    assert_error(&b.error("signal.send", signal), "offline");
    assert_eq!(refused_join(&mut b, "p", "ann"), "permission_denied", "she is elsewhere");
    let alive = b.call("peer.heartbeat", json!({"party_id": "p", "peer_id": "bob"}));
    assert_eq!(alive["expires_in_ms"], 300_000);
}

#[test]
fn what_is_pending_survives_a_killed_daemon() {
    let mut world = World::new();
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    let server = world.lose_server();
    let mut b = world.b.client();
    register(&mut b, "mine", "bea");
    join(&mut b, "p", "bo");
    leave(&mut b, "p", "bob");
    drop(b);
    world.b = world.b.kill().start();
    world.b.await_state("fallback");
    let pending = parties(&mut world.b.client());
    assert!(pending.iter().all(|party| party["sync"] == "pending"), "{pending:?}");
    world.find_server(server);
    await_members(&world.a, "p", &["ann", "bo"]);
    assert_eq!(members(&world.b, "p"), ["ann", "bo"]);
    assert_eq!(members(&world.b, "mine"), ["bea"]);
}

#[test]
fn an_id_that_was_taken_meanwhile_becomes_another() {
    let mut world = World::new();
    let server = world.lose_server();
    let (mut a, mut b) = (world.a.client(), world.b.client());
    // One of both comes first.
    for (client, host, guest) in [(&mut a, "ann", "amy"), (&mut b, "bob", "bea")] {
        register(client, "same", host);
        join(client, "same", guest);
        subscribe(client);
    }
    let mut narrow = [world.a.client(), world.b.client()];
    for client in &mut narrow {
        client.call("events.subscribe", json!({"party_id": "same", "topics": ["party", "peer"]}));
    }
    world.find_server(server);
    let ids = |daemon| -> Vec<String> {
        let parties = parties(&mut crate::harness::Daemon::client(daemon));
        parties.iter().map(|party| party["party_id"].as_str().expect("an id").to_owned()).collect()
    };
    let (of_a, of_b) = (ids(&world.a), ids(&world.b));
    assert_eq!((of_a.len(), of_b.len()), (1, 1));
    let (loser, client, narrow, new) = match of_a[0] == "same" {
        true => (&world.b, &mut b, &mut narrow[1], &of_b[0]),
        false => (&world.a, &mut a, &mut narrow[0], &of_a[0]),
    };
    assert_ne!(new, "same");
    let told = await_event(client, "party.updated", "same");
    assert_eq!(
        (&told["party"]["party_id"], &told["previous_party_id"]),
        (&json!(new), &json!("same"))
    );
    assert_eq!(members(loser, new).len(), 2);
    // Who listens to the old id alone goes on hearing of the party.
    await_event(narrow, "party.updated", "same");
    let host = members(loser, new).pop().expect("a member");
    rename(&mut loser.client(), new, &host, "another");
    assert_eq!(await_event(narrow, "peer.updated", new)["peer"]["name"], "another");
}

#[test]
fn a_party_that_ended_meanwhile_ends_here_and_guests_bring_nothing_back() {
    let mut world = World::new();
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    let server = world.lose_server();
    assert_eq!(leave(&mut world.a.client(), "p", "ann"), "party_deleted");
    let mut b = world.b.client();
    subscribe(&mut b);
    join(&mut b, "p", "bea");
    world.find_server(server);
    await_event(&mut b, "party.removed", "p");
    assert_eq!((members(&world.a, "p"), members(&world.b, "p")), (vec![], vec![]));
}

#[test]
fn a_host_registers_anew_what_the_server_forgot() {
    // The server takes a daemon that is away for gone at once.
    let hasty = "[cleanup]\npeer_timeout = '1ms'\ninterval = '20ms'\nstartup_grace = '1ms'\n";
    let mut world = World::with(crate::harness::FAST_REMOTE, hasty);
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    let (setup, _) = world.server.take().expect("a server").stop();
    world.a.await_state("fallback");
    world.b.await_state("fallback");
    world.find_server(setup);
    eventually("the host's party", || {
        members(&world.a, "p").contains(&"ann".to_owned()).then_some(())
    });
}

#[test]
fn a_server_that_lost_its_state_gets_all_of_it_again() {
    let mut world = World::new();
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    register(&mut world.b.client(), "q", "bea");
    for _ in 0..3 {
        let server = world.lose_server();
        world.find_server(server.wiped());
        for daemon in [&world.a, &world.b] {
            await_members(daemon, "p", &["ann", "bob"]);
        }
        await_members(&world.b, "q", &["bea"]);
    }
}

#[test]
fn who_left_and_joined_anew_is_in() {
    let mut world = World::new();
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    join(&mut world.b.client(), "p", "bea");
    let server = world.lose_server();
    let mut b = world.b.client();
    leave(&mut b, "p", "bob");
    leave(&mut b, "p", "bea");
    join(&mut b, "p", "bob");
    world.find_server(server);
    for daemon in [&world.a, &world.b] {
        await_members(daemon, "p", &["ann", "bob"]);
    }
}

#[test]
fn of_two_with_one_address_the_server_decides() {
    let mut world = World::new();
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    let server = world.lose_server();
    let (mut a, mut b) = (world.a.client(), world.b.client());
    // Neither knows of the other.
    let mine = join(&mut a, "p", "amy")["peers"]["amy"]["virtual_ip"].clone();
    let yours = join(&mut b, "p", "bea")["peers"]["bea"]["virtual_ip"].clone();
    assert_eq!(mine, yours);
    world.find_server(server);
    for daemon in [&world.a, &world.b] {
        await_members(daemon, "p", &["amy", "ann", "bea", "bob"]);
    }
    let (of_a, of_b) = (world.a.client().party("p"), world.b.client().party("p"));
    let address = |party: &serde_json::Value, id: &str| party["peers"][id]["virtual_ip"].clone();
    for id in ["amy", "ann", "bea", "bob"] {
        assert_eq!(address(&of_a, id), address(&of_b, id));
    }
    assert_ne!(address(&of_a, "amy"), address(&of_a, "bea"));
}
