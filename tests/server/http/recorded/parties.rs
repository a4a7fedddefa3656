use serde_json::{Value, json};

use super::{Scene, announced_with, hosted};

const NONE: Value = Value::Null;

#[test]
fn post_parties_with_invalid_bodies_answers_as_recorded() {
    let mut scene = Scene::of(&["alice"]);
    scene.play("post_parties_with_invalid_bodies_answers_as_recorded");
    let body = hosted(json!("G"));
    let text = body.to_string();
    for (media_type, text) in
        [("text/plain", text.as_str()), ("application/x-www-form-urlencoded", "name=G")]
    {
        let response = scene.send("alice", "POST", "/parties", media_type, text);
        let expected = json!([{
            "type": "model_attributes_type",
            "loc": ["body"],
            "msg": "Input should be a valid dictionary or object to extract fields from",
            "input": text,
        }]);
        assert_eq!(response.detail(422), expected, "{media_type}");
    }
    assert_eq!(scene.ask("", "GET /", NONE).ok()["parties"], 0);
}

/// It was a 500.
#[test]
fn post_parties_with_a_name_of_spaces_is_refused() {
    let mut scene = Scene::of(&["alice"]);
    let told = scene.ask("alice", "POST /parties", hosted(json!(" "))).detail(422);
    assert_eq!((&told[0]["type"], &told[0]["input"]), (&json!("value_error"), &json!(" ")));
}

/// All of these were 500s.
#[test]
fn post_parties_with_odd_but_valid_bodies_is_taken() {
    let mut scene = Scene::of(&["alice"]);
    let name = |name: &str| hosted(json!(name));
    let host = |changes| json!({"name": "G", "host_peer_info": announced_with("alice", changes)});
    let stored = json!({"name": "G", "host_peer_info": {"peer_id": "alice", "public_key": "a2V5",
        "virtual_ip": "10.66.0.9", "public_endpoint": "203.0.113.5:51820", "nat_type": "open",
        "last_seen": "2026-11-22T16:15:12.781485"}});
    let mut extra = name("G");
    extra["zzz"] = json!(1);
    for body in [
        name("G"),
        name(&"n".repeat(100)),
        name(&"é".repeat(100)),
        stored,
        host(json!({"virtual_ip": "10.66.0.1", "public_endpoint": "203.0.113.5:51820"})),
        host(json!({"last_seen": NONE})),
        host(json!({"zzz": 1})),
        extra,
    ] {
        let party = scene.ask("alice", "POST /parties", body.clone()).ok();
        assert_eq!(party["party"]["name"], body["name"]);
        assert_eq!(party["virtual_ips"], json!({"alice": "10.66.0.1"}), "{body}");
    }
}

#[test]
fn get_parties_answers_as_recorded() {
    let mut scene = Scene::of(&["alice", "bob", "carol"]);
    scene.party("P1", &["alice", "bob"]);
    scene.play("get_parties_answers_as_recorded");
    // Who knows a party's id may look at it; these were 500s.
    for who in ["alice", "bob", "carol"] {
        for path in ["GET /parties/P1", "GET /parties/P1/peers", "GET /parties/P1/peers/bob"] {
            scene.ask(who, path, NONE).ok();
        }
    }
}

#[test]
fn post_join_answers_as_recorded() {
    let mut scene = Scene::of(&["alice", "carol"]);
    scene.party("P0", &["alice"]);
    let carol = announced_with("carol", json!({}));
    let body = |party: &str, peer: &Value| json!({"party_id": party, "peer_info": peer});
    let join = "POST /parties/P0/join";
    scene.play("post_join_answers_as_recorded");
    // These were 500s.
    let stored = json!({"peer_id": "carol", "public_key": "a2V5", "virtual_ip": "10.66.0.1",
        "public_endpoint": "203.0.113.5:51820", "nat_type": "open",
        "last_seen": "2026-11-22T16:15:12"});
    for peer in [carol.clone(), stored] {
        let joined = scene.ask("carol", join, body("P0", &peer)).ok();
        assert_eq!(joined["virtual_ips"], json!({"alice": "10.66.0.1", "carol": "10.66.0.2"}));
    }
    let empty = scene.ask("carol", join, body("P0", &json!({}))).detail(422);
    let fields =
        empty.as_array().expect("mistakes").iter().map(|mistake| mistake["loc"][2].clone());
    let expected = [
        "peer_id",
        "name",
        "public_key",
        "nat_type",
        "public_ip",
        "public_port",
        "local_ip",
        "local_port",
    ];
    assert_eq!(fields.collect::<Vec<_>>(), expected);
}

#[test]
fn heartbeats_and_leaves_answer_as_recorded() {
    let mut scene = Scene::of(&["alice", "bob", "carol"]);
    scene.party("P1", &["alice", "bob"]);
    scene.party("P2", &["alice"]);
    scene.play("heartbeats_and_leaves_answer_as_recorded");
}
