//! Mistakes in an input, reported in FastAPI's format: the rule, the location and the input.

use serde_json::{Value, json};

use super::{announced_with, server_with};
use crate::harness::{Http, announced};

const STRING: &str = "Input should be a valid string";
const INTEGER: &str = "Input should be a valid integer";
const PARSING: &str = "Input should be a valid integer, unable to parse string as an integer";
const FRACTION: &str = "Input should be a valid integer, got a number with a fractional part";
const ADDRESS: &str = "value is not a valid IPv4 or IPv6 address";
const LEAST: &str = "Input should be greater than or equal to 0";
const PORT: &str = "Input should be less than or equal to 65535";
const SHORT: &str = "String should have at least 1 character";
const ID: &str = "String should match pattern '^[A-Za-z0-9_.:-]+$'";

/// Field of a peer, an invalid value, and the type and message of its error.
fn of_peers() -> Vec<(&'static str, Value, &'static str, String)> {
    let nat = "Input should be 'open', 'full_cone', 'restricted_cone', 'port_restricted_cone', \
        'symmetric' or 'unknown'";
    let at_most = |count| format!("String should have at most {count} characters");
    let mut rows = Vec::new();
    let mut row =
        |field, input: Value, kind, msg: &str| rows.push((field, input, kind, msg.to_owned()));
    for field in ["peer_id", "name", "public_key"] {
        row(field, json!(5), "string_type", STRING);
        row(field, json!(null), "string_type", STRING);
        row(field, json!(""), "string_too_short", SHORT);
    }
    row("peer_id", json!("a b"), "string_pattern_mismatch", ID);
    row("peer_id", json!("../x"), "string_pattern_mismatch", ID);
    row("peer_id", json!("x".repeat(129)), "string_too_long", &at_most(128));
    row("name", json!("x".repeat(101)), "string_too_long", &at_most(100));
    row("public_key", json!("x".repeat(129)), "string_too_long", &at_most(128));
    let printable = "Value error, must have no control characters";
    row("name", json!("a\nb"), "value_error", printable);
    row("public_key", json!("a\0b"), "value_error", printable);
    for input in [json!("Open"), json!("nat"), json!(1), json!(null)] {
        row("nat_type", input, "enum", nat);
    }
    for field in ["public_ip", "local_ip"] {
        for input in [json!("not an ip"), json!("1.2.3"), json!("Unknown"), json!(""), json!(1)] {
            row(field, input, "ip_any_address", ADDRESS);
        }
    }
    for field in ["public_port", "local_port"] {
        row(field, json!(-1), "greater_than_equal", LEAST);
        row(field, json!(65_536), "less_than_equal", PORT);
        row(field, json!("65536"), "less_than_equal", PORT);
        row(field, json!(u64::MAX), "less_than_equal", PORT);
        row(field, json!(true), "int_type", INTEGER);
        row(field, json!([1]), "int_type", INTEGER);
        row(field, json!(1.5), "int_from_float", FRACTION);
        row(field, json!("port"), "int_parsing", PARSING);
        row(field, json!(""), "int_parsing", PARSING);
    }
    row("last_seen", json!(5), "datetime_type", "Input should be a valid datetime");
    row("virtual_ip", json!(5), "string_type", STRING);
    row("public_endpoint", json!(5), "string_type", STRING);
    rows
}

/// Asserts that an input has that one mistake.
#[track_caller]
fn assert_mistake(told: &Value, loc: &Value, input: &Value, kind: &str, msg: &str) {
    let [mistake] = told.as_array().expect("mistakes").as_slice() else {
        panic!("not one mistake: {told}");
    };
    let expected = (&json!(kind), loc, &json!(msg), input);
    let got = (&mistake["type"], &mistake["loc"], &mistake["msg"], &mistake["input"]);
    assert_eq!(got, expected);
}

#[test]
fn peer_fields_are_validated_one_by_one() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let party = alice.party("alice");
    for (field, input, kind, msg) in of_peers() {
        let mut peer = announced("alice");
        peer[field] = input.clone();
        let created = json!({"name": "LAN", "host_peer_info": peer});
        let told = alice.post("/parties", Some(created)).detail(422);
        assert_mistake(&told, &json!(["body", "host_peer_info", field]), &input, kind, &msg);
        let joined = json!({"party_id": party, "peer_info": peer});
        let told = alice.post(&format!("/parties/{party}/join"), Some(joined)).detail(422);
        assert_mistake(&told, &json!(["body", "peer_info", field]), &input, kind, &msg);
    }
}

#[test]
fn relay_fields_are_validated_one_by_one() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let most = "Input should be less than or equal to 4294967295";
    let too_long = "String should have at most 100 characters";
    for (field, input, kind, msg) in [
        ("relay_id", json!(""), "string_too_short", SHORT),
        ("relay_id", json!(7), "string_type", STRING),
        ("relay_id", json!("a/b"), "string_pattern_mismatch", ID),
        ("public_ip", json!("unknown"), "ip_any_address", ADDRESS),
        ("public_ip", json!("not an ip"), "ip_any_address", ADDRESS),
        ("port", json!(-1), "greater_than_equal", LEAST),
        ("port", json!(65_536), "less_than_equal", PORT),
        ("port", json!(true), "int_type", INTEGER),
        ("port", json!(null), "int_type", INTEGER),
        ("port", json!(0.5), "int_from_float", FRACTION),
        ("port", json!("0x1f"), "int_parsing", PARSING),
        ("capacity", json!(-5), "greater_than_equal", LEAST),
        ("capacity", json!(4_294_967_296_u64), "less_than_equal", most),
        ("capacity", json!(null), "int_type", INTEGER),
        ("region", json!(""), "string_too_short", SHORT),
        ("region", json!("x".repeat(101)), "string_too_long", too_long),
        ("region", json!(null), "string_type", STRING),
    ] {
        let mut relay = json!({"relay_id": "r", "public_ip": "198.51.100.7", "port": 1});
        relay[field] = input.clone();
        let told = alice.post("/relays", Some(relay)).detail(422);
        assert_mistake(&told, &json!(["body", field]), &input, kind, msg);
    }
    assert_eq!(alice.get("/relays").ok(), json!({"relays": []}));
}

#[test]
fn peer_times_and_endpoints_that_are_malformed_are_refused() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let mut mistake = |field: &str, input: &Value| {
        let host = announced_with("alice", json!({field: input}));
        let body = json!({"name": "LAN", "host_peer_info": host});
        let told = alice.post("/parties", Some(body)).detail(422);
        assert_eq!(told[0]["loc"], json!(["body", "host_peer_info", field]), "{input}");
        assert_eq!(told[0]["input"], *input);
        told[0]["type"].clone()
    };
    for time in ["", "yesterday", "2026-11-22", "2026-02-30T10:00:00", "25:00"] {
        assert_eq!(mistake("last_seen", &json!(time)), "datetime_from_date_parsing", "{time}");
    }
    for endpoint in ["", "1.2.3.4", "1.2.3.4:70000", "host:1", "::1:5:", ":1"] {
        assert_eq!(mistake("public_endpoint", &json!(endpoint)), "value_error", "{endpoint}");
    }
}

#[test]
fn validation_lists_all_mistakes_at_once() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let host = json!({"peer_id": "", "name": 1, "nat_type": "?", "public_port": -1});
    let body = json!({"name": "", "host_peer_info": host});
    let told = alice.post("/parties", Some(body)).detail(422);
    let mistakes = told.as_array().expect("mistakes").iter();
    let told: Vec<_> = mistakes.map(|m| (m["loc"].clone(), m["type"].clone())).collect();
    let inner = |field, kind| (json!(["body", "host_peer_info", field]), json!(kind));
    let expected = [
        (json!(["body", "name"]), json!("string_too_short")),
        inner("peer_id", "string_too_short"),
        inner("name", "string_type"),
        inner("public_key", "missing"),
        inner("nat_type", "enum"),
        inner("public_ip", "missing"),
        inner("public_port", "greater_than_equal"),
        inner("local_ip", "missing"),
        inner("local_port", "missing"),
    ];
    assert_eq!(told, expected);
}

/// The error of a missing field names the object that lacks it.
#[test]
fn peer_fields_that_are_missing_are_each_named() {
    let (_server, [mut alice]) = server_with(["alice"]);
    for field in [
        "peer_id",
        "name",
        "public_key",
        "nat_type",
        "public_ip",
        "public_port",
        "local_ip",
        "local_port",
    ] {
        let host = announced_with("alice", json!({field: null}));
        let body = json!({"name": "LAN", "host_peer_info": host});
        let told = alice.post("/parties", Some(body)).detail(422);
        assert_mistake(
            &told,
            &json!(["body", "host_peer_info", field]),
            &host,
            "missing",
            "Field required",
        );
    }
}

fn send(client: &mut Http, body: &[u8]) -> Value {
    let bearer = format!("Bearer {}", client.token.clone().expect("a token"));
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    client.send("POST", "/parties", &headers, Some(body)).detail(422)
}

#[test]
fn bodies_that_are_not_json_are_refused() {
    let (_server, [mut alice]) = server_with(["alice"]);
    for (body, offset) in [
        (&b"{"[..], 1),
        (b"nope", 1),
        (b"{\"name\": }", 9),
        (b"{} {}", 3),
        (b"{\"name\": \"\xff\"}", 10),
        (b"{'name': 1}", 1),
    ] {
        let told = send(&mut alice, body);
        let name = String::from_utf8_lossy(body);
        assert_eq!(told[0]["type"], "json_invalid", "{name}");
        assert_eq!(told[0]["loc"], json!(["body", offset]), "{name}");
        assert_eq!(told[0]["msg"], "JSON decode error");
        assert_eq!(told[0]["input"], json!({}));
        assert!(told[0]["ctx"]["error"].as_str().is_some_and(|words| !words.is_empty()));
    }
    // However deep it is.
    assert_eq!(send(&mut alice, "[".repeat(60_000).as_bytes())[0]["type"], "json_invalid");
}

/// The input is echoed, but only up to a bounded length.
#[test]
fn validation_echoes_no_long_input() {
    let (_server, [mut alice]) = server_with(["alice"]);
    let body = json!({"name": "N".repeat(60_000), "host_peer_info": announced("alice")});
    let response = alice.post("/parties", Some(body));
    assert_eq!(response.detail(422)[0]["type"], "string_too_long");
    assert!(response.body.len() < 2_000, "{} bytes", response.body.len());
    let mut host = announced("alice");
    for field in 0..1_000 {
        host[format!("more-{field}")] = json!("x");
    }
    host["public_port"] = json!("x".repeat(30_000));
    let response = alice.post("/parties", Some(json!({"name": 1, "host_peer_info": host})));
    assert_eq!(response.status, 422);
    assert!(response.body.len() < 4_000, "{} bytes", response.body.len());
}
