//! State that this machine keeps for a control server: intents, and credentials of local peers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lanrage_ipc::event::Event;
use lanrage_ipc::model::{Name, Origin, PartyId, PeerId, Sync};

use super::transaction::Transaction;
use super::{Member, Party, Registry};
use crate::core::command::{Membership, Refusal, Upstream, UpstreamPart};
use crate::core::record::{
    ChoiceRecord, CredentialRecord, IntentRecord, OpKind, Owner, RequestKey, ServerKey, User,
};
use crate::core::shares::{Payer, Tally};

type Key = (PartyId, PeerId);

/// Intents, credentials and choice. Only the setters change them.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct PendingIntents {
    pub(super) choice: ChoiceRecord,
    /// Intents by party and peer; no party is empty.
    pub(super) intents: BTreeMap<PartyId, BTreeMap<PeerId, IntentRecord>>,
    pub(super) intent_count: usize,
    /// Number of intents, by user.
    pub(super) payers: Tally,
    pub(super) credentials: BTreeMap<(ServerKey, PeerId), CredentialRecord>,
}

/// State of a party that no event of its members shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartySummary {
    name: Name,
    host_id: PeerId,
    created_at: Timestamp,
    origin: Origin,
    sync: Sync,
}

impl PendingIntents {
    /// Sets or removes an intent. Returns the previous one.
    pub(super) fn set_intent(
        &mut self,
        key: &Key,
        record: Option<IntentRecord>,
    ) -> Option<IntentRecord> {
        let (party_id, peer_id) = key;
        let added = usize::from(record.is_some());
        if let Some(owner) = record.as_ref().and_then(|record| record.owner) {
            self.payers.add(&Payer::User(owner), 1);
        }
        let before = match record {
            Some(record) => {
                let party = self.intents.entry(party_id.clone()).or_default();
                party.insert(peer_id.clone(), record)
            }
            None => {
                let party = self.intents.get_mut(party_id)?;
                let before = party.remove(peer_id);
                if party.is_empty() {
                    self.intents.remove(party_id);
                }
                before
            }
        };
        self.intent_count = self.intent_count + added - usize::from(before.is_some());
        if let Some(owner) = before.as_ref().and_then(|before| before.owner) {
            self.payers.remove(&Payer::User(owner), 1);
        }
        before
    }

    /// Sets or removes a credential. Returns the previous one.
    pub(super) fn set_credential(
        &mut self,
        key: &(ServerKey, PeerId),
        record: Option<CredentialRecord>,
    ) -> Option<CredentialRecord> {
        match record {
            Some(record) => self.credentials.insert(key.clone(), record),
            None => self.credentials.remove(key),
        }
    }

    pub(super) fn intent(&self, party_id: &PartyId, peer_id: &PeerId) -> Option<&IntentRecord> {
        self.intents.get(party_id)?.get(peer_id)
    }

    /// Returns the intents of a party.
    pub(super) fn of_party(&self, party_id: &PartyId) -> impl Iterator<Item = &IntentRecord> {
        self.intents.get(party_id).into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn sync(&self, party_id: &PartyId) -> Sync {
        match self.intents.contains_key(party_id) {
            true => Sync::Pending,
            false => Sync::Synced,
        }
    }

    /// Returns the local user that owns the followed server's credential for a peer.
    pub(super) fn owner_of(&self, peer_id: &PeerId) -> Option<User> {
        self.credential(peer_id).map(|credential| credential.owner)
    }

    /// Returns the followed server's credential for a peer.
    fn credential(&self, peer_id: &PeerId) -> Option<&CredentialRecord> {
        let server = self.choice.server.clone()?;
        self.credentials.get(&(server, peer_id.clone()))
    }

    /// Returns the followed server's credentials.
    fn of_server(&self) -> Vec<CredentialRecord> {
        let server = self.choice.server.as_ref();
        let credentials = self.credentials.values();
        credentials.filter(|one| Some(&one.server) == server).cloned().collect()
    }

    /// Returns the peers with an intent to leave, by party.
    fn leaves(&self) -> impl Iterator<Item = (PartyId, PeerId)> {
        let intents = self.intents.values().flat_map(BTreeMap::values);
        let leaves = intents.filter(|intent| intent.kind == OpKind::Leave);
        leaves.map(|intent| (intent.party_id.clone(), intent.peer_id.clone()))
    }
}

/// Returns the membership of a local member; `None` for any other.
fn membership(party_id: &PartyId, peer_id: &PeerId, member: &Member) -> Option<Membership> {
    let Owner::User(owner) = member.record.owner else { return None };
    let (party_id, peer_id) = (party_id.clone(), peer_id.clone());
    Some(Membership { party_id, peer_id, owner, live: member.is_live() })
}

impl Registry {
    /// Returns a part of this machine's state towards its control server. The time is proportional
    /// to that part; [`UpstreamPart::Live`] scans all parties and copies little.
    pub(crate) fn upstream(&self, part: &UpstreamPart) -> Upstream {
        let outbox = &self.outbox;
        let choice = outbox.choice.clone();
        match part {
            UpstreamPart::Choice => Upstream { choice, ..Upstream::default() },
            UpstreamPart::Peer(peer_id) => Upstream {
                choice,
                credentials: outbox.credential(peer_id).cloned().into_iter().collect(),
                memberships: self.memberships_of(peer_id),
                ..Upstream::default()
            },
            UpstreamPart::Live => {
                Upstream { choice, memberships: self.memberships(true), ..Upstream::default() }
            }
            UpstreamPart::Credentials => {
                Upstream { choice, credentials: outbox.of_server(), ..Upstream::default() }
            }
            UpstreamPart::Intents => {
                let outbox = outbox.intents.keys().cloned().collect();
                Upstream { choice, outbox, ..Upstream::default() }
            }
            UpstreamPart::All => Upstream {
                choice,
                credentials: outbox.of_server(),
                memberships: self.memberships(false),
                outbox: outbox.intents.keys().cloned().collect(),
                leaves: outbox.leaves().collect(),
            },
        }
    }

    /// Returns the memberships of local peers in parties on the server, or in parties that are to
    /// move there.
    fn memberships(&self, only_live: bool) -> Vec<Membership> {
        let there = self.parties.iter().filter(|(party_id, _)| self.is_upstream(party_id));
        let members = there.flat_map(|(party_id, party)| {
            let members = party.members.iter().filter(|(_, member)| !only_live || member.is_live());
            members.filter_map(move |(peer_id, member)| membership(party_id, peer_id, member))
        });
        members.collect()
    }

    fn memberships_of(&self, peer_id: &PeerId) -> Vec<Membership> {
        let parties = self.parties.of_peer(peer_id);
        let there = parties.filter(|(party, _)| self.is_upstream(&party.record.party_id));
        let membership =
            |(party, member): (&Party, _)| membership(&party.record.party_id, peer_id, member);
        let mut memberships: Vec<_> = there.filter_map(membership).collect();
        memberships.sort_by(|a, b| a.party_id.cmp(&b.party_id));
        memberships
    }

    /// True for a party on the server, or one that is to move there.
    fn is_upstream(&self, party_id: &PartyId) -> bool {
        let party = self.parties.get(party_id);
        party.is_some_and(|party| party.record.origin == Origin::Remote)
            || self.outbox.sync(party_id) == Sync::Pending
    }

    fn summary(&self, party_id: &PartyId) -> Option<PartySummary> {
        let record = &self.parties.get(party_id)?.record;
        Some(PartySummary {
            name: record.name.clone(),
            host_id: record.host_id.clone(),
            created_at: record.created_at,
            origin: record.origin,
            sync: self.outbox.sync(party_id),
        })
    }
}

impl Transaction<'_> {
    /// Checks that intents may be noted for peers of a party: within each owner's share and the
    /// total bound.
    pub(super) fn may_intend(&self, party_id: &PartyId, peers: &[PeerId]) -> Result<(), Refusal> {
        let (outbox, limit) = (&self.registry.outbox, self.registry.rules.intents);
        let fresh = peers.iter().filter(|peer_id| outbox.intent(party_id, peer_id).is_none());
        let mut added = BTreeMap::<Option<User>, usize>::new();
        fresh.for_each(|peer_id| *added.entry(self.intent_owner(peer_id)).or_default() += 1);
        for (owner, amount) in &added {
            let payer = owner.filter(|owner| !self.is_own_administration(*owner));
            self.within_share(
                Refusal::INTENTS,
                &outbox.payers,
                payer.map(Payer::User),
                *amount,
                limit,
            )?;
        }
        match outbox.intent_count + added.values().sum::<usize>() > limit && !added.is_empty() {
            true => Err(Refusal::OutboxFull { limit }),
            false => Ok(()),
        }
    }

    /// Returns the user whose share an intent about a peer counts for.
    fn intent_owner(&self, peer_id: &PeerId) -> Option<User> {
        match self.registry.owner_of(peer_id, self.now) {
            Some(Owner::User(owner)) => Some(owner),
            _ => self.caller.user(),
        }
    }

    /// True if an administrator, or this program itself, acts for a peer of its own. Shares do not
    /// apply then.
    fn is_own_administration(&self, owner: User) -> bool {
        self.caller.payer().is_none() && self.caller.user() == Some(owner)
    }

    /// Notes the intent about a peer, in place of an earlier one. Without room it is dropped: the
    /// comparison with the server shows the difference, or the silent peer expires there.
    pub(super) fn intend(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        kind: OpKind,
        key: RequestKey,
    ) {
        if self.may_intend(party_id, std::slice::from_ref(peer_id)).is_ok() {
            let owner = self.intent_owner(peer_id);
            let (party_id, peer_id) = (party_id.clone(), peer_id.clone());
            let at = self.now.wall;
            self.put_intent(IntentRecord { party_id, peer_id, kind, key, at, owner });
        }
    }

    /// Gives an intent a fresh key after its peer's description has changed. Under the old key the
    /// server may have done the request with the old description.
    pub(super) fn rename_intent(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        let kind = self.registry.outbox.intent(party_id, peer_id).map(|intent| intent.kind);
        if let Some(kind @ (OpKind::Register | OpKind::Join | OpKind::Update)) = kind {
            let key = self.fresh_key();
            self.intend(party_id, peer_id, kind, key);
        }
    }

    /// Returns an idempotency key that this machine never used. Instant, run time and counter make
    /// it unique.
    pub(super) fn fresh_key(&mut self) -> RequestKey {
        self.registry.named += 1;
        let (wall, elapsed) = (self.now.wall.as_microsecond(), self.now.elapsed.as_nanos());
        RequestKey(format!("{wall:x}.{elapsed:x}.{:x}", self.registry.named).into())
    }

    /// Deletes the intents of a party.
    pub(super) fn forget_intents(&mut self, party_id: &PartyId) {
        self.forget_intents_but(party_id, |_| false);
    }

    /// Deletes the intents of a party that has ended here, except the leaves: from it, or from an
    /// earlier party of its id.
    pub(super) fn forget_entries(&mut self, party_id: &PartyId) {
        self.forget_intents_but(party_id, |kind| kind == OpKind::Leave);
    }

    fn forget_intents_but(&mut self, party_id: &PartyId, stays: impl Fn(OpKind) -> bool) {
        let intents = self.registry.outbox.of_party(party_id).filter(|one| !stays(one.kind));
        let peers: Vec<_> = intents.map(|intent| intent.peer_id.clone()).collect();
        for peer_id in peers {
            self.delete_intent(party_id, &peer_id);
        }
    }

    /// Notes the summary of a party before its first change.
    pub(super) fn note_summary(&mut self, party_id: &PartyId) {
        if !self.summaries.contains_key(party_id) {
            self.summaries.insert(party_id.clone(), self.registry.summary(party_id));
        }
    }

    /// Publishes each party whose summary changed without an event.
    pub(super) fn publish_summaries(&mut self) {
        for (party_id, before) in std::mem::take(&mut self.summaries) {
            let Some(after) = self.registry.summary(&party_id) else { continue };
            if !self.refresh_registered(&party_id, &after) && before.is_some_and(|b| b != after) {
                self.publish_party(&party_id, None);
            }
        }
    }

    /// Publishes a party as a whole, optionally with its previous id.
    pub(super) fn publish_party(&mut self, party_id: &PartyId, previous_party_id: Option<PartyId>) {
        self.bump(party_id);
        if let Ok(party) = self.registry.party(party_id, self.now) {
            let (epoch, seq) = (party.epoch.clone(), party.seq);
            self.events.push(Event::PartyUpdated { party, previous_party_id, epoch, seq });
        }
    }

    /// Updates the pending `PartyRegistered` event of a party to its final summary. Returns true if
    /// there is such an event.
    fn refresh_registered(&mut self, party_id: &PartyId, summary: &PartySummary) -> bool {
        let registered = self.events.iter_mut().rev().find_map(|event| match event {
            Event::PartyRegistered { party, .. } if party.party_id == *party_id => Some(party),
            _ => None,
        });
        let Some(party) = registered else { return false };
        (party.origin, party.sync) = (summary.origin, summary.sync);
        true
    }
}
