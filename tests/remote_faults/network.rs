//! A good server behind a bad network.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::world::{
    PATIENT, await_synced, daemon, impatient_daemon, join, members_on_server, on_server, register,
    server,
};
use crate::harness::{
    Daemon, Direction, FAST_REMOTE, Http, Port, Proxy, Setup, SteppedClock, Ws, announced, cases,
    eventually, fast_remote, is_long_run, peer,
};

/// The party is on the server, once, with these members, and the daemon agrees.
#[track_caller]
pub(super) fn is_whole(daemon: &Daemon, http: &mut Http, party_id: &str, members: &[&str]) {
    eventually("the party as it should be", || {
        (members_on_server(http, party_id) == members).then_some(())
    });
    await_synced(daemon);
    let there = on_server(http, party_id);
    eventually("the same party here", || {
        let mut here = daemon.client().party(party_id);
        let peers = here["peers"].as_object_mut().expect("peers");
        let mut same = peers.len() == members.len();
        for (id, peer) in peers.iter() {
            same &= peer["virtual_ip"] == there["virtual_ips"][id];
            for field in ["name", "public_key", "public_ip", "public_port"] {
                same &= peer[field] == there["party"]["peers"][id][field];
            }
        }
        same.then_some(())
    });
}

/// Cuts a connection after each of these numbers of bytes: while it is made, while the peers are
/// greeted, while they register and join.
fn cut_everywhere(way: Direction, range: std::ops::Range<usize>, step: usize) {
    let server = server();
    let mut http = Http::registered(server.address(), "watcher");
    let proxy = Proxy::to(server.address());
    let daemon = daemon(&proxy);
    let mut client = daemon.client();
    register(&mut client, "first", "h");
    join(&mut client, "first", "g");
    is_whole(&daemon, &mut http, "first", &["g", "h"]);
    for cut in range.step_by(step * cases(3, 1)) {
        let party_id = format!("p{cut}");
        proxy.cut_after(way, cut);
        proxy.cut();
        register(&mut client, &party_id, "h");
        join(&mut client, &party_id, "g");
        is_whole(&daemon, &mut http, &party_id, &["g", "h"]);
        is_whole(&daemon, &mut http, "first", &["g", "h"]);
        // Each was registered once.
        assert_eq!(http.get("/").ok()["parties"], 2, "after {cut} bytes");
        let left = client.call("party.leave", json!({"party_id": party_id, "peer_id": "h"}));
        assert_eq!(left["status"], "party_deleted");
        let ended = || on_server(&mut http, &party_id).is_null().then_some(());
        eventually("the end of the party", ended);
        // What is left of the limit is for nobody.
        proxy.heal();
    }
    assert!(!daemon.setup.log().contains("panicked"));
}

#[test]
fn connection_cut_anywhere_while_sending_loses_no_change() {
    cut_everywhere(Direction::ToServer, 0..3000, 100);
}

#[test]
fn connection_cut_anywhere_while_receiving_loses_no_change() {
    cut_everywhere(Direction::ToClient, 0..4500, 150);
}

#[test]
fn network_that_goes_silent_is_detected_within_15_seconds() {
    // A halted server is as silent: remote::halted.
    if !is_long_run() {
        return;
    }
    let server = server();
    let mut http = Http::registered(server.address(), "watcher");
    let proxy = Proxy::to(server.address());
    // No request of its own finds it out.
    let config = fast_remote([("heartbeat", "'10m'")]);
    let daemon = Setup::new().server_url(&proxy.url()).config(&config).start();
    daemon.await_state("online");
    register(&mut daemon.client(), "p", "h");
    let frozen = Instant::now();
    proxy.freeze();
    let lost = daemon.await_state("reconnecting");
    // What the machine adds is its own.
    assert!(frozen.elapsed() < Duration::from_secs(18), "{:?}: {lost}", frozen.elapsed());
    assert!(lost["last_error"].as_str().is_some_and(|e| e.contains("not been heard")), "{lost}");
    join(&mut daemon.client(), "p", "g");
    proxy.thaw();
    is_whole(&daemon, &mut http, "p", &["g", "h"]);
}

/// Thirty hours: the tokens have ended, and all that nobody kept alive is forgotten.
#[test]
fn a_daemon_that_was_asleep_comes_back() {
    const CLEANUP: &str = "[cleanup]\ninterval = '100ms'\n";
    let Some(clock) = SteppedClock::new() else { return };
    let server = Setup::server().config(&format!("{PATIENT}{CLEANUP}"));
    let server = server.stepped_clock(&clock).start();
    let proxy = Proxy::to(server.address());
    let daemon = Setup::new().server_url(&proxy.url()).config(&format!("{FAST_REMOTE}{CLEANUP}"));
    let daemon = daemon.stepped_clock(&clock).start();
    daemon.await_state("online");
    register(&mut daemon.client(), "p", "h");
    // A game that stays connected, and a peer of whom nothing is heard in the sleep.
    let mut game = daemon.client();
    game.join("p", "g");
    let silent = json!({"party_id": "p", "peer": peer("s"), "keepalive": "manual"});
    game.call("party.join", silent);
    let mut http = Http::registered(server.address(), "before");
    is_whole(&daemon, &mut http, "p", &["g", "h", "s"]);

    daemon.signal(Signal::SIGSTOP);
    proxy.cut();
    let mut admin = server.client();
    eventually("the end of the connection", || {
        (admin.party("p")["peers"]["h"]["connected"] == false).then_some(())
    });
    clock.sleep(Duration::from_secs(30 * 60 * 60));
    eventually("the end of the tokens", || (http.get("/parties/p").status == 401).then_some(()));
    let mut http = Http::registered(server.address(), "after");
    eventually("the end of the party", || on_server(&mut http, "p").is_null().then_some(()));
    daemon.signal(Signal::SIGCONT);

    is_whole(&daemon, &mut http, "p", &["g", "h"]);
    let party = game.party("p");
    assert_eq!((&party["origin"], &party["sync"]), (&json!("remote"), &json!("synced")));
}

#[test]
fn half_open_connection_is_detected_and_replaced() {
    let server = server();
    let mut http = Http::registered(server.address(), "watcher");
    for (way, party_id) in [(Direction::ToServer, "p1"), (Direction::ToClient, "p2")] {
        let proxy = Proxy::to(server.address());
        let daemon = daemon(&proxy);
        daemon.await_state("online");
        let (host, guest) = (format!("h-{party_id}"), format!("g-{party_id}"));
        register(&mut daemon.client(), party_id, &host);
        let before = proxy.connections();
        proxy.half_close(way);
        join(&mut daemon.client(), party_id, &guest);
        proxy.await_connections(before + 1);
        is_whole(&daemon, &mut http, party_id, &[&guest, &host]);
    }
}

#[test]
fn claim_whose_welcome_was_lost_outlives_the_daemon() {
    let server = server();
    let proxy = Proxy::to(server.address());
    let here = daemon(&proxy);
    here.await_state("online");
    proxy.black_hole(Direction::ToClient);
    let before = proxy.bytes(Direction::ToClient);
    let host = json!({"name": "Quake", "party_id": "p", "host": peer("h")});
    here.client().send("party.register", host);
    // The server has answered: the id is somebody's who never hears of it.
    proxy.await_bytes(Direction::ToClient, before + 1);
    let here = here.kill();
    proxy.heal();
    let here = here.start();
    here.await_state("online");
    assert_eq!(register(&mut here.client(), "q", "h")["sync"], "synced");
}

#[test]
fn request_with_a_lost_answer_is_done_once() {
    let server = server();
    let mut http = Http::registered(server.address(), "watcher");
    let proxy = Proxy::to(server.address());
    let daemon = impatient_daemon(&proxy);
    daemon.await_state("online");
    let mut client = daemon.client();
    register(&mut client, "p", "h");
    let (mut guest, _) = Ws::hello(server.address(), "x", None);
    guest.ask(json!({"type": "join_party", "party_id": "p", "peer": announced("x")}));
    eventually("the guest", || client.party("p")["peers"].get("x").map(drop));
    let before = proxy.bytes(Direction::ToServer);
    proxy.black_hole(Direction::ToClient);
    let signal = |text: &str| json!({"party_id": "p", "from_peer_id": "h", "to_peer_id": "x", "signal_data": text});
    // It is sent twice, and nobody hears that it has arrived.
    let text = "x".repeat(10_000);
    assert_eq!(client.refused("signal.send", signal(&text)), "offline");
    assert!(proxy.bytes(Direction::ToServer) - before >= 2 * text.len());
    proxy.heal();
    is_whole(&daemon, &mut http, "p", &["h", "x"]);
    client.call("signal.send", signal("last"));
    let mut came = Vec::new();
    while came.last() != Some(&json!("last")) {
        came.push(guest.await_type("signal")["signal_data"].take());
    }
    assert_eq!(came, [json!(text), json!("last")]);
}

#[test]
fn slow_network_is_good_enough() {
    let server = server();
    let mut http = Http::registered(server.address(), "watcher");
    let proxy = Proxy::to(server.address());
    proxy.delay(Duration::from_millis(300));
    let daemon = daemon(&proxy);
    daemon.await_state("online");
    let mut client = daemon.client();
    assert_eq!(register(&mut client, "p", "h")["sync"], "synced");
    assert_eq!(join(&mut client, "p", "g")["sync"], "synced");
    is_whole(&daemon, &mut http, "p", &["g", "h"]);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn server_that_moves_is_followed() {
    let old = server();
    let proxy = Proxy::to(old.address());
    let daemon = daemon(&proxy);
    daemon.await_state("online");
    register(&mut daemon.client(), "p", "h");
    // The same server, elsewhere.
    let port = Port::reserve();
    let new = old.kill().restart_on(port.address()).start();
    join(&mut daemon.client(), "p", "g");
    proxy.retarget(new.address());
    proxy.cut();
    let mut http = Http::registered(new.address(), "watcher");
    is_whole(&daemon, &mut http, "p", &["g", "h"]);
}
