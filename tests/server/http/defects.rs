//! Known defects of the original server, by their numbers; this server must have none of them.

use serde_json::{Value, json};

use super::{announced_with, server_with};
use crate::harness::{Http, Setup, announced, eventually, keys};

/// 1: server, client and tables disagree on a peer's fields.
#[test]
fn post_parties_and_reads_of_a_party_succeed() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let party = alice.party("alice");
    alice.join(&party, "alice").ok();
    for path in ["", "/peers", "/peers/alice"] {
        alice.get(&format!("/parties/{party}{path}")).ok();
    }
}

/// 2.
#[test]
fn ws_route_is_there() {
    let (server, []) = server_with([]);
    let handshake = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let response = server.http().send("GET", "/ws", &handshake, None);
    assert_eq!(response.status, 101);
    let accept = response.header("sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

/// 3.
#[test]
fn delete_peer_by_a_stranger_is_refused() {
    let (server, [mut alice, mut mallory]) = server_with(["alice", "mallory"]);
    let party = alice.party("alice");
    for client in [&mut server.http(), &mut mallory] {
        let response = client.post("/auth/register?peer_id=alice", None);
        assert_eq!(response.status, 409);
        assert_eq!(keys(&response.json()), ["detail"]);
        assert!(client.delete(&format!("/parties/{party}/peers/alice")).status >= 401);
    }
    alice.get(&format!("/parties/{party}")).ok();
}

/// 3.
#[test]
fn post_relays_over_a_foreign_relay_is_refused() {
    let (_server, [mut alice, mut mallory]) = server_with(["alice", "mallory"]);
    let relay = |ip: &str| Some(json!({"relay_id": "r1", "public_ip": ip, "port": 51820}));
    alice.post("/relays", relay("198.51.100.7")).ok();
    assert_eq!(mallory.post("/relays", relay("6.6.6.6")).status, 403);
    assert_eq!(mallory.get("/relays").ok()["relays"][0]["public_ip"], "198.51.100.7");
}

/// 3.
#[test]
fn post_of_invalid_ports_addresses_and_ids_is_refused() {
    let (server, [mut alice]) = server_with(["alice"]);
    let good = json!({"relay_id": "r", "public_ip": "198.51.100.7", "port": 1});
    for (field, value) in [
        ("port", json!(-1)),
        ("port", json!(true)),
        ("port", json!(1e30)),
        ("public_ip", json!("not an ip")),
        ("relay_id", json!("")),
        ("relay_id", json!("x".repeat(10_000))),
    ] {
        let mut relay = good.clone();
        relay[field] = value;
        let told = alice.post("/relays", Some(relay)).detail(422);
        assert_eq!(told[0]["loc"], json!(["body", field]));
    }
    for id in ["", &"x".repeat(10_000)] {
        let path = format!("/auth/register?peer_id={id}");
        assert_eq!(server.http().post(&path, None).status, 422);
    }
    assert_eq!(alice.get("/relays").ok()["relays"], json!([]));
}

/// 4.
#[test]
fn post_parties_with_a_malformed_peer_is_a_422() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let host = |changes| announced_with("alice", changes);
    for peer in [
        json!({}),
        host(json!({"last_seen": 5})),
        host(json!({"last_seen": "yesterday"})),
        host(json!({"public_port": "1e400"})),
        host(json!({"name": {"deep": [[[]]]}})),
    ] {
        let body = json!({"name": "LAN", "host_peer_info": peer});
        assert!(alice.post("/parties", Some(body)).detail(422).is_array());
    }
    let bearer = format!("Bearer {}", alice.token.clone().expect("a token"));
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    for body in [
        &br#"{"name": "\ud800", "host_peer_info": {}}"#[..],
        b"\xff\xfe",
        br#"{"relay_id": "r9", "public_ip": "1.1.1.1", "port": 1000000000000000000000000000000}"#,
    ] {
        for path in ["/parties", "/relays"] {
            let response = alice.send("POST", path, &headers, Some(body));
            assert_eq!(response.header("content-type"), Some("application/json"));
            assert!(response.detail(422).is_array());
        }
    }
}

/// 4.
#[test]
fn post_of_a_32_mib_body_is_not_echoed() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let token = alice.token.clone().expect("a token");
    let head = format!(
        "POST /parties HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 33554432\r\n\r\n"
    );
    alice.send_raw(head.as_bytes());
    // Answered before it is sent.
    let response = alice.response().expect("a response");
    assert!(response.detail(413).is_string());
    assert!(response.body.len() < 200, "{}", response.text());
}

/// 4.
#[test]
fn cors_reflects_no_foreign_origin() {
    let allowed = "https://lan.example.org";
    let setup = Setup::server();
    let config = format!("[http]\nallowed_origins = ['{allowed}']\n");
    for (server, allows) in
        [(setup.start(), false), (Setup::server().config(&config).start(), true)]
    {
        let mut http = server.http();
        let mut ask = |method: &str, path: &str, origin: &str| {
            let asked = ("Access-Control-Request-Method", "POST");
            let headers = [("Origin", origin), ("Cookie", "a=b"), asked];
            let response = http.send(method, path, &headers, None);
            assert_eq!(response.header("access-control-allow-credentials"), None);
            let allowed = response.header("access-control-allow-origin").map(str::to_owned);
            (response.status, allowed)
        };
        let requests = [("OPTIONS", "/parties", 204), ("GET", "/", 200), ("GET", "/relays", 401)];
        for (method, path, status) in requests {
            for evil in ["http://evil.example", "null", "https://lan.example.org.evil.example"] {
                assert_eq!(ask(method, path, evil), (403, None), "{method} {path} {evil}");
            }
            // Only who was named, where anyone was.
            let expected = if allows { (status, Some(allowed.to_owned())) } else { (403, None) };
            assert_eq!(ask(method, path, allowed), expected, "{method} {path}");
        }
    }
}

/// 5.
#[test]
fn delete_of_the_host_frees_the_places_of_all_members() {
    // One place each, so that one that is not given back shows.
    let server = Setup::server().config("[limits]\nparties_per_peer = 1\n").start();
    let [mut alice, mut bob] =
        ["alice", "bob"].map(|peer| Http::registered(server.address(), peer));
    for _ in 0..3 {
        let party = alice.party("alice");
        bob.join(&party, "bob").ok();
        alice.delete(&format!("/parties/{party}/peers/alice")).ok();
        let told = server.http().get("/").ok();
        assert_eq!((&told["parties"], &told["peers"]), (&json!(0), &json!(0)));
        assert_eq!(bob.get(&format!("/parties/{party}/peers/bob")).status, 404);
    }
}

/// 5.
#[test]
fn post_join_to_a_second_party_adds_the_peer() {
    let (_server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let parties = [alice.party("alice"), alice.party("alice")];
    for party in &parties {
        bob.join(party, "bob").ok();
    }
    for party in &parties {
        let peers = alice.get(&format!("/parties/{party}/peers")).ok();
        assert_eq!(keys(&peers["peers"]), ["alice", "bob"]);
    }
}

/// 5.
#[test]
fn post_join_again_takes_the_new_key() {
    let (_server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let party = alice.party("alice");
    bob.join(&party, "bob").ok();
    let rekeyed = announced_with("bob", json!({"public_key": "bmV3"}));
    let body = json!({"party_id": party, "peer_info": rekeyed});
    bob.post(&format!("/parties/{party}/join"), Some(body)).ok();
    let peer = alice.get(&format!("/parties/{party}/peers/bob")).ok();
    assert_eq!(peer["peer"]["public_key"], "bmV3");
}

/// 7.
#[test]
fn answered_changes_outlive_a_kill() {
    let mut setup = Setup::server();
    let mut tokens: Vec<Option<String>> = Vec::new();
    let mut parties: Vec<String> = Vec::new();
    for round in 0..3 {
        let server = setup.start();
        let peer = format!("peer-{round}");
        let mut client = Http::registered(server.address(), &peer);
        parties.push(client.party(&peer));
        tokens.push(client.token);
        // The answer is all that there was time for.
        setup = server.kill();
    }
    let server = setup.start();
    for (party, token) in parties.iter().zip(tokens) {
        let mut client = server.http();
        client.token = token;
        client.get(&format!("/parties/{party}")).ok();
    }
}

/// 9.
#[test]
fn expiry_removes_the_party_of_a_dead_host() {
    let setup = Setup::server().config(
        "[cleanup]\ninterval = '2ms'\nstartup_grace = '0s'\npeer_timeout = '30ms'\n\
         [limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n",
    );
    let server = setup.start();
    let mut alice = Http::registered(server.address(), "alice");
    for last_seen in [
        json!("9999-12-31T23:59:59.999999"),
        json!("0001-01-01T00:00:00+00:00"),
        Value::Null,
        announced("alice")["last_seen"].clone(),
    ] {
        let host = announced_with("alice", json!({"last_seen": last_seen}));
        let body = json!({"name": "LAN", "host_peer_info": host});
        alice.post("/parties", Some(body)).ok();
        let mut parties = || alice.get("/").ok()["parties"].take();
        eventually("the party's end", || (parties() == 0).then_some(()));
    }
}
