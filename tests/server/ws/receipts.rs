//! Receipts: of one owner, kind, party and body.

use serde_json::{Value, json};

use super::{done, host, join, leave, newcomer, register, signal, told, update};
use crate::harness::{Http, Response, Setup, Ws, announced, eventually};

fn named(mut frame: Value, req_id: u32) -> Value {
    frame["req_id"] = json!(req_id.to_string());
    frame
}

#[test]
fn req_id_of_an_earlier_owner_joins_the_next_owner() {
    let server = Setup::server().config("[auth]\ntoken_ttl = \"1s\"\n").start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let (mut first, token) = newcomer(&server, "bob");
    done(&first.ask(named(join("lan", "bob"), 1)));
    done(&first.ask(named(leave("lan", "bob"), 2)));
    drop(first);
    eventually("the end of the token", || {
        let mut http = server.http();
        http.token = Some(token.clone());
        (http.get("/relays").status == 401).then_some(())
    });
    let (mut next, _) = eventually("the id is free", || {
        let mut ws = Ws::connect(server.address());
        ws.send(json!({"type": "hello", "caps": ["x"], "peer_id": "bob"}));
        let any = |frame: &Value| ["welcome", "error"].iter().any(|kind| frame["type"] == *kind);
        let answer = ws.await_frame("an answer", any);
        (answer["type"] == "welcome").then_some((ws, answer))
    });
    done(&next.ask(named(join("lan", "bob"), 1)));
    assert!(next.await_type("party_update")["party"]["peers"]["bob"].is_object());
    assert_eq!(told(&alice.settled()), ["peer_joined bob", "peer_left bob", "peer_joined bob"]);
}

#[test]
fn req_id_with_another_body_is_another_request() {
    let server = Setup::server().start();
    let (mut alice, token) = host(&server, "lan", "alice");
    let (mut bob, _) = newcomer(&server, "bob");
    done(&bob.ask(join("lan", "bob")));
    alice.settled();
    for name in ["Bob", "Robert", "Robert", "Bob"] {
        done(&bob.ask(named(update("lan", "bob", name), 7)));
    }
    // The receipt is of the newest: the second Robert was done before.
    let updates = alice.settled();
    let names = updates.iter().filter(|frame| frame["type"] == "peer_updated");
    let names: Vec<_> = names.map(|frame| frame["peer"]["name"].clone()).collect();
    assert_eq!(names, ["Bob", "Robert", "Bob"].map(|name| json!(name)));
    for data in [json!(1), json!(2), json!(2)] {
        done(&bob.ask(named(signal("lan", "bob", "alice", data), 7)));
    }
    let signals = alice.settled();
    let data: Vec<_> = signals.iter().filter(|frame| frame["type"] == "signal").collect();
    assert_eq!(data.len(), 2, "{data:?}");
    // A client that counts from 1 on each connection.
    let mut parties = Vec::new();
    for party in ["one", "two"] {
        let (mut ws, _) = Ws::hello(server.address(), "alice", Some(&token));
        parties.push(done(&ws.ask(named(register(party, "alice"), 1)))["party_id"].clone());
    }
    assert_eq!(parties, ["one", "two"].map(|party| json!(party)));
}

fn keyed(http: &mut Http, key: &str, path: &str, body: &str) -> Response {
    let bearer = format!("Bearer {}", http.token.as_deref().expect("a token"));
    let headers = [("Idempotency-Key", key), ("Authorization", bearer.as_str())];
    http.send("POST", path, &headers, Some(body.as_bytes()))
}

#[test]
fn idempotency_key_with_another_body_is_refused() {
    let server = Setup::server().start();
    let mut alice = Http::registered(server.address(), "alice");
    let mut bob = Http::registered(server.address(), "bob");
    let body = |name: &str| json!({"name": name, "host_peer_info": announced("alice")}).to_string();
    let party = keyed(&mut alice, "k", "/parties", &body("One")).ok()["party_id"].take();
    let detail = keyed(&mut alice, "k", "/parties", &body("Two")).detail(422);
    assert_eq!(detail[0]["loc"], json!(["header", "idempotency-key"]), "{detail}");
    assert!(detail[0]["msg"].as_str().expect("words").contains("another body"), "{detail}");
    assert_eq!(alice.get("/").ok()["parties"], 1);
    // The same body in another order, and seen at another time, is the same.
    let mut info = announced("alice");
    info["last_seen"] = json!("2026-01-02T03:04:05");
    let reordered = format!("{{ \"host_peer_info\" : {info}, \"name\" : \"\\u004fne\" }}");
    assert_eq!(keyed(&mut alice, "k", "/parties", &reordered).ok()["party_id"], party);
    let path = format!("/parties/{}/join", party.as_str().expect("an id"));
    let join = |name: &str| {
        let mut info = announced("bob");
        info["name"] = json!(name);
        json!({"party_id": party, "peer_info": info}).to_string()
    };
    keyed(&mut bob, "k", &path, &join("Bob")).ok();
    keyed(&mut bob, "k", &path, &join("Bob")).ok();
    keyed(&mut bob, "k", &path, &join("Robert")).detail(422);
    // The key is alice's own, whatever bob did under it, and known on a WebSocket.
    let (mut ws, _) = Ws::hello(server.address(), "alice", alice.token.as_deref());
    let mut frame = register("", "alice");
    frame.as_object_mut().expect("an object").remove("party_id");
    (frame["name"], frame["req_id"]) = (json!("One"), json!("k"));
    frame["host_peer"] = announced("alice");
    assert_eq!(done(&ws.ask(frame))["party_id"], party);
}
