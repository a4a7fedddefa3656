//! Comparison of this machine's parties with the server's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{PartyId, PeerId, PeerInput};

use super::clients::ClientId;
use super::output::{Then, Timer, TransportKind};
use super::session::Session;
use crate::core::reconcile::{Occasion, ReplicaUpdate, ServerParty};
use crate::core::{Command, Failure, Outcome, Refusal, Upstream};

/// Wait before a party is compared again after a bound was reached, or too many refusals.
pub(super) const PUT_OFF: Duration = Duration::from_secs(30);

/// A comparison of a party by the registry.
#[derive(Debug)]
pub(crate) struct Comparison {
    party_id: PartyId,
    server: Option<Arc<ServerParty>>,
    source: Source,
}

/// Cause of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A message that is being processed.
    Message,
    /// A party that the server did not mention in its greeting.
    Absent,
    /// A client's request that continues after the comparison.
    Client(ClientId),
    /// Any other cause.
    Other,
}

impl Session {
    /// Compares the parties that the server did not mention: there no local peer is in them.
    pub(super) fn compare_absent(&mut self, upstream: Upstream) {
        self.replica.note_copies(&upstream);
        let mut parties: BTreeSet<PartyId> = upstream.outbox;
        parties.extend(upstream.memberships.into_iter().map(|one| one.party_id));
        parties.retain(|party_id| self.replica.parties.get(party_id).is_none());
        self.replica.absent = parties.len() + 1;
        for party_id in parties {
            self.compare(&party_id, None, Occasion::Return, Source::Absent);
        }
        self.absent_compared();
    }

    pub(super) fn absent_compared(&mut self) {
        self.replica.absent = self.replica.absent.saturating_sub(1);
        if self.replica.absent == 0 {
            self.begin_replay();
        }
    }

    pub(super) fn follow(&mut self, party_id: PartyId, heard: ReplicaUpdate, source: Source) {
        match heard {
            ReplicaUpdate::Party(party) => {
                let is_first = !self.replica.met.contains(&party_id);
                let occasion = if is_first { Occasion::Return } else { Occasion::News };
                self.compare(&party_id, Some(party), occasion, source);
            }
            ReplicaUpdate::Gone(reason) => {
                // Over HTTP a party that has ended looks like one that the server lost.
                let occasion = match self.settings.transport {
                    TransportKind::Http => Occasion::Return,
                    TransportKind::WebSocket => Occasion::Gone(reason),
                };
                self.compare(&party_id, None, occasion, source);
            }
            ReplicaUpdate::Missing => {
                self.sync(&party_id);
                self.skipped(source);
            }
            ReplicaUpdate::Nothing => self.skipped(source),
        }
    }

    /// Continues without a comparison.
    fn skipped(&mut self, source: Source) {
        match source {
            Source::Message | Source::Other => {}
            Source::Absent => self.absent_compared(),
            Source::Client(id) => self.client_compared(id),
        }
    }

    /// Has the registry compare a party with the server's. Operations may result.
    pub(super) fn compare(
        &mut self,
        party_id: &PartyId,
        server: Option<Arc<ServerParty>>,
        occasion: Occasion,
        source: Source,
    ) {
        // The server still has a declined party.
        let is_declined = server.is_none()
            && occasion == Occasion::Return
            && self.replica.declined.contains_key(party_id);
        if self.is_leaving() || is_declined {
            return self.skipped(source);
        }
        self.replica.met.insert(party_id.clone());
        let in_flight = self.replica.in_flight(party_id);
        let machine = server.as_ref().map(|_| self.machine.networks()).unwrap_or_default();
        let comparison =
            Box::new(Comparison { party_id: party_id.clone(), server: server.clone(), source });
        let party_id = party_id.clone();
        let reconcile = Command::Reconcile { party_id, server, occasion, in_flight, machine };
        match source {
            Source::Message => self.take_in_by(reconcile, Then::Compared(comparison)),
            _ => self.apply(reconcile, Then::Compared(comparison)),
        }
    }

    pub(super) fn compared(&mut self, comparison: Comparison, result: Result<Outcome, Failure>) {
        let Comparison { party_id, server, source } = comparison;
        match result {
            Ok(Outcome::Reconciled(reconciled)) => {
                self.replica.declined.remove(&party_id);
                if let Some(server) = server {
                    self.replica.note_stated(&party_id, &server);
                    self.followed(&party_id, &server, reconciled.host_before, reconciled.is_copy);
                    // A leave that the server puts off needs the party for the next comparison.
                    if !reconciled.is_copy && reconciled.operations.is_empty() {
                        self.replica.drop_party(&party_id);
                    }
                }
                self.carry_out(reconciled.operations);
            }
            Ok(_) => {}
            Err(Failure::Refused(refusal)) => self.decline(party_id, refusal),
            Err(failure) => self.abort(&failure),
        }
        match source {
            Source::Message => self.taken_in(),
            source => self.skipped(source),
        }
    }

    /// Updates the set of copies after a comparison.
    fn followed(
        &mut self,
        party_id: &PartyId,
        server: &ServerParty,
        host_before: Option<PeerId>,
        is_copy: bool,
    ) {
        if is_copy {
            self.replica.copies.insert(party_id.clone());
            return;
        }
        self.replica.copies.remove(party_id);
        if let Some(before) = host_before.filter(|before| *before != server.host_id) {
            let host = &server.host_id;
            self.warn(format_args!(
                "the control server has another party under the id {party_id}, of host {host} in \
                 place of {before}: the local peers leave it"
            ));
        }
    }

    /// Ignores the server's state of a party, whose copy stays unchanged. After a while the server
    /// is asked for it again.
    fn decline(&mut self, party_id: PartyId, refusal: Refusal) {
        // The registry warns of its own limits, once a minute.
        if refusal.remedy().is_none() {
            self.warn(format_args!("a statement of the control server is refused: {refusal}"));
        }
        self.note_said(format!("its statement is refused: {refusal}"));
        self.replica.parties.gone(&party_id, RemovalReason::Removed);
        self.replica.met.remove(&party_id);
        self.replica.note_declined(party_id.clone(), refusal);
        self.compare_again_after(party_id, PUT_OFF);
    }

    /// Returns the refusal of an entry that the server confirmed without stating the party.
    pub(super) fn unstated_party(&mut self, party_id: &PartyId) -> Refusal {
        let party_id = party_id.clone();
        if let Some(reason) = &self.replica.not_understood {
            let reason = format!("what it sent is not understood: {reason}");
            return Refusal::PartyUnstated { party_id, reason };
        }
        let reason = "it sent nothing of it".to_owned();
        let refusal = Refusal::PartyUnstated { party_id, reason };
        self.warn(format_args!("{refusal}"));
        refusal
    }

    /// Compares a party again.
    pub(super) fn compare_again(&mut self, party_id: &PartyId) {
        self.compare_again_for(party_id, Source::Other);
    }

    /// Compares a party again, for a given cause.
    pub(super) fn compare_again_for(&mut self, party_id: &PartyId, source: Source) {
        if self.replica.declined(party_id).is_some() {
            self.sync(party_id);
            return self.skipped(source);
        }
        let server = self.replica.parties.get(party_id).cloned();
        let occasion = if server.is_some() { Occasion::News } else { Occasion::Return };
        self.compare(party_id, server, occasion, source);
    }

    /// Compares a party again after a while, once for all causes.
    pub(super) fn compare_again_after(&mut self, party_id: PartyId, after: Duration) {
        let timer = Timer::CompareAgain(party_id);
        if !self.has_timer(&timer) {
            self.set_timer(timer, after);
        }
    }

    /// Sends the description of a local peer again, where the server has another one.
    pub(super) fn resend_description(
        &mut self,
        party_id: &PartyId,
        info: &PeerInput,
        source: Source,
    ) {
        let server = self.replica.parties.get(party_id);
        let member = server.and_then(|server| server.members.get(&info.peer_id));
        match member.is_some_and(|member| member.info != *info) {
            true => self.compare_again_for(party_id, source),
            false => self.skipped(source),
        }
    }
}
