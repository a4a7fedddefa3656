//! Valid requests, changed at random: each line gets one answer, and nothing worse happens.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::harness::{Client, Copy, Random, Setup, cases, change, garble, mark, peer};

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

/// True for a notification, which gets no answer.
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
fn mutated_lines_get_a_single_answer_each() {
    let daemon = Setup::new().start();
    let mut keeper = daemon.client();
    let mut random = Random(42);
    let requests = requests();
    for round in 0..cases(50, 300) {
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
                // A line stays a line.
                line.iter_mut().filter(|b| matches!(b, b'\n' | b'\r')).for_each(|b| *b = b' ');
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
