//! Members that were silent only because the server was down.

use std::time::{Duration, Instant};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{join, register, status};
use crate::harness::{Daemon, Http, Setup, Ws, announced_at, eventually, keys};

/// Every member counts as silent, except during the grace period after a start.
const IMPATIENT: &str = "[cleanup]\ninterval = '2ms'\npeer_timeout = '1ms'\n";

/// True if the time is the present, by a clock that is `hours` ahead of UTC.
fn is_now(time: &Value, hours: i64) -> bool {
    let time: DateTime = time.as_str().expect("a time").parse().expect("no offset");
    let clock = Timestamp::now() + SignedDuration::from_hours(hours);
    let age = TimeZone::UTC.to_datetime(clock).duration_since(time);
    age.abs() < SignedDuration::from_mins(5)
}

/// All members of a party are there, at their addresses, and live by that clock.
fn assert_whole(answer: &Value, before: &Value, hours: i64) {
    assert_eq!(answer["virtual_ips"], before["virtual_ips"], "{answer}");
    assert_eq!(answer["epoch"], before["epoch"], "{answer}");
    assert!(answer["seq"].as_u64() >= before["seq"].as_u64(), "{before} {answer}");
    for peer in answer["party"]["peers"].as_object().expect("peers").values() {
        assert!(is_now(&peer["last_seen"], hours), "{peer}");
    }
}

/// Until the clean-up has looked many times.
fn let_clean_up(server: &Daemon) {
    eventually("some time", || (status(server)["uptime_ms"].as_u64() > Some(60)).then_some(()));
}

fn joins_by_clock(http: &mut Http, party: &str, peer: &str, hours: i64) -> Value {
    let body = json!({"party_id": party, "peer_info": announced_at(peer, hours)});
    http.post(&format!("/parties/{party}/join"), Some(body)).ok()
}

fn is_invisible(again: impl FnOnce(Daemon, [&mut Ws; 2]) -> Daemon) {
    let server = Setup::server().config(IMPATIENT).start();
    let mut alice = Http::registered(server.address(), "alice");
    let mut bob = Http::registered(server.address(), "bob");
    let body = json!({"name": "LAN", "host_peer_info": announced_at("alice", 2)});
    let party = alice.post("/parties", Some(body)).ok()["party_id"].take();
    let party = party.as_str().expect("an id");
    joins_by_clock(&mut bob, party, "bob", 0);
    let (mut cleo, welcome) = Ws::hello(server.address(), "cleo", None);
    cleo.ask(json!({"type": "join_party", "party_id": party, "peer": announced_at("cleo", -5)}));
    let mut dan = Ws::plain(server.address());
    let dans_join =
        json!({"type": "join_party", "party_id": party, "peer": announced_at("dan", 3)});
    dan.send(dans_join);
    dan.await_type("party_update");
    let path = format!("/parties/{party}");
    let before = alice.get(&path).ok();
    assert_eq!(before["party"]["peers"].as_object().map(serde_json::Map::len), Some(4));
    let (alices, bobs) = (alice.token, bob.token);

    let server = again(server, [&mut cleo, &mut dan]);
    let_clean_up(&server);
    let [mut alice, mut bob] = [alices, bobs].map(|token| {
        let mut http = server.http();
        http.token = token;
        http
    });
    // By her clock, before she has said anything of it again.
    assert_whole(&alice.get(&path).ok(), &before, 2);
    assert_whole(&bob.get(&path).ok(), &before, 0);
    let status = alice.post(&format!("{path}/peers/alice/heartbeat"), None).ok();
    assert_eq!(status, json!({"status": "ok"}));

    let token = welcome["token"].as_str();
    let mut cleo = Ws::connect(server.address());
    cleo.send(json!({
        "type": "hello", "caps": ["lanragectl"], "peer_id": "cleo", "token": token,
        "have": {party: {"epoch": before["epoch"], "seq": before["seq"]}},
    }));
    let again = cleo.await_type("welcome");
    assert_eq!([&again["peer_id"], &again["epoch"]], [&json!("cleo"), &welcome["epoch"]]);
    assert_whole(&cleo.await_type("party_update"), &before, -5);
    let mut dan = Ws::plain(server.address());
    dan.send(json!({"type": "heartbeat", "party_id": party, "peer_id": "dan"}));
    let update = dan.frame().expect("its party");
    assert_eq!(keys(&update), ["party", "type"]);
    assert!(is_now(&update["party"]["peers"]["dan"]["last_seen"], 3), "{update}");

    // All hear on.
    let joined = joins_by_clock(&mut bob, party, "bob", 0);
    assert_eq!(joined["virtual_ips"], before["virtual_ips"]);
    let mut eve = Http::registered(server.address(), "eve");
    joins_by_clock(&mut eve, party, "eve", 0);
    for (ws, hours) in [(&mut cleo, -5), (&mut dan, 3)] {
        let peer = ws.await_type("peer_joined")["peer"].take();
        assert_eq!(peer["peer_id"], "eve");
        assert!(is_now(&peer["last_seen"], hours), "{peer}");
    }
    assert_eq!(
        alice.delete(&format!("{path}/peers/alice")).ok(),
        json!({"status": "party_deleted"})
    );
    assert_eq!(cleo.await_type("party_removed")["party_id"], party);
    dan.await_type("peer_left");
}

#[test]
fn stop_and_start_expire_no_member() {
    is_invisible(|server, sockets| {
        server.signal(Signal::SIGTERM);
        sockets.into_iter().for_each(|ws| drop(ws.rest()));
        let (setup, status) = server.wait();
        assert!(status.success(), "{}", setup.log());
        setup.start()
    });
}

#[test]
fn kill_and_start_expire_no_member() {
    is_invisible(|server, _| server.kill().start());
}

/// A member with heartbeats must stay if no gap between them exceeds half the timeout. Otherwise
/// the machine was too slow, and the test starts over.
#[test]
fn silent_members_expire_after_a_start_without_grace() {
    const TIMEOUT: Duration = Duration::from_millis(600);
    for _ in 0..10 {
        let server = Setup::server().start();
        let mut alice = Http::registered(server.address(), "alice");
        let party = alice.party("alice");
        let mut bob = Http::registered(server.address(), "bob");
        bob.join(&party, "bob").ok();
        let (mut cleo, welcome) = Ws::hello(server.address(), "cleo", None);
        join(&mut cleo, &party, "cleo");
        let mut setup = server.kill();
        setup.config = "[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\n\
            peer_timeout = '600ms'\n[limits]\nrequests_per_second = 1000000\n\
            requests_burst = 1000000\n"
            .into();
        let started = Instant::now();
        let server = setup.start();
        let mut http = server.http();
        http.token = alice.token;
        // On an open connection a peer lives without a beat.
        let (mut cleo, _) = Ws::hello(server.address(), "cleo", welcome["token"].as_str());
        let path = format!("/parties/{party}");
        let (mut last, mut widest) = (started, Duration::ZERO);
        let left = loop {
            let asked = Instant::now();
            let beat = http.post(&format!("{path}/peers/alice/heartbeat"), None);
            widest = widest.max(last.elapsed());
            last = asked;
            if beat.status != 200 {
                break None;
            }
            let party = http.get(&path).ok();
            if party["party"]["peers"].get("bob").is_none() {
                break Some(party);
            }
        };
        assert!(started.elapsed() >= TIMEOUT, "too early: {:?}", started.elapsed());
        if widest > TIMEOUT / 2 {
            continue;
        }
        let left = left.expect("a party, since its host was never silent");
        assert_eq!(keys(&left["party"]["peers"]), ["alice", "cleo"]);
        cleo.await_frame("that bob left", |f| f["type"] == "peer_left" && f["peer_id"] == "bob");
        return;
    }
    panic!("this machine is too slow to tell");
}

/// A stop tells those who know more than LANrage that they should come back.
#[test]
fn stop_of_the_server_is_no_leave() {
    let server = Setup::server().config(IMPATIENT).start();
    let (mut alice, welcome) = Ws::hello(server.address(), "alice", None);
    register(&mut alice, "lan", "alice");
    let mut bob = Ws::plain(server.address());
    join(&mut bob, "lan", "bob");
    alice.await_type("peer_joined");
    server.signal(Signal::SIGTERM);
    let told: Vec<Value> = alice.rest().iter().map(|frame| frame["type"].clone()).collect();
    assert_eq!(told, ["goaway"]);
    assert_eq!(bob.rest(), [Value::Null; 0]);
    let server = server.wait().0.start();
    let (mut alice, _) = Ws::hello(server.address(), "alice", welcome["token"].as_str());
    let party = alice.await_type("party_update");
    assert_eq!(keys(&party["party"]["peers"]), ["alice", "bob"]);
    // Its own connection is there; the other's is not yet.
    assert_eq!(party["connected"], json!({"alice": true, "bob": false}));
}
