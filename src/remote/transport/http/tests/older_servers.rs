use std::sync::atomic::{AtomicUsize, Ordering};

use super::front::{Act, Front};
use super::*;

/// A party as a server gives it that knows LANrage's keys and no others.
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
async fn where_changes_have_no_numbers_they_get_some() {
    static GUESTS: AtomicUsize = AtomicUsize::new(0);
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    let front = Front::start(|line, _| match line {
        "GET /" => Act::service(),
        "POST /parties" => {
            Act::json("200 OK", json!({"party_id": "p", "party": party(0, "2026-11-22T10:00:00")}))
        }
        "GET /parties/p" => {
            // A sign of life in each look is no change.
            let look = LOOKS.fetch_add(1, Ordering::SeqCst);
            let last_seen = format!("2026-11-22T10:{:02}:00+00:00", look % 60);
            Act::json("200 OK", json!({"party": party(GUESTS.load(Ordering::SeqCst), &last_seen)}))
        }
        _ => Act::json(
            "200 OK",
            json!({"token": "t", "peer_id": "ann", "expires_at": "2030-01-01T00:00:00"}),
        ),
    });
    let mut link = Link::open(front.await.address).await;
    let have = json!({"p": {"epoch": "lanrage", "seq": 41}});
    let (told, _) = link.ask(json!({"type": "hello", "peer_id": "ann", "have": have})).await;
    assert_eq!(token(&told[0]).expires_at, "2030-01-01T00:00:00Z".parse().ok());
    let Message::Welcome { epoch, .. } = &told[0] else { panic!("{told:?}") };
    assert_eq!(epoch.as_str(), "lanrage");
    let Message::Party(party, at) = &told[1] else { panic!("{told:?}") };
    assert_eq!(at.seq, 42);
    let member = party.members.values().next().unwrap();
    assert_eq!((member.virtual_ip, member.connected), (None, true));
    let register = json!({"type": "register_party", "party_id": "p", "name": "Game", "host_peer": peer("ann")});
    let (_, at) = link.changed(register).await;
    assert_eq!(at.seq, 42);
    for (guests, seq) in [(1, 43), (0, 44), (2, 45)] {
        // Some looks in between show nothing new.
        let before = LOOKS.load(Ordering::SeqCst);
        while LOOKS.load(Ordering::SeqCst) < before + 3 {
            assert!(matches!(link.0.incoming.recv().await, Some(Incoming::Alive)));
        }
        GUESTS.store(guests, Ordering::SeqCst);
        let (_, at) = link.state().await;
        assert_eq!((at.epoch.as_str(), at.seq), ("lanrage", seq));
    }
}

#[actix::test]
async fn a_token_is_renewed_long_before_its_end() {
    let front = Front::start(|line, before| match line {
        "GET /" => Act::service(),
        "GET /relays" => Act::json("200 OK", json!({"relays": []})),
        _ => {
            // The first is over at once, by the clock of a server of whose clock nothing is known.
            let expires_at =
                if before == 0 { "2020-01-01T00:00:00" } else { "2100-01-01T00:00:00" };
            Act::json("200 OK", json!({"token": format!("t{before}"), "expires_at": expires_at}))
        }
    });
    let front = front.await;
    let mut link = Link::open(front.address).await;
    assert_eq!(link.hello("ann").await, "t0");
    let (told, _) = link.ask(json!({"type": "list_relays"})).await;
    assert_eq!(token(&told[0]).token.expose(), "t1");
    let (told, _) = link.ask(json!({"type": "list_relays"})).await;
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(front.count("POST /auth/register?peer_id=ann"), 2);
}

#[actix::test]
async fn a_token_that_expired_is_replaced_and_the_request_made_again() {
    let front = Front::start(|line, before| match (line, before) {
        ("GET /base/", _) => Act::service(),
        ("GET /base/relays", 0) => {
            Act::json("401 Unauthorized", r#"{"detail":"Invalid or expired token"}"#)
        }
        ("GET /base/relays", _) => Act::json("200 OK", json!({"relays": []})),
        _ => Act::json("200 OK", json!({"token": format!("t{before}")})),
    });
    let mut link = Link::open(format!("{}/base", front.await.address)).await;
    assert_eq!(link.hello("ann").await, "t0");
    let (told, answer) = link.ask(json!({"type": "list_relays"})).await;
    assert_eq!((told.len(), token(&told[0]).token.expose()), (1, "t1"));
    let result = answer.unwrap().result;
    assert!(matches!(result, RequestResult::Relays(Ok(relays)) if relays.is_empty()));
}
