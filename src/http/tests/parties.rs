use super::*;

#[actix::test]
async fn party_exists_from_registration_until_its_host_leaves() {
    let server = Server::start();
    let (ann, ben) = (server.token("ann").await, server.token("ben").await);
    let body = json!({"name": "Game", "host_peer_info": peer("ann")});
    let reply = server.call("POST", "/parties", &ann, Some(body)).await.expect(200);
    let id = reply["party_id"].as_str().unwrap();
    assert_eq!(id.len(), 20);
    assert_eq!(reply["party"]["party_id"], id);
    assert_eq!(reply["party"].as_object().unwrap().len(), 5);
    assert_eq!(reply["party"]["peers"]["ann"].as_object().unwrap().len(), 9);
    assert_eq!(reply["virtual_ips"], json!({"ann": "10.66.0.1"}));
    assert!(reply["epoch"].is_string() && reply["seq"] == 1, "{reply}");

    let body = json!({"party_id": "whatever", "peer_info": peer("ben")});
    let path = format!("/parties/{id}/join");
    let joined = server.call("POST", &path, &ben, Some(body)).await.expect(200);
    let read = server.get(&format!("/parties/{id}"), &ben).await.expect(200);
    assert_eq!(read["party"]["peers"].as_object().unwrap().len(), 2);
    assert_eq!((&read["seq"], joined.get("party_id")), (&joined["seq"], None));
    let peers = server.get(&format!("/parties/{id}/peers"), &ben).await.expect(200);
    assert_eq!(peers["peers"], read["party"]["peers"]);
    let one = server.get(&format!("/parties/{id}/peers/ann"), &ben).await.expect(200);
    assert_eq!(one["peer"], peers["peers"]["ann"]);

    let of_ben = format!("/parties/{id}/peers/ben");
    let path = format!("{of_ben}/heartbeat");
    let beat = server.call("POST", &path, &ben, Some(json!({"x": 1}))).await;
    assert_eq!(beat.expect(200), json!({"status": "ok"}));
    let left = server.call("DELETE", &of_ben, &ben, None).await.expect(200);
    assert_eq!(left, json!({"status": "left"}));
    let again = server.call("DELETE", &of_ben, &ben, None).await;
    again.refuses(404, "Peer ben not in party");
    let ended = server.call("DELETE", &format!("/parties/{id}/peers/ann"), &ann, None).await;
    assert_eq!(ended.expect(200), json!({"status": "party_deleted"}));
    let gone = format!("Party {id} not found");
    server.get(&format!("/parties/{id}"), &ann).await.refuses(404, &gone);
}

#[actix::test]
async fn token_is_valid_for_its_own_peer_only() {
    let server = Server::start();
    let (ann, ben) = (server.token("ann").await, server.token("ben").await);
    let id = server.party("ann", &ann).await;
    let body = json!({"name": "Game", "host_peer_info": peer("ann")});
    let reply = server.call("POST", "/parties", &ben, Some(body)).await;
    reply.refuses(403, "Token peer_id does not match host_peer_info.peer_id");
    for party in [&*id, "nope"] {
        let body = json!({"party_id": party, "peer_info": peer("ann")});
        let reply = server.call("POST", &format!("/parties/{party}/join"), &ben, Some(body)).await;
        reply.refuses(403, "Token peer_id does not match peer_info.peer_id");
        let path = format!("/parties/{party}/peers/ann");
        let (leave, beat) = (("DELETE", path.clone()), ("POST", format!("{path}/heartbeat")));
        for (method, path) in [leave, beat] {
            let reply = server.call(method, &path, &ben, None).await;
            reply.refuses(403, "Token peer_id does not match requested peer_id");
        }
    }
}

#[actix::test]
async fn not_found_names_the_missing_party_or_peer() {
    let server = Server::start();
    let ann = server.token("ann").await;
    let id = server.party("ann", &ann).await;
    let long = "x".repeat(200);
    let short = &long[..128];
    for (path, detail) in [
        ("/parties/nope".to_owned(), "Party nope not found".to_owned()),
        ("/parties/a%20b%2525/peers".to_owned(), "Party a b%25 not found".to_owned()),
        (format!("/parties/{long}/peers/x"), format!("Party {short} not found")),
        (format!("/parties/{id}/peers/zoe"), "Peer zoe not found".to_owned()),
        (format!("/parties/{id}/peers/{long}"), format!("Peer {short} not found")),
        (format!("/parties/nope/peers/{long}"), "Party nope not found".to_owned()),
    ] {
        server.get(&path, &ann).await.refuses(404, &detail);
    }
    let ben = server.token("ben").await;
    let beat = format!("/parties/{id}/peers/ben/heartbeat");
    server.call("POST", &beat, &ben, None).await.refuses(404, "Peer ben not found");
    let leave = server.call("DELETE", "/parties/no%20id/peers/ben", &ben, None).await;
    leave.refuses(404, "Party no id not found");
    let leave = server.call("DELETE", &format!("/parties/{id}/peers/no%20id"), &ben, None).await;
    leave.refuses(403, "Token peer_id does not match requested peer_id");
}

#[actix::test]
async fn join_of_a_full_party_and_a_party_too_many_get_a_409() {
    let server = Server::start();
    let mut tokens = Vec::new();
    for id in ["ann", "ben", "cid"] {
        tokens.push(server.token(id).await);
    }
    let id = server.party("ann", &tokens[0]).await;
    let join = async |peer_id: &str, token: &str| {
        let body = json!({"party_id": id, "peer_info": peer(peer_id)});
        server.call("POST", &format!("/parties/{id}/join"), token, Some(body)).await
    };
    join("ben", &tokens[1]).await.expect(200);
    join("cid", &tokens[2]).await.expect(409);
    server.party("ann", &tokens[0]).await;
    let body = json!({"name": "Third", "host_peer_info": peer("ann")});
    server.call("POST", "/parties", &tokens[0], Some(body)).await.expect(409);
}

#[actix::test]
async fn times_in_replies_follow_the_client_s_wall_clock() {
    let server = Server::start();
    let (ann, ben) = (server.token("ann").await, server.token("ben").await);
    let now = jiff::Timestamp::now();
    let far = |text: &Value, hours: i64| {
        let shown: jiff::civil::DateTime = text.as_str().unwrap().parse().unwrap();
        let there = jiff::tz::Offset::from_seconds(i32::try_from(hours).unwrap() * 3600).unwrap();
        let away = there.to_timestamp(shown).unwrap().duration_since(now).abs();
        // Half an hour, the least difference of two zones: no machine is that slow.
        assert!(away.as_secs() < 1800, "{text} is not {hours} h ahead of UTC");
    };
    let mut host = peer("ann");
    let there = jiff::tz::Offset::constant(5).to_datetime(now).to_string();
    host["last_seen"] = json!(there);
    let body = json!({"name": "Game", "host_peer_info": host});
    let reply = server.call("POST", "/parties", &ann, Some(body)).await.expect(200);
    far(&reply["party"]["created_at"], 5);
    far(&reply["party"]["peers"]["ann"]["last_seen"], 5);
    let path = format!("/parties/{}", reply["party_id"].as_str().unwrap());
    far(&server.get(&path, &ann).await.expect(200)["party"]["created_at"], 5);
    // Ben did not send an offset.
    far(&server.get(&path, &ben).await.expect(200)["party"]["created_at"], 0);
    let renewed = server.call("POST", "/auth/register?peer_id=ann", &ann, None).await;
    far(&renewed.expect(200)["expires_at"], 5 + 8);
}
