//! Returning LANrage clients. They send their peer id once, without a proof, and no sign of life
//! after that.

use serde_json::{Value, json};

use super::{
    await_sockets, done, guest, heartbeat, host, join, leave, newcomer, plain_guest, plain_host,
    refused, register, shapes, signal, told, update,
};
use crate::harness::{Daemon, Http, Setup, Ws, announced, eventually, keys};

/// Configuration in which members with occasional heartbeats stay.
const PATIENT: &str = "[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\npeer_timeout = '1h'\n";
/// Configuration in which silent members expire.
const IMPATIENT: &str =
    "[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\npeer_timeout = '30ms'\n";
const BUSY: &str = "[ws]\nrefresh = '20ms'\n";

fn auth(peer_id: &str) -> Value {
    json!({"type": "auth", "version": "1.0", "client": "lanrage", "peer_id": peer_id})
}

/// A LANrage client that was this peer before.
fn come_back(server: &Daemon, peer_id: &str) -> Ws {
    let mut ws = Ws::connect(server.address());
    ws.send(auth(peer_id));
    ws
}

/// Waits until a frame says whether a peer is connected.
fn await_connected(ws: &mut Ws, peer_id: &str, connected: bool) {
    ws.await_frame("that", |frame| frame["connected"][peer_id] == connected);
}

/// Party of plain `alice`, plain `bob` and `carol`, who has `caps`, after a kill of the server:
/// `carol` has reconnected, and `zoe` is still a member, but silent.
fn restarted() -> (Daemon, Ws) {
    let server = Setup::server().config(PATIENT).start();
    let _alice = plain_host(&server, "lan", "alice");
    let _bob = plain_guest(&server, "lan", "bob");
    let (_carol, token) = guest(&server, "lan", "carol");
    let mut zoe = Http::registered(server.address(), "zoe");
    zoe.join("lan", "zoe").ok();
    let server = server.kill().start();
    let (mut carol, _) = Ws::hello(server.address(), "carol", Some(&token));
    let party = carol.await_type("party_update");
    assert_eq!(party["connected"]["alice"], false);
    (server, carol)
}

/// Until all have gone who are silent: one of them was.
fn let_the_silent_go(server: &mut Daemon, watcher: &mut Ws) {
    server.reload(IMPATIENT);
    watcher.await_frame("that zoe left", |frame| {
        frame["type"] == "peer_left" && frame["peer_id"] == "zoe"
    });
}

#[test]
fn auth_without_a_token_after_a_restart_keeps_the_membership() {
    let (mut server, mut carol) = restarted();
    let mut alice = come_back(&server, "alice");
    let mut bob = come_back(&server, "bob");
    for ws in [&mut alice, &mut bob] {
        let first = ws.frame().expect("a frame");
        shapes::plain(&first);
        assert_eq!(first["type"], "party_update");
        assert_eq!(keys(&first["party"]["peers"]), ["alice", "bob", "carol", "zoe"]);
    }
    for peer in ["alice", "bob"] {
        await_connected(&mut carol, peer, true);
    }
    let_the_silent_go(&mut server, &mut carol);
    done(&carol.ask(update("lan", "carol", "Caroline")));
    for ws in [&mut alice, &mut bob] {
        let heard = ws.settled_plainly();
        heard.iter().for_each(shapes::plain);
        assert_eq!(told(&heard), ["peer_left zoe", "party_update"]);
        assert_eq!(heard[1]["party"]["peers"]["carol"]["name"], "Caroline");
        assert_eq!(keys(&heard[1]["party"]["peers"]), ["alice", "bob", "carol"]);
    }
    // It lives for as long as its connection.
    drop(alice);
    let removed = carol.await_type("party_removed");
    assert_eq!(removed["reason"], "expired");
}

#[test]
fn auth_without_a_token_after_a_cut_keeps_the_membership() {
    let mut server = Setup::server().config(PATIENT).start();
    let alice = plain_host(&server, "lan", "alice");
    let (mut carol, _) = guest(&server, "lan", "carol");
    Http::registered(server.address(), "zoe").join("lan", "zoe").ok();
    drop(alice);
    await_connected(&mut carol, "alice", false);
    let mut alice = come_back(&server, "alice");
    assert_eq!(alice.frame().expect("a frame")["type"], "party_update");
    await_connected(&mut carol, "alice", true);
    let_the_silent_go(&mut server, &mut carol);
    assert_eq!(told(&alice.settled_plainly()), ["peer_left zoe"]);
}

/// Nobody could tell it from a stranger who knows its id.
#[test]
fn auth_without_a_token_may_change_nothing() {
    let (server, mut carol) = restarted();
    let mut alice = come_back(&server, "alice");
    await_connected(&mut carol, "alice", true);
    done(&carol.ask(signal("lan", "carol", "alice", json!("for alice alone"))));
    alice.await_type("party_update");
    for frame in [
        update("lan", "alice", "Mallory"),
        signal("lan", "alice", "carol", json!("lies")),
        join("lan", "alice"),
        register("own", "alice"),
        leave("lan", "alice"),
    ] {
        alice.send(frame.clone());
        let heard = alice.settled_plainly();
        heard.iter().for_each(shapes::plain);
        assert_eq!(told(&heard), ["error"], "{frame}");
    }
    let heard = carol.settled();
    // That it wanted to leave, and no more.
    assert_eq!(told(&heard), ["peer_updated alice"]);
    assert_eq!(heard[0]["connected"], json!({"alice": false}));
    assert_eq!(heard[0]["peer"]["name"], announced("alice")["name"]);
}

#[test]
fn auth_without_a_token_then_leave_expires_the_member() {
    let (mut server, mut carol) = restarted();
    let mut alice = come_back(&server, "alice");
    let mut bob = come_back(&server, "bob");
    await_connected(&mut carol, "bob", true);
    bob.await_type("party_update");
    alice.await_type("party_update");
    alice.send(leave("lan", "alice"));
    shapes::plain(&alice.await_type("error"));
    await_connected(&mut carol, "alice", false);
    done(&carol.ask(update("lan", "carol", "Caroline")));
    assert_eq!(told(&alice.settled_plainly()), [""; 0], "it hears no more of it");
    server.reload(&format!("{IMPATIENT}{BUSY}"));
    assert_eq!(carol.await_type("party_removed")["reason"], "expired");
    bob.await_frame("the end", |frame| frame["peer_id"] == "alice");
    // The id is its own again, as any that nobody has.
    alice.send(register("next", "alice"));
    let party = alice.await_type("party_update");
    assert_eq!(party["party"]["party_id"], "next");
}

/// The server may hear of the cut long after the client.
#[test]
fn auth_without_a_token_waits_for_the_end_of_a_cut_connection() {
    let server = Setup::server().config(&format!("{PATIENT}{BUSY}")).start();
    let cut = plain_host(&server, "lan", "alice");
    let (mut carol, _) = guest(&server, "lan", "carol");
    let mut alice = come_back(&server, "alice");
    let first = alice.frame().expect("a frame");
    shapes::plain(&first);
    assert_eq!(first["type"], "error");
    drop(cut);
    await_connected(&mut carol, "alice", false);
    shapes::plain(&alice.await_type("party_update"));
    await_connected(&mut carol, "alice", true);
    // The same once more, of one that could show nothing either.
    let mut again = come_back(&server, "alice");
    shapes::plain(&again.await_type("party_update"));
    drop(alice);
    await_connected(&mut carol, "alice", false);
    await_connected(&mut carol, "alice", true);
}

#[test]
fn auth_without_a_token_from_another_address_is_refused() {
    let server = Setup::server().config("[http]\nbehind_proxy = ['127.0.0.1']\n").start();
    let from = |client: &str, peer_id: Option<&str>| {
        let mut ws = Ws::connect_for(server.address(), Some(client));
        ws.send(json!({"type": "auth", "version": "1", "client": "lanrage", "peer_id": peer_id}));
        ws
    };
    let mut alice = from("192.0.2.1", None);
    alice.send(register("lan", "alice"));
    alice.await_type("party_update");
    drop(alice);
    await_sockets(&server, 0);
    for (address, kind) in [("192.0.2.2", "error"), ("192.0.2.1", "party_update")] {
        let answer = from(address, Some("alice")).frame().expect("an answer");
        shapes::plain(&answer);
        assert_eq!(answer["type"], kind, "{address}");
    }
}

/// Also after a restart, and with a heartbeat alone.
#[test]
fn auth_without_a_token_from_another_address_is_refused_after_a_restart() {
    let server = Setup::server().config("[http]\nbehind_proxy = ['127.0.0.1']\n").start();
    let from = |server: &Daemon, client: &str, peer_id: Option<&str>| {
        let mut ws = Ws::connect_for(server.address(), Some(client));
        ws.send(json!({"type": "auth", "version": "1", "client": "lanrage", "peer_id": peer_id}));
        ws
    };
    let mut alice = from(&server, "192.0.2.1", None);
    alice.send(register("lan", "alice"));
    alice.await_type("party_update");
    let server = server.kill().start();
    drop(alice);
    let answers = |address: &str| {
        let back = from(&server, address, Some("alice")).frame().expect("an answer");
        let mut silent = from(&server, address, None);
        silent.send(heartbeat("lan", "alice"));
        [back, silent.frame().expect("an answer")]
    };
    for (address, kind) in [("192.0.2.2", "error"), ("192.0.2.1", "party_update")] {
        for answer in answers(address) {
            shapes::plain(&answer);
            assert_eq!(answer["type"], kind, "{address}");
        }
    }
}

/// A client behind the same address loses its view when the owner is back.
#[test]
fn auth_of_the_owner_ends_the_view_of_a_neighbour() {
    for over_http in [false, true] {
        let mut server = Setup::server().config(PATIENT).start();
        server.reload(&format!("{PATIENT}[auth]\ntoken_ttl = '2s'\n"));
        let (alice, token) = host(&server, "lan", "alice");
        let _bob = guest(&server, "lan", "bob");
        drop(alice);
        await_sockets(&server, 1);
        let mut http = server.http();
        http.token = Some(token.clone());
        eventually("the end of the token", || (http.get("/relays").status == 401).then_some(()));
        server.reload(PATIENT);
        let mut neighbour = come_back(&server, "alice");
        shapes::plain(&neighbour.await_type("party_update"));
        // The token was in use until it ended: it is good for a renewal.
        let _owner = match over_http {
            false => Some(Ws::hello(server.address(), "alice", Some(&token))),
            true => {
                http.post("/auth/register?peer_id=alice", None).ok();
                None
            }
        };
        while let Some(frame) = neighbour.frame() {
            assert_eq!(frame["type"], "party_update", "{frame}");
        }
        assert!(neighbour.closed.is_some());
        let mut again = come_back(&server, "alice");
        assert_eq!(again.frame().expect("an answer")["type"], "error");
    }
}

/// A peer with a token has to show it.
#[test]
fn auth_without_a_token_for_a_peer_with_a_token_is_refused() {
    let server = Setup::server().config(&format!("{PATIENT}{BUSY}")).start();
    let (alice, _) = host(&server, "lan", "alice");
    let _dan = plain_guest(&server, "lan", "dan");
    let erin = plain_guest(&server, "lan", "erin");
    let mut zoe = Http::registered(server.address(), "zoe");
    zoe.join("lan", "zoe").ok();
    drop(alice);
    drop(erin);
    await_sockets(&server, 1);
    for peer in ["alice", "dan", "zoe"] {
        let mut stranger = come_back(&server, peer);
        let answer = stranger.frame().expect("an answer");
        shapes::plain(&answer);
        assert_eq!(answer["type"], "error", "{peer}");
        stranger.send(heartbeat("lan", peer));
        assert_eq!(told(&stranger.settled_plainly()), ["error"], "{peer}");
    }
    // A client that could keep a token has no need to be believed.
    let mut ws = Ws::connect(server.address());
    ws.send(json!({"type": "hello", "version": "1", "caps": ["x"], "peer_id": "erin"}));
    assert_eq!(refused(&ws.frame().expect("an answer")), "permission_denied");
    // Nor has one that speaks for another already.
    let mut dora = plain_host(&server, "own", "dora");
    dora.send(auth("erin"));
    assert_eq!(dora.await_type("error")["type"], "error");
}

#[test]
fn auth_of_a_peer_in_no_party_claims_its_id_anew() {
    let server = Setup::server().start();
    let mut alice = come_back(&server, "alice");
    assert_eq!(told(&alice.settled_plainly()), [""; 0]);
    let mut second = come_back(&server, "alice");
    second.await_type("error");
    drop(alice);
    let (mut carol, _) = newcomer(&server, "carol");
    done(&carol.ask(register("lan", "carol")));
    eventually("its id", || {
        let mut alice = come_back(&server, "alice");
        alice.send(join("lan", "alice"));
        (alice.frame().expect("an answer")["type"] == "party_update").then_some(())
    });
}

#[test]
fn auth_of_a_member_counts_as_no_registration() {
    let limits = "[limits]\nregistrations_burst = 2\nregistrations_per_minute = 1\n";
    let server = Setup::server().config(limits).start();
    Http::registered(server.address(), "zoe");
    drop(plain_host(&server, "lan", "alice"));
    await_sockets(&server, 0);
    for _ in 0..3 {
        let mut alice = come_back(&server, "alice");
        assert_eq!(alice.frame().expect("a frame")["type"], "party_update");
        drop(alice);
        await_sockets(&server, 0);
    }
    // A fresh id still needs one.
    let mut eve = come_back(&server, "eve");
    let refused = eve.frame().expect("a frame");
    assert_eq!(refused["message"], "peer ids are taken too often", "{refused}");
}

#[test]
fn auth_of_all_clients_behind_an_address_succeeds_after_a_kill() {
    let server = Setup::server().config("[limits]\nregistrations_burst = 1000\n").start();
    let mut members = vec![plain_host(&server, "lan-0", "peer-0")];
    for n in 1..85 {
        let party = format!("lan-{}", n / 17 * 17);
        let peer = format!("peer-{n}");
        members.push(match n % 17 {
            0 => plain_host(&server, &party, &peer),
            _ => plain_guest(&server, &party, &peer),
        });
    }
    let server = server.kill().config("").start();
    drop(members);
    let mut members: Vec<Ws> = (0..85).map(|n| come_back(&server, &format!("peer-{n}"))).collect();
    for member in &mut members {
        assert_eq!(member.frame().expect("a frame")["type"], "party_update");
    }
}
