//! Where the server has no WebSocket.

use serde_json::json;

use super::world::{
    World, await_event, await_members, join, leave, members, parties, register, rename, subscribe,
};
use crate::harness::{FAST_REMOTE, eventually};

fn world() -> World {
    World::with(&format!("{FAST_REMOTE}transport = 'http'\npoll = '1s'\n"), "")
}

#[test]
fn a_party_lives_by_looking_for_news() {
    let world = world();
    let (mut a, mut b) = (world.a.client(), world.b.client());
    let party = register(&mut a, "p", "ann");
    let id = party["party_id"].as_str().expect("an id").to_owned();
    assert_ne!(id, "p", "the server chooses");
    assert_eq!(party["peers"]["ann"]["connected"], true);
    assert_eq!(parties(&mut a).len(), 1);
    join(&mut b, &id, "bob");
    await_members(&world.a, &id, &["ann", "bob"]);
    rename(&mut a, &id, "ann", "Anna");
    eventually("the other's new name", || {
        (b.party(&id)["peers"]["ann"]["name"] == "Anna").then_some(())
    });
    let signal = json!({"party_id": id, "from_peer_id": "ann", "to_peer_id": "bob",
        "signal_data": 1});
    assert_eq!(a.refused("signal.send", signal), "server_rejected");
    assert_eq!(leave(&mut b, &id, "bob"), "left");
    await_members(&world.a, &id, &["ann"]);
    join(&mut b, &id, "bob");
    assert_eq!(leave(&mut a, &id, "ann"), "party_deleted");
    await_members(&world.b, &id, &[]);
}

#[test]
fn what_was_registered_alone_gets_the_servers_id() {
    let mut world = world();
    let server = world.lose_server();
    let mut a = world.a.client();
    register(&mut a, "mine", "ann");
    join(&mut a, "mine", "amy");
    subscribe(&mut a);
    world.find_server(server);
    let told = await_event(&mut a, "party.updated", "mine");
    assert_eq!(told["previous_party_id"], "mine");
    let id = told["party"]["party_id"].as_str().expect("an id").to_owned();
    assert_eq!(members(&world.a, &id), ["amy", "ann"]);
    join(&mut world.b.client(), &id, "bob");
    await_members(&world.a, &id, &["amy", "ann", "bob"]);
}
