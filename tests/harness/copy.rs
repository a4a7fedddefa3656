//! Client's copy of the state, built only from a snapshot and the events after it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Client;

/// State that one subscription has delivered.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) subscription: Value,
    seq: u64,
    parties: BTreeMap<String, Value>,
    relays: BTreeMap<String, Value>,
    /// Number of resets.
    pub(crate) resets: usize,
}

impl Copy {
    /// Subscribes.
    pub(crate) fn begin(client: &mut Client, params: Value) -> Self {
        let mut subscribed = client.call("events.subscribe", params);
        let mut copy = Self {
            subscription: subscribed["subscription"].take(),
            seq: subscribed["seq"].as_u64().expect("a number"),
            parties: BTreeMap::new(),
            relays: BTreeMap::new(),
            resets: 0,
        };
        copy.replace(&subscribed["snapshot"]);
        copy
    }

    fn replace(&mut self, snapshot: &Value) {
        let by_id = |list: &Value, id: &str| {
            let list = list.as_array().into_iter().flatten();
            list.map(|one| (one[id].as_str().expect("an id").to_owned(), one.clone())).collect()
        };
        self.parties = by_id(&snapshot["parties"], "party_id");
        self.relays = by_id(&snapshot["relays"], "relay_id");
    }

    /// Takes a notification in; those of other subscriptions are passed over. Returns its kind.
    pub(crate) fn take(&mut self, notification: &Value) -> Option<String> {
        let params = &notification["params"];
        if params["subscription"] != self.subscription {
            return None;
        }
        self.seq += 1;
        assert_eq!(params["seq"], self.seq, "of {}", self.subscription);
        if notification["method"] == "event.reset" {
            self.replace(&params["snapshot"]);
            self.resets += 1;
            return Some("event.reset".to_owned());
        }
        let (kind, data) = (params["kind"].as_str().expect("a kind"), &params["data"]);
        self.change(kind, data);
        Some(kind.to_owned())
    }

    fn change(&mut self, kind: &str, data: &Value) {
        let text = |key: &str| data[key].as_str().map(str::to_owned).unwrap_or_default();
        match kind {
            "party.registered" => {
                let party = data["party"].clone();
                let id = party["party_id"].as_str().expect("an id").to_owned();
                assert!(self.parties.insert(id, party).is_none(), "it was not there: {data}");
            }
            "party.removed" => {
                let party = self.parties.remove(&text("party_id")).expect("it was there");
                assert_eq!(party["peers"], json!({}), "its peers left before");
            }
            "peer.joined" | "peer.updated" | "peer.left" => {
                let party = self.parties.get_mut(&text("party_id")).expect("a known party");
                let before = party["seq"].as_u64().expect("a number");
                assert_eq!(data["seq"], before + 1, "each change of a party is told: {data}");
                (party["seq"], party["epoch"]) = (data["seq"].clone(), data["epoch"].clone());
                let peers = party["peers"].as_object_mut().expect("peers");
                let before = match data.get("peer") {
                    Some(peer) => {
                        let id = peer["peer_id"].as_str().expect("an id").to_owned();
                        peers.insert(id, peer.clone())
                    }
                    None => peers.remove(&text("peer_id")),
                };
                assert_eq!(before.is_none(), kind == "peer.joined", "{kind}: {data}");
            }
            "relay.updated" => {
                let relay = data["relay"].clone();
                self.relays.insert(relay["relay_id"].as_str().expect("an id").to_owned(), relay);
            }
            "relay.removed" => {
                self.relays.remove(&text("relay_id")).expect("it was there");
            }
            _ => {}
        }
    }

    /// True if a relay with the given id was reported.
    pub(crate) fn knows_relay(&self, id: &str) -> bool {
        self.relays.contains_key(id)
    }

    /// Applies notifications until a relay with the given id is reported.
    pub(crate) fn read_to(&mut self, client: &mut Client, marker: &str) {
        while !self.knows_relay(marker) {
            let notification = client.notification();
            self.take(&notification);
        }
    }

    /// Asserts that the copy equals the daemon's answer: all parties, or the one with that id.
    pub(crate) fn assert_true(&self, client: &mut Client, only: Option<&str>) {
        let listed = client.call("party.list", json!({}))["parties"].take();
        let listed = listed.as_array().expect("parties").iter();
        let expected: Vec<_> = listed
            .filter(|party| only.is_none_or(|id| party["party_id"] == id))
            .map(|party| unseen(party.clone()))
            .collect();
        let found: Vec<_> = self.parties.values().cloned().map(unseen).collect();
        assert_eq!(found, expected);
        let mut relays = client.call("relay.list", json!({}))["relays"].take();
        let relays = relays.as_array_mut().expect("relays");
        relays.sort_by_key(|relay| relay["relay_id"].to_string());
        assert_eq!(self.relays.values().collect::<Vec<_>>(), relays.iter().collect::<Vec<_>>());
    }
}

/// A party without the times at which its members were seen, which make no event.
fn unseen(mut party: Value) -> Value {
    for peer in party["peers"].as_object_mut().expect("peers").values_mut() {
        peer.as_object_mut().expect("a peer").remove("last_seen").expect("a time");
    }
    party
}

/// Registers a relay of that id, for subscribers to see how far they are.
pub(crate) fn mark(client: &mut Client, marker: &str) {
    let params = json!({"relay_id": marker, "public_ip": "::1", "port": 1});
    client.call("relay.register", params);
}
