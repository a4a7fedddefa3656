use serde_json::{Value, json};

use super::{Scene, detail, mistake};

const NONE: Value = Value::Null;

#[test]
fn relays_are_registered_and_listed() {
    let mut scene = Scene::of(&["alice", "bob"]);
    let register = "POST /relays";
    let least = json!({"relay_id": "r1", "public_ip": "198.51.100.7", "port": 51820});
    let full = json!({"relay_id": "r2", "public_ip": "198.51.100.8", "port": 51820,
        "region": "eu-west", "capacity": 250});
    let registered = |id: &str| json!({"status": "registered", "relay_id": id});
    let entry = |id: &str, ip: &str, region: &str, capacity: u32| {
        json!({"relay_id": id, "public_ip": ip, "port": 51820, "region": region,
            "capacity": capacity, "registered_at": "TIME"})
    };
    let r1 = || entry("r1", "198.51.100.7", "unknown", 100);
    let r2 = || entry("r2", "198.51.100.8", "eu-west", 250);
    let of = |relays: Vec<Value>| json!({ "relays": relays });
    let hijack = json!({"relay_id": "r1", "public_ip": "6.6.6.6", "port": 1});
    scene.play([
        ("no relays", "alice", "GET /relays", NONE, 200, of(vec![])),
        ("with defaults", "alice", register, least, 200, registered("r1")),
        ("in full", "alice", register, full, 200, registered("r2")),
        ("by region, then id", "alice", "GET /relays", NONE, 200, of(vec![r2(), r1()])),
        ("of a region", "alice", "GET /relays/eu-west", NONE, 200, of(vec![r2()])),
        ("of no region", "alice", "GET /relays/mars", NONE, 200, of(vec![])),
        ("in other letters", "alice", "GET /relays/EU-WEST", NONE, 200, of(vec![])),
        // The original took it.
        (
            "somebody else's",
            "bob",
            register,
            hijack,
            403,
            detail("relay r1 belongs to somebody else"),
        ),
        ("as before", "bob", "GET /relays", NONE, 200, of(vec![r2(), r1()])),
        ("DELETE", "alice", "DELETE /relays/r1", NONE, 405, detail("Method Not Allowed")),
    ]);
}

#[test]
fn bodies_of_relays() {
    let mut scene = Scene::of(&["alice"]);
    let relay = |port: Value| json!({"relay_id": "r3", "public_ip": "1.1.1.1", "port": port});
    let registered = || json!({"status": "registered", "relay_id": "r3"});
    let port =
        |kind: &str, msg: &str, input: Value| mistake(kind, json!(["body", "port"]), msg, input);
    let all = |input: &Value, fields: &[&str]| {
        let missing = |field: &&str| {
            let mut reply =
                mistake("missing", json!(["body", field]), "Field required", input.clone());
            reply["detail"][0].take()
        };
        json!({"detail": fields.iter().map(missing).collect::<Vec<_>>()})
    };
    let no_id = json!({"public_ip": "1.1.1.1", "port": 1});
    let mut no_region = relay(json!(1));
    no_region["region"] = NONE;
    let no_string =
        mistake("string_type", json!(["body", "region"]), "Input should be a valid string", NONE);
    let mut extra = relay(json!(1));
    extra["zzz"] = json!(1);
    let word = "Input should be a valid integer, unable to parse string as an integer";
    let fraction = "Input should be a valid integer, got a number with a fractional part";
    let register = "POST /relays";
    scene.play([
        ("no id", "alice", register, no_id.clone(), 422, all(&no_id, &["relay_id"])),
        (
            "nothing",
            "alice",
            register,
            json!({}),
            422,
            all(&json!({}), &["relay_id", "public_ip", "port"]),
        ),
        ("digits as port", "alice", register, relay(json!("51820")), 200, registered()),
        (
            "a word as port",
            "alice",
            register,
            relay(json!("abc")),
            422,
            port("int_parsing", word, json!("abc")),
        ),
        (
            "a fraction as port",
            "alice",
            register,
            relay(json!(1.5)),
            422,
            port("int_from_float", fraction, json!(1.5)),
        ),
        ("a whole float as port", "alice", register, relay(json!(2.0)), 200, registered()),
        ("null as region", "alice", register, no_region, 422, no_string),
        ("an extra field", "alice", register, extra, 200, registered()),
    ]);
}
