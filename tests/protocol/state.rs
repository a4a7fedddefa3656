//! LANrage's documents, out and in.

use serde_json::{Value, json};

use crate::harness::{Client, Setup, keys, peer};

fn export(client: &mut Client) -> Value {
    let mut result = client.call("state.export", json!({"format": "lanrage"}));
    assert_eq!(keys(&result), ["state"]);
    result["state"].take()
}

fn import(client: &mut Client, state: &Value, mode: &str) -> Value {
    let counts = client.call("state.import", json!({"state": state, "mode": mode}));
    assert_eq!(keys(&counts), ["parties", "peers", "rejected", "removed", "skipped"]);
    counts
}

/// A party as LANrage has it, its first peer the host.
fn lanrage_party(id: &str, peers: &[&str]) -> Value {
    let member = |id: &&str| {
        let mut peer = peer(id);
        peer["last_seen"] = json!("2026-01-02T03:04:05.678901");
        ((*id).to_owned(), peer)
    };
    let peers: serde_json::Map<_, _> = peers.iter().map(member).collect();
    let host = peers.keys().next().expect("a host").clone();
    json!({
        "party_id": id, "name": "Theirs", "host_id": host, "created_at": "2026-01-02T03:04:05",
        "peers": peers,
    })
}

#[test]
fn state_export_is_a_lanrage_document_to_the_key() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let empty = json!({"parties": {}, "my_peer_id": null, "my_party_id": null});
    assert_eq!(export(&mut client), empty);
    client.register("p", "ann");
    client.join("p", "bob");
    let state = export(&mut client);
    assert_eq!(keys(&state), ["my_party_id", "my_peer_id", "parties"]);
    assert_eq!(keys(&state["parties"]), ["p"]);
    let party = &state["parties"]["p"];
    assert_eq!(keys(party), ["created_at", "host_id", "name", "party_id", "peers"]);
    assert_eq!(keys(&party["peers"]), ["ann", "bob"]);
    let mut bob = party["peers"]["bob"].clone();
    let seen = bob.as_object_mut().expect("an object").remove("last_seen").expect("a time");
    assert_eq!(bob, peer("bob"));
    for time in [&seen, &party["created_at"]] {
        let text = time.as_str().expect("a time");
        assert!(text.parse::<jiff::civil::DateTime>().is_ok(), "{text:?}");
        assert!(!text.contains(['Z', '+']), "{text:?} has no offset");
    }
}

#[test]
fn state_import_takes_an_export_of_another_daemon() {
    let (daemon, other) = (Setup::new().start(), Setup::new().start());
    let (mut client, mut elsewhere) = (daemon.client(), other.client());
    for (party, host) in [("p", "ann"), ("q", "eve")] {
        client.register(party, host);
        client.join(party, "bob");
    }
    let state = export(&mut client);
    elsewhere.call("events.subscribe", json!({}));
    let counts = import(&mut elsewhere, &state, "merge");
    let expected = json!({"parties": 2, "peers": 4, "skipped": 0, "removed": 0, "rejected": []});
    assert_eq!(counts, expected);
    assert_eq!(export(&mut elsewhere), state);
    for party in ["p", "q"] {
        let (kind, data) = elsewhere.event();
        assert_eq!((kind.as_str(), &data["party"]), ("party.registered", &elsewhere.party(party)));
    }
    // Nobody here keeps them alive.
    let party = elsewhere.party("p");
    assert_eq!(party["peers"]["ann"]["connected"], false);
    assert_eq!(party["peers"]["ann"]["virtual_ip"], "10.66.0.1");
    assert_eq!(party["peers"]["bob"]["virtual_ip"], "10.66.0.2");
}

#[test]
fn state_import_merges_or_replaces() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    client.register("r", "ann");
    let state = json!({"parties": {
        "p": lanrage_party("p", &["zoe"]), "q": lanrage_party("q", &["zoe", "zz"]),
    }});
    let counts = import(&mut client, &state, "merge");
    let expected = json!({"parties": 1, "peers": 2, "skipped": 1, "removed": 0, "rejected": []});
    assert_eq!(counts, expected);
    assert_eq!(client.party("p")["host_id"], "ann");
    assert_eq!(client.party("q")["host_id"], "zoe");

    client.call("events.subscribe", json!({"topics": ["party"]}));
    let counts = import(&mut client, &state, "replace");
    let expected = json!({"parties": 2, "peers": 3, "skipped": 0, "removed": 3, "rejected": []});
    assert_eq!(counts, expected);
    assert_eq!(client.party("p")["host_id"], "zoe");
    assert_eq!(client.refused("party.get", json!({"party_id": "r"})), "party_not_found");
    let told: Vec<_> = (0..5).map(|_| client.event()).collect();
    let told: Vec<_> = told
        .iter()
        .map(|(kind, data)| match kind.as_str() {
            "party.registered" => json!([kind, data["party"]["party_id"]]),
            _ => json!([kind, data["party_id"], data["reason"]]),
        })
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["party.removed", "p", "removed"],
            ["party.removed", "q", "removed"],
            ["party.removed", "r", "removed"],
            ["party.registered", "p"],
            ["party.registered", "q"],
        ])
    );
}

#[test]
fn state_import_names_bad_records_and_takes_the_others() {
    let daemon = Setup::new().config("[limits]\npeers_per_party = 3").start();
    let mut client = daemon.client();
    let mut bad_guest = lanrage_party("a", &["ann", "bob", "carl"]);
    bad_guest["peers"]["carl"]["public_port"] = json!(70_000);
    let mut bad_host = lanrage_party("b", &["ann", "bob"]);
    bad_host["peers"]["ann"]["nat_type"] = json!("half");
    let mut no_host = lanrage_party("c", &["ann"]);
    no_host["host_id"] = json!("eve");
    let full = lanrage_party("d", &["ann", "bob", "carl", "dora"]);
    let mut other_key = lanrage_party("e", &["ann"]);
    other_key["party_id"] = json!("f");
    let state = json!({"parties": {
        "a": bad_guest, "b": bad_host, "c": no_host, "d": full, "e": other_key, "g": 7,
        "bad id": lanrage_party("bad id", &["ann"]), "h": lanrage_party("h", &["ann"]),
    }});
    let counts = import(&mut client, &state, "merge");
    let rejected = counts["rejected"].as_array().expect("rejected");
    let named: Vec<_> =
        rejected.iter().map(|r| (r["party_id"].as_str(), r["peer_id"].as_str())).collect();
    let expected = [
        ("a", Some("carl")),
        ("b", None),
        ("bad id", None),
        ("c", None),
        ("e", None),
        ("g", None),
        ("d", Some("dora")),
    ];
    assert_eq!(named, expected.map(|(party, peer)| (Some(party), peer)));
    for (rejected, reason) in rejected.iter().zip([
        "public_port",
        "nat_type",
        "party_id",
        "host_id",
        "party_id",
        "record",
        "most it may have",
    ]) {
        let text = rejected["reason"].as_str().expect("a reason");
        assert!(text.contains(reason), "{reason} in {text:?}");
    }
    assert_eq!((&counts["parties"], &counts["peers"]), (&json!(3), &json!(6)));
    let listed = client.call("party.list", json!({}));
    let ids: Vec<_> = listed["parties"].as_array().expect("parties").iter().collect();
    let ids: Vec<_> = ids.iter().map(|party| party["party_id"].as_str()).collect();
    assert_eq!(ids, [Some("a"), Some("d"), Some("h")]);
}
