//! A snapshot and the events after it add up to the state.

use serde_json::{Value, json};

use crate::harness::{Client, Copy, Daemon, Random, Setup, await_clients, mark, peer};

/// Does one thing at random; some of it is refused.
fn act(daemon: &Daemon, clients: &mut [Client], random: &mut Random) {
    let parties = ["p", "q", "r"];
    let peers = ["ann", "bob", "carl", "dora"];
    let (party, id) = (*random.of(&parties), *random.of(&peers));
    let index = random.below(clients.len());
    let member = json!({"party_id": party, "peer_id": id});
    let keepalive = *random.of(&["connection", "daemon", "manual"]);
    let mut changed = peer(id);
    changed["public_port"] = json!(random.below(4));
    let (method, params) = match random.below(16) {
        0 | 1 => {
            let host = changed;
            let params = json!({
                "party_id": party, "name": "Quake", "host": host, "keepalive": keepalive,
            });
            ("party.register", params)
        }
        2..=5 => {
            ("party.join", json!({"party_id": party, "peer": changed, "keepalive": keepalive}))
        }
        6 | 7 => ("party.leave", member),
        8..=10 => ("peer.update", json!({"party_id": party, "peer": changed})),
        11 => ("peer.heartbeat", member),
        12 => {
            let params = json!({
                "relay_id": id, "public_ip": "::1", "port": random.below(3),
            });
            ("relay.register", params)
        }
        13 => {
            let mode = *random.of(&["merge", "merge", "replace"]);
            let state = clients[index].call("state.export", json!({"format": "lanrage"}));
            ("state.import", json!({"state": state["state"], "mode": mode}))
        }
        14 => {
            let signal = json!({
                "party_id": party, "from_peer_id": id, "to_peer_id": "ann", "signal_data": 1,
            });
            ("signal.send", signal)
        }
        _ => {
            clients[index] = daemon.client();
            return;
        }
    };
    let id = clients[index].send(method, params);
    clients[index].reply(id);
}

#[test]
fn view_kept_by_events_equals_the_state() {
    for seed in 0..4 {
        eprintln!("seed {seed}");
        let daemon = Setup::new().start();
        let mut random = Random(seed);
        let mut clients: Vec<_> = (0..3).map(|_| daemon.client()).collect();
        let mut watchers: Vec<(Client, Copy)> = Vec::new();
        for round in 0..4 {
            let mut watcher = daemon.client();
            let copy = Copy::begin(&mut watcher, json!({}));
            watchers.push((watcher, copy));
            for _ in 0..40 {
                act(&daemon, &mut clients, &mut random);
            }
            // What a closed connection leaves behind is told before it is counted out.
            let open = clients.len() + watchers.len();
            await_clients(&mut clients[0], open as u64);
            let marker = format!("round{round}");
            mark(&mut clients[0], &marker);
            for (watcher, copy) in &mut watchers {
                copy.read_to(watcher, &marker);
                copy.assert_true(&mut clients[0], None);
                assert_eq!(copy.resets, 0);
            }
        }
    }
}

#[test]
fn subscriptions_count_their_events_separately() {
    let daemon = Setup::new().start();
    let (mut client, mut other) = (daemon.client(), daemon.client());
    let mut all = Copy::begin(&mut client, json!({}));
    mark(&mut other, "one");
    let mut relays = Copy::begin(&mut client, json!({"topics": ["relay"]}));
    let mut elsewhere = Copy::begin(&mut other, json!({"snapshot": false}));
    other.register("p", "ann");
    mark(&mut other, "two");
    assert_ne!(all.subscription, relays.subscription);
    let mut kinds = (Vec::new(), Vec::new(), Vec::new());
    while kinds.0.len() + kinds.1.len() < 4 {
        let notification = client.notification();
        kinds.0.extend(all.take(&notification));
        kinds.1.extend(relays.take(&notification));
    }
    while kinds.2.len() < 2 {
        kinds.2.extend(elsewhere.take(&other.notification()));
    }
    assert_eq!(kinds.0, ["relay.updated", "party.registered", "relay.updated"]);
    assert_eq!(kinds.1, ["relay.updated"]);
    assert_eq!(kinds.2, ["party.registered", "relay.updated"]);
}

#[test]
fn events_follow_the_reply_that_names_their_subscription() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let mut before = Copy::begin(&mut client, json!({}));
    let relay = |id: &str| json!({"relay_id": id, "public_ip": "::1", "port": 1});
    let requests = [
        (101, "relay.register", relay("a")),
        (102, "events.subscribe", json!({})),
        (103, "relay.register", relay("b")),
    ];
    // The last two wait for the first one's commit, and are released together.
    let lines = requests.map(|(id, method, params)| {
        format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    });
    client.send_raw(lines.concat().as_bytes());
    let came: Vec<Value> = (0..6).map(|_| client.line().expect("a line")).collect();
    let place = |wanted: &dyn Fn(&Value) -> bool| came.iter().position(wanted).expect("it came");
    let subscribed = place(&|line| line["id"] == 102);
    let event = place(&|line| line["params"]["subscription"] == "s2");
    assert!(subscribed < event, "{came:?}");
    // What was done before is in the snapshot, what was done after is an event.
    let known = came[subscribed]["result"]["snapshot"]["relays"].as_array().expect("relays");
    assert_eq!((known.len(), &known[0]["relay_id"]), (1, &json!("a")));
    assert_eq!(came[event]["params"]["data"]["relay"]["relay_id"], "b");
    let told = came.iter().filter_map(|line| before.take(line)).count();
    assert_eq!(told, 2);
}

#[test]
fn heartbeats_and_updates_without_news_make_no_event() {
    let daemon = Setup::new().start();
    let (mut client, mut watcher) = (daemon.client(), daemon.client());
    client.register("p", "ann");
    mark(&mut client, "r");
    let mut copy = Copy::begin(&mut watcher, json!({}));
    let ann = json!({"party_id": "p", "peer_id": "ann"});
    client.call("peer.heartbeat", ann.clone());
    client.call("peer.update", json!({"party_id": "p", "peer": peer("ann")}));
    client.join("p", "ann");
    mark(&mut client, "r");
    client.call("signal.poll", ann);
    client.call("party.get", json!({"party_id": "p"}));
    client.refused("party.leave", json!({"party_id": "p", "peer_id": "bob"}));
    client.call("state.import", json!({"state": {"parties": {}}, "mode": "merge"}));
    mark(&mut client, "end");
    let notification = watcher.notification();
    assert_eq!(notification["params"]["data"]["relay"]["relay_id"], "end", "{notification}");
    copy.take(&notification);
    copy.assert_true(&mut client, None);
}
