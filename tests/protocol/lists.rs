//! Pages of parties, order of relays, and announcements.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::harness::{Client, Setup, assert_chosen_id, keys, peer};

/// All pages of parties, each as the ids in it.
fn pages(client: &mut Client, limit: Option<u32>) -> Vec<Vec<String>> {
    let (mut pages, mut params) = (Vec::new(), json!({"limit": limit}));
    loop {
        let page = client.call("party.list", params.clone());
        let parties = page["parties"].as_array().expect("parties");
        let ids = parties.iter().map(|party| party["party_id"].as_str().expect("an id").into());
        pages.push(ids.collect());
        match page.get("next_cursor") {
            Some(cursor) => params["cursor"] = cursor.clone(),
            None => return pages,
        }
    }
}

#[test]
fn party_list_pages_come_in_the_order_of_ids() {
    let daemon = Setup::new().config("[limits]\nparties_per_peer = 600").start();
    let mut client = daemon.client();
    assert_eq!(pages(&mut client, None), [Vec::<String>::new()]);
    let ids: Vec<String> = (0..502).map(|number| format!("p{:03}", (number * 7) % 502)).collect();
    for id in &ids {
        client.register(id, "ann");
    }
    let sorted: Vec<String> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    for (limit, sizes) in [
        (None, vec![500, 2]),
        (Some(500), vec![500, 2]),
        (Some(251), vec![251, 251]),
        (Some(200), vec![200, 200, 102]),
    ] {
        let pages = pages(&mut client, limit);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        assert_eq!(pages.concat(), sorted);
    }
    let first = client.call("party.list", json!({"limit": 1}));
    assert_eq!(first["parties"][0]["party_id"], "p000");
    // A page goes on after its cursor, whether or not that party is still there.
    let cursor = first["next_cursor"].clone();
    client.call("party.leave", json!({"party_id": "p000", "peer_id": "ann"}));
    let next = client.call("party.list", json!({"limit": 1, "cursor": cursor}));
    assert_eq!(next["parties"][0]["party_id"], "p001");
    let beyond = client.call("party.list", json!({"cursor": "q"}));
    assert_eq!(beyond, json!({"parties": []}));
}

#[test]
fn party_list_page_over_the_frame_limit_is_shorter() {
    const FRAME: usize = 4096;
    let config = format!("[limits]\nframe_out = {FRAME}\nparties_per_peer = 100");
    let daemon = Setup::new().config(&config).start();
    let mut client = daemon.client();
    let ids: Vec<String> = (10..40).map(|number| format!("p{number}")).collect();
    for id in &ids {
        client.register(id, "ann");
    }
    let (mut seen, mut cursor, mut pages) = (Vec::new(), Value::Null, 0);
    loop {
        client.send("party.list", json!({"cursor": cursor}));
        let text = client.text().expect("a page");
        assert!(text.len() <= FRAME, "a page of {} bytes", text.len());
        let page: Value = serde_json::from_str(&text).expect("JSON");
        let parties = page["result"]["parties"].as_array().expect("parties");
        assert!(!parties.is_empty());
        let ids = parties.iter().map(|party| party["party_id"].as_str().expect("an id"));
        seen.extend(ids.map(str::to_owned));
        pages += 1;
        match page["result"].get("next_cursor") {
            Some(next) => cursor = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    assert!(pages > 1);
}

#[test]
fn party_register_without_an_id_gets_one() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let ids: BTreeSet<_> = (0..20)
        .map(|_| {
            let params = json!({"name": "Quake", "host": peer("ann")});
            let party = client.call("party.register", params)["party"].take();
            party["party_id"].as_str().expect("an id").to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 20);
    for id in &ids {
        assert_chosen_id(id);
        assert_eq!(client.party(id)["party_id"], *id);
    }
    assert_eq!(pages(&mut client, Some(7)).concat(), ids.into_iter().collect::<Vec<_>>());
}

#[test]
fn relay_list_sorts_by_region_and_id() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for (id, region) in [("r3", "us"), ("r9", "eu"), ("r1", "us"), ("r2", "eu"), ("r5", "Eu")] {
        let params = json!({"relay_id": id, "public_ip": "::1", "port": 1, "region": region});
        client.call("relay.register", params);
    }
    client.call("relay.register", json!({"relay_id": "r4", "public_ip": "::1", "port": 1}));
    let ids = |list: Value| -> Vec<String> {
        let relays = list["relays"].as_array().expect("relays");
        relays.iter().map(|relay| relay["relay_id"].as_str().expect("an id").into()).collect()
    };
    let all = client.call("relay.list", json!({}));
    assert_eq!(ids(all), ["r5", "r2", "r9", "r4", "r1", "r3"]);
    let some = client.call("relay.list", json!({"region": "us"}));
    assert_eq!(ids(some), ["r1", "r3"]);
    assert_eq!(client.call("relay.list", json!({"region": "u"})), json!({"relays": []}));
    // Registered again it keeps its first time, and takes its new place.
    let before = client.call("relay.list", json!({"region": "Eu"}))["relays"][0].take();
    let params = json!({"relay_id": "r5", "public_ip": "::2", "port": 2, "region": "us"});
    let after = client.call("relay.register", params)["relay"].take();
    assert_eq!(after["registered_at"], before["registered_at"]);
    assert_eq!((&after["public_ip"], &after["capacity"]), (&json!("::2"), &json!(100)));
    let some = client.call("relay.list", json!({"region": "us"}));
    assert_eq!(ids(some), ["r1", "r3", "r5"]);
}

const ANNOUNCED: [&str; 6] = ["created_at", "host_id", "name", "party_id", "peers", "source"];

#[test]
fn party_discover_lists_own_parties_and_those_of_others() {
    let theirs = |id: &str| {
        let mut host = peer("zoe");
        host["last_seen"] = json!("2026-01-02T03:04:05.678901");
        json!({
            "party_id": id, "name": "Theirs", "host_id": "zoe",
            "created_at": "2026-01-02T03:04:05", "peers": {"zoe": host},
        })
    };
    let mut setup = Setup::new();
    let file = setup.path("shared/discovery.json");
    fs::create_dir(setup.path("shared")).expect("make a directory");
    let bad = json!({"party_id": "t2", "name": ""});
    let document = json!({"t1": theirs("t1"), "t2": bad});
    fs::write(&file, document.to_string()).expect("write the discovery file");
    setup.args = vec!["--discovery-file".into(), file.display().to_string()];
    let mut other = Setup::new();
    other.args = setup.args.clone();
    let (daemon, other) = (setup.start(), other.start());
    let (mut client, mut elsewhere) = (daemon.client(), other.client());
    client.register("ours", "ann");
    client.join("ours", "bob");
    elsewhere.register("elsewhere", "eve");

    let discovered = |client: &mut Client| {
        let mut result = client.call("party.discover", json!({}));
        assert_eq!(keys(&result), ["parties"]);
        let mut parties = result["parties"].take();
        for party in parties.as_array_mut().expect("parties") {
            assert_eq!(keys(party), ANNOUNCED);
            assert_eq!(party["source"], "file");
        }
        parties
    };
    // Each has written its own before it looks.
    let ids = |parties: &Value| -> Vec<(String, Vec<String>)> {
        let parties = parties.as_array().expect("parties");
        let peers = |party: &Value| keys(&party["peers"]).into_iter().map(str::to_owned).collect();
        let id = |party: &Value| party["party_id"].as_str().expect("an id").to_owned();
        parties.iter().map(|party| (id(party), peers(party))).collect()
    };
    discovered(&mut client);
    let all = [("elsewhere", vec!["eve"]), ("ours", vec!["ann", "bob"]), ("t1", vec!["zoe"])];
    let all =
        all.map(|(id, peers)| (id.to_owned(), peers.into_iter().map(str::to_owned).collect()));
    assert_eq!(ids(&discovered(&mut elsewhere)), all);
    let found = discovered(&mut client);
    assert_eq!(ids(&found), all);
    assert_eq!(found[2]["created_at"], "2026-01-02T03:04:05");
    let zoe = &found[2]["peers"]["zoe"];
    assert_eq!(*zoe, theirs("t1")["peers"]["zoe"]);
    assert_eq!(keys(&found[1]["peers"]["bob"]), keys(zoe));
    // The others' are not in our list, and stay when ours goes.
    assert_eq!(pages(&mut client, None), [["ours"]]);
    client.call("party.leave", json!({"party_id": "ours", "peer_id": "ann"}));
    let left: Vec<_> = ids(&discovered(&mut client)).into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, ["elsewhere", "t1"]);
    let document: Value =
        serde_json::from_slice(&fs::read(&file).expect("read the file")).expect("JSON");
    assert_eq!((&document["t1"], &document["t2"]), (&theirs("t1"), &bad));
}
