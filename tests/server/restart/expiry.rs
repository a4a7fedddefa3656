//! Expiry of silent members and of old tokens. The timeouts are tiny, so a slow machine makes these
//! tests slow, but not wrong.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{join, register};
use crate::harness::{Http, Setup, Ws, eventually, keys};

const AT_ONCE: &str = "[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\npeer_timeout = '30ms'\n";
const NEVER: &str = "[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\npeer_timeout = '1h'\n";

#[test]
fn http_member_without_heartbeats_expires() {
    let server = Setup::server().config(AT_ONCE).start();
    let (mut alice, _) = Ws::hello(server.address(), "alice", None);
    register(&mut alice, "lan", "alice");
    let mut bob = Ws::plain(server.address());
    join(&mut bob, "lan", "bob");
    let mut cleo = Http::registered(server.address(), "cleo");
    let mut seq = 0;
    // Each round is longer than anyone may be silent, and the WebSockets say nothing at all.
    for _ in 0..3 {
        let joined = cleo.join("lan", "cleo").ok();
        assert_eq!(joined["virtual_ips"]["cleo"], "10.66.0.3");
        let is_cleo = |kind: &'static str| {
            move |frame: &Value| {
                let peer = frame["peer_id"].as_str().or(frame["peer"]["peer_id"].as_str());
                frame["type"] == kind && peer == Some("cleo")
            }
        };
        for kind in ["peer_joined", "peer_left"] {
            let frame = alice.await_frame(kind, is_cleo(kind));
            assert!(frame["seq"].as_u64() > Some(seq), "{frame}");
            seq = frame["seq"].as_u64().expect("a number");
        }
        bob.await_frame("peer_joined", is_cleo("peer_joined"));
        let left = bob.await_frame("peer_left", is_cleo("peer_left"));
        assert_eq!(left, json!({"type": "peer_left", "party_id": "lan", "peer_id": "cleo"}));
    }
    let party = cleo.get("/parties/lan").ok();
    assert_eq!(keys(&party["party"]["peers"]), ["alice", "bob"]);
    assert_eq!(cleo.post("/parties/lan/peers/cleo/heartbeat", None).status, 404);
}

#[test]
fn silent_host_ends_its_party() {
    let mut server = Setup::server().config(NEVER).start();
    let mut alice = Http::registered(server.address(), "alice");
    let party = alice.party("alice");
    let (mut bob, _) = Ws::hello(server.address(), "bob", None);
    join(&mut bob, &party, "bob");
    let mut cleo = Ws::plain(server.address());
    join(&mut cleo, &party, "cleo");
    server.reload(AT_ONCE);
    let removed = bob.await_type("party_removed");
    assert_eq!([&removed["party_id"], &removed["reason"]], [&json!(party), &json!("expired")]);
    let mut left = Vec::new();
    for _ in 0..3 {
        left.push(cleo.await_type("peer_left")["peer_id"].take());
    }
    assert_eq!(left[0], "alice");
    left.sort_by_key(Value::to_string);
    assert_eq!(left, ["alice", "bob", "cleo"]);
    assert_eq!(alice.get(&format!("/parties/{party}")).status, 404);
}

#[test]
fn closed_websocket_keeps_no_member_alive() {
    let server = Setup::server().config(AT_ONCE).start();
    let (mut alice, _) = Ws::hello(server.address(), "alice", None);
    register(&mut alice, "lan", "alice");
    let mut bob = Ws::plain(server.address());
    join(&mut bob, "lan", "bob");
    alice.await_type("peer_joined");
    drop(bob);
    let gone = alice.await_type("peer_updated");
    assert_eq!(gone["connected"], json!({"bob": false}), "{gone}");
    assert_eq!(alice.await_type("peer_left")["peer_id"], "bob");
    // It was nobody's but the connection's, and is free.
    let mut other = Ws::plain(server.address());
    join(&mut other, "lan", "bob");
    assert_eq!(alice.await_type("peer_joined")["peer"]["peer_id"], "bob");
}

#[test]
fn auth_register_of_an_id_with_an_expired_token_is_taken() {
    let auth = "[auth]\ntoken_ttl = '5s'\n[limits]\nrequests_per_second = 1000000\n\
        registrations_per_minute = 1000000\nregistrations_burst = 1000000\n";
    let mut server = Setup::server().config(&format!("{NEVER}{auth}")).start();
    let mut alice = server.http();
    let answer = alice.post("/auth/register?peer_id=alice", None).ok();
    alice.token = answer["token"].as_str().map(str::to_owned);
    let party = alice.party("alice");
    let expires: DateTime = answer["expires_at"].as_str().expect("a time").parse().expect("naive");
    let expires = expires.to_zoned(TimeZone::UTC).expect("a time").timestamp();
    let refused = eventually("the token's end", || {
        let answer = alice.get(&format!("/parties/{party}"));
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.detail(401), "Invalid or expired token");
    assert!(Timestamp::now() + SignedDuration::from_millis(1) >= expires, "before {expires}");
    // It is in a party: nobody can have the id without the token of before.
    let mut stranger = server.http();
    for token in [None, Some("another".to_owned())] {
        stranger.token = token;
        let taken = stranger.post("/auth/register?peer_id=alice", None);
        assert_eq!(taken.detail(409), "Peer id is already registered");
        let mut ws = server.ws();
        ws.send(json!({"type": "hello", "caps": ["lanragectl"], "peer_id": "alice",
            "token": stranger.token}));
        let refused = ws.frame().expect("an answer");
        assert_eq!(refused["type"], "error", "{refused}");
    }
    server.reload(&format!("{AT_ONCE}{auth}"));
    let mut heir = server.http();
    let answer = eventually("a free id", || {
        let answer = heir.post("/auth/register?peer_id=alice", None);
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(answer["peer_id"], "alice");
    // The party went with its host; the token of before is good for nothing still.
    let party = json!({"party_id": party});
    assert_eq!(server.client().refused("party.get", party), "party_not_found");
    assert_eq!(alice.get("/relays").detail(401), "Invalid or expired token");
}
