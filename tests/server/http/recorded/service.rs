use serde_json::{Value, json};

use super::Scene;

const NONE: Value = Value::Null;

#[test]
fn routes_that_do_not_exist_answer_as_recorded() {
    let mut scene = Scene::of(&[]);
    scene.play("routes_that_do_not_exist_answer_as_recorded");
    for (request, methods) in [
        ("POST /", "GET"),
        ("GET /parties", "POST"),
        ("PUT /parties/x", "GET"),
        ("GET /auth/register?peer_id=a", "POST"),
        ("OPTIONS /parties", "POST"),
        ("DELETE /relays/r1", "GET"),
        ("POST /relays/eu", "GET"),
        // More than one method, on one path: the original listed only the first.
        ("PUT /relays", "GET, POST"),
        ("PATCH /parties/x/peers/y", "GET, DELETE"),
    ] {
        let response = scene.ask("", request, NONE);
        assert_eq!(response.header("allow"), Some(methods), "{request}");
    }
}

#[test]
fn path_with_a_trailing_slash_is_redirected() {
    let mut scene = Scene::of(&[]);
    let base = format!("http://{}", scene.server.address());
    for (request, body, location) in [
        ("GET /relays/", NONE, "/relays"),
        ("POST /parties/", json!({}), "/parties"),
        ("POST /auth/register/?peer_id=abc", NONE, "/auth/register?peer_id=abc"),
        ("GET /parties/x/peers/?a=1&b=%2F", NONE, "/parties/x/peers?a=1&b=%2F"),
    ] {
        let response = scene.ask("", request, body);
        assert_eq!((response.status, response.text()), (307, ""), "{request}");
        let expected = format!("{base}{location}");
        assert_eq!(response.header("location"), Some(expected.as_str()), "{request}");
    }
    // Nobody is registered by a path that is none.
    assert_eq!(scene.ask("", "POST /auth/register?peer_id=abc", NONE).status, 200);
}

#[test]
fn get_root_describes_the_service() {
    let mut scene = Scene::of(&["alice"]);
    let health = |parties: u32, relays: u32| {
        json!({"service": "LANrage Control Plane", "version": "1.0.0", "status": "ok",
            "parties": parties, "relays": relays})
    };
    // More keys may be beside these.
    let lanrage_s = |mut told: Value| {
        let keys = ["service", "version", "status", "parties", "relays"];
        told.as_object_mut().expect("an object").retain(|key, _| keys.contains(&key.as_str()));
        told
    };
    assert_eq!(lanrage_s(scene.ask("", "GET /", NONE).ok()), health(0, 0));
    scene.party("P1", &["alice"]);
    let relay = json!({"relay_id": "r", "public_ip": "198.51.100.7", "port": 1});
    scene.ask("alice", "POST /relays", relay).ok();
    assert_eq!(lanrage_s(scene.ask("", "GET /", NONE).ok()), health(1, 1));

    let docs = scene.ask("", "GET /docs", NONE);
    assert_eq!(docs.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(docs.text().trim_start().to_lowercase().starts_with("<!doctype html>"));
    let openapi = scene.ask("", "GET /openapi.json", NONE).ok();
    assert!(openapi["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    assert_eq!(openapi["info"]["title"], "LANrage Control Plane");
    assert_eq!(openapi["info"]["version"], "1.0.0");
}
