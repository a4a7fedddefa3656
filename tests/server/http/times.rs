//! Times are naive, and each client is told them by its own wall clock.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use super::{announced_with, is_naive, server_with};
use crate::harness::{Http, Setup};

/// A time as a client writes it whose clock is that many minutes ahead of UTC.
fn shown(time: Timestamp, minutes: i64) -> String {
    let ahead = time + Span::new().minutes(minutes);
    ahead.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// Asserts that a time is one since `begun` by a clock that many minutes ahead of UTC.
#[track_caller]
fn assert_clock(time: &Value, minutes: i64, begun: Timestamp) {
    assert!(is_naive(time), "{time}");
    let civil: DateTime = time.as_str().expect("a time").parse().expect("a civil time");
    let told = Offset::UTC.to_timestamp(civil).expect("a time") - Span::new().minutes(minutes);
    // The server's times have milliseconds.
    let least = begun - Span::new().milliseconds(1);
    assert!(least <= told && told <= Timestamp::now(), "{time} is not now by UTC{minutes:+} min");
}

/// Asserts that a party's times are by a clock.
#[track_caller]
fn assert_party_clock(party: &Value, minutes: i64, begun: Timestamp) {
    assert_clock(&party["created_at"], minutes, begun);
    for peer in party["peers"].as_object().expect("peers").values() {
        assert_clock(&peer["last_seen"], minutes, begun);
    }
}

fn seen(peer: &str, last_seen: impl Into<Value>) -> Value {
    announced_with(peer, json!({"last_seen": last_seen.into()}))
}

fn join(client: &mut Http, party: &str, peer: Value) -> Value {
    let body = json!({"party_id": party, "peer_info": peer});
    client.post(&format!("/parties/{party}/join"), Some(body)).ok()
}

fn create(client: &mut Http, peer: Value) -> Value {
    client.post("/parties", Some(json!({"name": "LAN", "host_peer_info": peer}))).ok()
}

#[test]
fn times_are_told_by_the_clock_of_each_client() {
    let begun = Timestamp::now();
    let (_server, [mut alice, mut bob, mut carol, mut dave]) =
        server_with(["alice", "bob", "carol", "dave"]);
    let now = |minutes| shown(Timestamp::now(), minutes);
    let created = create(&mut alice, seen("alice", now(120)));
    assert_party_clock(&created["party"], 120, begun);
    let party = created["party_id"].as_str().expect("an id");
    assert_party_clock(&join(&mut bob, party, seen("bob", now(-210)))["party"], -210, begun);
    // Without a clock it is UTC, as for one who is in no party.
    assert_party_clock(&join(&mut carol, party, seen("carol", Value::Null))["party"], 0, begun);
    let relay = json!({"relay_id": "r", "public_ip": "198.51.100.7", "port": 1});
    dave.post("/relays", Some(relay)).ok();
    for (client, minutes) in [(&mut alice, 120), (&mut bob, -210), (&mut carol, 0), (&mut dave, 0)]
    {
        let read = client.get(&format!("/parties/{party}")).ok();
        assert_party_clock(&read["party"], minutes, begun);
        let peers = client.get(&format!("/parties/{party}/peers")).ok();
        assert_eq!(peers["peers"], read["party"]["peers"]);
        let peer = client.get(&format!("/parties/{party}/peers/bob")).ok();
        assert_eq!(peer["peer"], read["party"]["peers"]["bob"]);
        let relays = client.get("/relays").ok();
        assert_clock(&relays["relays"][0]["registered_at"], minutes, begun);
    }
}

#[test]
fn times_follow_the_last_seen_that_a_client_sends() {
    let begun = Timestamp::now();
    let (_server, [mut alice]) = server_with(["alice"]);
    let now = Timestamp::now();
    for (last_seen, minutes) in [
        // To the quarter of an hour: clocks go wrong.
        (shown(now - Span::new().minutes(5), 0), 0),
        (shown(now + Span::new().minutes(5), 345), 345),
        (shown(now, 120).replace('T', " "), 120),
        (shown(now, -720), -720),
        (shown(now, 840), 840),
        // One that is named counts, however old the time is.
        ("1999-01-01T00:00:00+02:00".to_owned(), 120),
        ("1999-01-01T00:00:00.123456-03:30".to_owned(), -210),
        ("2026-11-22T16:15:12Z".to_owned(), 0),
        // No clock shows these.
        (shown(now + Span::new().hours(30), 0), 0),
        ("1999-01-01T00:00:00".to_owned(), 0),
    ] {
        let created = create(&mut alice, seen("alice", last_seen.as_str()));
        assert_party_clock(&created["party"], minutes, begun);
        // Other parties would tell the clock of before.
        let party = created["party_id"].as_str().expect("an id");
        alice.delete(&format!("/parties/{party}/peers/alice")).ok();
    }
}

#[test]
fn times_follow_a_client_that_changes_its_time_zone() {
    let begun = Timestamp::now();
    let (_server, [mut alice]) = server_with(["alice"]);
    let now = |minutes| shown(Timestamp::now(), minutes);
    let created = create(&mut alice, seen("alice", now(120)));
    let party = created["party_id"].as_str().expect("an id");
    let joined = join(&mut alice, party, seen("alice", now(-210)));
    assert_party_clock(&joined["party"], -210, begun);
    let read = alice.get(&format!("/parties/{party}")).ok();
    assert_party_clock(&read["party"], -210, begun);
    // Who says nothing of the time has the clock of before.
    join(&mut alice, party, seen("alice", Value::Null));
    let read = alice.get(&format!("/parties/{party}")).ok();
    assert_party_clock(&read["party"], -210, begun);
}

#[test]
fn expires_at_is_told_by_the_clock_of_its_peer() {
    let begun = Timestamp::now();
    let server = Setup::server().config("[auth]\ntoken_ttl = '2h'\n").start();
    let mut alice = Http::registered(server.address(), "alice");
    let mut renew = || alice.post("/auth/register?peer_id=alice", None).ok()["expires_at"].take();
    // Two hours from now, by UTC; and then by a clock that is two hours ahead.
    assert_clock(&renew(), 120, begun);
    create(&mut alice, seen("alice", shown(Timestamp::now(), 120)));
    let renewed = alice.post("/auth/register?peer_id=alice", None).ok();
    assert_clock(&renewed["expires_at"], 240, begun);
}

/// Ignores the client's clock: a wrong one would make the member look silent.
#[test]
fn last_seen_is_the_time_of_the_heartbeat_at_the_server() {
    let begun = Timestamp::now();
    let (_server, [mut alice]) = server_with(["alice"]);
    let created = create(&mut alice, seen("alice", "1999-01-01T00:00:00+00:00"));
    let path = format!("/parties/{}/peers/alice", created["party_id"].as_str().expect("an id"));
    let mut last = begun;
    for _ in 0..3 {
        alice.post(&format!("{path}/heartbeat"), None).ok();
        let peer = alice.get(&path).ok()["peer"].take();
        assert_clock(&peer["last_seen"], 0, last);
        last = Timestamp::now();
    }
}
