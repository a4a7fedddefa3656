//! Connections that come back, and copies that are brought up to date.

use serde_json::{Value, json};

use super::mirror::Mirror;
use super::{
    await_sockets, done, guest, host, join, leave, newcomer, plain_host, refused, register, shapes,
    sync, told, update,
};
use crate::harness::{Daemon, Http, Setup, Ws};

/// Reconnects with bookmarks of the known parties. Returns all frames up to the answer.
fn come_back(server: &Daemon, peer_id: &str, token: &str, have: &Value) -> (Ws, Vec<Value>) {
    let mut ws = Ws::connect(server.address());
    ws.send(json!({
        "type": "hello", "version": "1", "client": "test", "caps": ["lanragectl"],
        "peer_id": peer_id, "token": token, "have": have,
    }));
    let frames = ws.settled();
    (ws, frames)
}

#[test]
fn hello_after_a_reconnect_brings_every_party() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut bob, token) = guest(&server, "lan", "bob");
    done(&bob.ask(register("own", "bob")));
    let mut before = Mirror::full();
    before.take(&bob.settled());
    done(&bob.ask(sync("lan")));
    before.take(&[bob.await_type("party_update")]);
    drop(bob);
    alice.await_frame("bob is gone", |frame| frame["connected"]["bob"] == false);
    let (mut bob, frames) = come_back(&server, "bob", &token, &json!({}));
    assert_eq!(told(&frames), ["welcome bob", "party_update", "party_update"]);
    let mut after = Mirror::full();
    after.take(&frames);
    assert_eq!(after.ids(), ["lan", "own"]);
    for (id, copy) in &after.parties {
        let before = &before.parties[id];
        assert_eq!((&copy.virtual_ips, &copy.epoch), (&before.virtual_ips, &before.epoch));
        // Its going and its coming are a change each.
        assert_eq!(copy.seq, before.seq + 2);
    }
    assert_eq!(frames[1]["connected"], json!({"alice": true, "bob": true}));
    // It hears what follows.
    done(&alice.ask(update("lan", "alice", "Alicia")));
    after.take(&bob.settled());
    assert_eq!(after.parties["lan"].party["peers"]["alice"]["name"], "Alicia");
}

#[test]
fn close_of_an_old_connection_beside_a_new_one_is_not_told() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (old, token) = guest(&server, "lan", "bob");
    let (mut bob, _) = Ws::hello(server.address(), "bob", Some(&token));
    await_sockets(&server, 3);
    drop(old);
    await_sockets(&server, 2);
    assert_eq!(told(&alice.settled()), ["peer_joined bob"]);
    done(&alice.ask(super::signal("lan", "alice", "bob", json!("new"))));
    assert_eq!(bob.await_type("signal")["signal_data"], "new");
    drop(bob);
    assert_eq!(alice.await_type("peer_updated")["connected"], json!({"bob": false}));
}

/// Frames of a lost connection may arrive after the first frame of its successor.
#[test]
fn hello_with_takeover_silences_earlier_connections() {
    let server = Setup::server().start();
    let (mut old, token) = host(&server, "lan", "alice");
    let take_over = |caps: Value| {
        let mut ws = Ws::connect(server.address());
        let hello = json!({
            "type": "hello", "version": "1", "client": "test", "caps": caps,
            "peer_id": "alice", "token": token,
        });
        done(&ws.ask(hello.clone()));
        (ws, hello)
    };
    let (mut beside, hello) = take_over(json!(["lanragectl"]));
    // Each speaks for another peer, too: else it would be closed.
    for (ws, peer) in [(&mut old, "olga"), (&mut beside, "bea")] {
        done(&ws.ask(json!({"type": "hello", "caps": ["lanragectl"], "peer_id": peer})));
    }
    done(&old.ask(update("lan", "alice", "Alicia")));
    let (mut alice, _) = take_over(json!(["lanragectl", "takeover"]));
    for ws in [&mut old, &mut beside] {
        for frame in [leave("lan", "alice"), update("lan", "alice", "Late"), register("x", "alice")]
        {
            assert_eq!(refused(&ws.ask(frame.clone())), "permission_denied", "{frame}");
        }
        assert_eq!(refused(&ws.ask(hello.clone())), "permission_denied");
    }
    done(&alice.ask(update("lan", "alice", "Alice")));
    // Also once that connection is gone: what it was told counts.
    drop(alice);
    await_sockets(&server, 2);
    assert_eq!(refused(&old.ask(leave("lan", "alice"))), "permission_denied");
    let (mut next, _) = take_over(json!(["lanragectl"]));
    done(&next.ask(leave("lan", "alice")));
}

#[test]
fn hello_with_have_tells_which_parties_are_gone() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut bob, token) = guest(&server, "lan", "bob");
    done(&alice.ask(register("other", "alice")));
    done(&bob.ask(join("other", "bob")));
    let mut mirror = Mirror::full();
    done(&bob.ask(sync("lan")));
    mirror.take(&bob.settled());
    assert_eq!(mirror.ids(), ["lan", "other"]);
    bob.close();
    await_sockets(&server, 1);
    done(&alice.ask(leave("other", "alice")));
    let (_, frames) = come_back(&server, "bob", &token, &mirror.have());
    assert_eq!(told(&frames), ["welcome bob", "party_update", "party_removed"]);
    mirror.take(&frames);
    assert_eq!(mirror.ids(), ["lan"]);
    // A party of another history, and one that never was.
    let mut have = mirror.have();
    have["lan"]["epoch"] = json!("another");
    have["never"] = json!({"epoch": "another", "seq": 5});
    let (_, frames) = come_back(&server, "bob", &token, &have);
    let removed = &frames[2];
    assert_eq!(
        (&removed["type"], &removed["party_id"]),
        (&json!("party_removed"), &json!("never"))
    );
    assert_eq!(frames[1]["party"]["party_id"], "lan");
}

#[test]
fn sync_brings_the_party_whatever_have_says() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let epoch = alice.ask(sync("lan"))["epoch"].clone();
    alice.settled();
    for have in [
        json!(null),
        json!(1),
        json!({"epoch": epoch, "seq": 1}),
        json!({"epoch": epoch, "seq": 0}),
        json!({"epoch": epoch, "seq": 1000}),
        json!({"epoch": "another", "seq": 1}),
    ] {
        let mut frame = sync("lan");
        frame["have"] = have.clone();
        assert_eq!(alice.ask(frame)["seq"], 1, "{have}");
        let heard = alice.settled();
        heard.iter().for_each(shapes::full);
        assert_eq!(told(&heard), ["party_update"], "{have}");
        assert_eq!((&heard[0]["seq"], &heard[0]["epoch"]), (&json!(1), &epoch));
    }
    let (mut bob, _) = newcomer(&server, "bob");
    assert_eq!(refused(&bob.ask(sync("lan"))), "not_a_member");
    assert_eq!(refused(&bob.ask(sync("nowhere"))), "party_not_found");
    assert_eq!(told(&bob.settled()), [""; 0]);
}

/// One that joined over HTTP hears of its party once it asks for it.
#[test]
fn sync_subscribes_to_the_party() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let mut http = Http::registered(server.address(), "bob");
    let (mut bob, _) = Ws::hello(server.address(), "bob", http.token.as_deref());
    http.join("lan", "bob").ok();
    done(&bob.ask(sync("lan")));
    done(&alice.ask(update("lan", "alice", "Alicia")));
    assert_eq!(told(&bob.settled()), ["party_update", "peer_updated alice"]);
}

/// One that has a token may show it; with it it has its place again.
#[test]
fn auth_with_a_token_brings_back_a_plain_client() {
    let server = Setup::server().start();
    let token = Http::registered(server.address(), "alice").token.expect("a token");
    let auth = json!({"type": "auth", "version": "1.0", "client": "lanrage", "token": token});
    let mut alice = Ws::connect(server.address());
    alice.send(auth.clone());
    alice.send(register("lan", "alice"));
    shapes::plain(&alice.await_type("party_update"));
    drop(alice);
    let mut alice = Ws::connect(server.address());
    alice.send(auth);
    shapes::plain(&alice.await_type("party_update"));
    let (mut bob, _) = guest(&server, "lan", "bob");
    alice.send(super::signal("lan", "alice", "bob", json!("back")));
    assert_eq!(bob.await_type("signal")["signal_data"], "back");
    alice.send(leave("lan", "alice"));
    bob.await_type("party_removed");
}

#[test]
fn hello_after_a_restart_continues_epoch_and_seq() {
    let server = Setup::server().start();
    let (mut alice, alice_token) = host(&server, "lan", "alice");
    let (mut bob, bob_token) = guest(&server, "lan", "bob");
    done(&bob.ask(update("lan", "bob", "Robert")));
    let mut mirror = Mirror::full();
    done(&alice.ask(sync("lan")));
    mirror.take(&[alice.await_type("party_update")]);
    let before = mirror.parties["lan"].clone();
    let server = server.kill().start();
    let (_bob, welcome) = Ws::hello(server.address(), "bob", Some(&bob_token));
    assert_eq!(welcome["epoch"], before.epoch);
    let (_, frames) = come_back(&server, "alice", &alice_token, &mirror.have());
    mirror.take(&frames);
    let after = &mirror.parties["lan"];
    assert_eq!(after.virtual_ips, before.virtual_ips);
    assert!(after.seq >= before.seq, "{} after {}", after.seq, before.seq);
    assert_eq!(after.timeless().party, before.timeless().party);
}

/// Nobody else can: the id is in a party.
#[test]
fn join_party_as_a_disconnected_member_is_refused_to_others() {
    let server = Setup::server().start();
    let alice = plain_host(&server, "lan", "alice");
    drop(alice);
    await_sockets(&server, 0);
    let mut mallory = Ws::connect(server.address());
    mallory.send(json!({"type": "hello", "version": "1", "client": "t", "caps": ["x"]}));
    mallory.await_type("welcome");
    assert_eq!(refused(&mallory.ask(join("lan", "alice"))), "permission_denied");
    assert_eq!(refused(&mallory.ask(leave("lan", "alice"))), "permission_denied");
}
