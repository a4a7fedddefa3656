//! Operations for the server: from intents, and from the server's messages.

use std::collections::{HashMap, HashSet};
use std::mem::Discriminant;
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::model::{PartyId, PeerId, PeerInput};

use super::frames;
use super::greeting::Greeted;
use super::output::{LookUp, Purpose, Then, Timer, TransportKind};
use super::pace::Lane;
use super::reconcile::{PUT_OFF, Source};
use super::replica::EntryId;
use super::requests::{RequestError, is_no_verdict};
use super::session::Session;
use crate::core::reconcile::{InFlight, MembershipOp, OpBody};
use crate::core::{Command, DirtySet, Failure, RequestKey, Upstream, UpstreamPart};

/// Upper bound of the refusals on a connection that may cause further operations. A server that
/// refuses everything is thus not asked without end.
const MOST_REFUSALS: u32 = 1000;

/// Upper bound of the operations in flight: many times the memberships of local peers. A server
/// that invents parties is not asked faster.
const MOST_OPERATIONS: usize = 8192;

/// Corrections in a row of a peer's description or entry that are sent at once. Further ones are
/// sent each [`PUT_OFF`].
const MOST_CORRECTIONS: u32 = 4;

/// Time in which intents are collected before they are sent.
const GATHER: Duration = Duration::from_millis(5);

/// Wait before a party is compared again: its host is about to return, or a failure occurred.
const RETRY: Duration = Duration::from_millis(500);

/// Operations on a connection.
#[derive(Debug, Default)]
pub(super) struct Replay {
    in_flight: HashSet<RequestKey>,
    corrections: HashMap<CorrectionKey, Correction>,
    /// Peers that were let into a party, and then were not in it.
    undone: HashSet<(PartyId, PeerId)>,
    refusals: u32,
    /// Generated ids of parties whose own id was taken.
    coined: HashSet<PartyId>,
    /// Parties with intents that were noted and not sent yet.
    noted: DirtySet,
}

/// Repeated correction of a local peer's description or entry on the server.
#[derive(Debug)]
struct Correction {
    info: PeerInput,
    /// Times that it was sent.
    sent: u32,
    /// Elapsed time at which it was last sent.
    last: Duration,
}

/// Party, peer and kind of operation of a [`Correction`].
type CorrectionKey = (PartyId, PeerId, Discriminant<OpBody>);

impl Replay {
    /// True while no operation is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }
}

impl Correction {
    fn new(info: &PeerInput, now: Duration) -> Self {
        Self { info: info.clone(), sent: 0, last: now }
    }

    /// True if the correction was recently sent too often.
    fn is_in_vain(&self, now: Duration) -> bool {
        self.sent >= MOST_CORRECTIONS && now.saturating_sub(self.last) < PUT_OFF
    }
}

impl Session {
    /// Begins operations, in this order.
    pub(super) fn carry_out(&mut self, operations: Vec<MembershipOp>) {
        for operation in operations {
            if self.replay.in_flight.contains(&operation.key) {
                continue;
            }
            if self.replay.in_flight.len() >= MOST_OPERATIONS || self.is_in_vain(&operation) {
                self.compare_again_after(operation.party_id, PUT_OFF);
                continue;
            }
            self.replay.in_flight.insert(operation.key.clone());
            log::debug!(
                "operation: party={} {:?} key={}",
                operation.party_id,
                operation.body.kind(),
                operation.key.0
            );
            // In flight until its answer: the server's earlier messages settle no later intent of
            // the peer.
            let peer_id = operation.body.peer_id().clone();
            let entry = operation.body.in_flight_kind().map(|what| {
                let in_flight = InFlight { peer_id: peer_id.clone(), what };
                self.replica.enter(&operation.party_id, in_flight)
            });
            let caller = self.own_user();
            if self.is_back(&operation) {
                self.operation_lost(&operation.key, entry);
                continue;
            }
            let then = Greeted::MembershipOp(operation, entry);
            self.greet(&peer_id, caller, Lane::Background, then);
        }
    }

    /// True for the leave of a peer for which a client's entry is in flight.
    fn is_back(&self, operation: &MembershipOp) -> bool {
        let MembershipOp { party_id, body, .. } = operation;
        matches!(body, OpBody::Leave(_)) && self.replica.enters(party_id, body.peer_id())
    }

    pub(super) fn operation_greeted(
        &mut self,
        operation: MembershipOp,
        entry: Option<EntryId>,
        result: Result<(), RequestError>,
    ) {
        match result {
            Ok(()) => {
                let (frame, key) = (frames::of_operation(&operation), operation.key.clone());
                let purpose = Purpose::MembershipOp(operation, entry);
                self.request_as(key, frame, Lane::Background, purpose);
            }
            Err(error) => self.operation_answered(operation, entry, Err(error)),
        }
    }

    pub(super) fn operation_answered(
        &mut self,
        operation: MembershipOp,
        entry: Option<EntryId>,
        result: Result<(), RequestError>,
    ) {
        if let Some(entry) = entry {
            self.replica.remove_entry(entry);
        }
        match result {
            Ok(()) if self.is_undone(&operation) => {
                let message = "the answer repeats an entry that was reverted since";
                self.refused(operation, ErrorCode::NotAMember, message);
            }
            Ok(()) => {
                if let OpBody::Register { host: peer, .. } | OpBody::Join(peer) = &operation.body {
                    // The server keeps it alive from now on, until it is reported as idle again.
                    self.auth.idle.remove(&peer.peer_id);
                }
                self.performed(&operation);
                self.operated(&operation.key);
            }
            Err(RequestError::Refused { code, message }) => {
                self.refused(operation, code, &message);
            }
            Err(RequestError::Lost) => self.operated(&operation.key),
        }
    }

    fn operation_lost(&mut self, key: &RequestKey, entry: Option<EntryId>) {
        if let Some(entry) = entry {
            self.replica.remove_entry(entry);
        }
        self.operated(key);
    }

    /// Ends an operation after its consequences have begun.
    pub(super) fn operated(&mut self, key: &RequestKey) {
        self.replay.in_flight.remove(key);
        self.end_replay();
    }

    /// True for an operation that was recently repeated too often: the server keeps another state.
    /// Without this bound it would be repeated without end.
    fn is_in_vain(&mut self, operation: &MembershipOp) -> bool {
        let now = self.now.elapsed;
        let key = correction_key(operation, &operation.party_id);
        let MembershipOp { party_id, body, .. } = operation;
        let (known, words) = match body {
            OpBody::Leave(_) => return false,
            OpBody::Update(info) => {
                let known = self
                    .replay
                    .corrections
                    .entry(key)
                    .or_insert_with(|| Correction::new(info, now));
                if known.info != *info {
                    *known = Correction::new(info, now);
                }
                if !known.is_in_vain(now) {
                    (known.sent, known.last) = (known.sent.saturating_add(1), now);
                    return false;
                }
                (known, "the control server keeps another description of a local peer")
            }
            OpBody::Register { .. } | OpBody::Join(_) => {
                let Some(known) = self.replay.corrections.get_mut(&key) else { return false };
                if !known.is_in_vain(now) {
                    return false;
                }
                (known, "the control server keeps losing a local peer")
            }
        };
        if known.sent == MOST_CORRECTIONS {
            known.sent += 1;
            let peer_id = body.peer_id();
            self.warn(format_args!("{words}: party={party_id} peer={peer_id}"));
        }
        true
    }

    /// Counts an entry that the server confirmed, or that it reports as done and reverted since.
    fn note_entry(&mut self, operation: &MembershipOp, info: &PeerInput) {
        let key = correction_key(operation, &operation.party_id);
        let before = self.replay.corrections.remove(&key).map_or(0, |known| known.sent);
        let renamed = self.replica.renamed_to(&operation.party_id);
        let key = renamed.map_or(key, |party_id| correction_key(operation, party_id));
        let (sent, last) = (before.saturating_add(1), self.now.elapsed);
        self.replay.corrections.insert(key, Correction { info: info.clone(), sent, last });
    }

    /// True for an entry that was confirmed although the peer is not in the party. A server states
    /// the party before the answer, so the answer repeats an earlier one that was lost. A server
    /// that never states the party is not asked a third time.
    fn is_undone(&mut self, operation: &MembershipOp) -> bool {
        let peer_id = operation.body.peer_id();
        if !matches!(operation.body, OpBody::Register { .. } | OpBody::Join(_)) {
            return false;
        }
        let party_id = self.replica.renamed_to(&operation.party_id).unwrap_or(&operation.party_id);
        let party = self.replica.parties.get(party_id);
        let is_in = party.is_some_and(|party| party.members.contains_key(peer_id));
        !is_in && self.replay.undone.insert((party_id.clone(), peer_id.clone()))
    }

    /// Handles an executed operation. The server stated an entry before its answer; other changes
    /// it reports later, or not at all.
    fn performed(&mut self, operation: &MembershipOp) {
        let party_id = &operation.party_id;
        match &operation.body {
            OpBody::Register { host: info, .. } | OpBody::Join(info) => {
                self.note_entry(operation, info)
            }
            OpBody::Update(info) => {
                self.replica.parties.confirmed(party_id, info);
                self.compare_again(party_id);
            }
            OpBody::Leave(peer_id) => self.has_left(party_id, peer_id, Source::Other),
        }
    }

    /// Handles the confirmed leave of a local peer.
    pub(super) fn has_left(&mut self, party_id: &PartyId, peer_id: &PeerId, source: Source) {
        let then = LookUp::Left(party_id.clone(), peer_id.clone(), source);
        self.look_up(UpstreamPart::Credentials, then);
    }

    fn refused(&mut self, operation: MembershipOp, code: ErrorCode, message: &str) {
        if code == ErrorCode::NotAMember
            && let OpBody::Register { host: info, .. } | OpBody::Join(info) = &operation.body
        {
            self.note_entry(&operation, info);
        }
        let MembershipOp { key, party_id, body } = operation;
        let peer_id = body.peer_id().clone();
        if code == ErrorCode::PartyNotFound
            && matches!(body, OpBody::Join(_))
            && self.now.elapsed < self.auth.forgiving_until
        {
            log::debug!("waiting for the host of a party: party={party_id} peer={peer_id}");
            self.compare_again_after(party_id, RETRY);
            return self.operated(&key);
        }
        self.replay.refusals += 1;
        // No server has a party of an id that was generated at random just now.
        let is_untrue = code == ErrorCode::PartyExists && self.replay.coined.contains(&party_id);
        if is_no_verdict(code) || is_untrue || self.replay.refusals > MOST_REFUSALS {
            // The intent stays for a later attempt.
            self.warn(format_args!("party {party_id}: the server puts {peer_id} off: {message}"));
            self.compare_again_after(party_id, PUT_OFF);
            return self.operated(&key);
        }
        if code == ErrorCode::PermissionDenied
            && matches!(body, OpBody::Register { .. })
            && let Some(after) = self.auth.greets_again_in(&peer_id)
        {
            self.warn(format_args!(
                "party {party_id}: peer {peer_id} is somebody else's there: {message}"
            ));
            self.compare_again_after(party_id, after);
            return self.operated(&key);
        }
        // Over HTTP such a refusal is the only notice of a party's end.
        let has_ended =
            code == ErrorCode::PartyNotFound && self.settings.transport == TransportKind::Http;
        let words = format!("party {party_id}: the server refused {peer_id}: {message} ({code:?})");
        match has_ended {
            true => log::info!("{words}"),
            false => self.warn(format_args!("{words}")),
        }
        if matches!(body, OpBody::Leave(_)) && !self.replica.copies.contains(&party_id) {
            self.replica.drop_party(&party_id);
        }
        let Some(spare) = self.machine.party_id() else { return self.operated(&key) };
        if code == ErrorCode::PartyExists {
            self.replay.coined.insert(spare.clone());
        }
        let refused = Command::Refused { party_id, peer_id, key: key.clone(), code, spare };
        self.apply(refused, Then::Refused(key));
    }

    /// Notes parties with intents, to be sent once the session is online.
    pub(crate) fn handle_dirty(&mut self, noted: DirtySet, now: crate::core::Now) {
        if self.advance(now) {
            self.replay.noted.extend(noted);
            if self.is_online() {
                self.set_timer(Timer::Flush, GATHER);
            }
        }
    }

    pub(super) fn begin_flush(&mut self) {
        let noted = std::mem::take(&mut self.replay.noted);
        if noted != DirtySet::default() {
            self.look_up(UpstreamPart::Intents, LookUp::Intents(noted));
        }
    }

    /// Compares the parties with new intents.
    pub(super) fn flush(&mut self, noted: DirtySet, upstream: Result<Upstream, Failure>) {
        match upstream {
            Ok(upstream) => {
                for party_id in upstream.outbox.iter().filter(|id| noted.has(id)) {
                    self.compare_again(party_id);
                }
            }
            Err(failure) => {
                log::warn!("intents are not sent yet: {failure}");
                self.replay.noted.extend(noted);
                self.set_timer(Timer::Flush, RETRY);
            }
        }
    }
}

fn correction_key(operation: &MembershipOp, party_id: &PartyId) -> CorrectionKey {
    let MembershipOp { body, .. } = operation;
    (party_id.clone(), body.peer_id().clone(), std::mem::discriminant(body))
}
