use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::lanrage::input::{MOST_MISTAKES, Mistake};
use crate::model::{Party, Relay};

/// Recorded answer of LANrage's own server to a body.
#[derive(Deserialize)]
struct Recorded {
    case: String,
    reads: String,
    body: String,
    detail: Value,
}

fn mistakes(reads: &str, body: &[u8]) -> Vec<Mistake> {
    let outcome = match reads {
        "register" => RegisterPartyBody::from_json(body).map(drop),
        "join" => JoinBody::from_json(body).map(drop),
        "relay" => RelayBody::from_json(body).map(drop),
        _ => Err(not_json(body)),
    };
    outcome.err().unwrap_or_default()
}

fn detail(reads: &str, body: &[u8]) -> Value {
    value(&Detail::Mistakes(mistakes(reads, body)))
}

#[test]
fn mistakes_are_told_as_lanrage_s_own_server_tells_them() {
    let recorded: Vec<Recorded> = serde_json::from_str(include_str!("recorded.json")).expect("it");
    assert_eq!(recorded.len(), 24);
    for Recorded { case, reads, body, detail: mut expected } in recorded {
        let mut got = detail(&reads, body.as_bytes());
        if expected[0]["type"] == "json_invalid" {
            // Each parser words its errors differently.
            assert!(got[0]["ctx"]["error"].take().is_string(), "{case}");
            expected[0]["ctx"]["error"].take();
        }
        assert_eq!(got, expected, "{case}");
    }
}

fn peer() -> Value {
    json!({
        "peer_id": "alice", "name": "Alice", "public_key": "a2V5", "nat_type": "open",
        "public_ip": "203.0.113.5", "public_port": 51820, "local_ip": "192.168.1.5",
        "local_port": 51821, "last_seen": "2026-11-22T16:15:12.781461",
    })
}

#[test]
fn good_bodies_are_read_whole() {
    let body = json!({"name": "Game", "host_peer_info": peer(), "later": 1}).to_string();
    let register = RegisterPartyBody::from_json(body.as_bytes()).expect("good");
    assert_eq!(register.name.as_str(), "Game");
    assert_eq!(value(&register.host), peer());
    let body = json!({"party_id": "not even an id", "peer_info": peer()}).to_string();
    assert_eq!(JoinBody::from_json(body.as_bytes()).expect("good").peer, register.host);

    let relay = |body: Value| RelayBody::from_json(body.to_string().as_bytes()).expect("good");
    let least = relay(json!({"relay_id": "r", "public_ip": "::1", "port": "51820"}));
    assert_eq!((least.port, least.region.as_str(), least.capacity), (51820, "unknown", 100));
    let full = json!({"relay_id": "r", "public_ip": "1.2.3.4", "port": 2.0, "region": "eu",
        "capacity": 4_294_967_295_u32});
    let full = relay(full);
    assert_eq!((full.port, full.region.as_str(), full.capacity), (2, "eu", u32::MAX));
}

#[test]
fn all_mistakes_of_a_body_come_at_once() {
    let body = br#"{"relay_id": "", "public_ip": "not an ip", "port": true, "region": "",
        "capacity": -5}"#;
    let kinds = |mistakes: Vec<Mistake>| mistakes.into_iter().map(|m| m.kind).collect::<Vec<_>>();
    let expected = [
        "string_too_short",
        "ip_any_address",
        "int_type",
        "string_too_short",
        "greater_than_equal",
    ];
    assert_eq!(kinds(mistakes("relay", body)), expected);
    let lines = mistakes("register", br#"{"name": "", "host_peer_info": {"public_port": 70000}}"#);
    let lines: Vec<_> = lines.iter().map(Mistake::to_string).collect();
    assert_eq!(lines[0], "body.name: String should have at least 1 character");
    assert_eq!(lines[1], "body.host_peer_info.peer_id: Field required");
    let port = "body.host_peer_info.public_port: Input should be less than or equal to 65535";
    assert!(lines.iter().any(|line| line == port), "{lines:?}");
}

#[test]
fn where_a_body_stops_to_be_json_is_told() {
    for (body, offset) in [
        (&b"{not json"[..], 1),
        (b"{\"a\":1,\n\n  x}", 11),
        (b"\n\n\xff", 2),
        (b"   ", 3),
        (b"{", 1),
        (b"{} {}", 3),
    ] {
        let detail = detail("register", body);
        assert_eq!(detail[0]["type"], "json_invalid", "{detail}");
        assert_eq!(detail[0]["loc"], json!(["body", offset]), "{detail}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(detail("register", deep.as_bytes())[0]["type"], "json_invalid");
}

fn value(reply: &impl serde::Serialize) -> Value {
    serde_json::to_value(reply).expect("encodes")
}

#[test]
fn replies_are_lanrage_s_with_further_fields_beside() {
    let party: Party = serde_json::from_value(json!({
        "party_id": "p", "name": "Game", "host_id": "alice", "created_at": "2026-11-22T16:00:00Z",
        "origin": "local", "sync": "synced", "epoch": "e", "seq": 7,
        "peers": {"alice": {
            "peer_id": "alice", "name": "Alice", "public_key": "a2V5", "nat_type": "open",
            "public_ip": "203.0.113.5", "public_port": 51820, "local_ip": "192.168.1.5",
            "local_port": 51821, "virtual_ip": "10.66.0.1", "connected": true,
            "last_seen": "2026-11-22T16:15:12.781461Z",
        }},
    }))
    .expect("a party");
    let (ips, peers) = (json!({"alice": "10.66.0.1"}), json!({"alice": peer()}));
    let shown = json!({"party_id": "p", "name": "Game", "host_id": "alice",
        "created_at": "2026-11-22T16:00:00", "peers": peers});
    let mut reply = PartyReply::new(&party, &TimeZone::UTC);
    let mut expected = json!({"party": shown, "virtual_ips": ips, "epoch": "e", "seq": 7});
    assert_eq!(value(&reply), expected);
    reply.party_id = Some(party.party_id.clone());
    expected["party_id"] = json!("p");
    assert_eq!(value(&reply), expected);
    let expected = json!({"peers": peers, "virtual_ips": ips, "epoch": "e", "seq": 7});
    assert_eq!(value(&PeersReply::new(&party, &TimeZone::UTC)), expected);
    let alice = party.peers.values().next().expect("alice");
    let expected = json!({"peer": peer(), "virtual_ips": ips});
    assert_eq!(value(&PeerReply::new(alice, &TimeZone::UTC)), expected);
}

#[test]
fn a_token_is_shown_on_the_wire_only() {
    let reply = TokenReply {
        token: String::from("s3cret").into(),
        peer_id: "alice".parse().expect("an id"),
        expires_at: jiff::civil::date(2026, 11, 23).at(16, 15, 11, 0),
    };
    let expected =
        json!({"token": "s3cret", "peer_id": "alice", "expires_at": "2026-11-23T16:15:11"});
    assert_eq!(value(&reply), expected);
    assert!(!format!("{reply:?}").contains("s3cret"));
}

#[test]
fn the_smaller_replies_have_lanrage_s_keys() {
    let relay: Relay = serde_json::from_value(json!({
        "relay_id": "r", "public_ip": "::1", "port": 1, "region": "eu", "capacity": 2,
        "registered_at": "2026-11-22T16:15:18.090Z",
    }))
    .expect("a relay");
    let relays = RelaysReply { relays: vec![RelayEntry::new(&relay, &TimeZone::UTC)] };
    let registered = RelayReply { status: "registered", relay_id: relay.relay_id.clone() };
    let refused = ErrorReply { detail: Detail::Text("Not Found".to_owned()) };
    for (reply, expected) in [
        (
            value(&relays),
            json!({"relays": [{"relay_id": "r", "public_ip": "::1", "port": 1, "region": "eu",
                "capacity": 2, "registered_at": "2026-11-22T16:15:18.090000"}]}),
        ),
        (value(&registered), json!({"status": "registered", "relay_id": "r"})),
        (value(&StatusReply { status: "left" }), json!({"status": "left"})),
        (value(&refused), json!({"detail": "Not Found"})),
    ] {
        assert_eq!(reply, expected);
    }
}

proptest! {
    #[test]
    fn no_body_does_harm(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for reads in ["register", "join", "relay", "not_json"] {
            let mistakes = mistakes(reads, &body);
            prop_assert!(!mistakes.is_empty() && mistakes.len() <= MOST_MISTAKES);
        }
    }
}

#[cfg(feature = "openapi")]
#[test]
fn replies_are_described_with_the_keys_that_they_have() {
    use utoipa::{PartialSchema, ToSchema};

    let mut schemas = Vec::new();
    ErrorReply::schemas(&mut schemas);
    PartyReply::schemas(&mut schemas);
    let named = |name: &str| {
        let (_, schema) = schemas.iter().find(|(found, _)| found == name).expect(name);
        value(schema)["properties"].as_object().expect(name).keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(named("Mistake"), ["ctx", "input", "loc", "msg", "type"]);
    let keys = |of: Value| of.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(named("AnnouncedPeer"), keys(peer()));
    assert_eq!(named("AnnouncedParty"), ["created_at", "host_id", "name", "party_id", "peers"]);
    let token = value(&TokenReply::schema());
    assert_eq!(token["properties"]["token"]["type"], "string");
    assert_eq!(value(&RelayEntry::schema())["properties"]["port"]["type"], "integer");
}
