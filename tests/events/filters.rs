//! Filters of subscriptions.

use serde_json::{Value, json};

use crate::harness::{Client, Setup, keys, mark, peer};

/// Something of every kind that a daemon tells, and the topic it belongs to.
const HISTORY: [(&str, &str); 7] = [
    ("party.registered", "party"),
    ("peer.joined", "peer"),
    ("peer.updated", "peer"),
    ("signal.received", "signal"),
    ("relay.updated", "relay"),
    ("peer.left", "peer"),
    ("party.removed", "party"),
];

fn live(client: &mut Client, party: &str) {
    client.register(party, "ann");
    client.join(party, "bob");
    let mut moved = peer("bob");
    moved["public_port"] = json!(1);
    client.call("peer.update", json!({"party_id": party, "peer": moved}));
    let signal =
        json!({"party_id": party, "from_peer_id": "ann", "to_peer_id": "bob", "signal_data": 1});
    client.call("signal.send", signal);
    mark(client, party);
    client.call("party.leave", json!({"party_id": party, "peer_id": "bob"}));
    client.call("party.leave", json!({"party_id": party, "peer_id": "ann"}));
}

/// The kinds and data of so many events of a subscription.
fn hear(client: &mut Client, subscription: &Value, count: usize) -> Vec<(String, Value)> {
    (1..=count)
        .map(|seq| {
            let mut params = client.notification()["params"].take();
            assert_eq!(params["subscription"], *subscription);
            assert_eq!(params["seq"], seq);
            (params["kind"].as_str().expect("a kind").to_owned(), params["data"].take())
        })
        .collect()
}

#[test]
fn events_subscribe_filters_by_topic() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let choices =
        [vec!["party"], vec!["peer"], vec!["signal"], vec!["relay"], vec!["connection"], vec![]];
    let both = vec!["peer", "signal"];
    let mut watchers: Vec<_> = choices
        .into_iter()
        .chain([both])
        .map(|topics| {
            let mut watcher = daemon.client();
            let params = json!({"topics": topics, "snapshot": false});
            let subscription = watcher.call("events.subscribe", params)["subscription"].take();
            (topics, watcher, subscription)
        })
        .collect();
    live(&mut client, "p");
    for (topics, watcher, subscription) in &mut watchers {
        let mut expected: Vec<_> =
            HISTORY.into_iter().filter(|(_, topic)| topics.contains(topic)).collect();
        // The host's own leaving is told as well.
        if topics.contains(&"peer") {
            expected.push(("peer.left", "peer"));
        }
        let heard = hear(watcher, subscription, expected.len());
        let heard: Vec<_> = heard.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(heard, expected.iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
        // Nothing else has come by the time of an answer.
        let id = watcher.send("ping", json!({}));
        assert_eq!(watcher.line().expect("a reply")["id"], id);
    }
}

#[test]
fn events_subscribe_filters_by_party() {
    let daemon = Setup::new().start();
    let (mut client, mut watcher) = (daemon.client(), daemon.client());
    client.register("q", "zoe");
    client.join("q", "bob");
    let params = json!({"party_id": "q"});
    let mut subscribed = watcher.call("events.subscribe", params);
    let snapshot = subscribed["snapshot"].take();
    let parties = snapshot["parties"].as_array().expect("parties");
    assert_eq!((parties.len(), &parties[0]["party_id"]), (1, &json!("q")));
    live(&mut client, "p");
    client.call("party.leave", json!({"party_id": "q", "peer_id": "bob"}));
    client.call("party.leave", json!({"party_id": "q", "peer_id": "zoe"}));
    // What concerns no party at all is heard too, and the same party when it comes again.
    client.register("q", "eve");
    let heard = hear(&mut watcher, &subscribed["subscription"], 5);
    let kinds: Vec<_> = heard.iter().map(|(kind, _)| kind.as_str()).collect();
    let expected = ["relay.updated", "peer.left", "peer.left", "party.removed", "party.registered"];
    assert_eq!(kinds, expected);
    assert_eq!((&heard[1].1["peer_id"], &heard[2].1["peer_id"]), (&json!("bob"), &json!("zoe")));
    assert_eq!(heard[4].1["party"]["host_id"], "eve");
}

#[test]
fn snapshot_holds_the_subscribed_topics_and_party_only() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    client.register("q", "ann");
    mark(&mut client, "r");
    for (params, expected, parties) in [
        (json!({}), vec!["connection", "parties", "relays"], 2),
        (json!({"topics": ["party"]}), vec!["parties"], 2),
        (json!({"topics": ["peer"]}), vec!["parties"], 2),
        (json!({"topics": ["peer"], "party_id": "q"}), vec!["parties"], 1),
        (json!({"topics": ["relay", "connection"]}), vec!["connection", "relays"], 0),
        (json!({"topics": ["signal"], "party_id": "q"}), vec![], 0),
        (json!({"topics": []}), vec![], 0),
    ] {
        let snapshot = client.call("events.subscribe", params)["snapshot"].take();
        assert_eq!(keys(&snapshot), expected);
        assert_eq!(snapshot["parties"].as_array().map_or(0, Vec::len), parties);
    }
}

#[test]
fn events_unsubscribe_ends_the_events() {
    let daemon = Setup::new().start();
    let (mut client, mut watcher) = (daemon.client(), daemon.client());
    let begin = |watcher: &mut Client| {
        watcher.call("events.subscribe", json!({"snapshot": false}))["subscription"].take()
    };
    let (ended, kept) = (begin(&mut watcher), begin(&mut watcher));
    let end = json!({"subscription": ended});
    // Another connection has none of that name.
    assert_eq!(client.invalid("events.unsubscribe", end.clone()), "subscription");
    mark(&mut client, "one");
    for _ in 0..2 {
        watcher.notification();
    }
    watcher.call("events.unsubscribe", end.clone());
    mark(&mut client, "two");
    let mut told = watcher.notification()["params"].take();
    assert_eq!((&told["subscription"], &told["seq"]), (&kept, &json!(2)));
    assert_eq!(watcher.invalid("events.unsubscribe", end), "subscription");
    // A name is never used again.
    let again = begin(&mut watcher);
    assert!(again != ended && again != kept);
    mark(&mut client, "three");
    for (subscription, seq) in [(&kept, 3), (&again, 1)] {
        told = watcher.notification()["params"].take();
        assert_eq!((&told["subscription"], &told["seq"]), (subscription, &json!(seq)));
    }
}
