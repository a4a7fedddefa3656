//! Connections while the disk is slow.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::SockRef;

use super::{
    NO_LIMITS, done, guest, heartbeat, host, join, newcomer, plain_guest, signal, sync, update,
};
use crate::harness::{Daemon, PATIENCE, Setup, SlowDisk, Ws, cases, eventually};

/// A value of the server's metrics.
fn metric(server: &Daemon, name: &str) -> u64 {
    let metrics = server.metrics();
    let line = metrics.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("a metric").parse().expect("a number")
}

/// Waits until so many changes wait for the disk.
fn await_pending(server: &Daemon, pending: u64) {
    let mut client = server.client();
    eventually("changes that wait", || {
        let status = client.call("status.get", json!({}));
        (status["store"]["pending"].as_u64()? >= pending).then_some(())
    });
}

#[test]
fn stalled_disk_delays_answers_until_it_is_released() {
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

/// Has `carol` update itself and send a signal to `alice`, while commits of `dave` follow each
/// other.
fn update_and_signal(carol: &mut Ws, dave: &mut Ws, n: usize) {
    for part in 0..3 {
        dave.send(update("lan", "dave", &format!("Dave {n} {part}")));
    }
    carol.send(update("lan", "carol", &format!("Carol {n}")));
    carol.send(signal("lan", "carol", "alice", json!(n)));
}

#[test]
fn update_then_signal_delivers_the_signal_to_a_plain_client() {
    let Some(disk) = SlowDisk::new() else { return };
    let server = Setup::server().config(NO_LIMITS).slow_disk(&disk).start();
    let (mut carol, _) = host(&server, "lan", "carol");
    let (mut dave, _) = guest(&server, "lan", "dave");
    let mut alice = plain_guest(&server, "lan", "alice");
    disk.set_delay(Duration::from_millis(20));
    for n in 0..15 {
        update_and_signal(&mut carol, &mut dave, n);
        assert_eq!(alice.await_type("signal")["signal_data"], n);
    }
}

#[test]
fn sync_keeps_the_signals_that_come_meanwhile() {
    let Some(disk) = SlowDisk::new() else { return };
    let server = Setup::server().config(NO_LIMITS).slow_disk(&disk).start();
    let (mut carol, _) = host(&server, "lan", "carol");
    let (mut dave, _) = guest(&server, "lan", "dave");
    let (mut alice, _) = guest(&server, "lan", "alice");
    disk.set_delay(Duration::from_millis(20));
    for n in 0..15 {
        update_and_signal(&mut carol, &mut dave, n);
        for _ in 0..4 {
            alice.send(sync("lan"));
        }
        assert_eq!(alice.await_type("signal")["signal_data"], n);
    }
}

/// A member that has more signals waiting than its queue has room for gets them all, however much
/// it sends meanwhile.
#[test]
fn signals_that_wait_reach_a_busy_connection() {
    let config = NO_LIMITS.replace("[ws]\n", "[ws]\nqueue_frames = 16\n");
    let server = Setup::server().config(&config).start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (bob, token) = guest(&server, "lan", "bob");
    drop(bob);
    for n in 0..40 {
        done(&alice.ask(signal("lan", "alice", "bob", json!(n))));
    }
    let (mut bob, _) = Ws::hello(server.address(), "bob", Some(&token));
    let mut came = Vec::new();
    let beat = |n: usize| {
        let mut beat = heartbeat("lan", "bob");
        beat["req_id"] = json!(format!("beat-{n}"));
        beat
    };
    for n in 0..8 {
        bob.send(beat(n));
    }
    // A second is more than enough; if each frame put it off, it would take much longer.
    let until = Instant::now() + PATIENCE / 4;
    for n in 8.. {
        assert!(Instant::now() < until, "only {came:?}");
        let frame = bob.frame().expect("an open connection");
        if frame["type"] == "signal" {
            came.push(frame["signal_data"].clone());
        } else if frame["type"] == "ack" {
            bob.send(beat(n));
        }
        if came.len() == 40 {
            break;
        }
    }
    assert_eq!(came, (0..40).map(Value::from).collect::<Vec<_>>());
}

/// The hello of a peer, as a daemon sends it.
fn hello(peer_id: &str, token: Option<&str>) -> Value {
    json!({
        "type": "hello", "version": "1", "client": "test", "caps": ["lanragectl", "takeover"],
        "peer_id": peer_id, "token": token, "req_id": format!("hello-{peer_id}"),
    })
}

#[test]
fn hello_of_each_of_64_peers_shares_commits() {
    let Some(disk) = SlowDisk::new() else { return };
    let server = Setup::server().config(NO_LIMITS).slow_disk(&disk).start();
    let peers: Vec<String> = (0..64).map(|n| format!("peer-{n}")).collect();
    let mut ws = Ws::connect(server.address());
    let mut tokens = Vec::new();
    for peer in &peers {
        ws.send(hello(peer, None));
    }
    for peer in &peers {
        let welcome = ws.await_frame("a welcome", |frame| {
            frame["type"] == "welcome" && frame["peer_id"] == json!(peer)
        });
        tokens.push(welcome["token"].as_str().expect("a token").to_owned());
        done(&ws.answer(&format!("hello-{peer}")));
    }
    for (n, peer) in peers.iter().enumerate() {
        let frame = if n == 0 { super::register("lan", peer) } else { join("lan", peer) };
        done(&ws.ask(frame));
    }
    ws.close();
    let before = metric(&server, "lanrage_commits_total");
    disk.set_delay(Duration::from_millis(50));
    let mut ws = Ws::connect(server.address());
    for (peer, token) in peers.iter().zip(&tokens) {
        ws.send(hello(peer, Some(token)));
    }
    for peer in &peers {
        done(&ws.answer(&format!("hello-{peer}")));
    }
    disk.set_delay(Duration::ZERO);
    let commits = metric(&server, "lanrage_commits_total") - before;
    assert!(commits <= 24, "{commits} commits");
    assert_eq!(ws.closed, None);
}

/// The answer to a `hello` waits for room in the send queue, and for nothing else. The client
/// itself asked for it.
#[test]
fn hello_with_many_parties_waits_for_a_client_that_reads_late() {
    let server = Setup::server().config(NO_LIMITS).start();
    let (mut alice, token) = newcomer(&server, "alice");
    let (mut crowd, _) = newcomer(&server, "bob");
    for n in 0..64 {
        let party = format!("lan-{n}");
        let mut register = super::register(&party, "alice");
        register["host_peer"]["name"] = json!("x".repeat(100));
        done(&alice.ask(register));
        for guest in ["bob", "carol", "dave"] {
            let mut join = join(&party, guest);
            join["peer"]["name"] = json!("x".repeat(100));
            join["peer"]["public_key"] = json!("k".repeat(128));
            done(&crowd.ask(join));
        }
    }
    drop((alice, crowd));
    let mut alice = Ws::connect(server.address());
    // The system's buffers hold less than all frames.
    SockRef::from(&*alice.stream()).set_recv_buffer_size(64 * 1024).expect("a small buffer");
    let count = 70;
    for n in 0..count {
        let mut hello = hello("alice", Some(&token));
        hello["req_id"] = json!(format!("hello-{n}"));
        alice.send(hello);
    }
    // Long enough for the queue to pass its bound, if nothing waited for room.
    let mut full = 0;
    eventually("a full queue", || {
        full += usize::from(metric(&server, "lanrage_websocket_queued_frames") >= 100);
        let is_closed = metric(&server, "lanrage_websocket_connections") == 0;
        (full >= cases(25, 100) || is_closed).then_some(())
    });
    for n in 0..count {
        done(&alice.answer(&format!("hello-{n}")));
    }
    assert_eq!(alice.closed, None);
}

/// Frames that a stalled disk holds up are no offence: the server reads them later.
#[test]
fn frames_within_the_pace_wait_for_a_stalled_disk() {
    let Some(disk) = SlowDisk::new() else { return };
    let config = "[ws]\nframes_burst = 2000\nping_interval = '100ms'\npong_timeout = '1s'\n\
        [limits]\nrequest_timeout = '1m'\n";
    let server = Setup::server().config(config).slow_disk(&disk).start();
    let (mut alice, _) = host(&server, "lan", "alice");
    disk.set_delay(Duration::from_secs(3600));
    let count = 600;
    for n in 0..count {
        let mut update = update("lan", "alice", &format!("Alice {n}"));
        update["req_id"] = json!(format!("update-{n}"));
        alice.send(update);
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            // A pong that stands behind these frames is late.
            thread::sleep(Duration::from_millis(2500));
            disk.set_delay(Duration::ZERO);
        });
        for n in 0..count {
            done(&alice.answer(&format!("update-{n}")));
        }
    });
}

/// The clients' clocks go on while the server does not read: frames sent at the allowed rate arrive
/// together afterwards.
#[test]
fn frame_rate_that_was_kept_is_kept_after_a_stall() {
    let Some(disk) = SlowDisk::new() else { return };
    let config = "[ws]\nframes_per_second = 100\nframes_burst = 40\n";
    let server = Setup::server().config(config).slow_disk(&disk).start();
    let (mut alice, _) = host(&server, "lan", "alice");
    disk.set_delay(Duration::from_secs(3600));
    let mut send = |n: usize, mut frame: Value| {
        frame["req_id"] = json!(format!("frame-{n}"));
        alice.send(frame);
    };
    send(0, update("lan", "alice", "Alice in the end"));
    let long = json!("x".repeat(8000));
    let count = 180;
    for n in 1..count {
        send(n, signal("lan", "alice", "alice", long.clone()));
        thread::sleep(Duration::from_millis(10));
    }
    disk.set_delay(Duration::ZERO);
    for n in 0..count {
        done(&alice.answer(&format!("frame-{n}")));
    }
}
