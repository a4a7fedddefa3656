//! The bound on changes that wait for the disk.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Setup, SlowDisk, assert_error, eventually, peer};

/// Changes that wait at most.
const MOST: usize = 16_384;
const IN_FLIGHT: usize = 1024;

fn update(port: usize) -> Value {
    let mut ann = peer("ann");
    ann["public_port"] = json!(port);
    json!({"party_id": "lan", "peer": ann})
}

/// Asks for as many changes as a connection may have in flight.
fn flood(client: &mut Client) {
    let line = |id| {
        let call =
            json!({"jsonrpc": "2.0", "id": id, "method": "peer.update", "params": update(id)});
        format!("{call}\n")
    };
    let lines: String = (1..=IN_FLIGHT).map(line).collect();
    client.send_raw(lines.as_bytes());
}

#[test]
fn a_stalled_disk_holds_so_many_changes_and_no_more() {
    let Some(disk) = SlowDisk::new() else { return };
    let config = format!("[limits]\nrequests_in_flight = {IN_FLIGHT}\nrequest_timeout = '1h'\n");
    let daemon = Setup::new().config(&config).slow_disk(&disk).start();
    let mut client = daemon.client();
    client.register("lan", "ann");
    disk.set_delay(Duration::from_secs(3600));
    let mut clients: Vec<_> = (0..MOST / IN_FLIGHT).map(|_| daemon.client()).collect();
    clients.iter_mut().for_each(flood);
    let pending = |client: &mut Client| {
        client.call("status.get", json!({}))["store"]["pending"].as_u64().expect("a number")
    };
    eventually("a full queue", || (pending(&mut client) >= MOST as u64).then_some(()));
    // All of one more flood is refused, before the disk makes room.
    let mut late = daemon.client();
    flood(&mut late);
    for _ in 0..IN_FLIGHT {
        assert_error(&late.line().expect("an answer")["error"], "store_unavailable");
    }
    let refused = client.ask("peer.update", update(1)).expect("an answer");
    assert_error(&refused["error"], "store_unavailable");
    // A sign of life needs no disk.
    client.call("peer.heartbeat", json!({"party_id": "lan", "peer_id": "ann"}));
    disk.set_delay(Duration::ZERO);
    for client in &mut clients {
        for _ in 0..IN_FLIGHT {
            let reply = client.line().expect("an answer");
            assert_eq!(reply.get("error"), None);
        }
    }
    client.call("peer.update", update(1));
}
