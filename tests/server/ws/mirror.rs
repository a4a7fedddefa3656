//! Client's copy of its parties, built only from the frames that it receives.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::shapes;
use crate::harness::Ws;

/// Copy of one client.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    additions: bool,
    pub(super) parties: BTreeMap<String, Copy>,
}

/// A party, as far as its client was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Copy {
    pub(super) party: Value,
    pub(super) virtual_ips: Value,
    connected: Value,
    pub(super) epoch: Value,
    pub(super) seq: u64,
}

impl Mirror {
    pub(super) fn plain() -> Self {
        Self::default()
    }

    pub(super) fn full() -> Self {
        Self { additions: true, ..Self::default() }
    }

    pub(super) fn ids(&self) -> Vec<&str> {
        self.parties.keys().map(String::as_str).collect()
    }

    /// Returns the epoch and `seq` of each copy, in the format of `have` in a `hello`.
    pub(super) fn have(&self) -> Value {
        let bookmark = |copy: &Copy| json!({"epoch": copy.epoch, "seq": copy.seq});
        let have = self.parties.iter().map(|(id, copy)| (id.clone(), bookmark(copy)));
        Value::Object(have.collect())
    }

    /// Takes frames in. Each has its exact shape, and each change of a party the number after the
    /// one before.
    #[track_caller]
    pub(super) fn take(&mut self, frames: &[Value]) {
        for frame in frames {
            match self.additions {
                true => shapes::full(frame),
                false => shapes::plain(frame),
            }
            self.change(frame);
        }
    }

    /// Processes frames, up to the awaited one.
    #[track_caller]
    pub(super) fn take_until(&mut self, ws: &mut Ws, is_awaited: impl Fn(&Value) -> bool) {
        loop {
            let frame = ws.frame().expect("what is awaited");
            self.take(std::slice::from_ref(&frame));
            if is_awaited(&frame) {
                return;
            }
        }
    }

    #[track_caller]
    fn change(&mut self, frame: &Value) {
        match frame["type"].as_str().expect("a type") {
            "party_update" => self.replace(frame),
            "peer_joined" => {
                let before = self.put(frame);
                assert!(before.is_none(), "it was a member before: {frame}");
            }
            "peer_updated" => {
                let before = self.put(frame);
                assert!(before.is_some(), "it was no member before: {frame}");
            }
            "peer_left" => self.remove(frame),
            "party_removed" => {
                let copy = self.parties.remove(id(&frame["party_id"])).expect("a known party");
                assert!(frame["seq"].as_u64() >= Some(copy.seq), "{frame} of {copy:?}");
            }
            _ => {}
        }
    }

    #[track_caller]
    fn replace(&mut self, frame: &Value) {
        let party = &frame["party"];
        let or_nothing = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
        let copy = Copy {
            party: party.clone(),
            virtual_ips: or_nothing(&frame["virtual_ips"]),
            connected: or_nothing(&frame["connected"]),
            epoch: frame["epoch"].clone(),
            seq: frame["seq"].as_u64().unwrap_or_default(),
        };
        let before = self.parties.get(id(&party["party_id"]));
        let since = |copy: &Copy| copy.party["created_at"].clone();
        let newer = before.is_none_or(|old| since(old) != since(&copy) || old.seq <= copy.seq);
        assert!(newer, "{frame} after {before:?}");
        self.parties.insert(id(&party["party_id"]).to_owned(), copy);
    }

    /// A change of a known party: its copy, at the change's number.
    #[track_caller]
    fn next(&mut self, frame: &Value) -> &mut Copy {
        let copy = self.parties.get_mut(id(&frame["party_id"]));
        let copy = copy.unwrap_or_else(|| panic!("a party that it does not know: {frame}"));
        if self.additions {
            assert_eq!(frame["seq"], copy.seq + 1, "{frame}");
            assert_eq!(frame["epoch"], copy.epoch, "{frame}");
            copy.seq += 1;
        }
        copy
    }

    #[track_caller]
    fn put(&mut self, frame: &Value) -> Option<Value> {
        let peer_id = id(&frame["peer"]["peer_id"]).to_owned();
        let additions = self.additions;
        let copy = self.next(frame);
        if additions {
            copy.virtual_ips[&peer_id] = frame["virtual_ips"][&peer_id].clone();
            copy.connected[&peer_id] = frame["connected"][&peer_id].clone();
        }
        let peers = copy.party["peers"].as_object_mut().expect("peers");
        peers.insert(peer_id, frame["peer"].clone())
    }

    #[track_caller]
    fn remove(&mut self, frame: &Value) {
        let peer_id = id(&frame["peer_id"]).to_owned();
        let copy = self.next(frame);
        let forget = |map: &mut Value| map.as_object_mut().expect("an object").remove(&peer_id);
        assert!(forget(&mut copy.party["peers"]).is_some(), "it was no member: {frame}");
        forget(&mut copy.virtual_ips);
        forget(&mut copy.connected);
        if copy.party["peers"] == json!({}) {
            self.parties.remove(id(&frame["party_id"]));
        }
    }
}

impl Copy {
    /// The same less its members' times, which go on while nobody is told.
    pub(super) fn timeless(&self) -> Self {
        Self { party: timeless(self.party.clone()), ..self.clone() }
    }
}

/// A party less its members' times.
pub(super) fn timeless(mut party: Value) -> Value {
    for peer in party["peers"].as_object_mut().expect("peers").values_mut() {
        peer["last_seen"].take();
    }
    party
}

#[track_caller]
fn id(value: &Value) -> &str {
    value.as_str().expect("an id")
}
