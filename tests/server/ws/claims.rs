//! Claims of peer ids.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use super::{NO_LIMITS, await_sockets, done, host, join, newcomer, refused, register, shapes};
use crate::harness::{Daemon, Http, Setup, Ws, eventually};

/// Opens a connection with a hello. Returns its welcome, or the reason of its refusal.
fn greet(server: &Daemon, peer_id: &str, token: Option<&str>) -> (Ws, Value) {
    let mut ws = Ws::connect(server.address());
    let answer = say(&mut ws, peer_id, token);
    (ws, answer)
}

fn say(ws: &mut Ws, peer_id: &str, token: Option<&str>) -> Value {
    ws.send(json!({
        "type": "hello", "version": "1", "client": "test", "caps": ["lanragectl"],
        "peer_id": peer_id, "token": token,
    }));
    ws.await_frame("a welcome", |frame| ["welcome", "error"].iter().any(|t| frame["type"] == *t))
}

#[test]
fn claim_by_many_at_once_is_won_by_a_single_client() {
    let server = Setup::server().config(NO_LIMITS).start();
    let (threads, rounds) = (4, 40);
    let barrier = Barrier::new(threads);
    let race = |thread: usize| {
        let mut won = 0;
        for round in 0..rounds {
            let id = format!("peer-{round}");
            let mut ws = Ws::connect(server.address());
            let mut http = server.http();
            // Connected before the start.
            http.get("/healthz").ok();
            barrier.wait();
            // Each way to claim is another's rival.
            won += match (thread + round) % 4 {
                0 | 1 => u32::from(say(&mut ws, &id, None)["type"] == "welcome"),
                2 => {
                    ws.send(json!({"type": "auth", "version": "1.0", "client": "lanrage"}));
                    ws.send(register(&id, &id));
                    let answer = ws.frame().expect("an answer");
                    shapes::plain(&answer);
                    u32::from(answer["type"] == "party_update")
                }
                _ => {
                    let path = format!("/auth/register?peer_id={id}");
                    u32::from(http.post(&path, None).status == 200)
                }
            };
            // A claim without a token ends with its connection.
            barrier.wait();
        }
        won
    };
    let wins: u32 = thread::scope(|scope| {
        let racers: Vec<_> = (0..threads).map(|n| scope.spawn(move || race(n))).collect();
        racers.into_iter().map(|racer| racer.join().expect("a racer")).sum()
    });
    assert_eq!(wins, u32::try_from(rounds).expect("few"));
}

#[test]
fn hello_for_an_owned_id_needs_its_own_token() {
    let server = Setup::server().start();
    let (_alice, token) = newcomer(&server, "alice");
    let (_bob, bobs) = newcomer(&server, "bob");
    let wrong = "A".repeat(43);
    let mut almost = token.clone();
    almost.pop();
    for (shown, why) in [
        (None, "none"),
        (Some(wrong.as_str()), "a wrong one"),
        (Some(almost.as_str()), "part of it"),
        (Some("ü"), "no token at all"),
        (Some(bobs.as_str()), "another's"),
    ] {
        let (mut ws, answer) = greet(&server, "alice", shown);
        // A welcome names who it is that is welcome.
        assert_eq!(refused(&answer), "permission_denied", "{why}");
        assert!(!answer["message"].as_str().expect("a message").contains(&bobs), "{why}");
        let frame = register("lan", "alice");
        assert_eq!(refused(&ws.ask(frame)), "permission_denied", "{why}");
    }
    let (_, answer) = greet(&server, "alice", Some(&token));
    assert_eq!(answer["peer_id"], "alice");
    // The same over HTTP.
    let mut http = Http::connect(server.address());
    http.post("/auth/register?peer_id=alice", None).detail(409);
    http.token = Some(token);
    http.post("/auth/register?peer_id=alice", None).ok();
}

/// Without a name a token says whose it is.
#[test]
fn hello_with_a_token_alone_speaks_for_its_peer() {
    let server = Setup::server().start();
    let token = Http::registered(server.address(), "alice").token.expect("a token");
    let mut ws = Ws::connect(server.address());
    ws.send(json!({"type": "hello", "version": "1", "client": "t", "caps": ["x"], "token": token}));
    assert_eq!(ws.await_type("welcome")["peer_id"], "alice");
}

#[test]
fn hello_after_a_refused_hello_is_taken() {
    let server = Setup::server().start();
    let (_alice, token) = newcomer(&server, "alice");
    let (mut ws, answer) = greet(&server, "alice", None);
    assert_eq!(refused(&answer), "permission_denied");
    assert_eq!(say(&mut ws, "alice", Some(&token))["peer_id"], "alice");
    done(&ws.ask(register("lan", "alice")));
}

#[test]
fn hello_with_an_expired_token_is_refused() {
    let server = Setup::server().config("[auth]\ntoken_ttl = \"1s\"\n").start();
    let (alice, welcome) = greet(&server, "alice", None);
    let token = welcome["token"].as_str().expect("a token");
    let until: jiff::Timestamp =
        welcome["token_expires_at"].as_str().expect("a time").parse().expect("a time");
    drop(alice);
    await_sockets(&server, 0);
    eventually("that time", || (jiff::Timestamp::now() > until).then_some(()));
    let (_, answer) = greet(&server, "alice", Some(token));
    assert_eq!(refused(&answer), "permission_denied");
    let mut http = server.http();
    http.token = Some(token.to_owned());
    assert_eq!(http.get("/relays").detail(401), json!("Invalid or expired token"));
    // The id is anybody's now.
    let (_, answer) = greet(&server, "alice", None);
    assert_eq!(answer["peer_id"], "alice");
}

#[test]
fn hello_for_a_member_with_an_expired_token_is_refused() {
    let server = Setup::server().config("[auth]\ntoken_ttl = \"1s\"\n").start();
    let (alice, token) = host(&server, "lan", "alice");
    drop(alice);
    await_sockets(&server, 0);
    eventually("its end", || {
        let mut http = server.http();
        http.token = Some(token.clone());
        (http.get("/relays").status == 401).then_some(())
    });
    let (_, answer) = greet(&server, "alice", None);
    assert_eq!(refused(&answer), "permission_denied");
}

#[test]
fn hello_that_is_refused_is_answered_in_the_style_it_asks_for() {
    let server = Setup::server().start();
    let (mut capable, mut plain) = (Ws::connect(server.address()), Ws::connect(server.address()));
    capable.send(json!({"type": "hello", "caps": ["lanragectl"], "claim": "short"}));
    assert_eq!(refused(&capable.frame().expect("a refusal")), "invalid_params");
    assert_eq!(say(&mut capable, "alice", None)["type"], "welcome");
    plain.send(json!({"type": "auth", "version": "1", "client": "lanrage", "peer_id": "a b"}));
    let refusal = plain.frame().expect("a refusal");
    assert_eq!(refusal["type"], "error");
    shapes::plain(&refusal);
}

#[test]
fn hello_renews_a_token_past_half_of_its_time() {
    let mut server = Setup::server().config("[auth]\ntoken_ttl = \"24h\"\n").start();
    let (_first, token) = newcomer(&server, "alice");
    let (_second, answer) = greet(&server, "alice", Some(&token));
    assert_eq!(answer["token"], token, "it lasts");
    // By these rules more than half of its time is over.
    server.reload("[auth]\ntoken_ttl = \"72h\"\n");
    let (_third, answer) = greet(&server, "alice", Some(&token));
    let renewed = answer["token"].as_str().expect("a token");
    assert_ne!(renewed, token);
    // The answer may have been lost: both are good.
    for token in [renewed, &token] {
        let (_, answer) = greet(&server, "alice", Some(token));
        assert_eq!(answer["peer_id"], "alice");
    }
}

#[test]
fn claim_without_a_token_ends_with_its_connection() {
    let server = Setup::server().start();
    let mut plain = Ws::connect(server.address());
    plain.send(json!({"type": "auth", "version": "1", "client": "lanrage", "peer_id": "alice"}));
    plain.settled_plainly();
    let (_, answer) = greet(&server, "alice", None);
    assert_eq!(refused(&answer), "permission_denied");
    drop(plain);
    let (mut alice, _) = eventually("the id is free", || {
        let (ws, answer) = greet(&server, "alice", None);
        (answer["type"] == "welcome").then_some((ws, answer))
    });
    done(&alice.ask(register("lan", "alice")));
    done(&alice.ask(join("lan", "alice")));
}

#[test]
fn claim_over_the_registration_rate_is_refused() {
    let limits = "[limits]\nregistrations_per_minute = 1\nregistrations_burst = 2\n";
    let server = Setup::server().config(limits).start();
    let (_alice, token) = newcomer(&server, "alice");
    let _bob = newcomer(&server, "bob");
    let (mut carol, answer) = greet(&server, "carol", None);
    assert_eq!(refused(&answer), "rate_limited");
    assert!(answer["retry_after_ms"].as_u64().is_some_and(|ms| (1..=60_000).contains(&ms)));
    let answer = carol.ask(register("lan", "carol"));
    assert_eq!(refused(&answer), "rate_limited");
    // A returning client is not rate-limited.
    for _ in 0..5 {
        assert_eq!(greet(&server, "alice", Some(&token)).1["peer_id"], "alice");
    }
}
