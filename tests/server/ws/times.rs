//! Times in frames follow the receiver's wall clock.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, tz::Offset};
use serde_json::{Value, json};

use super::{done, newcomer, sync};
use crate::harness::{Http, Setup, SteppedClock, Ws, announced, eventually};

/// A peer as a client tells of it whose clock is ahead of UTC by so many minutes.
fn told_at(id: &str, minutes: i32) -> Value {
    let mut peer = announced(id);
    peer["last_seen"] = json!(format!("{:.6}", wall(minutes)));
    peer
}

fn wall(minutes: i32) -> DateTime {
    let offset = Offset::from_seconds(minutes * 60).expect("an offset");
    offset.to_datetime(Timestamp::now())
}

/// True for a time that is now by a clock which is ahead of UTC by so many minutes. Half of the quarter
/// of an hour that clocks are told apart by is time enough for a test.
#[track_caller]
fn assert_now(time: &Value, minutes: i32) {
    let time: DateTime = time.as_str().expect("a time").parse().expect("a time");
    let away = time.duration_until(wall(minutes)).abs();
    assert!(away < SignedDuration::from_mins(7), "{time} is {away} from now at {minutes} min");
}

#[test]
fn times_are_told_by_the_clock_of_each_client() {
    let server = Setup::server().start();
    let mut http = Http::registered(server.address(), "watcher");
    let mut members: Vec<(Ws, &str, i32)> = Vec::new();
    for (id, minutes) in [("a", 0), ("b", 120), ("c", -300), ("d", 345), ("e", -570), ("f", 840)] {
        let mut ws = Ws::plain(server.address());
        let frame = match id {
            "a" => json!({"type": "register_party", "party_id": "lan", "name": "LAN",
                "host_peer": told_at(id, minutes)}),
            _ => json!({"type": "join_party", "party_id": "lan", "peer": told_at(id, minutes)}),
        };
        ws.send(frame);
        let party = ws.await_type("party_update")["party"].take();
        assert_now(&party["created_at"], minutes);
        for peer in party["peers"].as_object().expect("peers").values() {
            assert_now(&peer["last_seen"], minutes);
        }
        for (member, _, minutes) in &mut members {
            assert_now(&member.await_type("peer_joined")["peer"]["last_seen"], *minutes);
        }
        members.push((ws, id, minutes));
    }
    let utc = http.get("/parties/lan").ok();
    assert_now(&utc["party"]["created_at"], 0);
}

#[test]
fn times_follow_an_offset_that_the_client_names() {
    let server = Setup::server().start();
    for (id, text, minutes) in [("z", "Z", 0), ("plus", "+05:30", 330), ("minus", "-03:00", -180)] {
        let (mut ws, _) = newcomer(&server, id);
        let mut peer = announced(id);
        peer["last_seen"] = json!(format!("{:.6}{text}", wall(minutes)));
        let frame =
            json!({"type": "register_party", "party_id": id, "name": "LAN", "host_peer": peer});
        done(&ws.ask(frame));
        let party = ws.await_type("party_update");
        assert_now(&party["party"]["created_at"], minutes);
    }
}

#[test]
fn times_are_utc_for_a_client_without_a_clock() {
    let server = Setup::server().start();
    for (id, last_seen) in [("null", json!(null)), ("far", json!("1999-12-31T23:59:59"))] {
        let (mut ws, _) = newcomer(&server, id);
        let mut peer = announced(id);
        peer["last_seen"] = last_seen;
        let frame =
            json!({"type": "register_party", "party_id": id, "name": "LAN", "host_peer": peer});
        done(&ws.ask(frame));
        assert_now(&ws.await_type("party_update")["party"]["created_at"], 0);
    }
}

#[test]
fn times_of_a_reconnected_client_keep_its_offset() {
    let server = Setup::server().start();
    let (mut ws, token) = newcomer(&server, "alice");
    let host_peer = told_at("alice", -240);
    let frame =
        json!({"type": "register_party", "party_id": "lan", "name": "LAN", "host_peer": host_peer});
    done(&ws.ask(frame));
    drop(ws);
    let (mut ws, _) = Ws::hello(server.address(), "alice", Some(&token));
    assert_now(&ws.await_type("party_update")["party"]["created_at"], -240);
    // Who moves to another zone says so with the next word about itself.
    let peer = told_at("alice", 60);
    done(&ws.ask(json!({"type": "update_peer", "party_id": "lan", "peer": peer})));
    done(&ws.ask(sync("lan")));
    assert_now(
        &ws.await_frame("the party", |f| f["type"] == "party_update")["party"]["created_at"],
        60,
    );
}

/// The last sign of life of a member that a party's snapshot tells.
fn last_seen(party: &Value, peer_id: &str) -> Value {
    party["party"]["peers"][peer_id]["last_seen"].clone()
}

/// True for a time that is now by a clock which is ahead of UTC by so many minutes.
fn is_now(time: &Value, minutes: i32) -> bool {
    let time: DateTime = time.as_str().expect("a time").parse().expect("a time");
    time.duration_until(wall(minutes)).abs() < SignedDuration::from_mins(7)
}

#[test]
fn times_stay_right_after_a_step_of_the_server_clock() {
    let Some(clock) = SteppedClock::new() else { return };
    let config = "[ws]\nrefresh = '20ms'\n[cleanup]\ninterval = '20ms'\n";
    let server = Setup::server().config(config).stepped_clock(&clock).start();
    let mut http = Http::registered(server.address(), "zoe");
    let mut alice = Ws::plain(server.address());
    let frame = json!({"type": "register_party", "party_id": "lan", "name": "LAN",
        "host_peer": told_at("alice", 120)});
    alice.send(frame);
    alice.await_type("party_update");
    let join = json!({"party_id": "lan", "peer_info": told_at("zoe", -300)});
    http.post("/parties/lan/join", Some(join)).ok();
    for offset_ms in [-3_600_000, 3 * 3_600_000, 0] {
        clock.set_offset_ms(offset_ms);
        http.post("/parties/lan/peers/zoe/heartbeat", None).ok();
        eventually("the right time", || {
            let party = http.get("/parties/lan").ok();
            let right = ["alice", "zoe"].iter().all(|id| is_now(&last_seen(&party, id), -300));
            right.then_some(())
        });
        // What was sent before that is passed over.
        alice.settled_plainly();
        assert_now(&last_seen(&alice.await_type("party_update"), "alice"), 120);
    }
    // An offset that is told after a step is not counted twice.
    clock.set_offset_ms(-3_600_000);
    let join = json!({"party_id": "lan", "peer_info": told_at("zoe", 60)});
    let joined = http.post("/parties/lan/join", Some(join)).ok();
    assert_now(&last_seen(&joined, "zoe"), 60);
}
