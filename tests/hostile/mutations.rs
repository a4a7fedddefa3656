//! Valid requests, changed at random: each line gets one answer, and nothing worse happens.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::harness::{Client, Copy, Random, Setup, mark, peer};

/// A valid request of every method that does not end the daemon's world.
fn requests() -> Vec<Value> {
    let member = json!({"party_id": "p", "peer_id": "bob"});
    let party = json!({
        "party_id": "i", "name": "Theirs", "host_id": "zoe", "created_at": "2026-01-02T03:04:05",
        "peers": {"zoe": {
            "peer_id": "zoe", "name": "Zoë", "public_key": "k", "nat_type": "open",
            "public_ip": "unknown", "public_port": 0, "local_ip": "::1", "local_port": 1,
            "last_seen": "2026-01-02T03:04:05",
        }},
    });
    let state = json!({"parties": {"i": party}, "my_peer_id": null, "my_party_id": null});
    let agent = json!({"name": "a", "version": "1"});
    [
        ("hello", json!({"client": agent, "protocol": {"min": 1, "max": 1}, "features": ["a"]})),
        ("ping", json!({})),
        ("status.get", json!({})),
        ("connection.get", json!({})),
        (
            "party.register",
            json!({"party_id": "q", "name": "Doom", "host": peer("eve"), "keepalive": "daemon"}),
        ),
        ("party.join", json!({"party_id": "p", "peer": peer("bob"), "keepalive": "manual"})),
        ("party.leave", member.clone()),
        ("party.get", json!({"party_id": "p"})),
        ("party.list", json!({"cursor": "a", "limit": 5})),
        ("party.discover", json!({})),
        ("peer.update", json!({"party_id": "p", "peer": peer("bob")})),
        ("peer.list", json!({"party_id": "p"})),
        ("peer.discover", member.clone()),
        ("peer.heartbeat", member.clone()),
        (
            "signal.send",
            json!({
                "party_id": "p", "from_peer_id": "bob", "to_peer_id": "ann",
                "signal_data": {"sdp": ["v=0", 1.5, null]},
            }),
        ),
        ("signal.poll", member),
        (
            "relay.register",
            json!({
                "relay_id": "r", "public_ip": "::1", "port": 1, "region": "eu", "capacity": 9,
            }),
        ),
        ("relay.list", json!({"region": "eu"})),
        (
            "events.subscribe",
            json!({"topics": ["party", "relay"], "party_id": "p", "snapshot": true}),
        ),
        ("events.unsubscribe", json!({"subscription": "s1"})),
        ("state.export", json!({"format": "lanrage"})),
        ("state.import", json!({"state": state, "mode": "merge"})),
        ("state.backup", json!({"path": "not absolute"})),
    ]
    .into_iter()
    .map(|(method, params)| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    .collect()
}

/// Something else, of whatever type.
fn anything(random: &mut Random) -> Value {
    match random.below(16) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(0),
        4 => json!(65_536),
        5 => json!(u64::MAX),
        6 => json!(i64::MIN),
        7 => json!(0.5),
        8 => json!(1e300),
        9 => json!(""),
        10 => json!("p"),
        11 => json!("\u{0}\u{7f}\u{202e}🎲"),
        12 => json!("x".repeat(random.below(3000))),
        13 => json!([]),
        14 => json!({}),
        _ => json!([{"a": [[1, {"b": null}]]}, "p", 1]),
    }
}

/// Every place in a value, as pointers to it.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found));
        }
        Value::Array(array) => array
            .iter()
            .enumerate()
            .for_each(|(index, value)| places(value, &format!("{at}/{index}"), found)),
        _ => {}
    }
}

/// Replaces, drops, renames or moves something somewhere.
fn change(request: &mut Value, random: &mut Random) {
    let mut found = Vec::new();
    places(request, "", &mut found);
    let at = random.of(&found).clone();
    let (parent, key) = at.rsplit_once('/').unwrap_or_default();
    let (parent, key) = (parent.to_owned(), key.to_owned());
    let kind = random.below(8);
    match request.pointer_mut(&parent) {
        Some(Value::Object(object)) if kind == 0 => {
            object.remove(&key);
        }
        Some(Value::Object(object)) if kind == 1 => {
            if let Some(value) = object.remove(&key) {
                object.insert(format!("{key}{}", random.below(3)), value);
            }
        }
        Some(Value::Object(object)) if kind == 2 => {
            let value = anything(random);
            object.insert("more".to_owned(), value);
        }
        Some(Value::Array(array)) if kind == 0 => array.clear(),
        _ if kind == 3 => {
            let from = random.of(&found).as_str();
            let other = request.pointer(from).cloned().unwrap_or_default();
            if let Some(place) = request.pointer_mut(&at) {
                *place = other;
            }
        }
        _ => {
            if let Some(place) = request.pointer_mut(&at) {
                *place = anything(random);
            }
        }
    }
}

/// Changes some bytes; a line stays a line.
fn garble(line: &mut Vec<u8>, random: &mut Random) {
    const BYTES: &[u8] = b"\"\\{}[]:,0-9.eE+tfn \0\x7f\x80\xff\xc3u";
    for _ in 0..=random.below(3) {
        let at = random.below(line.len());
        match random.below(6) {
            0 => line[at] = *random.of(BYTES),
            1 => line.insert(at, *random.of(BYTES)),
            2 => line.truncate(at.max(1)),
            3 => line[at] ^= 1 << random.below(8),
            4 => {
                let end = (at + random.below(20)).min(line.len());
                let piece = line[at..end].to_vec();
                line.splice(at..at, piece);
            }
            _ => {
                line.remove(at);
            }
        }
        if line.is_empty() {
            line.push(b'x');
        }
    }
    for byte in line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// Whether a line is a notification, which gets no answer.
fn is_notification(line: &[u8]) -> bool {
    let Ok(fields) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(line) else {
        return false;
    };
    let text = |key: &str| fields.get(key).map(|raw| raw.get());
    let method = text("method").is_some_and(|raw| serde_json::from_str::<String>(raw).is_ok());
    text("id").is_none() && text("jsonrpc") == Some("\"2.0\"") && method
}

/// Sends a line and asserts that it gets its one answer, or none if it is a notification.
struct Prober {
    client: Client,
    /// Answers that belong to no ping of ours.
    answers: usize,
    expected: usize,
}

impl Prober {
    fn probe(&mut self, line: &[u8]) {
        self.expected += usize::from(!is_notification(line));
        self.client.send_raw(&[line, b"\n"].concat());
        let ping = format!("ping {}", self.expected);
        let sentinel = json!({"jsonrpc": "2.0", "id": ping, "method": "ping"});
        self.client.send_raw(format!("{sentinel}\n").as_bytes());
        let mut ponged = false;
        while !ponged || self.answers < self.expected {
            let reply = self.client.line().unwrap_or_else(|| {
                panic!("the end after {:?}", String::from_utf8_lossy(line));
            });
            match reply.get("id") {
                None => assert_ne!(reply.get("method"), None, "{reply}"),
                Some(id) if *id == ping && !ponged => ponged = true,
                Some(_) => {
                    let answer = [reply.get("result"), reply.get("error")];
                    assert_eq!(answer.iter().flatten().count(), 1, "{reply}");
                    assert_ne!(reply["error"]["data"]["code"], "internal", "{reply}");
                    self.answers += 1;
                }
            }
            assert!(
                self.answers <= self.expected,
                "more than one answer to {:?}",
                String::from_utf8_lossy(line)
            );
        }
    }
}

#[test]
fn each_line_gets_one_answer_whatever_is_in_it() {
    let daemon = Setup::new().start();
    let mut keeper = daemon.client();
    let mut random = Random(42);
    let requests = requests();
    for round in 0..150 {
        let client = daemon.client();
        let mut prober = Prober { client, answers: 0, expected: 0 };
        for _ in 0..60 {
            let mut request = random.of(&requests).clone();
            for _ in 0..random.below(3) {
                change(&mut request, &mut random);
            }
            let mut line = request.to_string().into_bytes();
            if random.below(3) == 0 {
                garble(&mut line, &mut random);
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            prober.probe(&line);
        }
        // Nothing more comes, and the state adds up.
        prober.client.send_raw(b"{\"jsonrpc\":\"2.0\",\"id\":\"last\",\"method\":\"ping\"}\n");
        loop {
            let line = prober.client.line().expect("the last answer");
            if line.get("id").is_some() {
                assert_eq!(line["id"], "last", "round {round}");
                break;
            }
        }
    }
    let listed = keeper.call("party.list", json!({}))["parties"].take();
    let parties = listed.as_array().expect("parties");
    let peers = parties.iter().map(|party| party["peers"].as_object().map_or(0, |p| p.len()));
    let status = keeper.call("status.get", json!({}));
    assert_eq!(
        (&status["parties"], &status["peers"]),
        (&json!(parties.len()), &json!(peers.sum::<usize>()))
    );
    for party in parties {
        assert!(party["peers"].get(party["host_id"].as_str().expect("a host")).is_some());
    }
    let mut copy = Copy::begin(&mut keeper, json!({}));
    keeper.register("well", "well");
    mark(&mut keeper, "end");
    copy.read_to(&mut keeper, "end");
    copy.assert_true(&mut keeper, None);
}
