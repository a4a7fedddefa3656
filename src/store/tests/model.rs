//! Model of the expected state.

use std::collections::BTreeMap;

use lanrage_ipc::model::{PartyId, PeerId, RelayId};

use crate::core::{
    ChoiceRecord, CredentialRecord, IntentRecord, MemberRecord, PartyRecord, PinRecord,
    ReceiptRecord, RelayRecord, RequestKey, Seen, ServerKey, TokenHash, TokenRecord, Write,
};

/// The state as it should be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Model {
    parties: BTreeMap<PartyId, PartyRecord>,
    members: BTreeMap<(PartyId, PeerId), MemberRecord>,
    relays: BTreeMap<RelayId, RelayRecord>,
    tokens: BTreeMap<TokenHash, TokenRecord>,
    receipts: BTreeMap<(PeerId, RequestKey), ReceiptRecord>,
    intents: BTreeMap<(PartyId, PeerId), IntentRecord>,
    pins: BTreeMap<(PartyId, PeerId), PinRecord>,
    credentials: BTreeMap<(ServerKey, PeerId), CredentialRecord>,
    choice: Option<ChoiceRecord>,
}

impl Model {
    pub(super) fn apply(&mut self, writes: &[Write], seen: &[Seen]) {
        for write in writes.iter().cloned() {
            match write {
                Write::PutParty(party) => {
                    self.parties.insert(party.party_id.clone(), party);
                }
                Write::PutMember(party_id, member) => {
                    self.members.insert((party_id, member.info.peer_id.clone()), member);
                }
                Write::PutRelay(relay) => {
                    self.relays.insert(relay.relay.relay_id.clone(), relay);
                }
                Write::DeleteParty(id) => {
                    self.parties.remove(&id);
                }
                Write::DeleteMember(party_id, peer_id) => {
                    self.members.remove(&(party_id, peer_id));
                }
                Write::DeleteRelay(id) => {
                    self.relays.remove(&id);
                }
                Write::PutToken(token) => {
                    self.tokens.insert(token.hash, token);
                }
                Write::DeleteToken(hash) => {
                    self.tokens.remove(&hash);
                }
                Write::PutReceipt(receipt) => {
                    let key = (receipt.peer_id.clone(), receipt.key.clone());
                    self.receipts.insert(key, receipt);
                }
                Write::DeleteReceipt(peer_id, key) => {
                    self.receipts.remove(&(peer_id, key));
                }
                Write::PutIntent(intent) => {
                    let key = (intent.party_id.clone(), intent.peer_id.clone());
                    self.intents.insert(key, intent);
                }
                Write::DeleteIntent(party_id, peer_id) => {
                    self.intents.remove(&(party_id, peer_id));
                }
                Write::PutPin(pin) => {
                    self.pins.insert((pin.party_id.clone(), pin.peer_id.clone()), pin);
                }
                Write::DeletePin(party_id, peer_id) => {
                    self.pins.remove(&(party_id, peer_id));
                }
                Write::PutCredential(credential) => {
                    let key = (credential.server.clone(), credential.peer_id.clone());
                    self.credentials.insert(key, credential);
                }
                Write::DeleteCredential(server, peer_id) => {
                    self.credentials.remove(&(server, peer_id));
                }
                Write::PutChoice(choice) => self.choice = Some(choice),
                Write::DeleteChoice => self.choice = None,
            }
        }
        for seen in seen {
            let key = (seen.party_id.clone(), seen.peer_id.clone());
            if let Some(member) = self.members.get_mut(&key) {
                member.last_seen = seen.at;
            }
        }
    }

    pub(super) fn has_party(&self, id: &PartyId) -> bool {
        self.parties.contains_key(id)
    }

    pub(super) fn members_of(&self, party: &PartyId) -> Vec<PeerId> {
        let members = self.members.keys().filter(|(party_id, _)| party_id == party);
        members.map(|(_, peer_id)| peer_id.clone()).collect()
    }

    pub(super) fn rows(&self) -> Vec<Write> {
        let parties = self.parties.values().cloned().map(Write::PutParty);
        let members = self.members.iter();
        let members = members.map(|((party, _), m)| Write::PutMember(party.clone(), m.clone()));
        let relays = self.relays.values().cloned().map(Write::PutRelay);
        let tokens = self.tokens.values().cloned().map(Write::PutToken);
        let receipts = self.receipts.values().cloned().map(Write::PutReceipt);
        let intents = self.intents.values().cloned().map(Write::PutIntent);
        let credentials = self.credentials.values().cloned().map(Write::PutCredential);
        let choice = self.choice.iter().cloned().map(Write::PutChoice);
        let local = parties.chain(members).chain(relays).chain(tokens).chain(receipts);
        let pins = self.pins.values().cloned().map(Write::PutPin);
        local.chain(intents).chain(pins).chain(credentials).chain(choice).collect()
    }
}
