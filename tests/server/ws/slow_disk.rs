//! Connections while the disk is slow.

use std::time::Duration;

use serde_json::json;

use super::{done, host, update};
use crate::harness::{Daemon, Setup, SlowDisk, eventually};

/// Waits until so many changes wait for the disk.
fn await_pending(server: &Daemon, pending: u64) {
    let mut client = server.client();
    eventually("changes that wait", || {
        let status = client.call("status.get", json!({}));
        (status["store"]["pending"].as_u64()? >= pending).then_some(())
    });
}

#[test]
fn a_stalled_disk_delays_answers_until_it_is_released() {
    let Some(disk) = SlowDisk::new() else { return };
    let server = Setup::server().slow_disk(&disk).start();
    let (mut alice, _) = host(&server, "lan", "alice");
    disk.set_delay(Duration::from_secs(3600));
    let mut rename = update("lan", "alice", "Alicia");
    rename["req_id"] = json!("stalled");
    alice.send(rename);
    await_pending(&server, 1);
    disk.set_delay(Duration::ZERO);
    done(&alice.answer("stalled"));
}
