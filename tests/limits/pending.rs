//! The bound on changes that wait for the disk.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Client, OtherUser, Setup, SlowDisk, assert_error, eventually, is_long_run, peer, system_setup,
};

/// Changes that wait at most.
const MOST: usize = 16_384;
const IN_FLIGHT: usize = 1024;

/// A change of a party's host, which has the party's id.
fn update(party: &str, port: usize) -> Value {
    let mut host = peer(party);
    host["public_port"] = json!(port);
    json!({"party_id": party, "peer": host})
}

/// Asks for as many changes as a connection may have in flight.
fn flood(client: &mut Client, party: &str) {
    let line = |id| {
        let params = update(party, id);
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "peer.update", "params": params});
        format!("{call}\n")
    };
    let lines: String = (1..=IN_FLIGHT).map(line).collect();
    client.send_raw(lines.as_bytes());
}

#[test]
fn pending_changes_over_the_limit_are_refused_while_the_disk_stalls() {
    if !is_long_run() {
        return;
    }
    let Some(disk) = SlowDisk::new() else { return };
    let config = format!("[limits]\nrequests_in_flight = {IN_FLIGHT}\nrequest_timeout = '1h'\n");
    let daemon = Setup::new().config(&config).slow_disk(&disk).start();
    let mut client = daemon.client();
    client.register("lan", "lan");
    disk.set_delay(Duration::from_secs(3600));
    let mut clients: Vec<_> = (0..MOST / IN_FLIGHT).map(|_| daemon.client()).collect();
    clients.iter_mut().for_each(|client| flood(client, "lan"));
    let pending = |client: &mut Client| {
        client.call("status.get", json!({}))["store"]["pending"].as_u64().expect("a number")
    };
    eventually("a full queue", || (pending(&mut client) >= MOST as u64).then_some(()));
    // All of one more flood is refused, before the disk makes room.
    let mut late = daemon.client();
    flood(&mut late, "lan");
    for _ in 0..IN_FLIGHT {
        assert_error(&late.line().expect("an answer")["error"], "store_unavailable");
    }
    let refused = client.ask("peer.update", update("lan", 1)).expect("an answer");
    assert_error(&refused["error"], "store_unavailable");
    // A sign of life needs no disk.
    client.call("peer.heartbeat", json!({"party_id": "lan", "peer_id": "lan"}));
    disk.set_delay(Duration::ZERO);
    for client in &mut clients {
        for _ in 0..IN_FLIGHT {
            let reply = client.line().expect("an answer");
            assert_eq!(reply.get("error"), None);
        }
    }
    client.call("peer.update", update("lan", 1));
}

#[test]
fn pending_changes_of_a_user_leave_room_for_others() {
    const OPERATORS: [u32; 2] = [60_100, 60_101];
    let config =
        format!("limits.requests_in_flight = {IN_FLIGHT}\nlimits.request_timeout = '1h'\n");
    let Some(disk) = SlowDisk::new() else { return };
    let Some(setup) = system_setup(&OPERATORS, &config) else { return };
    let daemon = setup.slow_disk(&disk).start();
    let users = OPERATORS.map(|uid| OtherUser::new(&daemon.setup.socket(), uid));
    let [mut attacker, mut honest] = [users[0].connect(), users[1].connect()];
    attacker.register("x", "x");
    honest.register("lan", "lan");
    disk.set_delay(Duration::from_secs(3600));
    // More than may wait of all users.
    let mut crowd: Vec<_> = (0..=MOST / IN_FLIGHT).map(|_| users[0].connect()).collect();
    crowd.iter_mut().for_each(|client| flood(client, "x"));
    daemon.await_log("too many changes wait for the disk");
    let refused = attacker.ask("peer.update", update("x", 1)).expect("an answer");
    assert_error(&refused["error"], "store_unavailable");
    let asked = honest.send("peer.update", update("lan", 1));
    // It is in the queue, or refused, when a later request is answered.
    honest.call("status.get", json!({}));
    disk.set_delay(Duration::ZERO);
    assert_eq!(honest.reply(asked).get("error"), None);
}
