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
    let (joined, at) = ben.changed(join).await;
    assert_eq!(member_ids(&joined), ["ann", "ben"]);
    for (peer_id, member) in &joined.members {
        let host: u8 = if peer_id.as_str() == "ann" { 1 } else { 2 };
        assert_eq!(member.virtual_ip, Some([10, 66, 0, host].into()));
        assert!(member.connected);
    }
    assert_eq!(ann.sees(&["ann", "ben"]).await.1, at);

    let mut moved = peer("ben");
    moved["name"] = json!("Ben");
    let update = json!({"type": "update_peer", "party_id": party, "peer": moved});
    let (updated, _) = ben.changed(update).await;
    let (seen, _) = ann.sees(&["ann", "ben"]).await;
    for party in [updated, seen] {
        let ben = party.members.values().last().unwrap();
        assert_eq!(ben.info.name.as_str(), "Ben");
    }

    let heartbeat = json!({"type": "heartbeat", "party_id": party, "peer_id": "ben"});
    let (state, _) = ben.done(heartbeat).await;
    assert_eq!(state, None);
    let leave = json!({"type": "leave_party", "party_id": party, "peer_id": "ben"});
    let (_, acked) = ben.done(leave).await;
    assert!(matches!(acked.result, RequestResult::Left { party_deleted: false }), "{acked:?}");
    ann.sees(&["ann"]).await;

    let join = json!({"type": "join_party", "party_id": party, "peer": peer("ben")});
    ben.done(join).await;
    ann.sees(&["ann", "ben"]).await;
    let leave = json!({"type": "leave_party", "party_id": party, "peer_id": "ann"});
    let (_, acked) = ann.done(leave).await;
    assert!(matches!(acked.result, RequestResult::Left { party_deleted: true }), "{acked:?}");
    assert_eq!(ben.removed().await.as_str(), party);
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
    assert_eq!(token(&ann.next().await).peer_id.as_str(), "ann");
    let Message::Renamed { from, to } = ann.next().await else { panic!("not renamed") };
    assert_eq!(from.as_str(), "asked");
    assert_eq!(ann.state().await.0.party_id, to);
    for expected in ["1", "2"] {
        let answer = ann.next().await;
        let Message::Answer { req_id, result: Ok(_) } = answer else { panic!("{answer:?}") };
        assert_eq!(req_id.key(), expected);
    }
    // Who names the new id means by the old one what others call so.
    let sync = |party_id: &str| json!({"type": "sync", "party_id": party_id});
    ann.done(sync(to.as_str())).await;
    assert_eq!(ann.refused(sync("asked")).await.code, ErrorCode::PartyNotFound);
}

#[actix::test]
async fn who_comes_back_is_told_of_its_parties() {
    let server = Server::start();
    let mut before = Link::open(server.address).await;
    let proof = before.hello("ann").await;
    let party = before.party("ann").await;
    drop(before);
    let mut ann = Link::open(server.address).await;
    let have = json!({party.as_str(): {"epoch": "e", "seq": 1}, "zone": {"epoch": "f", "seq": 5}});
    let hello = json!({"type": "hello", "peer_id": "ann", "token": proof, "have": have});
    let (told, answer) = ann.ask(hello).await;
    assert!(answer.is_ok(), "{answer:?}");
    let [welcome, parties @ ..] = &told[..] else { panic!("no welcome") };
    let Message::Welcome { epoch, heartbeat, .. } = welcome else { panic!("{welcome:?}") };
    assert_eq!(*heartbeat, Duration::from_secs(30));
    assert!(token(welcome).expires_at.is_some());
    let [one, other] = parties else { panic!("{parties:?}") };
    let (state, removed) = match one {
        Message::Party(..) => (one, other),
        _ => (other, one),
    };
    let Message::Party(state, at) = state else { panic!("{state:?}") };
    assert_eq!((state.party_id.as_str(), &at.epoch), (party.as_str(), epoch));
    let Message::Removed(removed, _) = removed else { panic!("{removed:?}") };
    assert_eq!(removed.as_str(), "zone");
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
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::PermissionDenied, why));
    }
    let register = json!({"type": "register_party", "name": "Game", "host_peer": peer("ann")});
    assert_eq!(eve.refused(register).await.code, ErrorCode::PermissionDenied);
}

#[actix::test]
async fn a_server_that_forgot_everything_is_told_anew() {
    let (first, second) = (Server::start(), Server::start());
    let now = Arc::new(Mutex::new(first.address));
    let behind = now.clone();
    let front = Front::start(move |_, _| Act::Pass(*behind.lock().unwrap())).await;
    let mut ann = Link::open(front.address).await;
    let before = ann.hello("ann").await;
    let party = ann.party("ann").await;
    *now.lock().unwrap() = second.address;
    // A look needs a token, which is had by itself, and then finds nothing.
    assert_ne!(token(&ann.next().await).token.expose(), before);
    assert_eq!(ann.removed().await.as_str(), party);
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
    assert_eq!(link.removed().await.as_str(), party);
    assert_eq!(link.refused(leave("ben")).await.code, ErrorCode::PartyNotFound);
}

#[actix::test]
async fn what_is_refused_says_why() {
    let server = Server::start();
    let mut ann = Link::open(server.address).await;
    let relays = json!({"type": "list_relays"});
    assert_eq!(ann.refused(relays.clone()).await.code, ErrorCode::PermissionDenied);
    ann.done(json!({"type": "hello"})).await;
    ann.hello("ann").await;
    let party = ann.party("ann").await;
    for (frame, code) in [
        (json!({"type": "hello", "token": "t"}), "invalid_params"),
        (json!({"type": "join_party", "party_id": "nope", "peer": peer("ann")}), "party_not_found"),
        (json!({"type": "update_peer", "party_id": party, "peer": peer("cid")}), "peer_not_found"),
        (json!({"type": "heartbeat", "party_id": party, "peer_id": "cid"}), "peer_not_found"),
        (json!({"type": "leave_party", "party_id": party, "peer_id": "cid"}), "not_a_member"),
        (json!({"type": "sync", "party_id": "nope"}), "party_not_found"),
        (
            json!({"type": "signal", "party_id": party, "from_peer_id": "ann",
                "to_peer_id": "ben", "signal_data": 1}),
            "server_rejected",
        ),
    ] {
        let error = ann.refused(frame.clone()).await;
        assert_eq!(error.code.as_str(), code, "{frame}: {error:?}");
    }
    let (_, acked) = ann.done(relays).await;
    assert!(matches!(acked.result, RequestResult::Relays(Ok(relays)) if relays.is_empty()));
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
        let (_, acked) = ann.done(json!({"type": "list_relays", "region": region})).await;
        let RequestResult::Relays(Ok(relays)) = acked.result else { panic!("no relays") };
        assert_eq!((relays[0].relay_id.as_str(), relays[0].capacity), ("r1", 100));
        let at = relays[0].registered_at;
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
    let held = link.hello("ann").await;
    let error = link.refused(json!({"type": "hello", "peer_id": "ben"})).await;
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert!(error.retry_after.unwrap() >= Duration::from_secs(1), "{error:?}");
    // A token that can't be renewed now is good all the same.
    let hello = json!({"type": "hello", "peer_id": "ann", "token": held});
    let (told, _) = link.ask(hello).await;
    assert_eq!(token(&told[0]).token.expose(), held);
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
    let answer = ann.next().await;
    let Message::Answer { result: Err(error), .. } = answer else { panic!("{answer:?}") };
    assert_eq!(error.code, ErrorCode::PartyNotFound);
    assert!(!ann.lost().await.is_final);
}
