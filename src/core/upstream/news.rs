//! The server's messages about its parties.

use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::ClientFrame;
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{PartyId, PeerId, SignalData};

use super::message::Acked;
use super::output::{Purpose, Then, Timer};
use super::pace::Lane;
use super::reconcile::Source;
use super::replica::MOST_MEMBERS;
use super::requests::RequestError;
use super::session::Session;
use crate::core::reconcile::{Change, Occasion, Point, ReplicaUpdate, ServerParty};
use crate::core::{Command, CredentialRecord, Failure, Outcome, Refusal};

/// Lower bound of the time between two requests for the snapshot of one party. A server whose
/// changes never follow each other causes no more.
const SYNC_PAUSE: Duration = Duration::from_secs(1);

impl Session {
    /// Returns the id that the server chose for a party that was registered under `party_id`.
    pub(crate) fn renamed_to(&self, party_id: &PartyId) -> Option<&PartyId> {
        self.replica.renamed_to(party_id)
    }

    /// Processes the state of a party.
    ///
    /// # Errors
    /// The fault of the message, in words.
    pub(super) fn take_in_party(
        &mut self,
        mut party: ServerParty,
        at: Point,
    ) -> Result<(), String> {
        let party_id = party.party_id.clone();
        if party.members.len() > MOST_MEMBERS {
            return Err(format!("party {party_id} has more than {MOST_MEMBERS} members"));
        }
        if !self.concerns_us(&party) {
            return Err(format!("party {party_id} has no local peer"));
        }
        self.times().convert_party(&mut party);
        let heard = self.replica.parties.party(party, at);
        self.follow(party_id, heard, Source::Message);
        Ok(())
    }

    /// Processes a change of a party.
    ///
    /// # Errors
    /// The fault of the message, in words.
    pub(super) fn take_in_change(
        &mut self,
        party_id: PartyId,
        mut change: Change,
        at: Point,
    ) -> Result<(), String> {
        if let Change::Put(_, member) = &mut change {
            self.times().convert_member(member);
        }
        let heard = self.replica.change(&party_id, change, at)?;
        self.follow(party_id, heard, Source::Message);
        Ok(())
    }

    /// Processes the end of a party. One that this connection has not announced yet is compared
    /// after the greeting.
    pub(super) fn take_in_removal(&mut self, party_id: PartyId, reason: RemovalReason) {
        let heard = self.replica.parties.gone(&party_id, reason);
        self.follow(party_id, heard, Source::Message);
    }

    /// True for a party with a current or former local peer.
    fn concerns_us(&self, party: &ServerParty) -> bool {
        self.replica.copies.contains(&party.party_id)
            || party.members.keys().any(|id| self.auth.is_ours(id))
    }

    pub(super) fn take_in_signal(
        &mut self,
        party_id: PartyId,
        from: PeerId,
        to: PeerId,
        data: SignalData,
    ) {
        let is_ours = self.auth.is_ours(&from);
        if is_ours && !self.memory.take_signal(&party_id, &from, &to, &data) {
            self.warn(format_args!(
                "a signal of a local peer that it did not send is refused: party={party_id} peer={from}"
            ));
            return;
        }
        self.take_in_by(Command::Deliver { party_id, from, to, data }, Then::Delivered);
    }

    pub(super) fn delivered(&mut self, result: Result<Outcome, Failure>) {
        match result {
            Ok(_) => {}
            // The registry warns of its limits, once a minute.
            Err(failure) if failure.code() == ErrorCode::RateLimited => {
                log::debug!("a signal was not delivered: {failure}");
            }
            Err(failure) => self.warn(format_args!("a signal was not delivered: {failure}")),
        }
    }

    /// Requests the snapshot of a party with missing changes, unless it is requested already.
    pub(super) fn sync(&mut self, party_id: &PartyId) {
        if !self.replica.syncing.insert(party_id.clone()) {
            return;
        }
        let now = self.now.elapsed;
        let due = self.replica.next_sync.get(party_id).copied().unwrap_or_default();
        match due.checked_sub(now).filter(|wait| !wait.is_zero()) {
            Some(wait) => self.set_timer(Timer::Sync(party_id.clone()), wait),
            None => self.request_sync(party_id.clone()),
        }
    }

    pub(super) fn request_sync(&mut self, party_id: PartyId) {
        log::debug!("snapshot requested: party={party_id}");
        let now = self.now.elapsed;
        self.replica.next_sync.retain(|_, due| *due > now);
        self.replica.next_sync.insert(party_id.clone(), now + SYNC_PAUSE);
        let frame = ClientFrame::Sync { party_id: party_id.clone(), have: None };
        self.request(frame, Lane::Asked, Purpose::Sync(party_id));
    }

    pub(super) fn sync_answered(&mut self, party_id: PartyId, result: Result<(), RequestError>) {
        self.replica.syncing.remove(&party_id);
        let synced = party_id.clone();
        match result {
            // The snapshot came before the answer; if it was unintelligible, the next change
            // reveals it. After a loss it may be requested again, if the connection is still open.
            Ok(()) | Err(RequestError::Lost) => self.replica.parties.ask_again(&party_id),
            Err(RequestError::Refused {
                code: code @ (ErrorCode::PartyNotFound | ErrorCode::NotAMember),
                ..
            }) => {
                self.replica.declined.remove(&party_id);
                let heard = self.replica.parties.gone(&party_id, RemovalReason::Removed);
                match (code, heard) {
                    (ErrorCode::PartyNotFound, ended @ ReplicaUpdate::Gone(_)) => {
                        self.follow(party_id, ended, Source::Other);
                    }
                    _ => self.compare(&party_id, None, Occasion::Return, Source::Other),
                }
            }
            Err(RequestError::Refused { code, message }) => {
                self.warn(format_args!(
                    "the snapshot of party {party_id} was refused: {message} ({code:?})"
                ));
                self.replica.parties.ask_again(&party_id);
            }
        }
        self.synced(&synced);
    }

    /// Changes a party's id to the id that the server chose.
    pub(super) fn rename(&mut self, from: PartyId, to: PartyId) {
        let rename = Command::Rename { from: from.clone(), to: to.clone() };
        self.take_in_by(rename, Then::Renamed { from, to });
    }

    pub(super) fn renamed(&mut self, from: PartyId, to: PartyId, result: Result<Outcome, Failure>) {
        match result {
            // Without this the existing party would take over the state of the server's party.
            Err(Failure::Refused(Refusal::PartyExists(_))) => {
                let refusal = Refusal::IdRefused { asked: from.clone(), answered: to };
                self.warn(format_args!("{refusal}"));
                self.replica.note_declined(from, refusal);
            }
            // A party whose registration is in flight is not here under its first id.
            Ok(_) | Err(Failure::Refused(_)) => {
                self.replica.declined.remove(&from);
                self.replica.note_rename(from, to);
            }
            Err(failure) => self.abort(&failure),
        }
    }

    /// Handles the position of a party from an answer.
    pub(super) fn seen(&mut self, party_id: PartyId, acked: &Acked) {
        let Some(at) = &acked.at else { return };
        let heard = self.replica.parties.bookmark(&party_id, at);
        if heard != ReplicaUpdate::Nothing {
            return self.follow(party_id, heard, Source::Other);
        }
        if self.replica.parties.point(&party_id) == Some(at) {
            self.apply(Command::RefreshLastSeen(party_id), Then::Refreshed);
        }
    }

    /// Removes a local peer from the replica after the server has confirmed its leave.
    pub(super) fn left(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        known: &[CredentialRecord],
        source: Source,
    ) {
        // Peers that are not greeted yet count, too: the server reports the party while any of them
        // is in it.
        let auth = &self.auth;
        let is_ours =
            |id: &PeerId| auth.is_greeted(id) || known.iter().any(|known| known.peer_id == *id);
        self.replica.parties.left(party_id, peer_id, is_ours);
        self.compare_again_for(party_id, source);
    }
}
