use std::sync::{Arc, Mutex};

use super::scripted_server::{Reply, ScriptedServer};
use super::*;
use crate::config::ServerLimits;
use crate::core::RelayInput;
use crate::http::HttpSettings;
use crate::http::tests::{Server, settings};
use crate::remote::transport::http::Api;

#[actix::test]
async fn peers_of_two_transports_share_a_party() {
    let server = Server::start();
    let (mut ann, mut ben) =
        (Client::open(server.address).await, Client::open(server.address).await);
    assert!(ann.0.clock_ahead.expect("a clock").abs() < 3600);
    assert_eq!(ann.0.kind, TransportKind::Http);
    ann.hello("ann").await;
    ben.hello("ben").await;
    let party = ann.register_party("ann").await;

    let join = json!({"type": "join_party", "party_id": party, "peer": peer("ben")});
    let (joined, at) = ben.change(join).await;
    assert_eq!(member_ids(&joined), ["ann", "ben"]);
    for (peer_id, member) in &joined.members {
        let host: u8 = if peer_id.as_str() == "ann" { 1 } else { 2 };
        assert_eq!(member.virtual_ip, Some([10, 66, 0, host].into()));
        assert!(member.connected);
    }
    assert_eq!(ann.wait_for_members(&["ann", "ben"]).await.1, at);

    let mut moved = peer("ben");
    moved["name"] = json!("Ben");
    let update = json!({"type": "update_peer", "party_id": party, "peer": moved});
    let (updated, _) = ben.change(update).await;
    let (polled, _) = ann.wait_for_members(&["ann", "ben"]).await;
    for party in [updated, polled] {
        let ben = party.members.values().last().unwrap();
        assert_eq!(ben.info.name.as_str(), "Ben");
    }

    let heartbeat = json!({"type": "heartbeat", "party_id": party, "peer_id": "ben"});
    let (state, _) = ben.execute(heartbeat).await;
    assert_eq!(state, None);
    let leave = json!({"type": "leave_party", "party_id": party, "peer_id": "ben"});
    let (_, acked) = ben.execute(leave).await;
    assert!(matches!(acked.result, RequestResult::Left { party_deleted: false }), "{acked:?}");
    ann.wait_for_members(&["ann"]).await;

    let join = json!({"type": "join_party", "party_id": party, "peer": peer("ben")});
    ben.execute(join).await;
    ann.wait_for_members(&["ann", "ben"]).await;
    let leave = json!({"type": "leave_party", "party_id": party, "peer_id": "ann"});
    let (_, acked) = ann.execute(leave).await;
    assert!(matches!(acked.result, RequestResult::Left { party_deleted: true }), "{acked:?}");
    assert_eq!(ben.ended().await.as_str(), party);
}

#[actix::test]
async fn frames_sent_before_a_rename_use_the_new_id() {
    let server = Server::start();
    let mut ann = Client::open(server.address).await;
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
    // After a frame with the new id, the old id is another party's.
    let sync = |party_id: &str| json!({"type": "sync", "party_id": party_id});
    ann.execute(sync(to.as_str())).await;
    assert_eq!(ann.fail(sync("asked")).await.code, ErrorCode::PartyNotFound);
}

#[actix::test]
async fn hello_of_a_returning_peer_reports_its_parties() {
    let server = Server::start();
    let mut before = Client::open(server.address).await;
    let proof = before.hello("ann").await;
    let party = before.register_party("ann").await;
    drop(before);
    let mut ann = Client::open(server.address).await;
    let have = json!({party.as_str(): {"epoch": "e", "seq": 1}, "zone": {"epoch": "f", "seq": 5}});
    let hello = json!({"type": "hello", "peer_id": "ann", "token": proof, "have": have});
    let (messages, answer) = ann.request(hello).await;
    assert!(answer.is_ok(), "{answer:?}");
    let [welcome, parties @ ..] = &messages[..] else { panic!("no welcome") };
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
    // The party is polled again.
    let other = server.token("ben").await;
    let mut ben = Client::open(server.address).await;
    ben.execute(json!({"type": "hello", "peer_id": "ben", "token": other})).await;
    ben.execute(json!({"type": "join_party", "party_id": party, "peer": peer("ben")})).await;
    ann.wait_for_members(&["ann", "ben"]).await;
}

#[actix::test]
async fn peer_id_belongs_to_its_first_owner() {
    let server = Server::start();
    let (mut ann, mut eve) =
        (Client::open(server.address).await, Client::open(server.address).await);
    ann.hello("ann").await;
    for (token, message) in [
        (Value::Null, "Peer id is already registered"),
        (json!("guess"), "Invalid or expired token"),
    ] {
        let hello = json!({"type": "hello", "peer_id": "ann", "token": token});
        let error = eve.fail(hello).await;
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::PermissionDenied, message));
    }
    let register = json!({"type": "register_party", "name": "Game", "host_peer": peer("ann")});
    assert_eq!(eve.fail(register).await.code, ErrorCode::PermissionDenied);
}

#[actix::test]
async fn peer_is_registered_again_after_the_server_lost_its_state() {
    let (first, second) = (Server::start(), Server::start());
    let current = Arc::new(Mutex::new(first.address));
    let real = current.clone();
    let scripted = ScriptedServer::start(move |_, _| Reply::Forward(*real.lock().unwrap())).await;
    let mut ann = Client::open(scripted.address).await;
    let before = ann.hello("ann").await;
    let party = ann.register_party("ann").await;
    *current.lock().unwrap() = second.address;
    // The next poll registers the peer for a token, and then finds no party.
    assert_ne!(token(&ann.next().await).token.expose(), before);
    assert_eq!(ann.ended().await.as_str(), party);
    let renewed = ann.register_party("ann").await;
    assert_ne!(renewed, party);
}

#[actix::test]
async fn changes_by_one_local_peer_are_reported_for_the_other() {
    let server = Server::start();
    let mut client = Client::open(server.address).await;
    client.hello("ann").await;
    client.hello("ben").await;
    let party = client.register_party("ann").await;
    let join = json!({"type": "join_party", "party_id": party, "peer": peer("ben")});
    let leave = |id: &str| json!({"type": "leave_party", "party_id": party, "peer_id": id});
    client.execute(join.clone()).await;
    client.execute(leave("ben")).await;
    client.wait_for_members(&["ann"]).await;
    client.execute(join).await;
    client.execute(leave("ann")).await;
    assert_eq!(client.ended().await.as_str(), party);
    assert_eq!(client.fail(leave("ben")).await.code, ErrorCode::PartyNotFound);
}

#[actix::test]
async fn refusals_have_their_codes() {
    let server = Server::start();
    let mut ann = Client::open(server.address).await;
    let relays = json!({"type": "list_relays"});
    assert_eq!(ann.fail(relays.clone()).await.code, ErrorCode::PermissionDenied);
    ann.execute(json!({"type": "hello"})).await;
    ann.hello("ann").await;
    let party = ann.register_party("ann").await;
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
        let error = ann.fail(frame.clone()).await;
        assert_eq!(error.code.as_str(), code, "{frame}: {error:?}");
    }
    let (_, acked) = ann.execute(relays).await;
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
    let error = api.register_relay(&"guess".to_owned().into(), &relay).await.unwrap_err();
    assert_eq!(error.message, "Invalid or expired token");

    let mut ann = Client::open(server.address).await;
    ann.hello("ann").await;
    for region in [Value::Null, json!("eu west")] {
        let (_, acked) = ann.execute(json!({"type": "list_relays", "region": region})).await;
        let RequestResult::Relays(Ok(relays)) = acked.result else { panic!("no relays") };
        assert_eq!((relays[0].relay_id.as_str(), relays[0].capacity), ("r1", 100));
        let at = relays[0].registered_at;
        assert!(at.duration_until(jiff::Timestamp::now()).as_hours().abs() < 1, "{at}");
    }
}

#[actix::test]
async fn rate_limit_reports_the_backoff() {
    let limits = ServerLimits {
        registrations_per_minute: 1,
        registrations_burst: 1,
        ..ServerLimits::default()
    };
    let server = Server::with(HttpSettings { limits, ..settings() });
    let mut client = Client::open(server.address).await;
    let current = client.hello("ann").await;
    let error = client.fail(json!({"type": "hello", "peer_id": "ben"})).await;
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert!(error.retry_after.unwrap() >= Duration::from_secs(1), "{error:?}");
    // A token that cannot be renewed now stays valid.
    let hello = json!({"type": "hello", "peer_id": "ann", "token": current});
    let (messages, _) = client.request(hello).await;
    assert_eq!(token(&messages[0]).token.expose(), current);
    client.register_party("ann").await;
}

#[actix::test]
async fn requests_before_the_close_are_executed() {
    let server = Server::start();
    let mut ann = Client::open(server.address).await;
    ann.hello("ann").await;
    let party = ann.register_party("ann").await;
    ann.send(json!({"type": "leave_party", "party_id": party, "peer_id": "ann"})).await;
    ann.send(json!({"type": "join_party", "party_id": party, "peer": peer("ann"), "req_id": 1}))
        .await;
    ann.0.outgoing.send(Outgoing::Close).await.unwrap();
    let answer = ann.next().await;
    let Message::Answer { result: Err(error), .. } = answer else { panic!("{answer:?}") };
    assert_eq!(error.code, ErrorCode::PartyNotFound);
    assert!(!ann.lost().await.is_final);
}
