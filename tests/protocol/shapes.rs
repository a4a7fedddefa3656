//! Keys of each method's result.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Client, Setup, keys, peer};

const PARTY: [&str; 9] =
    ["created_at", "epoch", "host_id", "name", "origin", "party_id", "peers", "seq", "sync"];
const PEER: [&str; 11] = [
    "connected",
    "last_seen",
    "local_ip",
    "local_port",
    "name",
    "nat_type",
    "peer_id",
    "public_ip",
    "public_key",
    "public_port",
    "virtual_ip",
];
const CONNECTION: [&str; 6] =
    ["attempt", "last_error", "retry_in_ms", "server_url", "since", "state"];

fn assert_time(value: &Value) {
    let text = value.as_str().expect("a time");
    assert!(text.ends_with('Z') && text.parse::<Timestamp>().is_ok(), "{text:?} is RFC 3339, UTC");
}

fn assert_peer(value: &Value, said: &Value, virtual_ip: &str) {
    assert_eq!(keys(value), PEER);
    for (key, said) in said.as_object().expect("an object") {
        assert_eq!(&value[key], said, "{key}");
    }
    assert_eq!((&value["virtual_ip"], &value["connected"]), (&json!(virtual_ip), &json!(true)));
    assert_time(&value["last_seen"]);
}

fn assert_party(value: &Value, seq: u64, members: &[&str]) {
    assert_eq!(keys(value), PARTY);
    let expected = json!({
        "party_id": "p", "name": "Quake", "host_id": "ann", "origin": "local", "sync": "synced",
        "seq": seq,
    });
    for (key, expected) in expected.as_object().expect("an object") {
        assert_eq!(&value[key], expected, "{key}");
    }
    assert_time(&value["created_at"]);
    assert!(value["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()));
    assert_eq!(keys(&value["peers"]), members);
    for (member, address) in members.iter().zip(["10.66.0.1", "10.66.0.2"]) {
        assert_peer(&value["peers"][member], &peer(member), address);
    }
}

/// Calls a method whose result has one key, and returns that value.
fn only(client: &mut Client, method: &str, params: Value, key: &str) -> Value {
    let mut result = client.call(method, params);
    assert_eq!(keys(&result), [key], "{method}");
    result[key].take()
}

#[test]
fn results_about_parties_have_their_exact_keys() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let params = json!({"party_id": "p", "name": "Quake", "host": peer("ann")});
    assert_party(&only(&mut client, "party.register", params, "party"), 1, &["ann"]);
    let params = json!({"party_id": "p", "peer": peer("bob")});
    assert_party(&only(&mut client, "party.join", params, "party"), 2, &["ann", "bob"]);
    let params = json!({"party_id": "p"});
    assert_party(&only(&mut client, "party.get", params.clone(), "party"), 2, &["ann", "bob"]);
    let listed = only(&mut client, "party.list", json!({}), "parties");
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_party(&listed[0], 2, &["ann", "bob"]);
    let peers = only(&mut client, "peer.list", params, "peers");
    assert_eq!(keys(&peers), ["ann", "bob"]);
    assert_peer(&peers["bob"], &peer("bob"), "10.66.0.2");
    let bob = json!({"party_id": "p", "peer_id": "bob"});
    let found = only(&mut client, "peer.discover", bob.clone(), "peer");
    assert_peer(&found, &peer("bob"), "10.66.0.2");

    let mut moved = peer("bob");
    moved["name"] = json!("Zoë 🎲");
    moved["nat_type"] = json!("unknown");
    moved["public_ip"] = json!("unknown");
    moved["public_port"] = json!(0);
    moved["local_ip"] = json!("fe80::1");
    moved["local_port"] = json!(65535);
    let params = json!({"party_id": "p", "peer": moved});
    let updated = only(&mut client, "peer.update", params, "peer");
    assert_peer(&updated, &moved, "10.66.0.2");
    assert_eq!(client.party("p")["seq"], 3);

    assert_eq!(client.call("peer.heartbeat", bob.clone()), json!({"expires_in_ms": 300_000}));
    assert_eq!(client.party("p")["seq"], 3);
    assert_eq!(client.call("party.leave", bob), json!({"status": "left"}));
    let ann = json!({"party_id": "p", "peer_id": "ann"});
    assert_eq!(client.call("party.leave", ann), json!({"status": "party_deleted"}));
    assert_eq!(client.call("party.list", json!({})), json!({"parties": []}));
}

#[test]
fn results_about_relays_have_their_exact_keys() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let given = json!({
        "relay_id": "r", "public_ip": "2001:db8::1", "port": 3478, "region": "eu", "capacity": 7,
    });
    let mut relay = only(&mut client, "relay.register", given.clone(), "relay");
    let all = only(&mut client, "relay.list", json!({}), "relays");
    assert_eq!(all, json!([relay]));
    assert_time(&relay["registered_at"]);
    relay.as_object_mut().expect("an object").remove("registered_at");
    assert_eq!(relay, given);

    let given = json!({"relay_id": "s", "public_ip": "192.0.2.1", "port": 0});
    let relay = only(&mut client, "relay.register", given, "relay");
    assert_eq!((&relay["region"], &relay["capacity"]), (&json!("unknown"), &json!(100)));
}

#[test]
fn results_about_the_daemon_have_their_exact_keys() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let agent = json!({"name": "a game", "version": "1.0"});
    let hello = client.call("hello", json!({"client": agent, "features": ["x"]}));
    assert_eq!(keys(&hello), ["epoch", "features", "limits", "protocol", "role", "server"]);
    assert_eq!(keys(&hello["server"]), ["name", "version"]);
    assert_eq!(hello["server"]["name"], "lanragectl-d");
    assert_eq!((&hello["role"], &hello["features"]), (&json!("admin"), &json!([])));
    assert_eq!(
        hello["limits"],
        json!({
            "frame_in": 262_144, "frame_out": 1_048_576, "signal_bytes": 65_536,
            "signals_per_peer": 256, "signal_ttl_ms": 300_000, "requests_in_flight": 32,
            "connections": 256, "connections_per_uid": 64, "queue_events": 256,
            "queue_bytes": 1_048_576, "partial_frame_ms": 10_000, "request_timeout_ms": 10_000,
            "parties_per_peer": 64, "peers_per_party": 64,
        })
    );

    client.register("p", "ann");
    client.join("p", "bob");
    let _other = daemon.client().call("ping", json!({}));
    let status = client.call("status.get", json!({}));
    let expected =
        ["clients", "connection", "mode", "parties", "peers", "store", "uptime_ms", "version"];
    assert_eq!(keys(&status), expected);
    assert_eq!(
        (&status["mode"], &status["version"]),
        (&json!("local"), &hello["server"]["version"])
    );
    assert_eq!((&status["parties"], &status["peers"]), (&json!(1), &json!(2)));
    assert!(status["uptime_ms"].is_u64() && status["clients"].is_u64());
    let expected = ["last_commit_ms", "last_error", "path", "pending", "recovery"];
    assert_eq!(keys(&status["store"]), expected);
    assert_eq!(
        (&status["store"]["pending"], &status["store"]["last_error"]),
        (&json!(0), &json!(null))
    );
    assert!(status["store"]["last_commit_ms"].is_u64());

    let connection = client.call("connection.get", json!({}));
    assert_eq!(connection, status["connection"]);
    assert_eq!(keys(&connection), CONNECTION);
    assert_time(&connection["since"]);
    assert_eq!((&connection["state"], &connection["server_url"]), (&json!("local"), &json!(null)));
    assert_eq!(party_epoch(&mut client), hello["epoch"]);
}

fn party_epoch(client: &mut Client) -> Value {
    client.party("p")["epoch"].take()
}

#[test]
fn results_about_subscriptions_have_their_exact_keys() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let subscribed = client.call("events.subscribe", json!({}));
    assert_eq!(keys(&subscribed), ["seq", "snapshot", "subscription"]);
    assert_eq!(subscribed["seq"], 0);
    let snapshot = &subscribed["snapshot"];
    assert_eq!(keys(snapshot), ["connection", "parties", "relays"]);
    assert_party(&snapshot["parties"][0], 1, &["ann"]);
    assert_eq!(keys(&snapshot["connection"]), CONNECTION);
    let bare = client.call("events.subscribe", json!({"snapshot": false}));
    assert_eq!(keys(&bare), ["seq", "subscription"]);
    assert_ne!(bare["subscription"], subscribed["subscription"]);
    let ended = json!({"subscription": bare["subscription"]});
    assert_eq!(client.call("events.unsubscribe", ended.clone()), json!({}));
    assert_eq!(client.invalid("events.unsubscribe", ended), "subscription");
}

#[test]
fn events_have_their_exact_keys() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.call("events.subscribe", json!({}));
    client.register("p", "ann");
    client.join("p", "bob");
    client.call("peer.update", json!({"party_id": "p", "peer": peer("ann")}));
    let mut moved = peer("ann");
    moved["public_port"] = json!(1);
    client.call("peer.update", json!({"party_id": "p", "peer": moved}));
    let signal =
        json!({"party_id": "p", "from_peer_id": "ann", "to_peer_id": "bob", "signal_data": 1});
    client.call("signal.send", signal);
    client.call("relay.register", json!({"relay_id": "r", "public_ip": "::1", "port": 1}));
    client.call("party.leave", json!({"party_id": "p", "peer_id": "ann"}));

    let mut told = (1..).map(|seq| {
        let mut line = client.notification();
        assert_eq!(keys(&line), ["jsonrpc", "method", "params"]);
        assert_eq!((&line["jsonrpc"], &line["method"]), (&json!("2.0"), &json!("event")));
        let params = &mut line["params"];
        assert_eq!(keys(params), ["data", "kind", "seq", "subscription"]);
        assert_eq!((&params["subscription"], &params["seq"]), (&json!("s1"), &json!(seq)));
        (params["kind"].as_str().expect("a kind").to_owned(), params["data"].take())
    });
    let mut next = |kind: &str, expected: &[&str]| {
        let (found, data) = told.next().expect("an event");
        assert_eq!((found.as_str(), keys(&data)), (kind, expected.to_vec()));
        data
    };
    let registered = next("party.registered", &["epoch", "party", "seq"]);
    assert_party(&registered["party"], 1, &["ann"]);
    assert_eq!(
        (&registered["seq"], &registered["epoch"]),
        (&json!(1), &registered["party"]["epoch"])
    );
    let joined = next("peer.joined", &["epoch", "party_id", "peer", "seq"]);
    assert_peer(&joined["peer"], &peer("bob"), "10.66.0.2");
    assert_eq!((&joined["seq"], &joined["epoch"]), (&json!(2), &registered["epoch"]));
    let updated = next("peer.updated", &["epoch", "party_id", "peer", "seq"]);
    assert_peer(&updated["peer"], &moved, "10.66.0.1");
    let noticed = next("signal.received", &["from_peer_id", "party_id", "to_peer_id"]);
    assert_eq!(noticed, json!({"party_id": "p", "from_peer_id": "ann", "to_peer_id": "bob"}));
    let relay = next("relay.updated", &["relay"]);
    assert_eq!(relay["relay"]["relay_id"], "r");
    let left = ["epoch", "party_id", "peer_id", "reason", "seq"];
    assert_eq!(next("peer.left", &left)["seq"], 4);
    assert_eq!(next("peer.left", &left)["reason"], "host_left");
    let removed = next("party.removed", &["epoch", "party_id", "reason", "seq"]);
    assert_eq!((&removed["seq"], &removed["reason"]), (&json!(6), &json!("host_left")));
}
