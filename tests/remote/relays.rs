//! Relays, which all machines know that follow one server.

use serde_json::{Value, json};

use super::{daemon, follower, server, server_on};
use crate::harness::{Client, Daemon, Port, Proxy, assert_error, eventually};

fn relay(id: &str, region: &str) -> Value {
    json!({"relay_id": id, "public_ip": "192.0.2.1", "port": 7, "region": region, "capacity": 5})
}

fn ids(client: &mut Client, params: Value) -> Vec<String> {
    let relays = client.call("relay.list", params)["relays"].take();
    let relays = relays.as_array().expect("relays").iter();
    relays.map(|relay| relay["relay_id"].as_str().expect("an id").to_owned()).collect()
}

#[track_caller]
fn await_ids(daemon: &Daemon, expected: &[&str]) {
    let mut client = daemon.client();
    eventually("those relays", || (ids(&mut client, json!({})) == expected).then_some(()));
}

#[test]
fn relay_register_reaches_all_machines() {
    let server = server();
    let (here, there) = (follower(&server), follower(&server));
    let registered = here.client().call("relay.register", relay("r2", "eu"))["relay"].take();
    assert_eq!((&registered["relay_id"], &registered["capacity"]), (&json!("r2"), &json!(5)));
    // It is on the server when it is answered.
    assert_eq!(ids(&mut server.client(), json!({})), ["r2"]);
    there.client().call("relay.register", relay("r1", "us"));
    for daemon in [&here, &there] {
        // By region, then by id.
        await_ids(daemon, &["r2", "r1"]);
        assert_eq!(ids(&mut daemon.client(), json!({"region": "us"})), ["r1"]);
        assert_eq!(ids(&mut daemon.client(), json!({"region": "asia"})), [""; 0]);
    }
    // Whoever has it may change it, and nobody else.
    let error = there.client().error("relay.register", relay("r2", "us"));
    assert_error(&error, "server_rejected");
    assert!(error["message"].as_str().is_some_and(|why| why.contains("r2")), "{error}");
    here.client().call("relay.register", relay("r2", "us"));
    await_ids(&there, &["r1", "r2"]);
}

/// More than a connection speaks for, and than are greeted on another one.
#[test]
fn relays_of_any_number_use_a_single_connection() {
    const RELAYS: usize = 100;
    let port = Port::reserve();
    let first = server_on(&port);
    let here = follower(&first);
    let mut client = here.client();
    let announce = |client: &mut Client, server: &Daemon| {
        for number in 0..RELAYS {
            client.call("relay.register", relay(&format!("r{number}"), "eu"));
        }
        assert_eq!(ids(&mut server.client(), json!({})).len(), RELAYS);
    };
    let before = client.call("connection.get", json!({}));
    announce(&mut client, &first);
    announce(&mut client, &first);
    assert_eq!(client.call("connection.get", json!({})), before);
    // One that has lost all knows none of the tokens.
    drop(first);
    here.await_state("fallback");
    let second = server_on(&port);
    here.await_state("online");
    announce(&mut client, &second);
}

#[test]
fn relay_register_offline_is_known_here() {
    let port = Port::reserve();
    let here = daemon(&format!("http://{}", port.address()));
    here.await_state("fallback");
    here.client().call("relay.register", relay("r", "eu"));
    assert_eq!(ids(&mut here.client(), json!({})), ["r"]);
    let server = server_on(&port);
    here.await_state("online");
    // It is announced again and again by whoever has it.
    here.client().call("relay.register", relay("r", "eu"));
    assert_eq!(ids(&mut server.client(), json!({})), ["r"]);
}

#[test]
fn relay_list_offline_has_the_last_answer_of_the_server() {
    let server = server();
    let proxy = Proxy::to(server.address());
    let (here, there) = (daemon(&proxy.url()), follower(&server));
    here.await_state("online");
    there.client().call("relay.register", relay("theirs", "eu"));
    await_ids(&here, &["theirs"]);
    proxy.refuse();
    proxy.cut();
    here.await_state("fallback");
    here.client().call("relay.register", relay("ours", "eu"));
    assert_eq!(ids(&mut here.client(), json!({})), ["ours", "theirs"]);
}
