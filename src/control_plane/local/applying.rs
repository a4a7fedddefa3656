//! The way of a command that the registry has applied: it waits for the disk, or is answered,
//! or is taken back because too much waits.

use actix::prelude::*;

use super::LocalControlPlane;
use super::actor::answer;
use super::waiting::{Changed, ReplyTo, Unchanged, Waiting};
use crate::control_plane::{Answer, Failure};
use crate::core::{Applied, Change, Effect, Outcome, Refusal, Seen};
use crate::events::Bulletin;

impl LocalControlPlane {
    /// Refuses a call because too many wait for the disk.
    pub(super) fn overloaded(&mut self) -> Failure {
        const WORDS: &str = "too many changes wait for the disk";
        if !std::mem::replace(&mut self.is_overloaded, true) {
            let calls = self.waiting.len();
            log::warn!("{WORDS}, more are refused: calls={calls}");
        }
        Failure::Store(WORDS.to_owned())
    }

    pub(super) fn applied(
        &mut self,
        applied: Result<Applied, Refusal>,
        must: bool,
        reply: ReplyTo,
        ctx: &mut Context<Self>,
    ) {
        let applied = match applied {
            Ok(applied) => applied,
            Err(refusal) => {
                self.bounds_reached.warn(&refusal, self.clock.elapsed());
                return self.answer_in_turn(Err(refusal.into()), None, reply);
            }
        };
        if let Some(Seen { party_id, peer_id, at }) = applied.seen {
            self.seen.insert((party_id, peer_id), at);
            self.arm_seen(ctx);
        }
        if applied.changes.is_empty() {
            applied.ended.iter().for_each(|ended| self.to.ending.end(ended));
            self.publish(applied.events.into_iter().map(Bulletin::Tell).collect(), ctx);
            let shows_state = shows_state(&applied.outcome);
            let answered = Ok(Answer::Outcome(applied.outcome));
            return match shows_state {
                true => self.answer_in_turn(answered, applied.effect, reply),
                false => answer(reply, answered),
            };
        }
        if !must && !self.waiting.has_room(self.clock.elapsed()) {
            self.take_back(applied.effect, applied.changes);
            return answer(reply, Err(self.overloaded()));
        }
        self.waiting.push(Waiting::Changed(Box::new(Changed {
            announcements: self.announcements(&applied.events),
            changes: applied.changes,
            effect: applied.effect,
            ended: applied.ended,
            events: applied.events,
            outcome: applied.outcome,
            reply,
        })));
        self.commit(ctx);
    }

    /// Answers what changed nothing, after all that waits.
    fn answer_in_turn(
        &mut self,
        result: Result<Answer, Failure>,
        effect: Option<Effect>,
        reply: ReplyTo,
    ) {
        if self.waiting.is_empty() {
            answer(reply, result);
        } else if !self.waiting.has_room(self.clock.elapsed()) {
            self.take_back(effect, Vec::new());
            answer(reply, Err(self.overloaded()));
        } else {
            let unchanged = Unchanged { answer: result, effect, reply };
            self.waiting.push(Waiting::Unchanged(Box::new(unchanged)));
        }
    }

    /// Undoes the newest command.
    pub(super) fn take_back(&mut self, effect: Option<Effect>, changes: Vec<Change>) {
        if let Some(effect) = effect {
            self.registry.revert(effect);
        }
        self.registry.undo(changes.into_iter());
    }
}

/// True for an answer that shows state which may not be durable yet.
fn shows_state(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Party(_)
            | Outcome::Peer(_)
            | Outcome::Relay(_)
            | Outcome::Claimed { .. }
            | Outcome::Returned(_)
            | Outcome::Receipt(_)
    )
}
