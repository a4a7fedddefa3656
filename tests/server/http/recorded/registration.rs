use serde_json::{Value, json};

use super::Scene;

const NONE: Value = Value::Null;

#[test]
fn auth_register_answers_as_recorded() {
    Scene::of(&[]).play("auth_register_answers_as_recorded");
}

/// The original took them all.
#[test]
fn auth_register_of_invalid_or_taken_ids_is_refused_as_recorded() {
    let mut scene = Scene::of(&["alice"]);
    scene.play("auth_register_of_invalid_or_taken_ids_is_refused_as_recorded");
    let long = format!("POST /auth/register?peer_id={}", "x".repeat(10_000));
    let response = scene.ask("", &long, NONE);
    assert_eq!(response.status, 422);
    assert!(response.body.len() < 1_000, "the long id comes back");
    let told = response.json();
    assert_eq!(told["detail"][0]["type"], "string_too_long");
    assert_eq!(told["detail"][0]["ctx"], json!({"max_length": 128}));
}

#[test]
fn authorization_headers_are_judged_as_recorded() {
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

/// Authentication precedes validation of the body.
#[test]
fn authentication_comes_before_validation_of_the_body() {
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
