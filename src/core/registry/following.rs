//! The choice of the control server to follow, and its consequences.

use std::collections::BTreeMap;

use lanrage_ipc::model::{Epoch, Origin, PartyId, PeerId, SignalData};

use super::transaction::Transaction;
use super::{Keeper, Member};
use crate::core::command::{Outcome, Refusal};
use crate::core::record::{
    ChoiceRecord, CredentialRecord, OpKind, Owner, PartyRecord, PinRecord, ServerKey,
};
use crate::core::shares::Payer;

impl Transaction<'_> {
    /// Follows another server, or none. The parties of the old server become parties of this
    /// daemon; their members from elsewhere expire unless they give signs of life. Parties of this
    /// daemon with a local host are to move to the new server. Parties with a host from elsewhere
    /// are looked up there.
    pub(super) fn follow(
        &mut self,
        server: Option<ServerKey>,
        configured: Option<ServerKey>,
    ) -> Outcome {
        let before = self.registry.outbox.choice.clone();
        let is_another = server != before.server;
        let follows = server.is_some();
        let epoch = before.epoch.clone().filter(|_| !is_another);
        let choice = ChoiceRecord { server, configured, epoch };
        if choice == before {
            return Outcome::Done;
        }
        self.put_choice(choice);
        if is_another {
            let parties: Vec<_> = self.registry.parties.keys().cloned().collect();
            for party_id in &parties {
                self.make_local(party_id);
            }
            // Intents of parties that are not here any more.
            let forgotten: Vec<_> = self.registry.outbox.intents.keys().cloned().collect();
            for party_id in forgotten {
                self.forget_intents(&party_id);
            }
            for party_id in parties.iter().filter(|_| follows) {
                self.carry(party_id);
                self.mark_as_remote(party_id);
            }
        }
        Outcome::Done
    }

    /// Marks a party with a host on another machine as remote: only the server can have it.
    fn mark_as_remote(&mut self, party_id: &PartyId) {
        let Some(party) = self.registry.parties.get(party_id) else { return };
        let host = party.members.get(&party.record.host_id);
        if host.is_some_and(|host| host.record.owner == Owner::Elsewhere) {
            self.put_party(PartyRecord { origin: Origin::Remote, ..party.record.clone() });
        }
    }

    /// Makes a party local to this daemon.
    fn make_local(&mut self, party_id: &PartyId) {
        self.forget_intents(party_id);
        let Some(party) = self.registry.parties.get(party_id) else { return };
        if party.record.origin == Origin::Local {
            return;
        }
        let record = PartyRecord { origin: Origin::Local, ..party.record.clone() };
        let theirs = party.members.iter().filter(|(_, member)| !member.is_ours());
        let theirs: Vec<PeerId> = theirs.map(|(id, _)| id.clone()).collect();
        self.put_party(record);
        for peer_id in theirs {
            self.silence(party_id, &peer_id);
        }
    }

    /// Notes the server's epoch, unless another server is followed by now.
    pub(super) fn note_epoch(&mut self, server: &ServerKey, epoch: Epoch) -> Outcome {
        let before = self.registry.outbox.choice.clone();
        let choice = ChoiceRecord { epoch: Some(epoch), ..before.clone() };
        if before.server.as_ref() == Some(server) && choice != before {
            self.put_choice(choice);
        }
        Outcome::Done
    }

    /// Changes a party's id. The event for its subscribers has both ids.
    pub(super) fn rename(&mut self, from: &PartyId, to: &PartyId) -> Result<Outcome, Refusal> {
        if self.registry.parties.contains_key(to) {
            return Err(Refusal::PartyExists(to.clone()));
        }
        let party = self.party(from)?;
        let record = PartyRecord { party_id: to.clone(), ..party.record.clone() };
        let members: Vec<Member> = party.members.values().cloned().collect();
        // A leave concerns the server's party of the old id.
        let intents = self.registry.outbox.of_party(from).filter(|one| one.kind != OpKind::Leave);
        let intents: Vec<_> = intents.map(|intent| (intent.peer_id.clone(), intent.kind)).collect();
        self.put_party(record);
        for member in members {
            let peer_id = member.record.info.peer_id.clone();
            self.delete_member(from, &peer_id);
            self.put_member(to, member.record, member.keeper);
            self.registry.with_member(to, &peer_id, |moved| {
                (moved.seen, moved.signals) = (member.seen, member.signals);
            });
        }
        let pins = self.registry.parties.get(from).map(|party| &party.pins);
        let pins: Vec<_> = pins.into_iter().flat_map(BTreeMap::values).cloned().collect();
        for pin in pins {
            self.put_pin(PinRecord { party_id: to.clone(), ..pin });
        }
        self.delete_party(from);
        for (peer_id, kind) in intents {
            self.delete_intent(from, &peer_id);
            let key = self.fresh_key();
            self.intend(to, &peer_id, kind, key);
        }
        self.publish_party(to, Some(from.clone()));
        Ok(Outcome::Done)
    }

    /// Refreshes the members from elsewhere of a party that is unchanged on the server.
    pub(super) fn refresh_last_seen(&mut self, party_id: &PartyId) -> Outcome {
        let now = self.now.wall;
        self.registry.parties.with_party(party_id, |party| {
            let members = party.members.values_mut();
            for member in members.filter(|m| m.keeper == Keeper::Server { connected: true }) {
                member.record.last_seen = now;
            }
        });
        Outcome::Done
    }

    /// Queues a signal from the control server. The sender may be a new member that is not known
    /// here yet.
    pub(super) fn deliver(
        &mut self,
        party_id: &PartyId,
        from: PeerId,
        to: &PeerId,
        data: SignalData,
    ) -> Result<Outcome, Refusal> {
        if !self.member(party_id, to)?.is_ours() {
            let (party_id, peer_id) = (party_id.clone(), to.clone());
            return Err(Refusal::NotAMember { party_id, peer_id });
        }
        self.fits(&data)?;
        self.queue_signal(party_id, from, to, data, Some(Payer::Server))
    }

    pub(super) fn store_credential(&mut self, credential: CredentialRecord) -> Outcome {
        self.put_credential(credential);
        Outcome::Done
    }

    pub(super) fn forget_credential(&mut self, server: &ServerKey, peer_id: &PeerId) -> Outcome {
        self.delete_credential(server, peer_id);
        Outcome::Done
    }
}
