//! What a daemon hears from the server, and what it makes of it.

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::Secret;
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{PartyId, PeerId};

use super::super::*;
use super::daemon::Daemon;
use super::link::Asked;
use super::server::Frame;
use crate::core::reconcile::{Act, Heard, InFlight, Occasion, Operation, Point, ServerParty};
use crate::core::{Deed, Proof};

impl Daemon {
    pub(super) fn hear(&mut self, frame: Frame, now: Now) {
        let Some(link) = &mut self.link else { return };
        match frame {
            Frame::Welcome { peer_id, token, epoch } => {
                link.is_forgiving |= self.server_epoch.as_ref().is_some_and(|e| *e != epoch);
                self.server_epoch = Some(epoch);
                self.keep(peer_id, Proof::Token(Secret::from(token.to_string())), now);
            }
            Frame::Party(party, at) => {
                let party_id = party.party_id.clone();
                let heard = link.shadow.party(party, at);
                self.follow(party_id, heard, now);
            }
            Frame::Change { party_id, change, at } => {
                let heard = link.shadow.change(&party_id, change, at);
                self.follow(party_id, heard, now);
            }
            Frame::Removed { party_id, reason } => {
                let heard = link.shadow.gone(&party_id, reason);
                self.follow(party_id, heard, now);
            }
            Frame::Answer { key, result } => self.answered(&key, result, now),
        }
        self.go_on(now);
    }

    fn follow(&mut self, party_id: PartyId, heard: Heard, now: Now) {
        match heard {
            Heard::Party(party) => {
                let is_first = !self.link.as_ref().unwrap().met.contains(&party_id);
                let occasion = if is_first { Occasion::Return } else { Occasion::News };
                self.compare(&party_id, Some(party), occasion, now);
            }
            Heard::Gone(reason) => self.compare(&party_id, None, Occasion::Gone(reason), now),
            Heard::Missing => self.sync(party_id),
            Heard::Nothing => {}
        }
    }

    pub(super) fn shadow(&self, party_id: &PartyId) -> Option<std::sync::Arc<ServerParty>> {
        self.link.as_ref()?.shadow.get(party_id).cloned()
    }

    pub(super) fn look_again(&mut self, party_id: &PartyId, now: Now) {
        let server = self.shadow(party_id);
        let occasion = if server.is_some() { Occasion::News } else { Occasion::Return };
        self.compare(party_id, server, occasion, now);
    }

    pub(super) fn compare(
        &mut self,
        party_id: &PartyId,
        server: Option<std::sync::Arc<ServerParty>>,
        occasion: Occasion,
        now: Now,
    ) {
        let link = self.link.as_mut().unwrap();
        link.met.insert(party_id.clone());
        let passages = link.passages.iter().filter(|(_, id, _)| id == party_id);
        let operations = link.operating.values().filter(|one| one.party_id == *party_id);
        let passing = operations.filter_map(|one| {
            let what = one.act.passage()?;
            Some(InFlight { peer_id: one.act.peer_id().clone(), what })
        });
        let in_flight = passages.map(|(.., in_flight)| in_flight.clone()).chain(passing).collect();
        let party_id = party_id.clone();
        let machine = vec![];
        let reconcile = Command::Reconcile { party_id, server, occasion, in_flight, machine };
        if let Outcome::Operations(operations) = self.itself(reconcile, now) {
            self.carry_out(operations, now);
        }
    }

    fn answered(&mut self, key: &RequestKey, result: Result<Option<Point>, ErrorCode>, now: Now) {
        let link = self.link.as_mut().unwrap();
        if !link.take_answer(key) {
            return;
        }
        if let Some(greeted) = link.greetings.remove(key) {
            return self.hello_answered(greeted, result.map(drop), now);
        }
        link.passages.retain(|(passing, ..)| passing != key);
        if let Some(place) = link.asked.iter().position(|asked| asked.key == *key) {
            let asked = link.asked.remove(place);
            return self.asked_answered(asked, result.map(drop), now);
        }
        if let Some(party_id) = link.syncs.remove(key) {
            return self.sync_answered(party_id, result.map(drop), now);
        }
        if let Some(party_id) = link.beats.remove(key) {
            match result {
                Ok(Some(at)) => {
                    let heard = link.shadow.bookmark(&party_id, &at);
                    match heard == Heard::Nothing && link.shadow.point(&party_id) == Some(&at) {
                        true => drop(self.itself(Command::Vouch(party_id), now)),
                        false => self.follow(party_id, heard, now),
                    }
                }
                Ok(None) => {}
                Err(_) => self.sync(party_id),
            }
            return;
        }
        let operation = link.operating[key].clone();
        link.operating.remove(key);
        let result = match (&operation.act, self.shadow(&operation.party_id)) {
            (Act::Register { .. } | Act::Join(_), there) if result.is_ok() => {
                // The answer may be that of the first time, and what it tells undone since.
                let is_in = there.is_some_and(|p| p.members.contains_key(operation.act.peer_id()));
                if is_in { Ok(()) } else { Err(ErrorCode::NotAMember) }
            }
            _ => result.map(drop),
        };
        match result {
            Ok(()) => self.performed(operation, now),
            Err(ErrorCode::PartyNotFound)
                if matches!(operation.act, Act::Join(_))
                    && self.link.as_ref().is_some_and(|link| link.is_forgiving) =>
            {
                self.link.as_mut().unwrap().to_come.insert(operation.party_id);
            }
            Err(code) => {
                let (Operation { key, party_id, act }, spare) = (operation, self.spare());
                let peer_id = act.peer_id().clone();
                let refused = Command::Refused { party_id, peer_id, key, code, spare };
                if let Outcome::Operations(operations) = self.itself(refused, now) {
                    self.carry_out(operations, now);
                }
            }
        }
    }

    fn performed(&mut self, operation: Operation, now: Now) {
        let Operation { party_id, act, .. } = operation;
        match act {
            Act::Register { .. } | Act::Join(_) => {}
            Act::Update(info) => {
                self.link.as_mut().unwrap().shadow.confirmed(&party_id, &info);
                self.look_again(&party_id, now);
            }
            Act::Leave(peer_id) => self.has_left(&party_id, &peer_id, now),
        }
    }

    fn has_left(&mut self, party_id: &PartyId, peer_id: &PeerId, now: Now) {
        // Also those that are not greeted yet.
        let known = self.registry.upstream(&UpstreamPart::All).credentials;
        let is_ours = |id: &PeerId| known.iter().any(|known| known.peer_id == *id);
        self.link.as_mut().unwrap().shadow.left(party_id, peer_id, is_ours);
        self.look_again(party_id, now);
    }

    fn asked_answered(&mut self, asked: Asked, result: Result<(), ErrorCode>, now: Now) {
        use ErrorCode::{NotAMember, PartyNotFound, PeerNotFound};
        let Asked { caller, command, .. } = asked;
        let is_gone = matches!(result, Err(PartyNotFound | NotAMember | PeerNotFound));
        match &command {
            Command::Leave { party_id, peer_id } if result.is_ok() || is_gone => {
                self.judge.answered(&command, true, &self.registry);
                // The server may have told it before it answered.
                self.apply(None, command.clone(), caller, now).ok();
                self.has_left(party_id, peer_id, now);
            }
            Command::Update { party_id, peer, .. } if result.is_ok() => {
                self.link.as_mut().unwrap().shadow.confirmed(party_id, peer);
                let done = self.apply(None, command.clone(), caller, now).is_ok();
                self.judge.answered(&command, done, &self.registry);
            }
            Command::Update { party_id, .. } if is_gone => self.sync(party_id.clone()),
            _ => {
                let done = result.is_ok() && !self.is_leaving(&command);
                self.judge.answered(&command, done, &self.registry);
            }
        }
    }

    /// Whether somebody who asked to come in was taken for gone before the answer came: then that
    /// is what the program is told.
    fn is_leaving(&self, command: &Command) -> bool {
        let (Some(party_id), Some(peer_id)) = (command.party_id(), command.acts_for()) else {
            return false;
        };
        let host = self.shadow(party_id).map(|party| party.host_id.clone());
        let mut leaves = self.registry.outbox.of_party(party_id);
        leaves.any(|intent| {
            let is_it = intent.peer_id == *peer_id || Some(&intent.peer_id) == host.as_ref();
            intent.deed == Deed::Leave && is_it
        })
    }

    fn sync_answered(&mut self, party_id: PartyId, result: Result<(), ErrorCode>, now: Now) {
        let shadow = &mut self.link.as_mut().unwrap().shadow;
        match result {
            Ok(()) => {}
            Err(code @ (ErrorCode::PartyNotFound | ErrorCode::NotAMember)) => {
                match (code, shadow.gone(&party_id, RemovalReason::Removed)) {
                    (ErrorCode::PartyNotFound, ended @ Heard::Gone(_)) => {
                        self.follow(party_id, ended, now);
                    }
                    _ => self.compare(&party_id, None, Occasion::Return, now),
                }
            }
            Err(code) => panic!("a sync is refused: {code:?}"),
        }
    }
}
