//! Queries: calls that change nothing.

use std::sync::Arc;

use lanrage_ipc::event::{Event, Snapshot, Topic};

use super::LocalControlPlane;
use crate::control_plane::dirty_parties::DirtyParties;
use crate::control_plane::{ChangedParties, Failure, Page, Query, Status, StoreStatus};
use crate::core::{DirtySet, Filter, Refusal};
use crate::events::{HubCommand, Interest};

impl LocalControlPlane {
    /// Puts the answer into the reply, which holds it. Returns the command for the hub once the
    /// answer is sent.
    pub(super) fn read(&self, query: &mut Query) -> Option<HubCommand> {
        let now = self.clock.now();
        match query {
            Query::Party(id, reply) => {
                reply.hold(self.registry.party(id, now).map_err(Failure::from));
            }
            Query::Peer(party_id, peer_id, reply) => {
                reply.hold(self.registry.peer(party_id, peer_id, now).map_err(Failure::from));
            }
            Query::Parties { after, limit, room, reply } => {
                reply.hold(Ok(self.page(after.as_deref(), *limit, *room)));
            }
            Query::ChangedParties(changed, room, reply) => {
                reply.hold(self.changed(changed, *room));
            }
            Query::Relays(region, reply) => {
                reply.hold(Ok(self.registry.relays(region.as_ref())));
            }
            Query::Subscribe { key, interest, queue, snapshot, reply } => {
                let start = self.start_of(interest, *snapshot);
                let attach = HubCommand::Attach(*key, interest.clone(), queue.clone());
                let attach = start.is_ok().then_some(attach);
                reply.hold(start);
                return attach;
            }
            Query::SubscribeAfter { key, interest, queue, changed, room, reply } => {
                let fits = within(self.least_bytes(interest), *room);
                let changed = fits.and_then(|()| self.changed(changed, *room));
                let start = changed.map(|changed| (changed, self.snapshot(interest, false)));
                let attach = HubCommand::Attach(*key, interest.clone(), queue.clone());
                let attach = start.is_ok().then_some(attach);
                reply.hold(start);
                return attach;
            }
            Query::Resume(key, interest, room, reply) => {
                reply.hold(Ok(()));
                let has_parties = self.least_bytes(interest) <= *room;
                return Some(HubCommand::Resume(*key, self.snapshot(interest, has_parties)));
            }
            Query::Unsubscribe(key, reply) => {
                reply.hold(Ok(()));
                return Some(HubCommand::Detach(*key));
            }
            Query::ConnectionChanged(status, reply) => {
                reply.hold(Ok(()));
                return Some(HubCommand::FanOut(Event::ConnectionChanged(status.at(now.elapsed))));
            }
        }
        None
    }

    /// Returns a page of parties.
    pub(super) fn page(&self, after: Option<&str>, limit: usize, room: usize) -> Page {
        let (parties, more) = self.registry.page(after, limit, room, self.clock.now());
        Page { parties, more }
    }

    /// Watches all parties.
    ///
    /// # Errors
    /// [`Failure::TooLong`] for parties that can't fit into the room.
    pub(super) fn watch(&mut self, room: usize) -> Result<Arc<DirtyParties>, Failure> {
        within(self.registry.least_bytes(&Filter::default()), room)?;
        let watch = Arc::<DirtyParties>::default();
        self.watches.retain(|watch| watch.strong_count() > 0);
        self.watches.push(Arc::downgrade(&watch));
        Ok(watch)
    }

    /// Returns the changes of watched parties. They stay noted, since the query may be repeated.
    ///
    /// # Errors
    /// [`Failure::TooLong`] for parties that can't fit into the room.
    fn changed(&self, changed: &DirtyParties, room: usize) -> Result<ChangedParties, Failure> {
        let (all, now) = (Filter::default(), self.clock.now());
        within(self.registry.least_bytes(&all), room)?;
        let stale = changed.get();
        let parties = match &stale {
            DirtySet::Some(ids) => {
                ids.iter().filter_map(|id| self.registry.party(id, now).ok()).collect()
            }
            DirtySet::Any => self.registry.parties(&all, None, now).collect(),
        };
        Ok(ChangedParties { stale, parties })
    }

    /// Checks an interest. Returns the snapshot that its events start from, if it is wanted.
    ///
    /// # Errors
    /// [`Refusal::PartyNotFound`]; [`Failure::TooLong`] for a state that can't fit into the room.
    fn start_of(
        &self,
        interest: &Interest,
        snapshot: Option<usize>,
    ) -> Result<Option<Snapshot>, Failure> {
        if let Some(id) = interest.party_id.as_ref().filter(|id| !self.registry.has_party(id)) {
            return Err(Refusal::PartyNotFound(id.clone()).into());
        }
        let Some(room) = snapshot else { return Ok(None) };
        within(self.least_bytes(interest), room)?;
        Ok(Some(self.snapshot(interest, true)))
    }

    /// Returns a lower bound of a snapshot's JSON, in bytes.
    fn least_bytes(&self, interest: &Interest) -> usize {
        let filter = Filter { party_id: interest.party_id.clone() };
        let parties = if has_parties(interest) { self.registry.least_bytes(&filter) } else { 0 };
        let of_relays = interest.covers(Topic::Relay);
        parties + if of_relays { self.registry.least_bytes_of_relays() } else { 0 }
    }

    /// Returns a snapshot for an interest. A party that has ended meanwhile is missing.
    fn snapshot(&self, interest: &Interest, with_parties: bool) -> Snapshot {
        let now = self.clock.now();
        let of_parties = with_parties && has_parties(interest);
        let filter = Filter { party_id: interest.party_id.clone() };
        Snapshot {
            parties: of_parties.then(|| self.registry.parties(&filter, None, now).collect()),
            relays: interest.covers(Topic::Relay).then(|| self.registry.relays(None)),
            connection: interest.covers(Topic::Connection).then(|| self.connection()),
        }
    }

    pub(super) fn status(&self) -> Status {
        let pending = self.waiting.len() + self.seen.len();
        Status {
            epoch: self.registry.epoch().clone(),
            parties: self.registry.party_count() as u64,
            peers: self.registry.peer_count() as u64,
            relays: self.registry.relay_count() as u64,
            tokens: self.registry.token_count() as u64,
            counters: self.counters,
            store: StoreStatus { pending, ..self.store_status.clone() },
            connection: self.connection(),
        }
    }
}

fn has_parties(interest: &Interest) -> bool {
    interest.covers(Topic::Party) || interest.covers(Topic::Peer)
}

/// # Errors
/// [`Failure::TooLong`].
fn within(least: usize, room: usize) -> Result<(), Failure> {
    if least > room { Err(Failure::TooLong { least, room }) } else { Ok(()) }
}
