//! Requests that come twice under one `Idempotency-Key`.

use serde_json::{Value, json};

use super::server_with;
use crate::harness::{Daemon, Http, Response, Setup, Ws, announced};

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// A request under a key.
fn named(http: &mut Http, key: &str, request: &str, body: Option<Value>) -> Response {
    let (method, path) = request.split_once(' ').expect("a method and a path");
    let bearer = http.token.as_ref().map(|token| format!("Bearer {token}"));
    let mut headers = vec![("Idempotency-Key", key)];
    headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    let body = body.map(|body| body.to_string());
    http.send(method, path, &headers, body.as_deref().map(str::as_bytes))
}

fn quoted(key: &str) -> String {
    format!("\"{key}\"")
}

/// A request that a peer makes under a key of its own, in an order in which each can be done.
struct Request {
    line: String,
    body: Option<Value>,
}

/// Every change that bob can name but his claim. Into alice's party, and out of it.
fn changes(party: &str) -> [Request; 3] {
    let bob = || announced("bob");
    [
        ("POST /parties".to_owned(), Some(json!({"name": "Own", "host_peer_info": bob()}))),
        (
            format!("POST /parties/{party}/join"),
            Some(json!({"party_id": party, "peer_info": bob()})),
        ),
        (format!("DELETE /parties/{party}/peers/bob"), None),
    ]
    .map(|(line, body)| Request { line, body })
}

/// Makes each change, runs `between`, and makes the change again: both answers are equal.
fn each_is_done_once(mut between: impl FnMut(Daemon) -> Daemon) {
    let (mut server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let party = alice.party("alice");
    for (number, Request { line, body }) in changes(&party).into_iter().enumerate() {
        let key = quoted(&format!("key {number}"));
        let first = named(&mut bob, &key, &line, body.clone()).ok();
        server = between(server);
        for http in [&mut alice, &mut bob] {
            let token = http.token.take();
            *http = server.http();
            http.token = token;
        }
        assert_eq!(named(&mut bob, &key, &line, body).ok(), first, "{line}");
    }
    assert_eq!(alice.get("/").ok()["parties"], 2);
    let seq = alice.get(&format!("/parties/{party}")).ok()["seq"].take();
    // Registered, bob in, bob out.
    assert_eq!(seq, 3);
}

#[test]
fn idempotency_key_sent_twice_is_done_once() {
    each_is_done_once(|server| server);
}

#[test]
fn idempotency_key_sent_again_after_a_kill_is_done_once() {
    each_is_done_once(|server| server.kill().start());
}

/// Over HTTP and over a WebSocket a request is the same.
#[test]
fn idempotency_key_is_the_req_id_of_a_websocket_frame() {
    let server = Setup::server().start();
    let mut http = Http::registered(server.address(), "alice");
    let (mut ws, _) = Ws::hello(server.address(), "alice", http.token.as_deref());
    let body = json!({"name": "LAN", "host_peer_info": announced("alice")});
    let party = named(&mut http, "7", "POST /parties", Some(body)).ok()["party_id"].take();
    let ack = ws.ask(json!({"type": "register_party", "req_id": "7", "party_id": "other",
        "name": "LAN", "host_peer": announced("alice")}));
    assert_eq!(ack["result"]["party_id"], party);
}

/// A bad token would mean that the claim is made without its proof.
#[test]
fn auth_register_under_a_key_with_a_lost_token_is_refused() {
    let server = Setup::server().start();
    let claim = "POST /auth/register?peer_id=alice";
    let mut http = server.http();
    http.token = Some("of-another-day".to_owned());
    assert_eq!(named(&mut http, KEY, claim, None).detail(401), "Invalid or expired token");
    // Without a name all is as LANrage has it.
    let token = http.post("/auth/register?peer_id=alice", None).ok()["token"].take();
    // A key proves nothing.
    http.token = token.as_str().map(str::to_owned);
    for key in ["1", KEY] {
        named(&mut http, key, claim, None).ok();
        assert_eq!(named(&mut server.http(), key, claim, None).status, 409);
    }
}

#[test]
fn idempotency_key_is_known_for_its_peer_and_request_only() {
    let (server, [mut alice, mut bob, mut carol]) = server_with(["alice", "bob", "carol"]);
    let parties = [alice.party("alice"), alice.party("alice")];
    for (http, peer) in [(&mut bob, "bob"), (&mut carol, "carol")] {
        for party in &parties {
            // Another peer's, then of another party, then another kind of request.
            let join = format!("POST /parties/{party}/join");
            let body = json!({"party_id": party, "peer_info": announced(peer)});
            let joined = named(http, "same", &join, Some(body)).ok();
            assert_eq!(joined["party"]["party_id"], json!(party));
            assert!(joined["party"]["peers"][peer].is_object(), "{joined}");
        }
        let leave = format!("DELETE /parties/{}/peers/{peer}", parties[0]);
        assert_eq!(named(http, "same", &leave, None).ok(), json!({"status": "left"}));
    }
    // Who is not the peer learns nothing of what it asked.
    let leave = format!("DELETE /parties/{}/peers/bob", parties[0]);
    assert_eq!(named(&mut carol, "same", &leave, None).status, 403);
    assert_eq!(named(&mut server.http(), "same", &leave, None).status, 401);
}

#[test]
fn idempotency_key_of_a_refused_request_is_decided_anew() {
    let (_server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let mut own = alice.party("alice");
    let leave = |party: &str| format!("DELETE /parties/{party}/peers/bob");
    assert_eq!(named(&mut bob, "k", &leave(&own), None).detail(404), "Peer bob not in party");
    bob.join(&own, "bob").ok();
    named(&mut bob, "k", &leave(&own), None).ok();
    // A party that has ended since can't be told any more.
    let body = json!({"name": "LAN", "host_peer_info": announced("alice")});
    let register = |http: &mut Http| named(http, "r", "POST /parties", Some(body.clone()));
    own = register(&mut alice).ok()["party_id"].as_str().expect("an id").to_owned();
    alice.delete(&format!("/parties/{own}/peers/alice")).ok();
    assert_eq!(register(&mut alice).detail(404), format!("Party {own} not found"));
}

#[test]
fn idempotency_key_that_is_malformed_is_refused_with_its_rule() {
    let (server, [mut alice]) = server_with(["alice"]);
    let long = "x".repeat(129);
    let body = json!({"name": "LAN", "host_peer_info": announced("alice")});
    for line in [
        "POST /auth/register?peer_id=fresh",
        "POST /parties",
        "POST /parties/nope/join",
        "DELETE /parties/nope/peers/alice",
    ] {
        for (key, kind, words) in [
            ("\"\"", "string_too_short", "at least 1 character"),
            (&*long, "string_too_long", "at most 128 characters"),
            (&*quoted(&long), "string_too_long", "at most 128 characters"),
            ("\"half", "string_pattern_mismatch", "double quotes"),
            ("a, b", "string_pattern_mismatch", "double quotes"),
            ("\"schlüssel\"", "string_pattern_mismatch", "printable ASCII"),
        ] {
            let detail = named(&mut alice, key, line, Some(body.clone())).detail(422);
            let mistake = &detail[0];
            assert_eq!(mistake["type"], kind, "{line} {key}: {detail}");
            assert_eq!(mistake["loc"], json!(["header", "idempotency-key"]));
            let msg = mistake["msg"].as_str().expect("words");
            let is_told = msg.starts_with("Idempotency-Key ") && msg.contains("send");
            assert!(is_told && msg.contains(words), "{msg}");
        }
    }
    let twice = [("Idempotency-Key", KEY), ("Idempotency-Key", KEY)];
    let refused = server.http().send("POST", "/auth/register?peer_id=fresh", &twice, None);
    assert!(refused.text().contains("more than once"), "{}", refused.text());
    assert_eq!(alice.get("/").ok()["parties"], 0);
    Http::registered(server.address(), "fresh");
}
