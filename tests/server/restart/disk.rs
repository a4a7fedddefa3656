//! A disk that takes no more, and then does.

use serde_json::{Value, json};

use super::{join, register, status};
use crate::harness::{Http, Setup, Ws, announced, eventually, limit_files, start_with_file_limits};

#[test]
fn full_disk_refuses_changes_and_keeps_reads_and_signals() {
    let server = start_with_file_limits(Setup::server());
    let mut alice = Http::registered(server.address(), "alice");
    let party = alice.party("alice");
    let (mut bob, _) = Ws::hello(server.address(), "bob", None);
    register(&mut bob, "lan", "bob");
    let mut cleo = Ws::plain(server.address());
    join(&mut cleo, "lan", "cleo");
    bob.await_type("peer_joined");

    limit_files(&server, Some(1));
    let body = json!({"name": "LAN", "host_peer_info": announced("alice")});
    for _ in 0..3 {
        let refused = alice.post("/parties", Some(body.clone()));
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        assert!(refused.detail(503).is_string());
        assert!(alice.delete(&format!("/parties/{party}/peers/alice")).detail(503).is_string());
        let mut stranger = server.http();
        assert!(stranger.post("/auth/register?peer_id=dan", None).detail(503).is_string());
        let leave = json!({"type": "leave_party", "party_id": "lan", "peer_id": "bob"});
        let error = bob.ask(leave);
        assert_eq!(error["code"], "store_unavailable", "{error}");
        assert!(error["retry_after_ms"].is_u64(), "{error}");
        cleo.send(json!({"type": "leave_party", "party_id": "lan", "peer_id": "cleo"}));
        cleo.await_type("error");
        // What needs no disk.
        alice.post(&format!("/parties/{party}/peers/alice/heartbeat"), None).ok();
        alice.get(&format!("/parties/{party}")).ok();
        let signal = json!({"type": "signal", "party_id": "lan", "from_peer_id": "bob",
            "to_peer_id": "cleo", "signal_data": 1});
        cleo_hears(&mut bob, &mut cleo, signal);
        assert!(status(&server)["store"]["last_error"].is_string());
        assert_eq!(status(&server)["parties"], 2);
    }

    limit_files(&server, None);
    let again = eventually("a party that is stored again", || {
        let answer = alice.post("/parties", Some(body.clone()));
        (answer.status == 200).then(|| answer.json()["party_id"].take())
    });
    assert_eq!(status(&server)["store"]["last_error"], Value::Null);
    let update = json!({"type": "update_peer", "party_id": "lan", "peer": announced("bob")});
    assert_eq!(bob.ask(update)["type"], "ack");
    // Nobody was told of what was refused.
    assert_eq!(bob.settled(), [Value::Null; 0]);

    let setup = server.kill();
    let server = setup.start();
    let mut http = server.http();
    http.token = alice.token;
    for party in [party.as_str(), again.as_str().expect("an id"), "lan"] {
        http.get(&format!("/parties/{party}")).ok();
    }
    assert_eq!(status(&server)["parties"], 3);
    // The id whose claim was refused is nobody's.
    Http::registered(server.address(), "dan");
}

fn cleo_hears(bob: &mut Ws, cleo: &mut Ws, signal: Value) {
    bob.send(signal);
    assert_eq!(cleo.await_type("signal")["signal_data"], 1);
}

#[test]
fn signal_repeated_after_a_lost_receipt_arrives_once() {
    let server = start_with_file_limits(Setup::server());
    let (mut bob, _) = Ws::hello(server.address(), "bob", None);
    register(&mut bob, "lan", "bob");
    let (mut cleo, _) = Ws::hello(server.address(), "cleo", None);
    join(&mut cleo, "lan", "cleo");
    let signal = |data: u32| {
        json!({"type": "signal", "party_id": "lan", "from_peer_id": "bob", "to_peer_id": "cleo",
            "signal_data": data, "req_id": format!("signal {data}")})
    };
    limit_files(&server, Some(1));
    for _ in 0..3 {
        bob.send(signal(1));
        assert_eq!(bob.answer("signal 1")["code"], "store_unavailable");
    }
    limit_files(&server, None);
    for data in [1, 2] {
        eventually("a signal that is stored", || {
            bob.send(signal(data));
            (bob.answer(&format!("signal {data}"))["type"] == "ack").then_some(())
        });
    }
    for data in [1, 2] {
        assert_eq!(cleo.await_type("signal")["signal_data"], data);
    }
}
