use std::sync::atomic::{AtomicUsize, Ordering};

use super::scripted_server::{Reply, ScriptedServer};
use super::*;

/// Party as LANrage's own server returns it, without this project's extensions.
fn party(guests: usize, last_seen: &str) -> Value {
    let mut peers = json!({});
    for id in ["ann", "ben", "cid"].into_iter().take(1 + guests) {
        peers[id] = peer(id);
        peers[id]["last_seen"] = json!(last_seen);
    }
    json!({"party_id": "p", "name": "Game", "host_id": "ann",
        "created_at": "2026-11-22T10:00:00.5", "peers": peers})
}

#[actix::test]
async fn changes_are_numbered_for_a_server_that_numbers_none() {
    static GUESTS: AtomicUsize = AtomicUsize::new(0);
    static POLLS: AtomicUsize = AtomicUsize::new(0);
    let scripted = ScriptedServer::start(|line, _| match line {
        "GET /" => Reply::service(),
        "POST /parties" => Reply::json(
            "200 OK",
            json!({"party_id": "p", "party": party(0, "2026-11-22T10:00:00")}),
        ),
        "GET /parties/p" => {
            // A new `last_seen` in each poll is no change.
            let poll = POLLS.fetch_add(1, Ordering::SeqCst);
            let last_seen = format!("2026-11-22T10:{:02}:00+00:00", poll % 60);
            Reply::json(
                "200 OK",
                json!({"party": party(GUESTS.load(Ordering::SeqCst), &last_seen)}),
            )
        }
        _ => Reply::json(
            "200 OK",
            json!({"token": "t", "peer_id": "ann", "expires_at": "2030-01-01T00:00:00"}),
        ),
    });
    let mut client = Client::open(scripted.await.address).await;
    let have = json!({"p": {"epoch": "lanrage", "seq": 41}});
    let (messages, _) =
        client.request(json!({"type": "hello", "peer_id": "ann", "have": have})).await;
    assert_eq!(token(&messages[0]).expires_at, "2030-01-01T00:00:00Z".parse().ok());
    let Message::Welcome { epoch, .. } = &messages[0] else { panic!("{messages:?}") };
    assert_eq!(epoch.as_str(), "lanrage");
    let Message::Party(party, at) = &messages[1] else { panic!("{messages:?}") };
    assert_eq!(at.seq, 42);
    let member = party.members.values().next().unwrap();
    assert_eq!((member.virtual_ip, member.connected), (None, true));
    let register = json!({"type": "register_party", "party_id": "p", "name": "Game", "host_peer": peer("ann")});
    let (_, at) = client.change(register).await;
    assert_eq!(at.seq, 42);
    for (guests, seq) in [(1, 43), (0, 44), (2, 45)] {
        // Some polls in between find no change.
        let before = POLLS.load(Ordering::SeqCst);
        while POLLS.load(Ordering::SeqCst) < before + 3 {
            assert!(matches!(client.0.incoming.recv().await, Some(Incoming::Alive)));
        }
        GUESTS.store(guests, Ordering::SeqCst);
        let (_, at) = client.state().await;
        assert_eq!((at.epoch.as_str(), at.seq), ("lanrage", seq));
    }
}

#[actix::test]
async fn token_is_renewed_before_it_expires() {
    let scripted = ScriptedServer::start(|line, before| match line {
        "GET /" => Reply::service(),
        "GET /relays" => Reply::json("200 OK", json!({"relays": []})),
        _ => {
            // The first has expired already.
            let expires_at =
                if before == 0 { "2020-01-01T00:00:00" } else { "2100-01-01T00:00:00" };
            Reply::json("200 OK", json!({"token": format!("t{before}"), "expires_at": expires_at}))
        }
    });
    let scripted = scripted.await;
    let mut client = Client::open(scripted.address).await;
    assert_eq!(client.hello("ann").await, "t0");
    let (messages, _) = client.request(json!({"type": "list_relays"})).await;
    assert_eq!(token(&messages[0]).token.expose(), "t1");
    let (messages, _) = client.request(json!({"type": "list_relays"})).await;
    assert!(messages.is_empty(), "{messages:?}");
    assert_eq!(scripted.count("POST /auth/register?peer_id=ann"), 2);
}

#[actix::test]
async fn request_is_retried_after_an_expired_token_is_replaced() {
    let scripted = ScriptedServer::start(|line, before| match (line, before) {
        ("GET /base/", _) => Reply::service(),
        ("GET /base/relays", 0) => {
            Reply::json("401 Unauthorized", r#"{"detail":"Invalid or expired token"}"#)
        }
        ("GET /base/relays", _) => Reply::json("200 OK", json!({"relays": []})),
        _ => Reply::json("200 OK", json!({"token": format!("t{before}")})),
    });
    let mut client = Client::open(format!("{}/base", scripted.await.address)).await;
    assert_eq!(client.hello("ann").await, "t0");
    let (messages, answer) = client.request(json!({"type": "list_relays"})).await;
    assert_eq!((messages.len(), token(&messages[0]).token.expose()), (1, "t1"));
    let result = answer.unwrap().result;
    assert!(matches!(result, RequestResult::Relays(Ok(relays)) if relays.is_empty()));
}
