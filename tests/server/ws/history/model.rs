//! Reference model of a history.

use std::collections::BTreeMap;

use serde_json::Value;

/// Expected state.
#[derive(Default)]
pub(super) struct Model {
    /// Each party's host and members, with their names.
    pub(super) parties: BTreeMap<&'static str, (&'static str, BTreeMap<&'static str, String>)>,
    /// Undelivered signals: party, recipient and data.
    waiting: Vec<(&'static str, &'static str, Value)>,
    pub(super) delivered: BTreeMap<&'static str, Vec<Value>>,
}

impl Model {
    pub(super) fn register(
        &mut self,
        party: &'static str,
        peer: &'static str,
    ) -> Option<&'static str> {
        if self.parties.contains_key(party) {
            return Some("party_exists");
        }
        self.parties.insert(party, (peer, BTreeMap::from([(peer, format!("Player {peer}"))])));
        None
    }

    pub(super) fn join(&mut self, party: &'static str, peer: &'static str) -> Option<&'static str> {
        let Some((_, members)) = self.parties.get_mut(party) else {
            return Some("party_not_found");
        };
        members.insert(peer, format!("Player {peer}"));
        None
    }

    pub(super) fn leave(
        &mut self,
        party: &'static str,
        peer: &'static str,
    ) -> Option<&'static str> {
        let Some((host, members)) = self.parties.get_mut(party) else {
            return Some("party_not_found");
        };
        if members.remove(peer).is_none() {
            return Some("not_a_member");
        }
        let ends = *host == peer;
        if ends {
            self.parties.remove(party);
        }
        self.waiting.retain(|(of, to, _)| *of != party || !(ends || *to == peer));
        None
    }

    pub(super) fn update(
        &mut self,
        party: &'static str,
        peer: &'static str,
        name: String,
    ) -> Option<&'static str> {
        let Some((_, members)) = self.parties.get_mut(party) else {
            return Some("party_not_found");
        };
        let Some(before) = members.get_mut(peer) else { return Some("peer_not_found") };
        *before = name;
        None
    }

    pub(super) fn signal(
        &mut self,
        party: &'static str,
        (from, to): (&'static str, &'static str),
        data: Value,
    ) -> Option<&'static str> {
        let Some((_, members)) = self.parties.get(party) else { return Some("party_not_found") };
        if !members.contains_key(from) {
            return Some("not_a_member");
        }
        if !members.contains_key(to) {
            return Some("peer_not_found");
        }
        self.waiting.push((party, to, data));
        None
    }

    /// Delivers the queued signals of a connected peer.
    pub(super) fn deliver(&mut self, peer: &'static str) {
        // Party by party, when a peer comes back.
        for party in ["blue", "green", "red"] {
            let arrives = |(of, to, _): &mut (_, _, _)| *of == party && *to == peer;
            let arrived = self.waiting.extract_if(.., arrives).map(|(_, _, data)| data);
            self.delivered.entry(peer).or_default().extend(arrived);
        }
    }

    pub(super) fn of(&self, peer: &str) -> Vec<&'static str> {
        let is_member = |(_, (_, members)): &(_, &(_, BTreeMap<_, _>))| members.contains_key(peer);
        self.parties.iter().filter(is_member).map(|(id, _)| *id).collect()
    }
}
