//! Tests of the two tables, one for each row.

mod replica;
mod rules;

use lanrage_ipc::model::{Address, NatType, PeerId, PeerInput};

use super::{ServerMember, ServerParty};

fn id(text: &str) -> PeerId {
    text.parse().unwrap()
}

fn peer(text: &str) -> PeerInput {
    PeerInput {
        peer_id: id(text),
        name: text.parse().unwrap(),
        public_key: "key".parse().unwrap(),
        nat_type: NatType::Open,
        public_ip: Address::Unknown,
        public_port: 1,
        local_ip: Address::Unknown,
        local_port: 1,
    }
}

fn member(text: &str) -> ServerMember {
    let last_seen = "2025-06-01T12:00:00Z".parse().unwrap();
    ServerMember { info: peer(text), virtual_ip: None, last_seen, connected: true }
}

/// Returns a party as on the server; the first member is its host.
fn there(members: &[&str]) -> ServerParty {
    ServerParty {
        party_id: "lan".parse().unwrap(),
        name: "lan".parse().unwrap(),
        host_id: id(members[0]),
        created_at: "2025-06-01T12:00:00Z".parse().unwrap(),
        members: members.iter().map(|text| (id(text), member(text))).collect(),
    }
}
