//! Frames about parties that members with `caps` get, and that others do not.

use serde_json::json;

use super::mirror::Mirror;
use super::{
    done, guest, heartbeat, host, join, leave, newcomer, plain_guest, plain_host, refused,
    register, shapes, sync, told, update,
};
use crate::harness::{Http, Setup, Ws, assert_chosen_id};

#[test]
fn welcome_names_the_peer_and_its_token() {
    let server = Setup::server().start();
    let (_, welcome) = Ws::hello(server.address(), "alice", None);
    shapes::full(&welcome);
    assert_eq!(welcome["peer_id"], "alice");
    assert_eq!(welcome["token"].as_str().map(str::len), Some(43));
    assert!(welcome["heartbeat_ms"].as_u64().is_some_and(|ms| (1..=30_000).contains(&ms)));
    let mut nobody = Ws::connect(server.address());
    nobody.send(json!({"type": "auth", "version": "1", "client": "test", "caps": ["x"]}));
    let welcome = nobody.await_type("welcome");
    shapes::full(&welcome);
    assert_eq!((&welcome["peer_id"], &welcome["token"]), (&json!(null), &json!(null)));
    // It takes an id with its first party, and gets what proves it.
    done(&nobody.ask(register("lan", "bob")));
    let welcome = nobody.await_type("welcome");
    assert_eq!(welcome["peer_id"], "bob");
    let token = welcome["token"].as_str().expect("a token");
    let (_, again) = Ws::hello(server.address(), "bob", Some(token));
    assert_eq!(again["peer_id"], "bob");
}

#[test]
fn ack_answers_each_frame_with_its_result() {
    let server = Setup::server().start();
    let (mut alice, _) = newcomer(&server, "alice");
    let ack = alice.ask(register("lan", "alice"));
    assert_eq!(*done(&ack), json!({"party_id": "lan", "virtual_ip": "10.66.0.1"}));
    assert_eq!(ack["seq"], 1);
    let party = alice.await_type("party_update");
    assert_eq!((&party["seq"], &party["epoch"]), (&json!(1), &ack["epoch"]));
    let (mut bob, _) = newcomer(&server, "bob");
    let ack = bob.ask(join("lan", "bob"));
    assert_eq!(*done(&ack), json!({"party_id": "lan", "virtual_ip": "10.66.0.2"}));
    assert_eq!(ack["seq"], 2);
    let ack = bob.ask(update("lan", "bob", "Robert"));
    assert_eq!((done(&ack), &ack["seq"]), (&json!({}), &json!(3)));
    let alive = bob.ask(heartbeat("lan", "bob"));
    assert_eq!(*done(&alive), json!({"expires_in_ms": 300_000}));
    assert_eq!(alive["seq"], 3, "a heartbeat is no change");
    let ack = bob.ask(super::signal("lan", "bob", "alice", json!([1])));
    assert_eq!((done(&ack), &ack["seq"]), (&json!({"queued": true}), &json!(3)));
    let ack = bob.ask(sync("lan"));
    assert_eq!((done(&ack), &ack["seq"]), (&json!({}), &json!(3)));
    assert_eq!(*done(&bob.ask(leave("lan", "bob"))), json!({"status": "left"}));
    assert_eq!(*done(&alice.ask(leave("lan", "alice"))), json!({"status": "party_deleted"}));
    // One that names no party gets one whose id nobody guesses.
    let mut register = register("", "alice");
    register.as_object_mut().expect("an object").remove("party_id");
    let party_id = done(&alice.ask(register))["party_id"].as_str().expect("an id").to_owned();
    assert_chosen_id(&party_id);
    assert_eq!(alice.await_type("party_update")["party"]["party_id"], party_id);
}

#[test]
fn list_relays_has_the_relays_in_its_ack() {
    let server = Setup::server().start();
    let mut http = Http::registered(server.address(), "operator");
    for (relay, region) in [("r1", "eu"), ("r2", "us")] {
        let body =
            json!({"relay_id": relay, "public_ip": "203.0.113.9", "port": 1, "region": region});
        http.post("/relays", Some(body)).ok();
    }
    let (mut alice, _) = newcomer(&server, "alice");
    let all = alice.ask(json!({"type": "list_relays"}));
    assert_eq!(done(&all)["relays"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["seq"], json!(null));
    let some = alice.ask(json!({"type": "list_relays", "region": "us"}));
    let relays = &done(&some)["relays"];
    assert_eq!(relays.as_array().map(Vec::len), Some(1));
    assert_eq!(relays[0]["relay_id"], "r2");
}

#[test]
fn error_has_the_code_of_its_refusal() {
    let server = Setup::server().config("[limits]\npeers_per_party = 2\n").start();
    let (mut alice, _) = host(&server, "lan", "alice");
    assert_eq!(refused(&alice.ask(register("lan", "alice"))), "party_exists");
    assert_eq!(refused(&alice.ask(join("nowhere", "alice"))), "party_not_found");
    for frame in [
        leave("nowhere", "alice"),
        update("nowhere", "alice", "A"),
        heartbeat("nowhere", "alice"),
        super::signal("nowhere", "alice", "alice", json!(1)),
        sync("nowhere"),
    ] {
        assert_eq!(refused(&alice.ask(frame.clone())), "party_not_found", "{frame}");
    }
    let strange = super::signal("lan", "alice", "nobody", json!(1));
    assert_eq!(refused(&alice.ask(strange)), "peer_not_found");
    let (_bob, _) = guest(&server, "lan", "bob");
    let (mut carol, _) = newcomer(&server, "carol");
    assert_eq!(refused(&carol.ask(join("lan", "carol"))), "party_full");
}

#[test]
fn seq_of_told_changes_has_no_gap() {
    let server = Setup::server().start();
    let (mut alice, _) = newcomer(&server, "alice");
    let mut mirror = Mirror::full();
    done(&alice.ask(register("lan", "alice")));
    let (mut bob, token) = guest(&server, "lan", "bob");
    let mut carol = plain_guest(&server, "lan", "carol");
    done(&bob.ask(update("lan", "bob", "Robert")));
    done(&bob.ask(update("lan", "bob", "Robert")));
    done(&bob.ask(heartbeat("lan", "bob")));
    done(&alice.ask(update("lan", "alice", "Alicia")));
    drop(bob);
    mirror.take_until(&mut alice, |frame| frame["connected"]["bob"] == false);
    let (mut bob, _) = Ws::hello(server.address(), "bob", Some(&token));
    mirror.take_until(&mut alice, |frame| frame["connected"]["bob"] == true);
    done(&bob.ask(join("lan", "bob")));
    carol.send(leave("lan", "carol"));
    mirror.take_until(&mut alice, |frame| frame["type"] == "peer_left");
    let last = alice.ask(sync("lan"))["seq"].as_u64();
    // Two came, and changed; the host did; one went, came back, and entered anew; one left.
    assert_eq!((mirror.parties["lan"].seq, last), (9, Some(9)));
}

#[test]
fn update_peer_without_news_is_no_change() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut bob, _) = guest(&server, "lan", "bob");
    let first = bob.ask(update("lan", "bob", "Robert"));
    let second = bob.ask(update("lan", "bob", "Robert"));
    assert_eq!((done(&first), &first["seq"]), (done(&second), &second["seq"]));
    assert_eq!(told(&alice.settled()), ["peer_joined bob", "peer_updated bob"]);
}

#[test]
fn events_of_a_party_reach_its_members_only() {
    let server = Setup::server().start();
    let (mut carol, _) = newcomer(&server, "carol");
    let mut dave = plain_host(&server, "other", "dave");
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut bob, _) = guest(&server, "lan", "bob");
    done(&bob.ask(update("lan", "bob", "Robert")));
    done(&bob.ask(super::signal("lan", "bob", "alice", json!("to alice alone"))));
    assert_eq!(refused(&carol.ask(sync("lan"))), "not_a_member");
    assert_eq!(told(&carol.settled()), [""; 0]);
    // Who has left hears no more of it.
    done(&bob.ask(leave("lan", "bob")));
    done(&alice.ask(update("lan", "alice", "Alicia")));
    done(&alice.ask(leave("lan", "alice")));
    bob.settled();
    assert_eq!(told(&bob.settled()), [""; 0]);
    assert_eq!(told(&carol.settled()), [""; 0]);
    assert_eq!(told(&dave.settled_plainly()), [""; 0]);
}

#[test]
fn events_reach_websocket_members_of_changes_over_http() {
    let server = Setup::server().start();
    let mut alice = Http::registered(server.address(), "alice");
    let party = alice.party("alice");
    let (mut bob, _) = guest(&server, &party, "bob");
    let mut carol = plain_guest(&server, &party, "carol");
    let peers = alice.get(&format!("/parties/{party}/peers")).ok();
    let expected = json!({"alice": "10.66.0.1", "bob": "10.66.0.2", "carol": "10.66.0.3"});
    assert_eq!(peers["virtual_ips"], expected);
    let mut dave = Http::registered(server.address(), "dave");
    dave.join(&party, "dave").ok();
    assert_eq!(told(&bob.settled()), ["peer_joined carol", "peer_joined dave"]);
    dave.delete(&format!("/parties/{party}/peers/dave")).ok();
    assert_eq!(told(&bob.settled()), ["peer_left dave"]);
    assert_eq!(told(&carol.settled_plainly()), ["peer_joined dave", "peer_left dave"]);
    bob.ask(leave(&party, "bob"));
    let path = format!("/parties/{party}/peers/bob");
    assert_eq!(alice.get(&path).detail(404), json!("Peer bob not found"));
    alice.delete(&format!("/parties/{party}/peers/alice")).ok();
    let left = ["peer_left bob", "peer_left alice", "peer_left carol"];
    assert_eq!(told(&carol.settled_plainly()), left);
}

#[test]
fn hello_for_further_peers_is_taken_on_the_same_connection() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    done(&alice.ask(json!({"type": "hello", "version": "1", "client": "t", "peer_id": "ally"})));
    done(&alice.ask(join("lan", "ally")));
    alice.settled();
    let (mut bob, _) = guest(&server, "lan", "bob");
    assert_eq!(told(&alice.settled()), ["peer_joined bob"], "it hears all of it once");
    done(&bob.ask(super::signal("lan", "bob", "ally", json!(1))));
    assert_eq!(told(&alice.settled()), ["signal ally"]);
    done(&alice.ask(leave("lan", "ally")));
    done(&bob.ask(update("lan", "bob", "Robert")));
    assert_eq!(told(&alice.settled()), ["peer_left ally", "peer_updated bob"]);
}
