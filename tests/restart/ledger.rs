//! Record of the replies to a client, kept outside of the daemon.

use serde_json::{Value, json};

use crate::harness::{Client, peer};

/// Something that changes a party.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Register,
    Join(Value),
    Update(Value),
    Leave(String),
}

/// One party as far as its client knows.
#[derive(Debug)]
pub(super) struct Ledger {
    party_id: String,
    host_id: String,
    /// State by the last reply.
    told: Option<Value>,
    /// Last request, while it is unanswered.
    asked: Option<Act>,
    /// So that every act changes something.
    port: u16,
}

/// Party without the fields that a crash may change.
fn durable(mut party: Value) -> Value {
    for peer in party["peers"].as_object_mut().expect("peers").values_mut() {
        peer["connected"].take();
        peer["last_seen"].take();
    }
    party
}

impl Ledger {
    pub(super) fn new(party_id: String, host_id: String) -> Self {
        Self { party_id, host_id, told: None, asked: None, port: 1 }
    }

    /// Does something, as `chance` has it. Returns whether there was a reply.
    pub(super) fn act(&mut self, client: &mut Client, chance: u32) -> bool {
        self.port += 1;
        let guest = format!("{}-{}", self.host_id, chance % 3);
        let is_member = |told: &Value| told["peers"].get(&guest).is_some();
        let changed = |id: &str| {
            let mut info = peer(id);
            info["public_port"] = json!(self.port);
            info
        };
        let act = match &self.told {
            None => Act::Register,
            Some(_) if chance.is_multiple_of(11) => Act::Leave(self.host_id.clone()),
            Some(told) if is_member(told) && chance.is_multiple_of(2) => Act::Leave(guest),
            Some(_) if chance.is_multiple_of(3) => Act::Update(changed(&self.host_id)),
            Some(_) => Act::Join(changed(&guest)),
        };
        self.asked = Some(act.clone());
        let party_id = &self.party_id;
        let answer = match &act {
            Act::Register => {
                let host = changed(&self.host_id);
                let params = json!({"name": "Quake", "party_id": party_id, "host": host});
                client.ask("party.register", params)
            }
            Act::Join(peer) => {
                client.ask("party.join", json!({"party_id": party_id, "peer": peer}))
            }
            Act::Update(peer) => {
                client.ask("peer.update", json!({"party_id": party_id, "peer": peer}))
            }
            Act::Leave(peer_id) => {
                client.ask("party.leave", json!({"party_id": party_id, "peer_id": peer_id}))
            }
        };
        let Some(mut answer) = answer else { return false };
        assert!(answer.get("error").is_none(), "{act:?}: {answer}");
        let expected = self.after(&act);
        self.told = match answer["result"]["party"].take() {
            Value::Null => expected,
            party => Some(durable(party)),
        };
        self.asked = None;
        true
    }

    /// Returns the state after an act; addresses that are assigned again are null.
    fn after(&self, act: &Act) -> Option<Value> {
        let mut party = self.told.clone();
        if let Some(party) = &mut party {
            party["seq"] = (party["seq"].as_u64().expect("a number") + 1).into();
        }
        match act {
            Act::Leave(id) if *id == self.host_id => return None,
            Act::Leave(id) => drop(party.as_mut()?["peers"].as_object_mut()?.remove(id)),
            Act::Join(peer) | Act::Update(peer) => {
                let peers = &mut party.as_mut()?["peers"];
                let member = &mut peers[peer["peer_id"].as_str()?];
                let address = member["virtual_ip"].take();
                *member = peer.clone();
                member["virtual_ip"] = address;
                member["connected"] = Value::Null;
                member["last_seen"] = Value::Null;
            }
            Act::Register => {}
        }
        party
    }

    /// Compares with the state after a restart, which then counts as the last reply.
    pub(super) fn check(&mut self, client: &mut Client) {
        let answer = client.ask("party.get", json!({"party_id": self.party_id}));
        let mut answer = answer.expect("an answer");
        let found = match answer["result"]["party"].take() {
            Value::Null => None,
            party => Some(durable(party)),
        };
        let asked = self.asked.take();
        let is_told = found == self.told;
        let is_asked = asked.as_ref().is_some_and(|act| match act {
            Act::Register => found.as_ref().is_some_and(|party| party["seq"] == 1),
            act => found == self.after(act).map(|party| with_addresses(party, found.as_ref())),
        });
        assert!(is_told || is_asked, "told {:?}\nasked {asked:?}\nfound {found:?}", self.told);
        self.told = found;
    }
}

/// Fills in the addresses that were not known.
fn with_addresses(mut party: Value, found: Option<&Value>) -> Value {
    for (id, peer) in party["peers"].as_object_mut().expect("peers") {
        if peer["virtual_ip"].is_null() {
            let given = found.map(|found| found["peers"][id]["virtual_ip"].clone());
            peer["virtual_ip"] = given.unwrap_or_default();
        }
    }
    party
}
