//! From local to remote mode and back, and from server to server, at run time.

use serde_json::{Value, json};

use super::{
    Watcher, agree, await_synced, daemon, follower, join, members, names, party, register,
    registration, server, server_on, url,
};
use crate::harness::{Daemon, FAST_REMOTE, Port, Setup, assert_error, fast_remote};

fn set(daemon: &Daemon, server_url: Option<&str>) -> Value {
    let mut connection = daemon.client().call("connection.set", json!({"server_url": server_url}));
    let known = daemon.client().call("connection.get", json!({}))["server_url"].take();
    assert_eq!(connection["server_url"], json!(server_url));
    assert_eq!(known, json!(server_url));
    connection["state"].take()
}

fn local() -> Daemon {
    Setup::new().config(FAST_REMOTE).start()
}

/// Registers a party here alone.
fn register_here(daemon: &Daemon, party_id: &str, host: &str) {
    // There is no server that could be told later.
    register(daemon, party_id, host, "synced");
    assert_eq!(party(daemon, party_id)["origin"], "local");
}

#[test]
fn connection_set_carries_hosted_parties_to_the_server() {
    let (server, here) = (server(), local());
    register_here(&here, "p", "ann");
    join(&here, "p", "bob", "synced");
    let mut watcher = Watcher::of(&here);
    set(&here, Some(&url(&server)));
    let carried = |data: &Value| {
        let party = &data["party"];
        party["origin"] == "remote" && party["sync"] == "synced"
    };
    let told = watcher.until("party.updated", carried);
    assert_eq!(told["party"]["party_id"], "p");
    here.await_state("online");
    let there = follower(&server);
    join(&there, "p", "cleo", "synced");
    agree(&[&server, &here, &there], "p", &["ann", "bob", "cleo"]);
    // It stays so, though nothing but this says it.
    let here = here.kill().start();
    here.await_state("online");
    assert_eq!(here.client().call("status.get", json!({}))["mode"], "remote");
    agree(&[&server, &here], "p", &["ann", "bob", "cleo"]);
}

#[test]
fn connection_set_to_local_leaves_and_keeps_copies() {
    let server = server();
    let (here, there) = (follower(&server), follower(&server));
    register(&there, "p", "ann", "synced");
    join(&here, "p", "bob", "synced");
    register(&here, "q", "bob", "synced");
    join(&there, "q", "ann", "synced");
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
    agree(&[&server, &here, &there], "q", &["ann", "bob"]);
    let mut watcher = Watcher::of(&there);
    assert_eq!(set(&here, None), "local");
    // The server has been told before it was answered.
    assert_eq!(members(&server, "p"), ["ann"]);
    assert_eq!(party(&server, "q"), Value::Null);
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let (kind, data) = watcher.client.event();
        let is_end = kind == "party.removed" && data["party_id"] == "q";
        if is_end || (kind == "peer.left" && data["party_id"] == "p") {
            gone.push(data["reason"].clone());
        }
    }
    gone.sort_by_key(Value::to_string);
    assert_eq!(gone, ["host_left", "left"]);
    for id in ["p", "q"] {
        let copy = party(&here, id);
        assert_eq!((&copy["origin"], &copy["sync"]), (&json!("local"), &json!("synced")), "{copy}");
        let peers: Vec<_> = copy["peers"].as_object().expect("peers").keys().collect();
        assert_eq!(peers, ["ann", "bob"], "{id}");
    }
    // Though the command line still says otherwise.
    let here = here.kill().start();
    let status = here.client().call("status.get", json!({}));
    assert_eq!(
        (&status["mode"], &status["connection"]["state"]),
        (&json!("local"), &json!("local"))
    );
    assert_eq!(members(&here, "q"), ["ann", "bob"]);
}

#[test]
fn server_flag_that_changed_outweighs_connection_set() {
    let (old, new) = (server(), server());
    let here = follower(&old);
    set(&here, None);
    let mut setup = here.kill();
    let at = setup.args.iter().position(|arg| *arg == url(&old)).expect("the server's address");
    setup.args[at] = url(&new);
    let here = setup.start();
    assert_eq!(here.await_state("online")["server_url"], url(&new));
    // Chosen anew, it counts again.
    set(&here, Some(&url(&old)));
    let here = here.kill().start();
    assert_eq!(here.await_state("online")["server_url"], url(&old));
}

#[test]
fn connection_set_to_an_invalid_url_is_refused() {
    let server = server();
    let here = follower(&server);
    let mut client = here.client();
    for (bad, why) in [
        ("lan.example.org", "http://"),
        ("ftp://lan.example.org", "http://"),
        ("ws://lan.example.org", "http://"),
        ("http://", "as in https://"),
        ("http:///p", "as in https://"),
        ("http://lan.example.org:0", "a port from 1 to 65535"),
        ("http://..", "a DNS name or an IP address"),
        ("http://lan.example.org\n", "no spaces and no line breaks"),
        ("", "http://"),
        ("http://ann:hunter2@lan.example.org", "password"),
        ("http://ann@lan.example.org", "password"),
        ("http://lan.example.org/?a=1", "after ?"),
        ("http://lan.example.org/#a", "after ?"),
        ("http://lan.example.org:99999", "URL"),
    ] {
        let params = json!({"server_url": bad});
        assert_eq!(client.invalid("connection.set", params.clone()), "server_url", "{bad}");
        let message = client.error("connection.set", params)["message"].to_string();
        assert!(message.contains(why), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    let long = format!("http://{}", "a".repeat(2048));
    for bad in [json!({}), json!({"server_url": 1}), json!({"server_url": long})] {
        assert_eq!(client.invalid("connection.set", bad), "server_url");
    }
    assert_eq!(client.call("connection.get", json!({}))["state"], "online");
}

#[test]
fn connection_set_moves_parties_from_server_to_server() {
    let (old, new) = (server(), server());
    let patient = fast_remote([("connect_timeout", "'20s'")]);
    let here = Setup::new().config(&patient).server_url(&url(&old)).start();
    here.await_state("online");
    let there = follower(&old);
    register(&here, "p", "ann", "synced");
    join(&there, "p", "bob", "synced");
    register(&there, "q", "bob", "synced");
    join(&here, "q", "ann", "synced");
    agree(&[&old, &here, &there], "q", &["ann", "bob"]);
    agree(&[&old, &here, &there], "p", &["ann", "bob"]);
    let mut watcher = Watcher::of(&here);
    set(&here, Some(&url(&new)));
    assert_eq!(party(&old, "p"), Value::Null);
    assert_eq!(members(&old, "q"), ["bob"]);
    let states = watcher.states_to("online");
    assert_eq!(names(&states), ["connecting", "online"]);
    assert!(states.iter().all(|state| state["server_url"] == url(&new)), "{states:?}");
    // Its own party is there, with those who live here; the other waits for its host.
    await_synced(&here, "p");
    agree(&[&new, &here], "p", &["ann"]);
    assert_eq!(party(&new, "q"), Value::Null);
    assert_eq!(party(&here, "q")["sync"], "pending");
    // The other machine comes after.
    set(&there, Some(&url(&new)));
    there.await_state("online");
    join(&there, "p", "bob", "synced");
    agree(&[&new, &here, &there], "p", &["ann", "bob"]);
    agree(&[&new, &here, &there], "q", &["ann", "bob"]);
    // And back again: by what they showed the old one before.
    set(&here, Some(&url(&old)));
    here.await_state("online");
    await_synced(&here, "p");
    agree(&[&old, &here], "p", &["ann"]);
}

#[test]
fn connection_set_to_a_server_that_is_away_can_be_undone() {
    let port = Port::reserve();
    let here = local();
    register_here(&here, "p", "ann");
    let away = format!("http://{}", port.address());
    set(&here, Some(&away));
    here.await_state("fallback");
    assert_eq!(party(&here, "p")["sync"], "pending");
    join(&here, "p", "bob", "pending");
    assert_eq!(set(&here, None), "local");
    let copy = party(&here, "p");
    assert_eq!((&copy["sync"], &copy["origin"]), (&json!("synced"), &json!("local")));
    set(&here, Some(&away));
    let here = here.kill().start();
    assert_eq!(party(&here, "p")["sync"], "pending");
    let server = server_on(&port);
    here.await_state("online");
    await_synced(&here, "p");
    assert_eq!(members(&server, "p")[..1], ["ann"]);
}

#[test]
fn connection_set_to_the_same_server_changes_nothing() {
    let server = server();
    let here = follower(&server);
    register(&here, "p", "ann", "synced");
    let seq = party(&here, "p")["seq"].clone();
    let again = json!({"server_url": format!("{}/", url(&server))});
    let connection = here.client().call("connection.set", again);
    assert_eq!(
        (&connection["state"], &connection["server_url"]),
        (&json!("online"), &json!(url(&server)))
    );
    assert_eq!(party(&here, "p")["seq"], seq);
}

#[test]
fn connection_set_leaves_a_server_that_is_lost() {
    let port = Port::reserve();
    let old = server_on(&port);
    let here = daemon(&url(&old));
    here.await_state("online");
    register(&here, "p", "ann", "synced");
    let _setup = old.kill();
    here.await_state("fallback");
    let new = server();
    let client = &mut here.client();
    assert_error(&client.error("connection.set", json!({"server_url": "x"})), "invalid_params");
    set(&here, Some(&url(&new)));
    here.await_state("online");
    await_synced(&here, "p");
    agree(&[&new, &here], "p", &["ann"]);
}

#[test]
fn connection_set_during_a_migration_leaves_no_party_behind() {
    // The server may take its time over what is called off.
    let patient = Setup::new().config("[remote]\nrequest_timeout = '60s'\n");
    let (server, here) = (server(), patient.start());
    let mut client = here.client();
    // More than go to the server at once.
    for host in ["ann", "bob", "cleo"] {
        for number in 0..60 {
            client.call("party.register", registration(&format!("{host}-{number}"), host));
        }
    }
    let there = |server: &Daemon| server.client().call("status.get", json!({}))["parties"].take();
    set(&here, Some(&url(&server)));
    while there(&server) == 0 {
        std::thread::yield_now();
    }
    set(&here, None);
    assert_eq!(there(&server), 0);
    assert_eq!(there(&here), 180);
}

#[test]
fn connection_set_again_and_again_keeps_the_ids() {
    let (one, other, here) = (server(), server(), local());
    let urls = [json!(url(&one)), json!(null), json!(url(&other)), json!(null), json!(url(&one))];
    std::thread::scope(|scope| {
        let switching = scope.spawn(|| {
            let mut client = here.client();
            for number in 0..300 {
                let params = json!({"server_url": urls[number % urls.len()]});
                client.call("connection.set", params);
            }
        });
        let mut client = here.client();
        while !switching.is_finished() {
            client.ask("party.register", registration("p", "ann"));
            client.ask("party.leave", json!({"party_id": "p", "peer_id": "ann"}));
        }
    });
    // What was shown to one server is no secret of the other's, and both know whose the id is.
    for server in [&one, &other] {
        set(&here, Some(&url(server)));
        here.await_state("online");
        register(&here, &format!("{}", server.address().port()), "ann", "synced");
    }
}

#[test]
fn connection_set_back_to_a_server_rejoins_foreign_parties() {
    let server = server();
    let (here, there) = (follower(&server), follower(&server));
    register(&there, "p", "ann", "synced");
    join(&here, "p", "bob", "synced");
    set(&here, None);
    assert_eq!(members(&server, "p"), ["ann"]);
    set(&here, Some(&url(&server)));
    here.await_state("online");
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
    // Who left the copy stays away, and comes in by the server alone.
    set(&here, None);
    here.client().call("party.leave", json!({"party_id": "p", "peer_id": "bob"}));
    set(&here, Some(&url(&server)));
    here.await_state("online");
    assert_eq!(members(&server, "p"), ["ann"]);
    join(&here, "p", "bob", "synced");
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
}
