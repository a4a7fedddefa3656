use serde_json::{Value, json};

use super::{Scene, detail, mistake, mistake_with};

const NONE: Value = Value::Null;

fn given(peer_id: &str) -> Value {
    json!({"token": "TOKEN", "peer_id": peer_id, "expires_at": "TIME"})
}

#[test]
fn registrations() {
    let mut scene = Scene::of(&[]);
    let missing = || mistake("missing", json!(["query", "peer_id"]), "Field required", NONE);
    let register = "POST /auth/register";
    scene.play([
        ("a new peer", "", "POST /auth/register?peer_id=alice", NONE, 200, given("alice")),
        ("no peer_id", "", register, NONE, 422, missing()),
        ("peer_id in the body", "", register, json!({"peer_id": "alice"}), 422, missing()),
        ("two peer_ids", "", "POST /auth/register?peer_id=a&peer_id=b", NONE, 200, given("b")),
        ("extra parameter", "", "POST /auth/register?peer_id=zed&x=1", NONE, 200, given("zed")),
        ("bob", "", "POST /auth/register?peer_id=bob", NONE, 200, given("bob")),
    ]);
}

/// The original took them all.
#[test]
fn registrations_that_must_not_be() {
    let mut scene = Scene::of(&["alice"]);
    let peer_id = || json!(["query", "peer_id"]);
    let pattern = "^[A-Za-z0-9_.:-]+$";
    let mismatch = format!("String should match pattern '{pattern}'");
    let mismatch = |input: &str| {
        mistake_with(
            "string_pattern_mismatch",
            peer_id(),
            &mismatch,
            json!(input),
            json!({"pattern": pattern}),
        )
    };
    let short = "String should have at least 1 character";
    let short =
        mistake_with("string_too_short", peer_id(), short, json!(""), json!({"min_length": 1}));
    let taken = detail("Peer id is already registered");
    scene.play([
        ("empty", "", "POST /auth/register?peer_id=", NONE, 422, short),
        (
            "odd characters",
            "",
            "POST /auth/register?peer_id=a%20b%0A%C3%A9",
            NONE,
            422,
            mismatch("a b\né"),
        ),
        ("alice's, again", "", "POST /auth/register?peer_id=alice", NONE, 409, taken),
        ("alice's token is still good", "alice", "GET /relays", NONE, 200, json!({"relays": []})),
    ]);
    let long = format!("POST /auth/register?peer_id={}", "x".repeat(10_000));
    let response = scene.ask("", &long, NONE);
    assert_eq!(response.status, 422);
    assert!(response.body.len() < 1_000, "the long id comes back");
    let told = response.json();
    assert_eq!(told["detail"][0]["type"], "string_too_long");
    assert_eq!(told["detail"][0]["ctx"], json!({"max_length": 128}));
}

#[test]
fn authorizations() {
    let mut scene = Scene::of(&["alice"]);
    let token = scene.client("alice").token.clone().expect("a token");
    let missing = "Missing authorization header";
    let format = "Invalid authorization format";
    let unknown = "Invalid or expired token";
    for (header, detail) in [
        (None, missing),
        (Some(String::new()), missing),
        (Some("Basic abc".to_owned()), format),
        (Some("Bearer ".to_owned()), format),
        (Some("Bearer".to_owned()), format),
        (Some(token.clone()), format),
        (Some("Bearer nosuchtoken".to_owned()), unknown),
        (Some(format!("Bearer {token}x")), unknown),
    ] {
        let headers: Vec<_> =
            header.iter().map(|value| ("Authorization", value.as_str())).collect();
        let response = scene.client("").send("GET", "/relays", &headers, None);
        assert_eq!(response.detail(401), detail, "{header:?}");
        assert_eq!(response.header("www-authenticate"), Some("Bearer"));
    }
}

/// Who asks is found out before what is asked for.
#[test]
fn authentication_comes_before_validation() {
    let mut scene = Scene::of(&[]);
    for (request, body) in [
        ("POST /parties", json!({})),
        ("POST /parties", json!("{not json")),
        ("POST /relays", json!({"relay_id": "r", "public_ip": "1.2.3.4", "port": 1})),
        ("POST /relays", json!({"port": -1})),
        ("POST /parties/x/join", json!({"party_id": "x", "peer_info": {}})),
        ("DELETE /parties/x/peers/alice", NONE),
        ("GET /parties/x", NONE),
        ("GET /parties/x/peers", NONE),
        ("GET /parties/x/peers/alice", NONE),
        ("POST /parties/x/peers/alice/heartbeat", NONE),
        ("GET /relays/eu", NONE),
    ] {
        let response = scene.ask("", request, body);
        assert_eq!(response.detail(401), "Missing authorization header", "{request}");
    }
}
