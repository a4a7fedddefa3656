//! The control server's statements about its parties, and the resulting operations.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Origin, PartyId, PeerId};

use super::transaction::Transaction;
use super::{Keeper, Member, Party, Registry};
use crate::core::command::{Reconciled, Refusal};
use crate::core::reconcile::{
    InFlight, InFlightKind, Intent, LocalMember, LocalParty, MembershipOp, Occasion, OpBody,
    PartyOutcome, ReconcileInput, ServerParty, check_registered, reconcile,
};
use crate::core::record::{OpKind, Owner, RequestKey};

impl Registry {
    /// Returns a party as input of `reconcile`.
    fn copy(&self, party_id: &PartyId) -> Option<LocalParty> {
        let party = self.parties.get(party_id)?;
        let member = |(id, member): (&PeerId, &Member)| {
            let (info, live) = (member.record.info.clone(), member.is_live());
            (id.clone(), LocalMember { info, is_ours: member.is_ours(), live })
        };
        Some(LocalParty {
            name: party.record.name.clone(),
            host_id: party.record.host_id.clone(),
            origin: party.record.origin,
            members: party.members.iter().map(member).collect(),
        })
    }
}

impl Member {
    /// True for a local peer.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.record.owner, Owner::User(_))
    }

    /// True while something on this machine keeps it alive.
    pub(super) fn is_live(&self) -> bool {
        self.is_ours() && self.keeper != Keeper::Nothing
    }
}

impl Transaction<'_> {
    pub(super) fn reconcile(
        &mut self,
        party_id: &PartyId,
        server: Option<&ServerParty>,
        occasion: Occasion,
        in_flight: &[InFlight],
        machine: &[Ipv4Net],
    ) -> Result<Reconciled, Refusal> {
        if let Some(server) = server {
            for one in in_flight {
                // A party without the peer is another one, which does not answer the peer's
                // registration.
                if matches!(one.what, InFlightKind::Enters { registers: true, .. })
                    && server.members.contains_key(&one.peer_id)
                {
                    check_registered(&one.peer_id, party_id, &server.host_id)?;
                }
            }
        }
        let copy = self.registry.copy(party_id);
        let host_before = copy.as_ref().filter(|copy| copy.origin == Origin::Remote);
        let host_before = host_before.map(|copy| copy.host_id.clone());
        let outbox = &self.registry.outbox;
        let intents: BTreeMap<_, _> =
            outbox.of_party(party_id).map(|one| (one.peer_id.clone(), one.kind)).collect();
        let members = server.into_iter().flat_map(|server| server.members.keys());
        let known_as_ours: BTreeSet<_> =
            members.filter(|id| outbox.owner_of(id).is_some()).cloned().collect();
        let verdict = reconcile(&ReconcileInput {
            server,
            copy: copy.as_ref(),
            intents: &intents,
            in_flight,
            known_as_ours: &known_as_ours,
            occasion,
        });
        if let (Some(server), PartyOutcome::Follows(places)) = (server, &verdict.outcome) {
            self.may_follow(party_id, server, places, machine)?;
        }
        self.settle(party_id, &verdict.intents);
        match verdict.outcome {
            PartyOutcome::Stays => {}
            PartyOutcome::Goes(reason) => self.lose_party(party_id, reason),
            PartyOutcome::Loses(members) => {
                for peer_id in members {
                    self.remove_member(party_id, &peer_id, RemovalReason::Removed);
                }
            }
            PartyOutcome::Follows(places) => {
                if let Some(server) = server {
                    self.follow_server(party_id, server, places, in_flight);
                }
            }
        }
        let operations = self.operations(party_id, verdict.acts);
        let is_remote = |party: &Party| party.record.origin == Origin::Remote;
        let is_copy = self.registry.parties.get(party_id).is_some_and(is_remote);
        Ok(Reconciled { operations, host_before, is_copy })
    }

    /// Keeps the intents in `summary` and deletes the others. A changed intent gets a fresh key.
    fn settle(&mut self, party_id: &PartyId, summary: &BTreeMap<PeerId, Intent>) {
        let known = self.registry.outbox.of_party(party_id);
        let done: Vec<_> = known
            .filter(|intent| !summary.contains_key(&intent.peer_id))
            .map(|intent| intent.peer_id.clone())
            .collect();
        for peer_id in done {
            self.delete_intent(party_id, &peer_id);
        }
        for (peer_id, intent) in summary {
            if let Intent::New(kind) = intent {
                let key = self.fresh_key();
                self.intend(party_id, peer_id, *kind, key);
            }
        }
    }

    /// Returns the operations under the keys of their intents, or under a fresh key. A leave before
    /// another kind of intent gets a key derived from that intent's. However often it is repeated,
    /// it is thus done once, and never after the other operation.
    fn operations(&mut self, party_id: &PartyId, acts: Vec<OpBody>) -> Vec<MembershipOp> {
        let operation = |body: OpBody| {
            let key = match self.registry.outbox.intent(party_id, body.peer_id()) {
                Some(intent) if intent.kind == body.kind() => intent.key.clone(),
                Some(intent) => RequestKey(format!("{}.before", intent.key.0).into()),
                None => self.fresh_key(),
            };
            MembershipOp { key, party_id: party_id.clone(), body }
        };
        acts.into_iter().map(operation).collect()
    }

    /// Removes a party that has ended, or that has no local member any more.
    pub(super) fn lose_party(&mut self, party_id: &PartyId, reason: RemovalReason) {
        let guests = match reason {
            RemovalReason::Left | RemovalReason::Expired => RemovalReason::HostLeft,
            reason => reason,
        };
        let host = if reason == RemovalReason::HostLeft { RemovalReason::Left } else { reason };
        self.remove_party(party_id, host, guests, reason);
    }

    pub(super) fn refused(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        key: &RequestKey,
        code: ErrorCode,
        spare: PartyId,
    ) -> Result<Vec<MembershipOp>, Refusal> {
        let Some(intent) = self.registry.outbox.intent(party_id, peer_id) else {
            return Ok(Vec::new());
        };
        if intent.key != *key {
            // A newer intent of the peer waited for this answer.
            let kind = intent.kind;
            return Ok(self.ask_again(party_id, peer_id, kind));
        }
        match (intent.kind, code) {
            (OpKind::Register, ErrorCode::PartyExists) => {
                if self.rename(party_id, &spare).is_err() {
                    return Ok(Vec::new());
                }
                let reconciled = self.reconcile(&spare, None, Occasion::Return, &[], &[])?;
                return Ok(reconciled.operations);
            }
            // The server did it once, and it was undone since. Under the old key it would not be
            // repeated.
            (kind @ (OpKind::Register | OpKind::Join), ErrorCode::NotAMember) => {
                let key = self.fresh_key();
                self.intend(party_id, peer_id, kind, key);
                return Ok(self.ask_again(party_id, peer_id, kind));
            }
            // It stays pending: the daemon has no remedy.
            (OpKind::Register, _) => {}
            // The host is local, and registers the party again.
            (OpKind::Join | OpKind::Update, ErrorCode::PartyNotFound)
                if self.is_hosted_here(party_id) =>
            {
                let reconciled = self.reconcile(party_id, None, Occasion::Return, &[], &[])?;
                return Ok(reconciled.operations);
            }
            (OpKind::Join | OpKind::Update, ErrorCode::PartyNotFound) => {
                self.forget_intents(party_id);
                self.lose_party(party_id, RemovalReason::Removed);
            }
            (OpKind::Join, _) => self.refuse_entry(party_id, peer_id),
            (OpKind::Update, ErrorCode::PeerNotFound | ErrorCode::NotAMember) => {
                let key = self.fresh_key();
                self.intend(party_id, peer_id, OpKind::Join, key);
                return Ok(self.ask_again(party_id, peer_id, OpKind::Join));
            }
            (OpKind::Update, _) => self.delete_intent(party_id, peer_id),
            (OpKind::Leave, _) => {
                self.delete_intent(party_id, peer_id);
                self.drop_if_deserted(party_id);
            }
        }
        Ok(Vec::new())
    }

    /// Returns the operation of a kind to request again.
    fn ask_again(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        kind: OpKind,
    ) -> Vec<MembershipOp> {
        let party = self.registry.parties.get(party_id);
        let member = party.and_then(|party| Some((party, party.members.get(peer_id)?)));
        let body = match (kind, member) {
            (OpKind::Leave, _) => Some(OpBody::Leave(peer_id.clone())),
            (_, None) => None,
            (OpKind::Register, Some((party, host))) => {
                let (name, host) = (party.record.name.clone(), host.record.info.clone());
                Some(OpBody::Register { name, host })
            }
            (OpKind::Join, Some((_, member))) => Some(OpBody::Join(member.record.info.clone())),
            (OpKind::Update, Some((_, member))) => Some(OpBody::Update(member.record.info.clone())),
        };
        self.operations(party_id, body.into_iter().collect())
    }

    fn is_hosted_here(&self, party_id: &PartyId) -> bool {
        let party = self.registry.parties.get(party_id);
        party.is_some_and(|party| {
            let host = party.members.get(&party.record.host_id);
            let intent = self.registry.outbox.intent(party_id, &party.record.host_id);
            host.is_some_and(|host| host.is_live() || (host.is_ours() && intent.is_some()))
        })
    }

    fn refuse_entry(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        self.delete_intent(party_id, peer_id);
        if self.member(party_id, peer_id).is_ok() {
            self.remove_member(party_id, peer_id, RemovalReason::Removed);
        }
        self.drop_if_deserted(party_id);
    }

    /// Removes a copy without local members and without intents: no event would update it any more.
    pub(super) fn drop_if_deserted(&mut self, party_id: &PartyId) {
        let Some(party) = self.registry.parties.get(party_id) else { return };
        let is_deserted = party.record.origin == Origin::Remote
            && !party.members.values().any(Member::is_ours)
            && self.registry.outbox.of_party(party_id).next().is_none();
        if is_deserted {
            self.lose_party(party_id, RemovalReason::Removed);
        }
    }
}
