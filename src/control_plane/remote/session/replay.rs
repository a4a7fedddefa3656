//! What was done here while the server could not be asked, or follows from what it told: asked
//! for now.

use std::rc::Rc;
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::ClientFrame;
use lanrage_ipc::model::{PartyId, PeerId, PeerInput};
use tokio::time::Instant;

use super::asking::{Passing, is_no_verdict};
use super::{Acked, Correction, CorrectionKey, Lane, Session, Trouble};
use crate::control_plane::remote::frames;
use crate::control_plane::remote::transport::Carrier;
use crate::core::reconcile::{Act, InFlight, Occasion, Operation};
use crate::core::{Command, Membership, Outcome, RequestKey, UpstreamPart};

/// Refusals on one connection from which something may follow: a server that is out of its mind
/// would be asked without end.
const MOST_REFUSALS: u32 = 1000;

/// How soon a party is looked at again for which the server had no time, or too many refusals.
pub(super) const PUT_OFF: Duration = Duration::from_secs(30);

/// Operations under way at once: many times more than this machine's peers can have in parties. A
/// server that invents parties is asked no faster.
const MOST_OPERATIONS: usize = 8192;

/// Times in a row that the server is told the same description or entry of a peer at once; then it
/// is told each [`PUT_OFF`].
const MOST_CORRECTIONS: u32 = 4;

/// How long intents gather before they are told.
const GATHER: Duration = Duration::from_millis(5);

/// How soon a party is looked at again whose host is waited for.
const COME_BACK: Duration = Duration::from_millis(500);

impl Session {
    /// Asks for each, in this order; what comes of them is taken in as it comes.
    pub(super) fn carry_out(self: &Rc<Self>, operations: Vec<Operation>) {
        for operation in operations {
            if self.operating.borrow().len() >= MOST_OPERATIONS || self.is_told_in_vain(&operation)
            {
                self.come_back(operation.party_id, PUT_OFF);
            } else if self.operating.borrow_mut().insert(operation.key.clone()) {
                // Until it is answered: what the server tells meanwhile settles nothing that the
                // peer did since.
                let passing = operation.act.passage().map(|what| {
                    let peer_id = operation.act.peer_id().clone();
                    self.passing(&operation.party_id, InFlight { peer_id, what })
                });
                self.tasks.spawn(self.clone().operate(operation, passing));
            }
        }
    }

    /// Returns true for what the server was told of a peer again and again, and lately: a server
    /// that keeps stating something else would be told without end.
    fn is_told_in_vain(&self, operation: &Operation) -> bool {
        if self.operating.borrow().contains(&operation.key) {
            return false;
        }
        match &operation.act {
            Act::Update(info) => self.is_updated_in_vain(operation, info),
            Act::Register { .. } | Act::Join(_) => self.enters_in_vain(operation),
            Act::Leave(_) => false,
        }
    }

    /// True for the entry of a peer that the server confirmed and lost again and again, and lately.
    fn enters_in_vain(&self, operation: &Operation) -> bool {
        let key = correction_key(operation, &operation.party_id);
        let mut corrections = self.corrections.borrow_mut();
        let Some(known) = corrections.get_mut(&key) else { return false };
        let is_in_vain = known.sent >= MOST_CORRECTIONS && known.last.elapsed() < PUT_OFF;
        if is_in_vain && known.sent == MOST_CORRECTIONS {
            known.sent += 1;
            let (party_id, peer_id) = (&operation.party_id, operation.act.peer_id());
            self.warn(format_args!(
                "the control server keeps losing a local peer: party={party_id} peer={peer_id}"
            ));
        }
        is_in_vain
    }

    /// Counts an entry that the server confirmed, or that it says was done and undone since.
    fn note_entry(&self, operation: &Operation, info: &PeerInput) {
        let key = correction_key(operation, &operation.party_id);
        let mut corrections = self.corrections.borrow_mut();
        let before = corrections.remove(&key).map_or(0, |known| known.sent);
        let renamed = self.renamed_to(&operation.party_id);
        let key = renamed.map_or(key, |party_id| correction_key(operation, &party_id));
        let (sent, last) = (before.saturating_add(1), Instant::now());
        corrections.insert(key, Correction { info: info.clone(), sent, last });
    }

    /// Counts an update of a peer.
    fn is_updated_in_vain(&self, operation: &Operation, info: &PeerInput) -> bool {
        let key = correction_key(operation, &operation.party_id);
        let fresh = || Correction { info: info.clone(), sent: 0, last: Instant::now() };
        let mut corrections = self.corrections.borrow_mut();
        let known = corrections.entry(key).or_insert_with(fresh);
        if known.info != *info {
            *known = fresh();
        }
        let is_in_vain = known.sent >= MOST_CORRECTIONS && known.last.elapsed() < PUT_OFF;
        if !is_in_vain {
            (known.sent, known.last) = (known.sent.saturating_add(1), Instant::now());
        } else if known.sent == MOST_CORRECTIONS {
            known.sent += 1;
            let (party_id, peer_id) = (&operation.party_id, &info.peer_id);
            self.warn(format_args!(
                "the control server keeps another description of a local peer: party={party_id} peer={peer_id}"
            ));
        }
        is_in_vain
    }

    /// Waits until all that is under way is answered.
    pub(in super::super) async fn quiet(&self) {
        while !self.operating.borrow().is_empty() {
            self.operated.notified().await;
        }
    }

    async fn operate(self: Rc<Self>, operation: Operation, passing: Option<Passing>) {
        let key = operation.key.clone();
        self.perform(operation, passing).await;
        self.done(&key);
    }

    fn done(&self, key: &RequestKey) {
        self.operating.borrow_mut().remove(key);
        self.operated.notify_one();
    }

    async fn perform(self: &Rc<Self>, operation: Operation, passing: Option<Passing>) {
        log::debug!("party {}: {:?} as {}", operation.party_id, operation.act, operation.key.0);
        let answer = self.request(&operation).await;
        drop(passing);
        match answer {
            Ok(_) if self.is_undone(&operation) => {
                let message = "what the answer tells is undone since";
                self.refused(operation, ErrorCode::NotAMember, message).await;
            }
            Ok(_) => self.performed(&operation).await,
            Err(Trouble::Refused { code, message }) => {
                self.refused(operation, code, &message).await
            }
            Err(Trouble::Lost) => {}
        }
    }

    async fn request(self: &Rc<Self>, operation: &Operation) -> Result<Acked, Trouble> {
        let peer_id = operation.act.peer_id();
        if matches!(operation.act, Act::Leave(_)) && self.enters(&operation.party_id, peer_id) {
            // It came back since.
            return Err(Trouble::Lost);
        }
        self.greet(peer_id, self.around.itself.user(), Lane::Background).await?;
        self.ask(frames::of_operation(operation), &operation.key, Lane::Background).await
    }

    /// Whether a peer that was let in is not there, though the server tells the party before it
    /// answers: the answer is that of the first time, when the connection was lost before it came.
    /// A server that never tells the party is not asked a third time.
    fn is_undone(&self, operation: &Operation) -> bool {
        let peer_id = operation.act.peer_id();
        if !matches!(operation.act, Act::Register { .. } | Act::Join(_)) {
            return false;
        }
        let renamed = self.renamed_to(&operation.party_id);
        let party_id = renamed.unwrap_or_else(|| operation.party_id.clone());
        let shadow = self.shadow.borrow();
        let is_in = shadow.get(&party_id).is_some_and(|party| party.members.contains_key(peer_id));
        !is_in && self.undone.borrow_mut().insert((party_id, peer_id.clone()))
    }

    /// The server has done it. Of who enters it told before; of the others it tells later, or not
    /// at all.
    async fn performed(self: &Rc<Self>, operation: &Operation) {
        let party_id = &operation.party_id;
        match &operation.act {
            Act::Register { host: info, .. } | Act::Join(info) => self.note_entry(operation, info),
            Act::Update(info) => {
                self.confirmed(party_id, info);
                self.look_again(party_id).await;
            }
            Act::Leave(peer_id) => self.has_left(party_id, peer_id).await,
        }
    }

    /// The server has let go of a peer of ours.
    pub(in super::super) async fn has_left(self: &Rc<Self>, party_id: &PartyId, peer_id: &PeerId) {
        // Also those that are not greeted yet: the server tells of the party as long as one is in.
        let known = self.upstream(UpstreamPart::Credentials).await;
        let known = known.map(|upstream| upstream.credentials).unwrap_or_default();
        let greeted = self.greeted.borrow().clone();
        let is_ours =
            |id: &PeerId| greeted.contains(id) || known.iter().any(|known| known.peer_id == *id);
        self.shadow.borrow_mut().left(party_id, peer_id, is_ours);
        self.look_again(party_id).await;
    }

    /// This machine's peers leave, as far as the server confirms it in time; it takes the others
    /// for gone by itself.
    pub(in super::super) async fn take_leave(self: &Rc<Self>, memberships: Vec<Membership>) {
        let leaving = memberships.into_iter().map(|Membership { party_id, peer_id, .. }| {
            let frame = ClientFrame::LeaveParty { party_id, peer_id };
            let key = self.around.keys.next();
            async move { self.ask(frame, &key, Lane::Background).await }
        });
        let all = futures_util::future::join_all(leaving);
        match tokio::time::timeout(self.target.request_timeout, all).await {
            Ok(answers) => {
                let refused = answers.iter().filter(|answer| answer.is_err()).count();
                log::info!("left the control server, {refused} of {} refused", answers.len());
            }
            Err(_) => log::warn!("the control server did not confirm in time that all left"),
        }
    }

    pub(in super::super) async fn look_again(self: &Rc<Self>, party_id: &PartyId) {
        if self.declined(party_id).is_some() {
            self.ask_for(party_id);
            return;
        }
        let server = self.shadow.borrow().get(party_id).cloned();
        let occasion = if server.is_some() { Occasion::News } else { Occasion::Return };
        self.compare(party_id, server, occasion).await;
    }

    /// Looks at a party again after a while.
    pub(super) fn come_back(self: &Rc<Self>, party_id: PartyId, after: Duration) {
        // However many of its peers wait.
        if !self.coming_back.borrow_mut().insert(party_id.clone()) {
            return;
        }
        let this = self.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(after).await;
            this.coming_back.borrow_mut().remove(&party_id);
            this.look_again(&party_id).await;
        });
    }

    async fn refused(self: &Rc<Self>, operation: Operation, code: ErrorCode, message: &str) {
        if code == ErrorCode::NotAMember
            && let Act::Register { host: info, .. } | Act::Join(info) = &operation.act
        {
            self.note_entry(&operation, info);
        }
        let Operation { key, party_id, act } = operation;
        let peer_id = act.peer_id().clone();
        if code == ErrorCode::PartyNotFound
            && matches!(act, Act::Join(_))
            && self.around.clock.elapsed() < self.forgiving_until.get()
        {
            log::debug!("party {party_id} is not there yet: {peer_id} waits for its host");
            self.come_back(party_id, COME_BACK);
            return;
        }
        let refusals = self.refusals.get() + 1;
        self.refusals.set(refusals);
        // No server has a party of an id that was chosen at random just now.
        let is_untrue = code == ErrorCode::PartyExists && self.coined.borrow().contains(&party_id);
        if is_no_verdict(code) || is_untrue || refusals > MOST_REFUSALS {
            // It stays noted, for another time.
            self.warn(format_args!("party {party_id}: the server puts {peer_id} off: {message}"));
            self.come_back(party_id, PUT_OFF);
            return;
        }
        // Who only looks for news learns by its request that a party has ended.
        let has_ended = code == ErrorCode::PartyNotFound && self.carrier == Carrier::Http;
        if code == ErrorCode::PermissionDenied
            && matches!(act, Act::Register { .. })
            && let Some(after) = self.greets_again_in(&peer_id)
        {
            self.warn(format_args!(
                "party {party_id}: peer {peer_id} is somebody else's there: {message}"
            ));
            self.come_back(party_id, after);
            return;
        }
        let words = format!("party {party_id}: the server refused {peer_id}: {message} ({code:?})");
        match has_ended {
            true => log::info!("{words}"),
            false => self.warn(format_args!("{words}")),
        }
        let Ok(spare) = crate::random_id::random_party_id() else { return };
        if code == ErrorCode::PartyExists {
            self.coined.borrow_mut().insert(spare.clone());
        }
        let refused = Command::Refused { party_id, peer_id, key, code, spare };
        match self.command(refused).await {
            Ok(Outcome::Operations(operations)) => self.carry_out(operations),
            Ok(_) => {}
            Err(failure) => self.stumble(&failure),
        }
    }

    /// Tells the server what is noted here while it can be asked, for ever.
    pub(in super::super) async fn flush(self: Rc<Self>) {
        loop {
            self.around.outbox.wait().await;
            // What is noted at once is looked at once.
            tokio::time::sleep(GATHER).await;
            let noted = self.around.outbox.take();
            let upstream = match self.upstream(UpstreamPart::Intents).await {
                Ok(upstream) => upstream,
                Err(failure) => {
                    log::warn!("what is noted is not told yet: {failure}");
                    self.around.outbox.put_back(noted);
                    tokio::time::sleep(COME_BACK).await;
                    continue;
                }
            };
            for party_id in upstream.outbox.into_iter().filter(|id| noted.has(id)) {
                self.look_again(&party_id).await;
            }
        }
    }
}

fn correction_key(operation: &Operation, party_id: &PartyId) -> CorrectionKey {
    let Operation { act, .. } = operation;
    (party_id.clone(), act.peer_id().clone(), std::mem::discriminant(act))
}
