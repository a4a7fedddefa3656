//! What can be answered without changing anything.

use lanrage_ipc::event::{Event, Snapshot};
use lanrage_ipc::params::Topic;
use lanrage_ipc::results::StoreStatus;

use super::LocalControlPlane;
use crate::control_plane::{Answer, Ask, Failure, Query, Status};
use crate::core::{Filter, Refusal};
use crate::events::{Bulletin, Interest};

impl LocalControlPlane {
    /// What is asked for, and what the hub is to do about it once it may be answered.
    pub(super) fn read(&self, ask: &Ask) -> (Result<Answer, Failure>, Option<Bulletin>) {
        match ask {
            Ask::Query(query) => (self.query(query), None),
            Ask::Subscribe { key, interest, queue, snapshot } => match self.party_of(interest) {
                Ok(()) => {
                    let answer = match *snapshot {
                        Some(room) => self.bounded_snapshot(interest, room),
                        None => Ok(Answer::Done),
                    };
                    let attach = Bulletin::Attach(*key, interest.clone(), queue.clone());
                    let attach = answer.is_ok().then_some(attach);
                    (answer, attach)
                }
                Err(failure) => (Err(failure), None),
            },
            Ask::Resume(key, interest, room) => {
                let has_parties = self.least_bytes(interest) <= *room;
                let snapshot = self.snapshot(interest, has_parties);
                (Ok(Answer::Done), Some(Bulletin::Resume(*key, snapshot)))
            }
            Ask::Unsubscribe(key) => (Ok(Answer::Done), Some(Bulletin::Detach(*key))),
            Ask::ConnectionChanged(standing) => {
                let event = Event::ConnectionChanged(standing.at(self.clock.elapsed()));
                (Ok(Answer::Done), Some(Bulletin::Tell(event)))
            }
            _ => (Ok(Answer::Done), None),
        }
    }

    fn query(&self, query: &Query) -> Result<Answer, Failure> {
        let now = self.clock.now();
        Ok(match query {
            Query::Party(id) => Answer::Party(self.registry.party(id, now)?),
            Query::Peer(party_id, peer_id) => {
                Answer::Peer(self.registry.peer(party_id, peer_id, now)?)
            }
            Query::Parties { after, limit, room } => {
                let (parties, more) = self.registry.page(after.as_deref(), *limit, *room, now);
                Answer::Parties { parties, more }
            }
            Query::AllParties { room } => {
                let filter = Filter::default();
                within(self.registry.least_bytes(&filter), *room)?;
                let parties = self.registry.parties(&filter, None, now).collect();
                Answer::Parties { parties, more: false }
            }
            Query::Relays(region) => Answer::Relays(self.registry.relays(region.as_ref())),
        })
    }

    /// Whether the party is there that somebody is interested in.
    fn party_of(&self, interest: &Interest) -> Result<(), Failure> {
        match &interest.party_id {
            Some(id) if !self.registry.has_party(id) => {
                Err(Refusal::PartyNotFound(id.clone()).into())
            }
            _ => Ok(()),
        }
    }

    /// The state as far as it is of interest, if it may fit.
    fn bounded_snapshot(&self, interest: &Interest, room: usize) -> Result<Answer, Failure> {
        within(self.least_bytes(interest), room)?;
        Ok(Answer::Subscribed(self.snapshot(interest, true)))
    }

    /// Lower bound of a snapshot's JSON, in bytes.
    fn least_bytes(&self, interest: &Interest) -> usize {
        let filter = Filter { party_id: interest.party_id.clone() };
        let parties = if has_parties(interest) { self.registry.least_bytes(&filter) } else { 0 };
        let of_relays = interest.covers(Topic::Relay);
        parties + if of_relays { self.registry.least_bytes_of_relays() } else { 0 }
    }

    /// The state as far as it is of interest; a party that is gone meanwhile is not in it.
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
        let pending = (self.waiting.len() + self.seen.len()) as u64;
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
