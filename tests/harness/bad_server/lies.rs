//! What a hostile or compromised control server may send, by seed.

use serde_json::{Value, json};

use crate::harness::{Random, announced};

/// Addresses that a server may give: few of them are any of its business.
const ADDRESSES: [&str; 14] = [
    "10.66.0.3",
    "10.66.0.3",
    "10.66.200.7",
    "10.99.0.1",
    "172.20.1.1",
    "100.64.0.9",
    "192.168.77.1",
    "8.8.8.8",
    "169.254.169.254",
    "127.0.0.1",
    "224.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "10.66.255.255",
];

/// A party of the daemon that is lied about.
pub(crate) struct Victim<'a> {
    pub(crate) party_id: &'a str,
    /// The local peers in it, its host first.
    pub(crate) ours: [&'a str; 2],
}

impl Victim<'_> {
    /// Some lies, in the order in which they are sent.
    pub(crate) fn lies(&self, random: &mut Random) -> Vec<Value> {
        (0..1 + random.below(24)).flat_map(|_| self.lie(random)).collect()
    }

    fn lie(&self, random: &mut Random) -> Vec<Value> {
        let [host, guest] = self.ours;
        match random.below(16) {
            0 => (0..20).map(|number| self.invented(number, random)).collect(),
            1 => vec![self.party(host, 300, random)],
            2 => vec![self.party(host, 3, random)],
            3 => vec![self.party("x0", 3, random)],
            4 | 5 => vec![self.change("peer_joined", random), self.change("peer_updated", random)],
            6 => vec![json!({"type": "peer_left", "party_id": self.party_id, "peer_id": guest,
                "epoch": epoch(random), "seq": seq(random)})],
            7 => vec![json!({"type": "party_removed", "party_id": self.party_id,
                "reason": "removed", "epoch": epoch(random), "seq": seq(random)})],
            8 => (0..200).map(|_| goaway(random)).collect(),
            9 => (0..200).map(|number| complaint(number, random)).collect(),
            10 => (0..50).map(|_| welcome(guest, random)).collect(),
            11 | 12 => (0..40).map(|_| self.signal(random)).collect(),
            13 => vec![self.change("peer_updated", random); 3],
            14 => (0..30).map(|_| self.change("peer_joined", random)).collect(),
            _ => vec![json!({"type": "ack", "req_id": random.below(9).to_string(),
                "epoch": epoch(random), "seq": seq(random), "result": {"party_id": "x"}})],
        }
    }

    /// A whole party of that host, with strangers beside the local peers.
    fn party(&self, host: &str, strangers: usize, random: &mut Random) -> Value {
        let mut frame = json!({
            "type": "party_update", "epoch": epoch(random), "seq": seq(random),
            "party": {"party_id": self.party_id, "name": "Quake \u{1b}[2J", "host_id": host,
                "created_at": "2026-01-02T03:04:05.678901", "peers": {}},
            "virtual_ips": {}, "connected": {},
        });
        if random.below(4) > 0 {
            frame["party"]["name"] = json!("Quake");
        }
        let strangers: Vec<_> = (0..strangers).map(|number| format!("x{number}")).collect();
        for id in self.ours.into_iter().chain(strangers.iter().map(String::as_str)) {
            frame["party"]["peers"][id] = member(id, random);
            if random.below(3) > 0 {
                frame["virtual_ips"][id] = address(random);
            }
        }
        frame
    }

    /// A party that no local peer asked for, with one of them in it.
    fn invented(&self, number: usize, random: &mut Random) -> Value {
        let mut frame = self.party("x0", 30, random);
        frame["party"]["party_id"] = json!(format!("invented-{number}"));
        frame
    }

    fn change(&self, kind: &str, random: &mut Random) -> Value {
        let strangers = ["x0", "x1", "x2"];
        let id = strangers.into_iter().chain(self.ours).nth(random.below(5)).expect("a peer");
        json!({"type": kind, "party_id": self.party_id, "peer": member(id, random),
            "epoch": epoch(random), "seq": seq(random), "virtual_ips": {id: address(random)},
            "connected": {id: random.below(2) == 0}})
    }

    fn signal(&self, random: &mut Random) -> Value {
        let from = ["x0", self.ours[0], self.ours[1], "nobody"][random.below(4)];
        json!({"type": "signal", "party_id": self.party_id, "from_peer_id": from,
            "to_peer_id": self.ours[1], "signal_data": "x".repeat(1 + random.below(2000))})
    }
}

/// A member with anything in its description.
fn member(id: &str, random: &mut Random) -> Value {
    let mut member = announced(id);
    if random.below(2) == 0 {
        member["public_key"] = json!(format!("key-{}", random.below(4)));
        member["name"] = json!("Mallory");
        member["public_ip"] = json!("192.0.2.66");
        member["public_port"] = json!(random.below(65_536));
    }
    member
}

fn address(random: &mut Random) -> Value {
    json!(ADDRESSES[random.below(ADDRESSES.len())])
}

fn epoch(random: &mut Random) -> Value {
    json!(["epoch-1", "epoch-1", "epoch-1", "epoch-2", "lanrage"][random.below(5)])
}

fn seq(random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!(u64::MAX),
        1 => json!(0),
        _ => json!(3 + random.below(8)),
    }
}

fn goaway(random: &mut Random) -> Value {
    let wait = [0, 1, u64::MAX][random.below(3)];
    json!({"type": "goaway", "retry_after_ms": wait})
}

fn complaint(number: usize, random: &mut Random) -> Value {
    let req_id = if random.below(2) == 0 { Value::Null } else { json!(number.to_string()) };
    let code = ["internal", "rate_limited", "no_such_code"][random.below(3)];
    json!({"type": "error", "message": "\u{1b}[2J\u{202e}no", "code": code, "req_id": req_id,
        "retry_after_ms": u64::MAX})
}

fn welcome(peer_id: &str, random: &mut Random) -> Value {
    let heartbeat = [0, 1, u64::MAX][random.below(3)];
    let peer_id = [peer_id, "nobody"][random.below(2)];
    json!({"type": "welcome", "session": "s", "heartbeat_ms": heartbeat, "epoch": epoch(random),
        "peer_id": peer_id, "token": "t".repeat(1 + random.below(5000)),
        "token_expires_at": "9999-01-01T00:00:00Z"})
}
