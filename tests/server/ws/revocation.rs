//! Tokens that are revoked, by their owner and by an administrator.

use serde_json::{Value, json};

use super::{done, guest, host, join, refused, register, told, update};
use crate::harness::{Daemon, Http, Setup, Ws};

fn with_token(server: &Daemon, token: &str) -> Http {
    let mut http = server.http();
    http.token = Some(token.to_owned());
    http
}

fn renewed(server: &Daemon, peer_id: &str, token: &str) -> String {
    let path = format!("/auth/register?peer_id={peer_id}");
    let reply = with_token(server, token).post(&path, None).ok();
    reply["token"].as_str().expect("a token").to_owned()
}

/// Makes sure that the server has closed a connection.
#[track_caller]
fn closed(mut ws: Ws) {
    let mut last = Value::Null;
    while let Some(frame) = ws.frame() {
        last = frame;
    }
    assert_eq!(refused(&last), "permission_denied");
    assert_eq!(ws.closed.expect("a close frame").code, 1013.into());
}

#[test]
fn delete_tokens_ends_the_other_tokens_and_their_connections() {
    let server = Setup::server().start();
    let own = Http::registered(server.address(), "alice").token.expect("a token");
    let stolen = renewed(&server, "alice", &own);
    let (mut alice, _) = Ws::hello(server.address(), "alice", Some(&own));
    done(&alice.ask(register("lan", "alice")));
    let (thief, _) = Ws::hello(server.address(), "alice", Some(&stolen));
    let (mut bob, bobs) = guest(&server, "lan", "bob");
    let revoked = with_token(&server, &own).delete("/auth/tokens").ok();
    assert_eq!(revoked, json!({"status": "ok", "revoked": 1}));
    assert_eq!(with_token(&server, &stolen).get("/relays").status, 401);
    closed(thief);
    // The owner goes on, and so does everybody else.
    done(&alice.ask(update("lan", "alice", "Alicia")));
    assert!(told(&bob.settled()).contains(&"peer_updated alice".to_owned()));
    with_token(&server, &bobs).get("/relays").ok();
    assert_eq!(with_token(&server, &own).delete("/auth/tokens").ok()["revoked"], 0);
    let server = server.kill().start();
    assert_eq!(with_token(&server, &stolen).get("/relays").status, 401);
    with_token(&server, &own).get("/relays").ok();
}

#[test]
fn delete_tokens_with_all_ends_the_shown_token_too() {
    let server = Setup::server().start();
    let (alice, token) = host(&server, "lan", "alice");
    let refused = with_token(&server, &token).delete("/auth/tokens?all=perhaps");
    assert_eq!(refused.detail(422)[0]["loc"], json!(["query", "all"]));
    assert_eq!(server.http().delete("/auth/tokens").status, 401);
    let revoked = with_token(&server, &token).delete("/auth/tokens?all=true").ok();
    assert_eq!(revoked["revoked"], 1);
    closed(alice);
    assert_eq!(with_token(&server, &token).get("/relays").status, 401);
    assert_eq!(with_token(&server, &token).delete("/auth/tokens").status, 401);
}

#[test]
fn claim_secret_of_a_revoked_token_is_refused() {
    let server = Setup::server().start();
    let claim = |claim: &str, bearer: Option<&str>| {
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("Claim", claim)];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        server.http().send("POST", "/auth/register?peer_id=ann", &headers, None)
    };
    let (first, second) = ("the-first-claim-secret-1", "the-second-claim-secret-2");
    let token = claim(first, None).ok()["token"].as_str().expect("a token").to_owned();
    let kept = claim(second, Some(&token)).ok()["token"].as_str().expect("a token").to_owned();
    with_token(&server, &kept).delete("/auth/tokens").ok();
    assert_eq!(claim(first, None).status, 409);
    claim(second, None).ok();
}

/// Renewals with a stolen token do not displace the owner's token.
#[test]
fn token_renewed_by_a_thief_does_not_push_out_the_owners() {
    let server = Setup::server().start();
    let own = Http::registered(server.address(), "alice").token.expect("a token");
    let (mut alice, _) = Ws::hello(server.address(), "alice", Some(&own));
    // The owner only speaks HTTP; carol is connected.
    let carol = Http::registered(server.address(), "carol").token.expect("a token");
    for (peer_id, own) in [("alice", &own), ("carol", &carol)] {
        let mut stolen = own.clone();
        let mut got = std::collections::BTreeSet::from([own.clone()]);
        for _ in 0..12 {
            stolen = renewed(&server, peer_id, &stolen);
            got.insert(stolen.clone());
            with_token(&server, own).get("/relays").ok();
        }
        // Nor by always renewing the same.
        for _ in 0..12 {
            got.insert(renewed(&server, peer_id, own));
        }
        with_token(&server, own).get("/relays").ok();
        assert_eq!(got.len(), 8, "the bound of a peer");
        assert_eq!(with_token(&server, own).delete("/auth/tokens").ok()["revoked"], 7);
        assert_eq!(with_token(&server, &stolen).get("/relays").status, 401);
        with_token(&server, own).get("/relays").ok();
    }
    done(&alice.ask(register("lan", "alice")));
}

#[test]
fn hello_on_a_thiefs_connection_does_not_push_out_the_owners_token() {
    let server = Setup::server().start();
    let own = Http::registered(server.address(), "alice").token.expect("a token");
    let (mut thief, _) = Ws::hello(server.address(), "alice", Some(&own));
    for _ in 0..12 {
        thief.send(json!({"type": "hello", "caps": ["lanragectl"], "peer_id": "alice"}));
        thief.await_type("welcome");
    }
    with_token(&server, &own).get("/relays").ok();
}

#[test]
fn token_renewed_at_a_full_store_lasts_longer() {
    let server = Setup::server().config("[limits]\ntokens = 1\n").start();
    let own = server.http().post("/auth/register?peer_id=alice", None).ok();
    let token = own["token"].as_str().expect("a token");
    let renewed = with_token(&server, token).post("/auth/register?peer_id=alice", None).ok();
    assert_eq!(renewed["token"], own["token"]);
    assert!(renewed["expires_at"].as_str() > own["expires_at"].as_str(), "{renewed} {own}");
    with_token(&server, token).get("/relays").ok();
}

fn release(server: &Daemon, peer_id: &str) -> Value {
    server.client().call("peer.release", json!({"peer_id": peer_id}))
}

#[test]
fn peer_release_by_an_administrator_frees_the_id() {
    let server = Setup::server().start();
    let (alice, token) = host(&server, "lan", "alice");
    let (mut bob, _) = guest(&server, "lan", "bob");
    let (mut carol, _) = host(&server, "other", "carol");
    let (mut twice, _) = Ws::hello(server.address(), "alice", Some(&token));
    done(&twice.ask(join("other", "alice")));
    let mut http = with_token(&server, &token);
    let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 1});
    http.post("/relays", Some(relay)).ok();
    carol.settled();
    bob.settled();
    assert_eq!(release(&server, "alice"), json!({"tokens": 1, "parties": 2, "connections": 2}));
    closed(alice);
    closed(twice);
    assert_eq!(http.get("/relays").status, 401);
    assert_eq!(told(&bob.settled()), ["party_removed"]);
    assert_eq!(told(&carol.settled()), ["peer_left alice"]);
    // The id is anybody's now, and nothing of before is there.
    let mut next = Http::registered(server.address(), "alice");
    assert_eq!(next.get("/relays").ok()["relays"], json!([]));
    assert_eq!(refused(&bob.ask(join("lan", "bob"))), "party_not_found");
    assert_eq!(release(&server, "nobody"), json!({"tokens": 0, "parties": 0, "connections": 0}));
    let server = server.kill().start();
    assert_eq!(with_token(&server, &token).get("/relays").status, 401);
}
