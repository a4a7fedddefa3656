//! A wall clock that steps, as NTP sets it, ends nobody's session.

use crate::harness::{Http, Setup, SteppedClock, eventually};

const HOUR_MS: i64 = 3_600_000;
const STEPS: [i64; 4] = [-500, -HOUR_MS, -25 * HOUR_MS, 25 * HOUR_MS];

fn register(http: &mut Http, peer: &str, claim: Option<&str>) -> u16 {
    let bearer = http.token.as_ref().map(|token| format!("Bearer {token}"));
    let mut headers: Vec<_> = claim.map(|claim| ("Claim", claim)).into_iter().collect();
    headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    http.send("POST", &format!("/auth/register?peer_id={peer}"), &headers, None).status
}

#[test]
fn token_outlives_a_step_of_the_clock() {
    let Some(clock) = SteppedClock::new() else { return };
    let server = Setup::server().stepped_clock(&clock).start();
    let mut alice = Http::registered(server.address(), "alice");
    let party = alice.party("alice");
    for step in STEPS {
        clock.set_offset_ms(step);
        alice.post(&format!("/parties/{party}/peers/alice/heartbeat"), None).ok();
        assert_eq!(register(&mut alice, "alice", None), 200, "{step} ms");
        assert_eq!(register(&mut server.http(), "alice", None), 409, "{step} ms");
    }
}

#[test]
fn claim_is_known_again_after_a_step_of_the_clock() {
    const CLAIM: &str = "0123456789abcdef0123456789abcdef";
    let Some(clock) = SteppedClock::new() else { return };
    let server = Setup::server().stepped_clock(&clock).start();
    assert_eq!(register(&mut server.http(), "alice", Some(CLAIM)), 200);
    for step in STEPS {
        clock.set_offset_ms(step);
        assert_eq!(register(&mut server.http(), "alice", Some(CLAIM)), 200, "{step} ms");
    }
}

#[test]
fn token_of_a_member_that_has_just_ended_is_renewed_once() {
    let mut server = Setup::server().start();
    let mut alice = Http::registered(server.address(), "alice");
    let party = alice.party("alice");
    server.reload("[auth]\ntoken_ttl = '5s'\n");
    alice.token =
        alice.post("/auth/register?peer_id=alice", None).ok()["token"].as_str().map(str::to_owned);
    server.reload("");
    let heartbeat = format!("/parties/{party}/peers/alice/heartbeat");
    eventually("the end of the token", || {
        (alice.post(&heartbeat, None).status == 401).then_some(())
    });
    // Under a name as well, which the daemon uses.
    let key = "\"0123456789abcdef0123456789abcdef\"";
    let bearer = format!("Bearer {}", alice.token.as_deref().expect("a token"));
    let headers = [("Idempotency-Key", key), ("Authorization", bearer.as_str())];
    let fresh = alice.send("POST", "/auth/register?peer_id=alice", &headers, None).ok();
    assert_eq!(register(&mut alice, "alice", None), 409, "a second time");
    alice.token = fresh["token"].as_str().map(str::to_owned);
    alice.post(&heartbeat, None).ok();
}

#[test]
fn token_outlives_a_restart_with_a_corrected_clock() {
    let Some(clock) = SteppedClock::new() else { return };
    clock.set_offset_ms(-25 * HOUR_MS);
    let server = Setup::server().stepped_clock(&clock).start();
    let mut alice = Http::registered(server.address(), "alice");
    let party = alice.party("alice");
    let (setup, _) = server.stop();
    clock.set_offset_ms(0);
    let server = setup.start();
    let token = alice.token;
    alice = server.http();
    alice.token = token;
    let heartbeat = format!("/parties/{party}/peers/alice/heartbeat");
    assert_eq!(alice.post(&heartbeat, None).status, 401);
    assert_eq!(register(&mut server.http(), "alice", None), 409);
    let fresh = alice.post("/auth/register?peer_id=alice", None).ok();
    alice.token = fresh["token"].as_str().map(str::to_owned);
    alice.post(&heartbeat, None).ok();
}
