//! From local mode to a server, from one server to another, and back.

use serde_json::{Value, json};

use super::world::{World, await_members, join, members, parties, register};
use crate::harness::{Daemon, FAST_REMOTE, Setup};

fn set(daemon: &Daemon, url: Value) -> Value {
    daemon.client().call("connection.set", json!({"server_url": url}))
}

#[test]
fn local_parties_are_carried_to_a_server_and_back() {
    let world = World::new();
    let c = Setup::new().config(FAST_REMOTE).start();
    register(&mut c.client(), "mine", "carl");
    join(&mut c.client(), "mine", "cora");
    let connection = set(&c, json!(world.url()));
    assert_eq!(connection["server_url"], world.url());
    c.await_state("online");
    let party = c.client().party("mine");
    assert_eq!((&party["origin"], &party["sync"]), (&json!("remote"), &json!("synced")));
    join(&mut world.a.client(), "mine", "ann");
    await_members(&c, "mine", &["ann", "carl", "cora"]);

    // The choice outlives the process, and so do the peers' ids.
    let c = c.kill().start();
    assert_eq!(c.await_state("online")["server_url"], world.url());
    for id in ["carl", "cora"] {
        join(&mut c.client(), "mine", id);
    }
    await_members(&world.a, "mine", &["ann", "carl", "cora"]);

    assert_eq!(set(&c, Value::Null)["state"], "local");
    let party = c.client().party("mine");
    assert_eq!((&party["origin"], &party["sync"]), (&json!("local"), &json!("synced")));
    assert_eq!(members(&c, "mine"), ["ann", "carl", "cora"]);
    assert_eq!(party["peers"]["ann"]["connected"], false, "nothing keeps her alive here");
    await_members(&world.a, "mine", &[]);
    let c = c.stop().0.start();
    assert_eq!(c.client().call("connection.get", json!({}))["state"], "local");
    // Back again, under the same ids.
    join(&mut c.client(), "mine", "carl");
    set(&c, json!(world.url()));
    c.await_state("online");
    join(&mut world.a.client(), "mine", "ann");
    await_members(&c, "mine", &["ann", "carl"]);
}

#[test]
fn a_choice_counts_until_the_configuration_says_something_else() {
    let world = World::new();
    let World { a, .. } = world;
    set(&a, Value::Null);
    let mut setup = a.stop().0;
    let daemon = setup.start();
    assert_eq!(daemon.client().call("connection.get", json!({}))["state"], "local");
    setup = daemon.stop().0;
    let other = Setup::server().start();
    let url = format!("http://{}", other.address());
    setup.args = vec!["--server".into(), url.clone()];
    let daemon = setup.start();
    assert_eq!(daemon.await_state("online")["server_url"], url);
}

#[test]
fn from_one_server_to_another() {
    let world = World::new();
    let other = Setup::server().start();
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    let url = format!("http://{}", other.address());
    set(&world.a, json!(url));
    assert_eq!(world.a.await_state("online")["server_url"], url);
    await_members(&world.b, "p", &[]);
    let party = world.a.client().party("p");
    assert_eq!((&party["origin"], &party["sync"]), (&json!("remote"), &json!("synced")));
    assert!(members(&world.a, "p").contains(&"ann".to_owned()));
}

#[test]
fn a_switch_needs_no_server() {
    let mut world = World::new();
    register(&mut world.a.client(), "p", "ann");
    let server = world.lose_server();
    assert_eq!(set(&world.a, Value::Null)["state"], "local");
    assert_eq!(world.a.client().party("p")["origin"], "local");
    set(&world.a, json!(world.url()));
    assert_eq!(parties(&mut world.a.client())[0]["sync"], "pending");
    world.find_server(server);
    assert_eq!(world.a.client().party("p")["origin"], "remote");
}

#[test]
fn what_is_no_address_changes_nothing() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for url in ["", "lan.example.org", "ws://h", "http://ann:secret@h", "http://h/?a=1", "http://"]
    {
        assert_eq!(client.invalid("connection.set", json!({"server_url": url})), "server_url");
    }
    assert_eq!(client.invalid("connection.set", json!({})), "server_url");
    assert_eq!(client.invalid("connection.set", json!({"server_url": 7})), "server_url");
    assert_eq!(client.call("connection.get", json!({}))["state"], "local");
    assert!(!daemon.setup.log().contains("secret"));
}
