//! Path of an applied command: it waits for its commit, is answered at once, or is reverted because
//! the queue is full.

use std::time::Duration;

use actix::prelude::*;
use lanrage_ipc::model::PartyId;

use super::LocalControlPlane;
use super::waiting::{Changed, Unchanged, Waiting};
use crate::control_plane::{Failure, Reply};
use crate::core::{Applied, Change, Effect, Ended, Inverse, Outcome, Payer, Refusal, Seen, Write};
use crate::events::HubCommand;

/// Interval between two warnings of overload.
const TELL_EVERY: Duration = Duration::from_secs(60);

impl LocalControlPlane {
    /// Returns the failure for a client's call beyond the bound of waiting calls, and logs it.
    pub(super) fn overloaded(&mut self, client: Option<&Payer>) -> Failure {
        const WORDS: &str = "too many changes wait for the disk";
        let now = self.clock.elapsed();
        let is_due = self.overload_told.is_none_or(|at| now.saturating_sub(at) >= TELL_EVERY);
        if is_due {
            self.overload_told = Some(now);
            let calls = self.waiting.len();
            let client = client.map_or_else(|| "an administrator".to_owned(), Payer::to_string);
            log::warn!("{WORDS}, more are refused: calls={calls} refused={client}");
        }
        Failure::Store(WORDS.to_owned())
    }

    pub(super) fn applied(
        &mut self,
        applied: Result<Applied, Refusal>,
        must: bool,
        client: Option<&Payer>,
        mut reply: Reply<Outcome>,
        ctx: &mut Context<Self>,
    ) {
        let applied = match applied {
            Ok(applied) => applied,
            Err(refusal) => {
                self.bounds_reached.warn(&refusal, self.clock.elapsed());
                return self.answer_in_turn(Err(refusal.into()), None, client, reply);
            }
        };
        self.note_watched(&applied.events);
        if let Some(Seen { party_id, peer_id, at }) = applied.seen {
            self.seen.insert((party_id, peer_id), at);
            self.arm_seen(ctx);
        }
        if applied.changes.is_empty() {
            applied.ended.iter().for_each(|ended| self.to.ending.end(ended));
            self.publish(applied.events.into_iter().map(HubCommand::FanOut).collect(), ctx);
            return match shows_state(&applied.outcome) {
                true => self.answer_in_turn(Ok(applied.outcome), applied.effect, client, reply),
                false => reply.send(Ok(applied.outcome)),
            };
        }
        if !must && !self.waiting.has_room(client, self.clock.elapsed()) {
            self.take_back(applied.effect, applied.changes);
            return reply.send(Err(self.overloaded(client)));
        }
        reply.hold(Ok(applied.outcome));
        let (rows, inverses): (Vec<_>, Vec<_>) =
            applied.changes.into_iter().map(Change::split).unzip();
        let changed = Changed {
            dirty: rows.iter().filter_map(intent_party).cloned().collect(),
            rows,
            inverses,
            effect: applied.effect,
            ended: applied.ended,
            events: applied.events,
            reply,
        };
        self.waiting.push(client, Waiting::Changed(Box::new(changed)));
        self.commit(ctx);
    }

    /// Answers a command without changes after all waiting calls.
    fn answer_in_turn(
        &mut self,
        outcome: Result<Outcome, Failure>,
        effect: Option<Effect>,
        client: Option<&Payer>,
        mut reply: Reply<Outcome>,
    ) {
        if self.waiting.is_empty() {
            reply.send(outcome);
        } else if !self.waiting.has_room(client, self.clock.elapsed()) {
            self.take_back(effect, Vec::<Inverse>::new());
            reply.send(Err(self.overloaded(client)));
        } else {
            reply.hold(outcome);
            let unchanged = Unchanged { reply, effect };
            self.waiting.push(client, Waiting::Unchanged(Box::new(unchanged)));
        }
    }

    /// Reverts the newest command. A frontend may know its token by the reverted life.
    pub(super) fn take_back(&mut self, effect: Option<Effect>, changes: Vec<impl Into<Inverse>>) {
        let inverses: Vec<Inverse> = changes.into_iter().map(Into::into).collect();
        let tokens = inverses.iter().filter_map(Inverse::token);
        tokens.for_each(|hash| self.to.ending.end(&Ended::Token(hash)));
        if let Some(effect) = effect {
            self.registry.revert(effect);
        }
        self.registry.undo(inverses.into_iter());
    }
}

/// Returns the party of a new intent.
fn intent_party(row: &Write) -> Option<&PartyId> {
    match row {
        Write::PutIntent(intent) => Some(&intent.party_id),
        _ => None,
    }
}

/// True for an outcome that shows state, which may not be durable yet.
fn shows_state(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Party(_)
            | Outcome::Peer(_)
            | Outcome::Relay(_)
            | Outcome::Claimed(_)
            | Outcome::Reattached(_)
            | Outcome::Receipt(_)
    )
}
