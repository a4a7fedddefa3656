//! Parties that the server tells and this daemon does not follow.

use std::rc::Rc;

use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::PartyId;

use super::Session;
use super::replay::PUT_OFF;
use crate::control_plane::{Failure, Query};
use crate::core::{Command, Refusal};

/// Parties of which it is remembered that they were declined. Each was asked for by a local peer.
const MOST_DECLINED: usize = 4096;

impl Session {
    /// Passes over what the server told of a party, which stays as it was here. After a while the
    /// server is asked for it again.
    pub(super) fn decline(self: &Rc<Self>, party_id: PartyId, refusal: Refusal) {
        // The registry warns of its own limits, once a minute.
        if refusal.remedy().is_none() {
            self.warn(format_args!("what the control server told is refused: {refusal}"));
        }
        self.note_said(format!("what it told is refused: {refusal}"));
        self.shadow.borrow_mut().gone(&party_id, RemovalReason::Removed);
        self.met.borrow_mut().remove(&party_id);
        self.note_declined(party_id.clone(), refusal);
        self.come_back(party_id, PUT_OFF);
    }

    fn note_declined(&self, party_id: PartyId, refusal: Refusal) {
        let mut declined = self.declined.borrow_mut();
        if declined.len() < MOST_DECLINED {
            declined.insert(party_id, refusal);
        }
    }

    pub(super) fn is_declined(&self, party_id: &PartyId) -> bool {
        self.declined.borrow().contains_key(party_id)
    }

    /// The bound by which a party is not followed as the server told it last.
    pub(in super::super) fn declined(&self, party_id: &PartyId) -> Option<Refusal> {
        self.declined.borrow().get(party_id).cloned()
    }

    /// Forgets the reason for which [`Session::untold`] refuses an entry. An entry begins.
    pub(in super::super) fn forget_not_understood(&self) {
        self.not_understood.take();
    }

    /// Returns the refusal of an entry that the server confirmed without telling the party.
    pub(in super::super) fn untold(&self, party_id: &PartyId) -> Refusal {
        let party_id = party_id.clone();
        if let Some(why) = self.not_understood.borrow().as_ref() {
            let reason = format!("what it sent is not understood: {why}");
            return Refusal::PartyUntold { party_id, reason };
        }
        let reason = "it sent nothing of it".to_owned();
        let refusal = Refusal::PartyUntold { party_id, reason };
        self.warn(format_args!("{refusal}"));
        refusal
    }

    /// The server registered a party under another id. One that a party here has is refused: that
    /// would become what the server tells of it.
    pub(super) async fn renamed(&self, from: PartyId, to: PartyId) {
        if self.is_here(&to).await {
            let refusal = Refusal::IdRefused { asked: from.clone(), answered: to };
            self.warn(format_args!("{refusal}"));
            self.note_declined(from, refusal);
            return;
        }
        self.declined.borrow_mut().remove(&from);
        self.rename_passages(&from, &to);
        match self.command(Command::Rename { from, to }).await {
            // One that is registered just now is not here under its first id.
            Ok(_) | Err(Failure::Refused(_)) => {}
            Err(failure) => self.stumble(&failure),
        }
    }

    /// True if there is a party of that id, a copy or not.
    async fn is_here(&self, party_id: &PartyId) -> bool {
        self.local(|reply| Query::Party(party_id.clone(), reply)).await.is_ok()
    }
}
