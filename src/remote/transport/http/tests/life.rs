use std::sync::{Arc, Mutex};

use super::front::{Act, Front};
use super::*;
use crate::config::ServerLimits;
use crate::core::RelayInput;
use crate::http::HttpSettings;
use crate::http::tests::{Server, settings};
use crate::remote::transport::http::Api;

#[actix::test]
async fn two_peers_live_through_two_wires() {
    let server = Server::start();
    let (mut ann, mut ben) = (Link::open(server.address).await, Link::open(server.address).await);
    assert!(ann.0.clock_ahead.expect("a clock").abs() < 3600);
    assert_eq!(ann.0.kind, TransportKind::Http);
    ann.hello("ann").await;
    ben.hello("ben").await;
    let party = ann.party("ann").await;

    let join = json!({"type": "join_party", "party_id": party, "peer": peer("ben")});
    let (update, ack) = ben.done(join).await;
    assert_eq!(member_ids(&update), ["ann", "ben"]);
    assert_eq!(update["virtual_ips"], json!({"ann": "10.66.0.1", "ben": "10.66.0.2"}));
    assert_eq!(update["connected"], json!({"ann": true, "ben": true}));
    assert_eq!(ack["result"], json!({"party_id": party, "virtual_ip": "10.66.0.2"}));
    assert_eq!((&ack["epoch"], &ack["seq"]), (&update["epoch"], &update["seq"]));
    let seen = ann.sees(&["ann", "ben"]).await;
    assert_eq!((&seen["epoch"], &seen["seq"]), (&update["epoch"], &update["seq"]));

    let mut moved = peer("ben");
    moved["name"] = json!("Ben");
    let update = json!({"type": "update_peer", "party_id": party, "peer": moved});
    let (update, ack) = ben.done(update).await;
    assert_eq!(
        (&update["party"]["peers"]["ben"]["name"], &ack["result"]),
        (&json!("Ben"), &json!({}))
    );
    let seen = ann.sees(&["ann", "ben"]).await;
    assert_eq!(seen["party"]["peers"]["ben"]["name"], "Ben");

    let heartbeat = json!({"type": "heartbeat", "party_id": party, "peer_id": "ben"});
    let (update, _) = ben.done(heartbeat).await;
    assert_eq!(update, Value::Null);
    let leave = json!({"type": "leave_party", "party_id": party, "peer_id": "ben"});
    let (_, ack) = ben.done(leave).await;
    assert_eq!(ack["result"], json!({"status": "left"}));
    ann.sees(&["ann"]).await;

    let join = json!({"type": "join_party", "party_id": party, "peer": peer("ben")});
    ben.done(join).await;
    ann.sees(&["ann", "ben"]).await;
    let leave = json!({"type": "leave_party", "party_id": party, "peer_id": "ann"});
    let (_, ack) = ann.done(leave).await;
    assert_eq!(ack["result"], json!({"status": "party_deleted"}));
    let removed = ben.expect("party_removed").await;
    assert_eq!((&removed["party_id"], &removed["reason"]), (&json!(party), &json!("removed")));
}

#[actix::test]
async fn the_server_chooses_ids_and_what_was_sent_before_that_is_known_finds_its_party() {
    let server = Server::start();
    let mut ann = Link::open(server.address).await;
    let register = json!({"type": "register_party", "party_id": "asked", "name": "Game",
        "host_peer": peer("ann"), "req_id": 1});
    ann.send(json!({"type": "hello", "peer_id": "ann"})).await;
    ann.send(register).await;
    ann.send(json!({"type": "heartbeat", "party_id": "asked", "peer_id": "ann", "req_id": 2}))
        .await;
    ann.expect("welcome").await;
    let Incoming::Renamed { from, to } = ann.next().await else { panic!("not renamed") };
    assert_eq!(from.as_str(), "asked");
    let update = ann.expect("party_update").await;
    assert_eq!(update["party"]["party_id"], to.as_str());
    for req_id in [1, 2] {
        assert_eq!(ann.expect("ack").await["req_id"], req_id);
    }
    // Who names the new id means by the old one what others call so.
    let sync = |party_id: &str| json!({"type": "sync", "party_id": party_id});
    ann.done(sync(to.as_str())).await;
    assert_eq!(ann.refused(sync("asked")).await["code"], "party_not_found");
}

#[actix::test]
async fn who_comes_back_is_told_of_its_parties() {
    let server = Server::start();
    let mut before = Link::open(server.address).await;
    let token = before.hello("ann").await;
    let party = before.party("ann").await;
    drop(before);
    let mut ann = Link::open(server.address).await;
    let have = json!({party.as_str(): {"epoch": "e", "seq": 1}, "zone": {"epoch": "f", "seq": 5}});
    let hello = json!({"type": "hello", "peer_id": "ann", "token": token, "have": have});
    let (told, ack) = ann.ask(hello).await;
    assert_eq!(ack["type"], "ack", "{ack}");
    let (welcome, parties) = told.split_first().unwrap();
    assert_eq!((&welcome["type"], &welcome["heartbeat_ms"]), (&json!("welcome"), &json!(30_000)));
    assert!(welcome["token"].is_string() && welcome["token_expires_at"].is_string());
    let update = parties.iter().find(|frame| frame["type"] == "party_update").unwrap();
    assert_eq!(update["party"]["party_id"], json!(party));
    assert_eq!(welcome["epoch"], update["epoch"]);
    let removed = parties.iter().find(|frame| frame["type"] == "party_removed").unwrap();
    assert_eq!(
        (&removed["party_id"], &removed["epoch"], &removed["seq"]),
        (&json!("zone"), &json!("f"), &json!(5))
    );
    // It is looked at again from now on.
    let other = server.token("ben").await;
    let mut ben = Link::open(server.address).await;
    ben.done(json!({"type": "hello", "peer_id": "ben", "token": other})).await;
    ben.done(json!({"type": "join_party", "party_id": party, "peer": peer("ben")})).await;
    ann.sees(&["ann", "ben"]).await;
}

#[actix::test]
async fn an_id_is_its_first_owner_s() {
    let server = Server::start();
    let (mut ann, mut eve) = (Link::open(server.address).await, Link::open(server.address).await);
    ann.hello("ann").await;
    for (token, why) in [
        (Value::Null, "Peer id is already registered"),
        (json!("guess"), "Invalid or expired token"),
    ] {
        let hello = json!({"type": "hello", "peer_id": "ann", "token": token});
        let error = eve.refused(hello).await;
        assert_eq!((&error["code"], &error["message"]), (&json!("permission_denied"), &json!(why)));
    }
    let register = json!({"type": "register_party", "name": "Game", "host_peer": peer("ann")});
    assert_eq!(eve.refused(register).await["code"], "permission_denied");
}

#[actix::test]
async fn a_server_that_forgot_everything_is_told_anew() {
    let (first, second) = (Server::start(), Server::start());
    let now = Arc::new(Mutex::new(first.address));
    let behind = now.clone();
    let front = Front::start(move |_, _| Act::Pass(*behind.lock().unwrap())).await;
    let mut ann = Link::open(front.address).await;
    let token = ann.hello("ann").await;
    let party = ann.party("ann").await;
    *now.lock().unwrap() = second.address;
    // A look needs a token, which is had by itself, and then finds nothing.
    let welcome = ann.expect("welcome").await;
    assert!(welcome["token"].is_string() && welcome["token"] != json!(token));
    assert_eq!(ann.expect("party_removed").await["party_id"], json!(party));
    let renewed = ann.party("ann").await;
    assert_ne!(renewed, party);
}

#[actix::test]
async fn two_peers_of_one_wire_hear_of_each_other() {
    let server = Server::start();
    let mut link = Link::open(server.address).await;
    link.hello("ann").await;
    link.hello("ben").await;
    let party = link.party("ann").await;
    let join = json!({"type": "join_party", "party_id": party, "peer": peer("ben")});
    let leave = |id: &str| json!({"type": "leave_party", "party_id": party, "peer_id": id});
    link.done(join.clone()).await;
    link.done(leave("ben")).await;
    link.sees(&["ann"]).await;
    link.done(join).await;
    link.done(leave("ann")).await;
    assert_eq!(link.expect("party_removed").await["party_id"], json!(party));
    let error = link.refused(leave("ben")).await;
    assert_eq!(error["code"], "party_not_found");
}

#[actix::test]
async fn what_is_refused_says_why() {
    let server = Server::start();
    let mut ann = Link::open(server.address).await;
    let relays = json!({"type": "list_relays"});
    assert_eq!(ann.refused(relays.clone()).await["code"], "permission_denied");
    ann.done(json!({"type": "hello"})).await;
    ann.hello("ann").await;
    let party = ann.party("ann").await;
    for (frame, code) in [
        (json!({"type": "hello", "token": "t"}), "invalid_params"),
        (json!({"type": "join_party", "party_id": "nope", "peer": peer("ann")}), "party_not_found"),
        (json!({"type": "update_peer", "party_id": party, "peer": peer("cid")}), "peer_not_found"),
        (json!({"type": "heartbeat", "party_id": party, "peer_id": "cid"}), "peer_not_found"),
        (json!({"type": "leave_party", "party_id": party, "peer_id": "cid"}), "not_a_member"),
        (
            json!({"type": "signal", "party_id": party, "from_peer_id": "ann",
                "to_peer_id": "ben", "signal_data": 1}),
            "server_rejected",
        ),
    ] {
        let error = ann.refused(frame.clone()).await;
        assert_eq!(error["code"], code, "{frame}: {error}");
    }
    let (told, error) = ann.ask(json!({"type": "sync", "party_id": "nope"})).await;
    assert_eq!(told.last().unwrap()["type"], "party_removed", "{told:?}");
    assert_eq!(error["code"], "party_not_found");
    let (_, ack) = ann.done(relays).await;
    assert_eq!(ack["result"], json!({"relays": []}));
}

#[actix::test]
async fn relays_are_registered_and_listed_with_times_in_utc() {
    let server = Server::start();
    let api = Api::new(&endpoint(server.address));
    let peer_id = "relay".parse().unwrap();
    let token = api.register_peer(&peer_id, None, None, None).await.unwrap();
    let again = api.register_peer(&peer_id, Some(&token.token), None, None).await.unwrap();
    assert!(again.token != token.token && again.expires_at.is_some());
    let relay = RelayInput {
        relay_id: "r1".parse().unwrap(),
        public_ip: "203.0.113.9".parse().unwrap(),
        port: 4000,
        region: "eu west".parse().unwrap(),
        capacity: 100,
    };
    api.register_relay(&again.token, &relay).await.unwrap();
    let stranger = api.register_relay(&"guess".to_owned().into(), &relay).await.unwrap_err();
    assert_eq!(stranger.message, "Invalid or expired token");

    let mut ann = Link::open(server.address).await;
    ann.hello("ann").await;
    for region in [Value::Null, json!("eu west")] {
        let (_, ack) = ann.done(json!({"type": "list_relays", "region": region})).await;
        let relay = &ack["result"]["relays"][0];
        assert_eq!((&relay["relay_id"], &relay["capacity"]), (&json!("r1"), &json!(100)));
        let at: jiff::Timestamp = relay["registered_at"].as_str().unwrap().parse().unwrap();
        assert!(at.duration_until(jiff::Timestamp::now()).as_hours().abs() < 1, "{at}");
    }
}

#[actix::test]
async fn who_asks_too_often_hears_for_how_long_to_wait() {
    let limits = ServerLimits {
        registrations_per_minute: 1,
        registrations_burst: 1,
        ..ServerLimits::default()
    };
    let server = Server::with(HttpSettings { limits, ..settings() });
    let mut link = Link::open(server.address).await;
    let token = link.hello("ann").await;
    let error = link.refused(json!({"type": "hello", "peer_id": "ben"})).await;
    assert_eq!(error["code"], "rate_limited");
    assert!(error["retry_after_ms"].as_u64().unwrap() >= 1000, "{error}");
    // A token that can't be renewed now is good all the same.
    let hello = json!({"type": "hello", "peer_id": "ann", "token": token});
    let (told, _) = link.ask(hello).await;
    assert_eq!(told[0]["token"], json!(token));
    link.party("ann").await;
}

#[actix::test]
async fn what_was_sent_before_the_farewell_is_done() {
    let server = Server::start();
    let mut ann = Link::open(server.address).await;
    ann.hello("ann").await;
    let party = ann.party("ann").await;
    ann.send(json!({"type": "leave_party", "party_id": party, "peer_id": "ann"})).await;
    ann.send(json!({"type": "join_party", "party_id": party, "peer": peer("ann"), "req_id": 1}))
        .await;
    ann.0.outgoing.send(Outgoing::Close).await.unwrap();
    assert_eq!(ann.expect("error").await["code"], "party_not_found");
    assert!(!ann.lost().await.is_final);
}
