//! Messages of a hostile or compromised control server, generated from a seed.

use serde_json::{Value, json};

use super::{Lie, Trick, Twist};
use crate::harness::{Random, announced};

/// Requests whose answers are lies.
const ASKED: [&str; 6] =
    ["hello", "register_party", "join_party", "update_peer", "leave_party", "heartbeat"];

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
    /// A party of the daemon that no server knows, and its members, the host first.
    pub(crate) local: (&'a str, [&'a str; 2]),
    /// A server that no redirection leads to.
    pub(crate) elsewhere: &'a str,
}

impl Victim<'_> {
    /// Some lies, in the order in which they are told.
    pub(crate) fn lies(&self, random: &mut Random) -> Vec<Lie> {
        (0..1 + random.below(24)).map(|_| self.lie(random)).collect()
    }

    fn lie(&self, random: &mut Random) -> Lie {
        match random.below(24) {
            0..16 => Lie::Tell(self.frames(random)),
            16 | 17 => Lie::Tell(self.about_the_local_party(random)),
            18 => Lie::Tell(self.numbers()),
            19..22 => self.answer(random),
            _ => Lie::Send(self.trick(random)),
        }
    }

    fn frames(&self, random: &mut Random) -> Vec<Value> {
        let [host, guest] = self.ours;
        match random.below(16) {
            0 => (0..20).map(|number| self.invented(number, random)).collect(),
            1 => vec![self.party(host, 300, random)],
            2 => vec![self.party(host, 3, random)],
            3 => vec![self.party("x0", 3, random)],
            4 | 5 => vec![self.change("peer_joined", random), self.change("peer_updated", random)],
            6 => vec![left(self.party_id, self.ours[random.below(2)], random)],
            7 => vec![removed(self.party_id, random)],
            8 => (0..200).map(|_| goaway(random)).collect(),
            9 => (0..200).map(|number| complaint(number, random)).collect(),
            10 => (0..50).map(|_| welcome(guest, random)).collect(),
            11 | 12 => (0..40).map(|_| self.signal(random)).collect(),
            13 => vec![self.change("peer_updated", random); 3],
            14 => (0..30).map(|_| self.change("peer_joined", random)).collect(),
            _ => vec![json!({"type": "ack", "req_id": random.below(9).to_string(),
                "epoch": epoch(random), "seq": seq(random), "result": result(random)})],
        }
    }

    /// Frames about the party that no server knows.
    fn about_the_local_party(&self, random: &mut Random) -> Vec<Value> {
        let (party_id, ours) = self.local;
        let victim = Victim { party_id, ours, ..*self };
        match random.below(5) {
            0 => vec![removed(party_id, random)],
            1 => vec![left(party_id, ours[random.below(2)], random)],
            2 => vec![victim.party(ours[0], 3, random)],
            3 => {
                // A local peer that asked for none of it is its host.
                let host = self.ours[0];
                let mut frame = victim.party(host, 3, random);
                frame["party"]["peers"][host] = member(host, random);
                vec![frame]
            }
            _ => vec![victim.change("peer_joined", random), victim.change("peer_updated", random)],
        }
    }

    /// One change after the other, as if history jumped.
    fn numbers(&self) -> Vec<Value> {
        let numbered = |(epoch, seq): &(&str, u64)| {
            json!({"type": "peer_updated", "party_id": self.party_id,
                "peer": announced(self.ours[1]), "epoch": epoch, "seq": seq,
                "virtual_ips": {}, "connected": {}})
        };
        let points = [
            ("epoch-1", u64::MAX),
            ("epoch-1", u64::MAX),
            ("epoch-1", 0),
            ("epoch-2", 5),
            ("epoch-1", 4),
            ("lanrage", u64::MAX - 1),
            ("epoch-2", u64::MAX),
        ];
        points.iter().map(numbered).collect()
    }

    /// Another answer to the next request of a type.
    fn answer(&self, random: &mut Random) -> Lie {
        let asked = ASKED[random.below(ASKED.len())];
        match random.below(4) {
            0 => Lie::Answer(asked, Twist::Result(result(random))),
            1 => {
                let ids = [self.local.0, self.party_id, "p", "invented-0", "a-new-one"];
                Lie::Answer("register_party", Twist::Rename((*random.of(&ids)).to_owned()))
            }
            2 => {
                let codes = [
                    "permission_denied",
                    "party_not_found",
                    "party_exists",
                    "internal",
                    "rate_limited",
                    "not_a_member",
                ];
                let (code, is_named) = (*random.of(&codes), random.below(3) > 0);
                let retry_after_ms = *random.of(&[0, 1, u64::MAX]);
                Lie::Answer(asked, Twist::Refuse { code, retry_after_ms, is_named })
            }
            _ => {
                let tokens =
                    [String::new(), "t".repeat(5000), "a b".to_owned(), "a\r\nX: y".into()];
                let expires_at = *random.of(&["0001-01-01T00:00:00", "2099-01-01T00:00:00"]);
                Lie::Answer("hello", Twist::Token { token: random.of(&tokens).clone(), expires_at })
            }
        }
    }

    fn trick(&self, random: &mut Random) -> Trick {
        let tricks = [
            Trick::Long,
            Trick::Endless,
            Trick::Cut,
            Trick::Deep,
            Trick::ManyHeaders,
            Trick::WrongKind,
            Trick::Redirect(self.elsewhere.to_owned()),
            Trick::NoJson,
            Trick::Empty,
            Trick::Status(204),
            Trick::Status(401),
            Trick::Status(404),
            Trick::Status(502),
        ];
        random.of(&tricks).clone()
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

fn left(party_id: &str, peer_id: &str, random: &mut Random) -> Value {
    json!({"type": "peer_left", "party_id": party_id, "peer_id": peer_id,
        "epoch": epoch(random), "seq": seq(random)})
}

fn removed(party_id: &str, random: &mut Random) -> Value {
    json!({"type": "party_removed", "party_id": party_id, "reason": "removed",
        "epoch": epoch(random), "seq": seq(random)})
}

/// The result of another kind of request, or of none.
fn result(random: &mut Random) -> Value {
    match random.below(6) {
        0 => Value::Null,
        1 => json!([[], "x"]),
        2 => json!({"party_id": "x"}),
        3 => json!({"party_id": 7, "virtual_ip": "8.8.8.8", "status": ["left"]}),
        4 => json!({"status": "party_deleted"}),
        _ => json!("x".repeat(100_000)),
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
