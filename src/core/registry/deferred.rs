//! Commands that are executed here while the control server can't be reached, and sent later.

use lanrage_ipc::model::{Origin, PartyId, PeerId};

use super::Registry;
use super::changes::Applied;
use super::transaction::Transaction;
use crate::core::command::{Caller, Command, Now, Outcome, Refusal};
use crate::core::outcome::Left;
use crate::core::record::{OpKind, Owner, RequestKey};

impl Registry {
    /// As [`Registry::apply`], with an intent under `key` for the control server.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub(crate) fn defer(
        &mut self,
        key: RequestKey,
        command: Command,
        caller: Caller,
        now: Now,
    ) -> Result<Applied, Refusal> {
        let mut tx = Transaction::new(self, caller, now);
        let outcome = tx.defer(key, command)?;
        Ok(tx.finish(outcome))
    }

    /// Plans a command that a control server may have to do: the caller may give it, and there is
    /// room here for its result. Returns the origin of its party, `None` for one that is not here.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub(crate) fn plan(
        &mut self,
        command: &Command,
        caller: Caller,
        now: Now,
    ) -> Result<Option<Origin>, Refusal> {
        let tx = Transaction::new(self, caller, now);
        tx.authorize(command)?;
        match command {
            Command::SendSignal { party_id, from, data, .. } => {
                tx.is_member(party_id, from)?;
                tx.fits(data)?;
            }
            Command::Register { party_id, host: peer, .. }
            | Command::Join { party_id, peer, .. } => tx.has_room_for(party_id, &peer.peer_id)?,
            Command::RegisterRelay(relay) => tx.may_announce(&relay.relay_id)?,
            // Otherwise the server could give the id to a peer that is not a member.
            Command::Heartbeat { party_id, peer_id } => drop(tx.member(party_id, peer_id)?),
            Command::Update { party_id, peer, .. } => drop(tx.member(party_id, &peer.peer_id)?),
            _ => {}
        }
        Ok(command.party_id().and_then(|party_id| self.origin(party_id)))
    }

    /// Returns the origin of a party, `None` for one that is not here.
    pub(crate) fn origin(&self, party_id: &PartyId) -> Option<Origin> {
        self.parties.get(party_id).map(|party| party.record.origin)
    }
}

impl Transaction<'_> {
    fn defer(&mut self, key: RequestKey, command: Command) -> Result<Outcome, Refusal> {
        let ids = command.party_id().cloned().zip(command.acts_for().cloned());
        let Some((party_id, peer_id)) = ids else { return self.perform(command) };
        self.authorize(&command)?;
        if self.registry.owner_of(&peer_id, self.now) == Some(Owner::Elsewhere) {
            return Err(Refusal::PeerNotYours(peer_id));
        }
        let kind = match &command {
            Command::Register { .. } => OpKind::Register,
            Command::Join { .. } => OpKind::Join,
            Command::Update { .. } => OpKind::Update,
            Command::Leave { .. } => OpKind::Leave,
            _ => return self.perform(command),
        };
        if kind != OpKind::Update {
            self.may_intend(&party_id, std::slice::from_ref(&peer_id))?;
        }
        let before = self.member(&party_id, &peer_id).ok().map(|member| member.record.info.clone());
        let lives_there = self.lives_there(&party_id);
        if kind == OpKind::Leave && before.is_some() && lives_there {
            // The intent comes before the leave, which otherwise would drop the party. It has a
            // fresh key: repeating a leave is harmless, but the receipt of an old one is wrong
            // after a rejoin.
            let key = self.fresh_key();
            // The host's intent comes first, so that those of the others take no room from it.
            self.intend(&party_id, &peer_id, OpKind::Leave, key);
            if self.party(&party_id)?.record.host_id == peer_id {
                self.take_leave(&party_id);
            }
        }
        let outcome = self.perform(command)?;
        match (kind, before) {
            (OpKind::Register, _) => self.intend(&party_id, &peer_id, OpKind::Register, key),
            (OpKind::Leave, _) => {
                if matches!(outcome, Outcome::Left(Left { party_deleted: true })) {
                    self.forget_entries(&party_id);
                }
            }
            _ if !lives_there => self.carry(&party_id),
            (_, None) => self.intend(&party_id, &peer_id, OpKind::Join, key),
            (_, Some(before)) => {
                let info = &self.member(&party_id, &peer_id)?.record.info;
                let noted = self.registry.outbox.intent(&party_id, &peer_id);
                match noted.map(|intent| intent.kind) {
                    // It rejoined while the server was about to confirm the leave.
                    Some(OpKind::Leave) => self.intend(&party_id, &peer_id, OpKind::Join, key),
                    noted if *info != before => {
                        self.intend(&party_id, &peer_id, noted.unwrap_or(OpKind::Update), key);
                    }
                    _ => {}
                }
            }
        }
        Ok(outcome)
    }

    /// True for a party on the control server, or one that is to move there.
    fn lives_there(&self, party_id: &PartyId) -> bool {
        let party = self.registry.parties.get(party_id);
        party.is_some_and(|party| party.record.origin == Origin::Remote)
            || self.registry.outbox.of_party(party_id).next().is_some()
    }

    /// Notes the intent of a local member to leave, for a removal that it did not request. Only for
    /// a party on the server.
    pub(super) fn intend_to_leave(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        if self.lives_there(party_id) {
            let key = self.fresh_key();
            self.intend(party_id, peer_id, OpKind::Leave, key);
        }
    }

    /// Notes a leave for a peer whose client got an error for its join: the server may have let it
    /// in.
    pub(super) fn withdraw(&mut self, party_id: &PartyId, peer_id: &PeerId) -> Outcome {
        if self.member(party_id, peer_id).is_err() {
            let key = self.fresh_key();
            self.intend(party_id, peer_id, OpKind::Leave, key);
        }
        Outcome::Done
    }

    /// Notes the intents to leave of all local members, as [`Self::intend_to_leave`] does.
    pub(super) fn take_leave(&mut self, party_id: &PartyId) {
        let party = self.registry.parties.get(party_id);
        let members = party.into_iter().flat_map(|party| party.members.iter());
        let ours: Vec<_> =
            members.filter(|(_, member)| member.is_ours()).map(|(id, _)| id.clone()).collect();
        for peer_id in ours {
            self.intend_to_leave(party_id, &peer_id);
        }
    }

    /// Carries a party to the followed server that was registered while the server was being
    /// chosen.
    pub(super) fn carry_newcomer(&mut self, party_id: &PartyId) {
        if self.registry.outbox.choice.server.is_some() {
            self.carry(party_id);
        }
    }

    /// Notes that a local party is to move to the control server, if its host is live and local.
    /// Without a keepalive the host may be an imported id of another owner.
    pub(super) fn carry(&mut self, party_id: &PartyId) {
        let Some(party) = self.registry.parties.get(party_id) else { return };
        let host_id = party.record.host_id.clone();
        let ours = party.members.iter().filter(|(_, member)| member.is_live());
        let ours: Vec<_> = ours.map(|(id, _)| id.clone()).collect();
        if !ours.contains(&host_id) || self.may_intend(party_id, &ours).is_err() {
            return;
        }
        for peer_id in ours {
            let kind = if peer_id == host_id { OpKind::Register } else { OpKind::Join };
            let key = self.fresh_key();
            self.intend(party_id, &peer_id, kind, key);
        }
    }
}
