//! Copies of the state, built from the registry's output: its events and its writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lanrage_ipc::event::Event;
use lanrage_ipc::model::{Epoch, Party, PartyId, Peer, PeerId, Relay, RelayId};

use super::super::*;
use crate::core::{
    ChoiceRecord, CredentialRecord, IntentRecord, MemberRecord, Owner, PartyRecord, PinRecord,
    ReceiptRecord, RelayRecord, Seen, ServerKey, TokenRecord, Write,
};

/// A subscriber's copy. It rejects events that change nothing, and events out of sequence.
#[derive(Debug, Default, PartialEq)]
pub(in super::super) struct Subscriber {
    parties: BTreeMap<PartyId, Party>,
    relays: BTreeMap<RelayId, Relay>,
}

impl Subscriber {
    pub(in super::super) fn apply(&mut self, event: &Event) {
        match event {
            Event::PartyRegistered { party, epoch, seq } => {
                assert_eq!((epoch, *seq), (&party.epoch, 1));
                assert_eq!(party.seq, 1);
                let before = self.parties.insert(party.party_id.clone(), party.clone());
                assert_eq!(before, None, "registered twice");
            }
            Event::PeerJoined { party_id, peer, seq, .. } => {
                let before =
                    self.count(party_id, *seq).insert(peer.info.peer_id.clone(), peer.clone());
                assert_eq!(before, None, "joined twice");
            }
            Event::PeerUpdated { party_id, peer, seq, .. } => {
                let peers = self.count(party_id, *seq);
                let before = peers.insert(peer.info.peer_id.clone(), peer.clone());
                let before = before.expect("update of an unknown member");
                let shown = |peer: &Peer| (peer.info.clone(), peer.connected, peer.virtual_ip);
                assert_ne!(shown(&before), shown(peer), "an update without a change");
            }
            Event::PeerLeft { party_id, peer_id, seq, .. } => {
                let before = self.count(party_id, *seq).remove(peer_id);
                assert!(before.is_some(), "{peer_id} left twice");
            }
            Event::PartyRemoved { party_id, seq, .. } => {
                assert!(self.count(party_id, *seq).is_empty(), "removed with peers in it");
                self.parties.remove(party_id);
            }
            Event::SignalReceived { party_id, from_peer_id, to_peer_id } => {
                let peers = &self.parties[party_id].peers;
                assert!(peers.contains_key(from_peer_id) && peers.contains_key(to_peer_id));
            }
            Event::RelayUpdated { relay } => {
                let before = self.relays.insert(relay.relay_id.clone(), relay.clone());
                assert_ne!(before.as_ref(), Some(relay), "an update without a change");
            }
            Event::RelayRemoved { relay_id } => {
                assert!(self.relays.remove(relay_id).is_some(), "{relay_id} removed twice");
            }
            Event::PartyUpdated { party, previous_party_id, seq, .. } => {
                let known_as = previous_party_id.as_ref().unwrap_or(&party.party_id);
                self.count(known_as, *seq);
                assert_eq!(party.seq, *seq);
                let before = self.parties.remove(known_as).map(unseen);
                assert_ne!(before, Some(unseen(party.clone())), "an update without a change");
                let taken = self.parties.insert(party.party_id.clone(), party.clone());
                assert_eq!(taken, None, "an id that another party has");
            }
            Event::ConnectionChanged(_) => panic!("{event:?}"),
        }
    }

    /// Returns a copy that starts with the snapshot of a subscription.
    pub(in super::super) fn start(registry: &Registry, now: Now) -> Self {
        let all = Filter::default();
        let parties = registry.parties(&all, None, now);
        let relays = registry.relays(None).into_iter();
        Self {
            parties: parties.map(|party| (party.party_id.clone(), party)).collect(),
            relays: relays.map(|relay| (relay.relay_id.clone(), relay)).collect(),
        }
    }

    /// Returns the peers of a party after another change.
    fn count(&mut self, party_id: &PartyId, seq: u64) -> &mut BTreeMap<PeerId, Peer> {
        let party = self.parties.get_mut(party_id).expect("an event of a party that is not there");
        assert_eq!(seq, party.seq + 1, "of {party_id}");
        party.seq = seq;
        &mut party.peers
    }

    #[track_caller]
    pub(in super::super) fn check(&self, registry: &Registry, now: Now) {
        let all = Filter::default();
        let parties: Vec<Party> = registry.parties(&all, None, now).map(unseen).collect();
        let copy: Vec<Party> = self.parties.values().cloned().map(unseen).collect();
        assert_eq!(copy, parties);
        let mut relays: Vec<Relay> = self.relays.values().cloned().collect();
        relays.sort_by_key(|relay| relay.region.clone());
        assert_eq!(relays, registry.relays(None));
    }
}

/// Removes the signs of life, which are not published.
fn unseen(mut party: Party) -> Party {
    for peer in party.peers.values_mut() {
        peer.last_seen = Timestamp::UNIX_EPOCH;
    }
    party
}

/// The rows of a store, with its foreign keys.
#[derive(Debug, Default)]
pub(in super::super) struct Rows {
    parties: BTreeMap<PartyId, (PartyRecord, BTreeMap<PeerId, MemberRecord>)>,
    relays: BTreeMap<RelayId, RelayRecord>,
    tokens: BTreeMap<TokenHash, TokenRecord>,
    receipts: BTreeMap<(PeerId, RequestKey), ReceiptRecord>,
    intents: BTreeMap<(PartyId, PeerId), IntentRecord>,
    credentials: BTreeMap<(ServerKey, PeerId), CredentialRecord>,
    pins: BTreeMap<(PartyId, PeerId), PinRecord>,
    choice: Option<ChoiceRecord>,
}

impl Rows {
    pub(in super::super) fn write(&mut self, write: &Write) {
        match write.clone() {
            Write::PutParty(record) => {
                let members = self.parties.remove(&record.party_id).map(|(_, members)| members);
                let id = record.party_id.clone();
                self.parties.insert(id, (record, members.unwrap_or_default()));
            }
            Write::DeleteParty(id) => {
                let (_, members) = self.parties.remove(&id).expect("deleted twice");
                assert!(members.is_empty(), "{id} deleted before its members");
            }
            Write::PutMember(party_id, record) => {
                let (_, members) = self.parties.get_mut(&party_id).expect("before its party");
                members.insert(record.info.peer_id.clone(), record);
            }
            Write::DeleteMember(party_id, peer_id) => {
                let (_, members) = self.parties.get_mut(&party_id).expect("after its party");
                members.remove(&peer_id).expect("deleted twice");
            }
            Write::PutRelay(record) => {
                self.relays.insert(record.relay.relay_id.clone(), record);
            }
            Write::DeleteRelay(id) => {
                self.relays.remove(&id).expect("deleted twice");
            }
            Write::PutToken(token) => {
                self.tokens.insert(token.hash, token);
            }
            Write::DeleteToken(hash) => {
                self.tokens.remove(&hash).expect("deleted twice");
            }
            Write::PutReceipt(record) => {
                self.receipts.insert((record.peer_id.clone(), record.key.clone()), record);
            }
            Write::DeleteReceipt(peer_id, key) => {
                self.receipts.remove(&(peer_id, key)).expect("deleted twice");
            }
            Write::PutIntent(intent) => {
                let key = (intent.party_id.clone(), intent.peer_id.clone());
                self.intents.insert(key, intent);
            }
            Write::DeleteIntent(party_id, peer_id) => {
                self.intents.remove(&(party_id, peer_id)).expect("deleted twice");
            }
            Write::PutCredential(credential) => {
                let key = (credential.server.clone(), credential.peer_id.clone());
                self.credentials.insert(key, credential);
            }
            Write::DeleteCredential(server, peer_id) => {
                self.credentials.remove(&(server, peer_id)).expect("deleted twice");
            }
            Write::PutPin(pin) => {
                assert!(self.parties.contains_key(&pin.party_id), "before its party");
                self.pins.insert((pin.party_id.clone(), pin.peer_id.clone()), pin);
            }
            Write::DeletePin(party_id, peer_id) => {
                self.pins.remove(&(party_id, peer_id)).expect("deleted twice");
            }
            Write::PutChoice(choice) => self.choice = Some(choice),
            Write::DeleteChoice => self.choice = None,
        }
    }

    pub(in super::super) fn see(&mut self, seen: &Seen) {
        let (_, members) = self.parties.get_mut(&seen.party_id).expect("no such party");
        members.get_mut(&seen.peer_id).expect("no such member").last_seen = seen.at;
    }

    /// Returns a registry that is restored from the rows.
    pub(in super::super) fn restore(&self, rules: Rules, epoch: Epoch, now: Now) -> Registry {
        let mut restored = Registry::new(rules, epoch);
        restored.restore(self.rows(), now);
        state::check_indexes(&restored);
        restored
    }

    /// Checks that the rows are the registry's records. A registry restored from them must show the
    /// same, except for the keepalives.
    #[track_caller]
    pub(in super::super) fn check(&self, registry: &Registry, now: Now) {
        let restored = self.restore(registry.rules.clone(), registry.epoch.clone(), now);
        assert_eq!(restored.party_count(), registry.party_count());
        for (id, party) in registry.parties.iter() {
            assert_eq!(restored.parties[id].record, party.record);
            // The last sign of life of a member from elsewhere matters only to its server.
            let record = |member: &super::super::super::Member| match member.record.owner {
                Owner::Elsewhere => {
                    MemberRecord { last_seen: Timestamp::UNIX_EPOCH, ..member.record.clone() }
                }
                _ => member.record.clone(),
            };
            let records = |party: &super::super::super::Party| -> Vec<MemberRecord> {
                party.members.values().map(record).collect()
            };
            assert_eq!(records(&restored.parties[id]), records(party));
        }
        let relays = |registry: &Registry| -> Vec<RelayRecord> {
            registry.relays.values().map(|relay| relay.record.clone()).collect()
        };
        assert_eq!(relays(&restored), relays(registry));
        assert_eq!(state::tokens(&restored), state::tokens(registry));
        assert_eq!(state::receipts(&restored), state::receipts(registry));
        assert_eq!(restored.outbox, registry.outbox);
        assert_eq!(state::pins(&restored), state::pins(registry));
    }

    fn rows(&self) -> Vec<Write> {
        let parties = self.parties.values().flat_map(|(record, members)| {
            let id = &record.party_id;
            let members =
                members.values().map(|member| Write::PutMember(id.clone(), member.clone()));
            std::iter::once(Write::PutParty(record.clone())).chain(members)
        });
        let relays = self.relays.values().cloned().map(Write::PutRelay);
        let tokens = self.tokens.values().cloned().map(Write::PutToken);
        let receipts = self.receipts.values().cloned().map(Write::PutReceipt);
        let intents = self.intents.values().cloned().map(Write::PutIntent);
        let credentials = self.credentials.values().cloned().map(Write::PutCredential);
        let choice = self.choice.clone().map(Write::PutChoice);
        let records = parties.chain(relays).chain(tokens).chain(receipts);
        let pins = self.pins.values().cloned().map(Write::PutPin);
        records.chain(intents).chain(pins).chain(credentials).chain(choice).collect()
    }
}
