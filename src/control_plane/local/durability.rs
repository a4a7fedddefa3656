//! Commits: one at a time, with a rollback when it fails.

use std::sync::Weak;

use actix::prelude::*;

use super::LocalControlPlane;
use super::waiting::Waiting;
use crate::control_plane::{Ask, Call, Failure};
use crate::core::{Inverse, Seen};
use crate::events::HubCommand;
use crate::store::{Commit, Committed};

impl LocalControlPlane {
    /// Sends all waiting changes to the store, unless it is busy.
    pub(super) fn commit(&mut self, ctx: &mut Context<Self>) {
        if self.waiting.is_committing() {
            return;
        }
        let writes = self.waiting.begin_commit();
        let seen = std::mem::take(&mut self.seen).into_iter();
        let seen = seen.map(|((party_id, peer_id), at)| Seen { party_id, peer_id, at }).collect();
        let commit = self.to.store.send(Commit { writes, seen }).into_actor(self);
        ctx.spawn(commit.map(|result, this, ctx| {
            // The store's thread ends only by a panic, which ends the process.
            let result = result.map_err(|error| error.to_string());
            let result = result.and_then(|result| result.map_err(|error| error.to_string()));
            this.committed(result, ctx);
        }));
    }

    fn committed(&mut self, result: Result<Committed, String>, ctx: &mut Context<Self>) {
        match result {
            Ok(Committed { took }) => {
                self.counters.commits += 1;
                self.store_status.last_commit = Some(took);
                if self.store_status.last_error.take().is_some() {
                    log::info!("commits succeed again");
                }
                let durable = self.waiting.end_commit();
                self.release(durable, ctx);
            }
            Err(error) => {
                self.counters.commit_failures += 1;
                self.roll_back(error, ctx);
            }
        }
        if self.waiting.holds_changes() {
            self.commit(ctx);
        } else {
            let rest = self.waiting.take_all();
            self.release(rest, ctx);
            self.answer_stop(ctx);
        }
    }

    /// Publishes the events of waiting calls and answers the calls, in order.
    fn release(&mut self, mut calls: Vec<Waiting>, ctx: &mut Context<Self>) {
        let mut hub_commands = Vec::new();
        for call in &mut calls {
            match call {
                Waiting::Changed(changed) => {
                    self.counters.count(&changed.events);
                    changed.ended.iter().for_each(|ended| self.to.ending.end(ended));
                    changed.dirty.drain(..).for_each(|party_id| self.to.dirty.note(party_id));
                    self.note_announced(&changed.events);
                    hub_commands.extend(changed.events.drain(..).map(HubCommand::FanOut));
                }
                Waiting::Unchanged(_) => {}
                Waiting::Read(read) => hub_commands.extend(read.hub_command.take()),
            }
        }
        self.publish(hub_commands, ctx);
        calls.iter_mut().for_each(|call| call.reply().release());
    }

    /// Reverts all waiting changes and refuses their calls.
    fn roll_back(&mut self, words: String, ctx: &mut Context<Self>) {
        if self.store_status.last_error.as_ref() != Some(&words) {
            log::error!("commit failed, its changes are reverted: {words}");
        }
        self.store_status.last_error = Some(words.clone());
        let (mut refused, mut reads) = (Vec::new(), Vec::new());
        for call in self.waiting.take_all().into_iter().rev() {
            match call {
                Waiting::Changed(changed) => {
                    self.take_back(changed.effect, changed.inverses);
                    refused.push(changed.reply);
                }
                Waiting::Unchanged(unchanged) => {
                    self.take_back(unchanged.effect, Vec::<Inverse>::new());
                    refused.push(unchanged.reply);
                }
                Waiting::Read(read) => reads.push(read),
            }
        }
        // They may have read what is reverted now.
        self.watches.iter().filter_map(Weak::upgrade).for_each(|watch| watch.note_any());
        for reply in refused.into_iter().rev() {
            reply.send(Err(Failure::Store(words.clone())));
        }
        for read in reads.into_iter().rev() {
            self.take_in(Call { caller: read.caller, ask: Ask::Query(read.query) }, ctx);
        }
    }

    pub(super) fn arm_seen(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.seen_armed, true) {
            return;
        }
        ctx.run_later(self.seen_interval, |this, ctx| {
            this.seen_armed = false;
            if this.waiting.is_committing() && !this.seen.is_empty() {
                this.arm_seen(ctx);
            } else if !this.seen.is_empty() {
                this.commit(ctx);
            }
        });
    }

    pub(super) fn answer_stop(&mut self, ctx: &mut Context<Self>) {
        if self.stopping.is_some() && !self.seen.is_empty() {
            return self.commit(ctx);
        }
        for waiter in self.stopping.iter_mut().flat_map(std::mem::take) {
            waiter.send(()).ok();
        }
    }
}
