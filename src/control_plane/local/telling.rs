//! What others are told: the event hub, and the discovery file's keeper. Neither is waited for.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use lanrage_ipc::event::Event;
use lanrage_ipc::model::{Party, PartyId};

use super::LocalControlPlane;
use crate::core::Filter;
use crate::discovery::{Announce, AnnounceAll};
use crate::events::{Bulletin, Publish};

/// How soon what was lost is made good.
const RETRY: Duration = Duration::from_millis(50);

impl LocalControlPlane {
    /// The parties that events are about, as they are now.
    pub(super) fn announcements(&self, events: &[Event]) -> Vec<(PartyId, Option<Arc<Party>>)> {
        let mut touched: Vec<_> = events.iter().filter_map(Event::party_id).cloned().collect();
        touched.sort();
        touched.dedup();
        let now = self.clock.now();
        let show = |id: PartyId| {
            let party = self.registry.party(&id, now).ok().map(Arc::new);
            (id, party)
        };
        touched.into_iter().map(show).collect()
    }

    pub(super) fn publish(&mut self, bulletins: Vec<Bulletin>, ctx: &mut Context<Self>) {
        if bulletins.is_empty() {
            return;
        }
        let mut bulletins = bulletins;
        if self.hub_lost {
            bulletins.insert(0, Bulletin::Lost);
        }
        self.hub_lost = self.to.hub.try_send(Publish(bulletins)).is_err();
        if self.hub_lost {
            log::warn!("the event hub is behind: its subscribers start afresh");
            ctx.run_later(RETRY, |this, ctx| {
                if std::mem::take(&mut this.hub_lost) {
                    this.publish(vec![Bulletin::Lost], ctx);
                }
            });
        }
    }

    pub(super) fn announce(
        &mut self,
        changes: Vec<(PartyId, Option<Arc<Party>>)>,
        ctx: &mut Context<Self>,
    ) {
        // What is lost here comes with all the rest, soon.
        if changes.is_empty() || self.announcements_lost {
            return;
        }
        if self.to.announce.try_send(Announce { changes }).is_err() {
            self.announcements_lost = true;
            ctx.run_later(RETRY, |this, ctx| this.announce_all(ctx));
        }
    }

    pub(super) fn announce_all(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let filter = Filter::default();
        let parties = self.registry.parties(&filter, None, now).map(Arc::new).collect();
        self.announcements_lost = self.to.announce_all.try_send(AnnounceAll { parties }).is_err();
        if self.announcements_lost {
            ctx.run_later(RETRY, |this, ctx| this.announce_all(ctx));
        }
    }
}
