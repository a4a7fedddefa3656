use serde_json::{Value, json};

use super::{Scene, announced_with, detail, hosted, mistake, mistake_with};

const NONE: Value = Value::Null;
const REQUIRED: &str = "Field required";
const NO_DICTIONARY: &str = "Input should be a valid dictionary";
const NO_OBJECT: &str = "Input should be a valid dictionary or object to extract fields from";

fn at(field: &str) -> Value {
    json!(["body", field])
}

fn no_string(input: Value) -> Value {
    mistake("string_type", at("name"), "Input should be a valid string", input)
}

#[test]
fn bodies_of_new_parties() {
    let mut scene = Scene::of(&["alice"]);
    let create = "POST /parties";
    let body = hosted(json!("G"));
    let host = || json!({"host_peer_info": body["host_peer_info"]});
    let too_short = "String should have at least 1 character";
    let too_short = |field, input| {
        mistake_with("string_too_short", at(field), too_short, input, json!({"min_length": 1}))
    };
    let long = "n".repeat(101);
    let too_long = "String should have at most 100 characters";
    let too_long = mistake_with(
        "string_too_long",
        at("name"),
        too_long,
        json!(long),
        json!({"max_length": 100}),
    );
    let both = json!({"detail": [
        {"type": "missing", "loc": ["body", "name"], "msg": REQUIRED, "input": {}},
        {"type": "missing", "loc": ["body", "host_peer_info"], "msg": REQUIRED, "input": {}},
    ]});
    let missing = |loc, input| mistake("missing", loc, REQUIRED, input);
    let no_dict = |input| mistake("dict_type", at("host_peer_info"), NO_DICTIONARY, input);
    let named = |input: Value| json!({"name": "G", "host_peer_info": input});
    let no_object = |input| mistake("model_attributes_type", json!(["body"]), NO_OBJECT, input);
    let no_json = |offset| {
        let words = json!({"error": "WORDS"});
        mistake_with("json_invalid", json!(["body", offset]), "JSON decode error", json!({}), words)
    };
    let surrogate = json!(r#"{"name":"\ud800","host_peer_info":{}}"#);
    let seen = |last_seen| named(announced_with("alice", json!({"last_seen": last_seen})));
    let last_seen = json!(["body", "host_peer_info", "last_seen"]);
    let no_time = "Input should be a valid datetime";
    let not_mine = named(announced_with("mallory", json!({})));
    let forbidden = detail("Token peer_id does not match host_peer_info.peer_id");
    scene.play([
        ("empty name", "alice", create, hosted(json!("")), 422, too_short("name", json!(""))),
        ("long name", "alice", create, hosted(json!(long)), 422, too_long),
        ("no name", "alice", create, host(), 422, missing(at("name"), host())),
        (
            "no host",
            "alice",
            create,
            json!({"name": "G"}),
            422,
            missing(at("host_peer_info"), json!({"name": "G"})),
        ),
        ("neither", "alice", create, json!({}), 422, both),
        ("a number as name", "alice", create, hosted(json!(5)), 422, no_string(json!(5))),
        ("null as name", "alice", create, hosted(NONE), 422, no_string(NONE)),
        ("a string as host", "alice", create, named(json!("x")), 422, no_dict(json!("x"))),
        ("a list as host", "alice", create, named(json!([])), 422, no_dict(json!([]))),
        ("an array", "alice", create, json!([]), 422, no_object(json!([]))),
        ("null", "alice", create, json!("null"), 422, no_object(NONE)),
        ("no JSON", "alice", create, json!("{not json"), 422, no_json(1)),
        ("an empty body", "alice", create, json!(""), 422, missing(json!(["body"]), NONE)),
        ("no body", "alice", create, NONE, 422, missing(json!(["body"]), NONE)),
        // From here on the original answered 500.
        ("half a character", "alice", create, surrogate, 422, no_json(15)),
        (
            "a number as time",
            "alice",
            create,
            seen(json!(5)),
            422,
            mistake("datetime_type", last_seen, no_time, json!(5)),
        ),
        ("a host that is another", "alice", create, not_mine, 403, forbidden),
    ]);
    let text = body.to_string();
    for (media_type, text) in
        [("text/plain", text.as_str()), ("application/x-www-form-urlencoded", "name=G")]
    {
        let response = scene.send("alice", "POST", "/parties", media_type, text);
        assert_eq!(response.status, 422, "{media_type}");
        assert_eq!(response.json(), no_object(json!(text)), "{media_type}");
    }
    assert_eq!(scene.ask("", "GET /", NONE).ok()["parties"], 0);
}

/// It was a 500.
#[test]
fn a_name_of_spaces_is_refused() {
    let mut scene = Scene::of(&["alice"]);
    let told = scene.ask("alice", "POST /parties", hosted(json!(" "))).detail(422);
    assert_eq!((&told[0]["type"], &told[0]["input"]), (&json!("value_error"), &json!(" ")));
}

/// All of these were 500s.
#[test]
fn bodies_that_must_be_taken() {
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
fn reads_of_parties() {
    let mut scene = Scene::of(&["alice", "bob", "carol"]);
    scene.party("P1", &["alice", "bob"]);
    let no_party = || detail("Party nope not found");
    let not_found = || detail("Not Found");
    scene.play([
        ("an unknown party", "alice", "GET /parties/nope", NONE, 404, no_party()),
        ("its peers", "alice", "GET /parties/nope/peers", NONE, 404, no_party()),
        ("its peer", "alice", "GET /parties/nope/peers/bob", NONE, 404, no_party()),
        (
            "an unknown peer",
            "alice",
            "GET /parties/P1/peers/zoe",
            NONE,
            404,
            detail("Peer zoe not found"),
        ),
        ("a slash in an id", "alice", "GET /parties/a%2Fb", NONE, 404, not_found()),
        ("an empty id", "alice", "GET /parties//peers", NONE, 404, not_found()),
    ]);
    // Who knows a party's id may look at it; these were 500s.
    for who in ["alice", "bob", "carol"] {
        for path in ["GET /parties/P1", "GET /parties/P1/peers", "GET /parties/P1/peers/bob"] {
            scene.ask(who, path, NONE).ok();
        }
    }
}

#[test]
fn joins() {
    let mut scene = Scene::of(&["alice", "carol"]);
    scene.party("P0", &["alice"]);
    let carol = announced_with("carol", json!({}));
    let alice = announced_with("alice", json!({}));
    let body = |party: &str, peer: &Value| json!({"party_id": party, "peer_info": peer});
    let join = "POST /parties/P0/join";
    let short = "String should have at least 1 character";
    let short = mistake_with(
        "string_too_short",
        at("party_id"),
        short,
        json!(""),
        json!({"min_length": 1}),
    );
    let no_id = || json!({"peer_info": &carol});
    let missing = |field, input| mistake("missing", at(field), REQUIRED, input);
    let not_mine = detail("Token peer_id does not match peer_info.peer_id");
    let no_party = || detail("Party nope not found");
    scene.play([
        (
            "an unknown party",
            "carol",
            "POST /parties/nope/join",
            body("nope", &carol),
            404,
            no_party(),
        ),
        ("as somebody else", "carol", join, body("P0", &alice), 403, not_mine),
        // The path counts.
        (
            "another party's path",
            "carol",
            "POST /parties/nope/join",
            body("P0", &carol),
            404,
            no_party(),
        ),
        ("no party_id", "carol", join, no_id(), 422, missing("party_id", no_id())),
        ("an empty party_id", "carol", join, body("", &carol), 422, short),
        (
            "no peer",
            "carol",
            join,
            json!({"party_id": "P0"}),
            422,
            missing("peer_info", json!({"party_id": "P0"})),
        ),
    ]);
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
fn heartbeats_and_leaves() {
    let mut scene = Scene::of(&["alice", "bob", "carol"]);
    scene.party("P1", &["alice", "bob"]);
    scene.party("P2", &["alice"]);
    let ok = || json!({"status": "ok"});
    let status = |status: &str| json!({ "status": status });
    let not_mine = || detail("Token peer_id does not match requested peer_id");
    let no_party = || detail("Party nope not found");
    let gone = || detail("Party P1 not found");
    let beat = "POST /parties/P1/peers/alice/heartbeat";
    let leave = "DELETE /parties/P1/peers/bob";
    scene.play([
        ("a heartbeat", "alice", beat, NONE, 200, ok()),
        ("with a body", "alice", beat, json!({"x": 1}), 200, ok()),
        ("somebody else's", "alice", "POST /parties/P1/peers/bob/heartbeat", NONE, 403, not_mine()),
        ("of no party", "alice", "POST /parties/nope/peers/alice/heartbeat", NONE, 404, no_party()),
        (
            "of no member",
            "carol",
            "POST /parties/P1/peers/carol/heartbeat",
            NONE,
            404,
            detail("Peer carol not found"),
        ),
        ("somebody else leaves", "bob", "DELETE /parties/P1/peers/alice", NONE, 403, not_mine()),
        ("leaves no party", "bob", "DELETE /parties/nope/peers/bob", NONE, 404, no_party()),
        (
            "leaves as no member",
            "carol",
            "DELETE /parties/P1/peers/carol",
            NONE,
            404,
            detail("Peer carol not in party"),
        ),
        ("leaves", "bob", leave, NONE, 200, status("left")),
        ("leaves again", "bob", leave, NONE, 404, detail("Peer bob not in party")),
        (
            "the host leaves",
            "alice",
            "DELETE /parties/P1/peers/alice",
            NONE,
            200,
            status("party_deleted"),
        ),
        ("a heartbeat after", "bob", "POST /parties/P1/peers/bob/heartbeat", NONE, 404, gone()),
        ("a leave after", "bob", leave, NONE, 404, gone()),
        (
            "the last one leaves",
            "alice",
            "DELETE /parties/P2/peers/alice",
            NONE,
            200,
            status("party_deleted"),
        ),
    ]);
}
